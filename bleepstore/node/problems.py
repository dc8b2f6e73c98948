"""Why a node does not start, in one line for whoever started it."""

from __future__ import annotations


class StartError(Exception):
    """The node cannot serve.  The message is one line, says what and where, and has no secret."""
