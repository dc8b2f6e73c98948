"""docs/s3-compatibility.md, generated from the table of operations."""

from __future__ import annotations


def compatibility_markdown() -> str:
    """The whole document."""
    ...
