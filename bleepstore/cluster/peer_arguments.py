"""Between a command's arguments and a box: what AMP's ``Command`` does, without its protocol.

Our types of arguments need no connection to be read or written by, and half of the time of a small
call went into what AMP does to pass one around.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.protocols import amp

from bleepstore.cluster.peer_boxes import BadBox, Box

Schema = list[tuple[bytes, amp.Argument]]
"""The arguments of a command, or of its response."""


def to_box(schema: Schema, values: dict[str, Any]) -> Box:
    """What AMP's ``Command.makeArguments`` and ``makeResponse`` do, for our types of arguments."""
    box: Box = {}
    for name, argument in schema:
        to_strings: Callable[..., None] = argument.toBox
        to_strings(name, box, values, None)
    return box


def from_box(schema: Schema, box: Box) -> dict[str, Any]:
    """And its inverse; further keys are passed over, as AMP does.

    :raises KeyError: one is missing.
    :raises ValueError: one is wrong.
    """
    values: dict[str, Any] = {}
    for name, argument in schema:
        from_strings: Callable[..., None] = argument.fromBox
        from_strings(name, box, values, None)
    return values


def parse_arguments(command: type[amp.Command], box: Box) -> dict[str, Any]:
    """The arguments of a call.

    :raises BadBox: one is missing, or wrong.
    """
    try:
        return from_box(command.arguments, box)
    except KeyError as error:
        raise BadBox(f"{command.commandName!r} without {error}") from None
    except ValueError as error:
        raise BadBox(f"{command.commandName!r} with a wrong argument: {error}") from None
