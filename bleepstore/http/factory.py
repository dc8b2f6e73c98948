"""The factory of HTTP channels: their shared clock, limits, and the graceful end."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory

from bleepstore.http.settings import Handler, Limits, Observer, Refuse


class HTTPFactory(Factory):
    """Serves HTTP/1.1 on whatever endpoint it is given to."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        reactor: IReactorTime,
        refuse: Refuse | None = None,
        observer: Observer | None = None,
    ) -> None: ...

    def stop(self, within: float) -> Deferred[None]:
        """Idle connections close at once; requests in flight have ``within`` seconds, then are cut.

        Fires when the last connection is gone.  The listening port is the caller's to close first.
        """
        ...
