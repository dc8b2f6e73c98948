"""Tell systemd when the node is ready and when it stops (sd_notify(3)), where it wants to know."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

from twisted.logger import Logger

_log = Logger()


def notify(state: str, environ: MutableMapping[str, str] = os.environ) -> None:
    """Send ``READY=1`` or ``STOPPING=1`` to the socket that NOTIFY_SOCKET names, if it does.

    A name that begins with ``@`` is in Linux' abstract namespace.  A failure is logged.
    """
    name = environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)
            channel.sendto(state.encode(), address)
    except OSError as error:
        _log.warn(
            "The service manager could not be told {state}: {error}", state=state, error=error
        )
