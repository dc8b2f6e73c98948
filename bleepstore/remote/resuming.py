"""Reading a long answer to its end although connections break: the rest is asked for again.

A download of a gigabyte that breaks off near its end would otherwise fail as a whole, and a client
of ours has had its status line long before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, Deferred

from bleepstore.remote.downloading import ResponseBody
from bleepstore.remote.failures import Fault, RemoteFailure, Unreachable

OpenFrom = Callable[[int], Awaitable[ResponseBody]]
"""Gives the bytes from so many bytes after the beginning.  It must ask for the same object: by
its ETag, generation or version."""

RESUMPTIONS = 4
"""Breaks in a row, without a byte between them, that are borne."""


class ResumingBody:
    """``length`` bytes, from as many answers as it takes.

    :param body: the first answer.
    :param open_from: for the answers after it.
    :param translate: what a failure is for the reader.
    """

    def __init__(
        self,
        body: ResponseBody,
        length: int,
        open_from: OpenFrom,
        translate: Callable[[RemoteFailure], Exception],
    ) -> None:
        self._body: ResponseBody | None = body
        self._at = 0
        self._length = length
        self._open_from = open_from
        self._translate = translate
        self._opening: Deferred[ResponseBody] | None = None
        self._closed = False

    async def read(self) -> bytes:
        """The next bytes, between 1 byte and 1 MiB; empty at the end, and after a close.

        :raises Exception: as ``translate`` has it: the bytes cannot be had, or there are fewer.
        """
        breaks = 0
        while self._at < self._length and not self._closed:
            try:
                if self._body is None:
                    await self._resume()
                    continue
                data = await self._body.read()
                if not data and not self._closed:
                    raise Unreachable(
                        Fault.BROKEN, f"{self._length - self._at} bytes less than announced"
                    )
            except RemoteFailure as failure:
                self._drop()
                breaks += 1
                if self._closed:
                    break
                if breaks > RESUMPTIONS or not isinstance(failure, Unreachable):
                    raise self._translate(failure) from failure
                continue
            if len(data) > self._length - self._at:
                data = data[: self._length - self._at]
            self._at += len(data)
            if self._at == self._length:
                self._drop()
            return data
        return b""

    def close(self) -> None:
        """Release the connection; may be called twice, and during a read."""
        self._closed = True
        self._drop()
        if (opening := self._opening) is not None:
            opening.cancel()

    async def _resume(self) -> None:
        opening = Deferred.fromCoroutine(_awaited(self._open_from(self._at)))
        self._opening = opening
        try:
            self._body = await opening
        except CancelledError:
            if not self._closed:
                raise
        finally:
            self._opening = None

    def _drop(self) -> None:
        if (body := self._body) is not None:
            self._body = None
            body.close()


async def _awaited(waiting: Awaitable[ResponseBody]) -> ResponseBody:
    return await waiting
