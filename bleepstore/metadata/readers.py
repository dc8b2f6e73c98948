"""Readers for threads: taken, used, given back; as many as were ever needed at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from threading import Lock
from typing import Concatenate, ParamSpec, TypeVar

from bleepstore.errors import ServiceUnavailable
from bleepstore.metadata.reader import Reader

T = TypeVar("T")
P = ParamSpec("P")


class ReaderPool:
    """Connections that outlive the call they were opened for.  Safe to use from any thread."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._spare: list[Reader] = []
        self._lock = Lock()
        self._closed = False

    def call(
        self, query: Callable[Concatenate[Reader, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call ``query`` with a reader that nobody else uses meanwhile.

        :raises ServiceUnavailable: the pool is closed.
        """
        reader = self._take()
        try:
            return query(reader, *args, **kwargs)
        finally:
            self._give(reader)

    def close(self) -> None:
        """Close the readers; one that is in use is closed when it is given back."""
        with self._lock:
            self._closed = True
            spare, self._spare = self._spare, []
        for reader in spare:
            reader.close()

    def _take(self) -> Reader:
        with self._lock:
            if self._closed:
                raise ServiceUnavailable("The store is stopping.")
            if self._spare:
                return self._spare.pop()
        return Reader(self._connect())

    def _give(self, reader: Reader) -> None:
        with self._lock:
            if not self._closed:
                self._spare.append(reader)
                return
        reader.close()
