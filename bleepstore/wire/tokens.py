"""Continuation tokens: opaque to clients, versioned, and proof against editing by accident."""

from __future__ import annotations


def encode_token(after: str) -> str:
    """The token that continues a listing after ``after``; URL-safe text."""
    ...


def decode_token(token: str) -> str:
    """What :func:`encode_token` was given.

    :raises InvalidArgument: "The continuation token provided is incorrect".
    """
    ...
