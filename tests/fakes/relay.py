"""A network between nodes of a cluster that can fail: every peer is called through a relay.

    relays = Relays()
    port = relays.serve("node-2", 9002)     # others are told this port in place of 9002
    relays.block("node-1", "node-2")        # nothing that node-1 sends arrives at node-2 any more
    relays.heal()

Who calls is known by the first box of the connection, which is Hello and has the caller's id
(docs/peer-protocol.md); from then on bytes are bytes.  As in a network of packets, blocked bytes
are not lost for a connection that outlives the blocking: they arrive late.

It runs in a thread of its own, so that tests that block can use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

PATIENCE = 30.0
"""Seconds after which a hang is one."""

Link = tuple[str, str]
"""Who sends, and to whom."""


class Relays:
    """Relays to several nodes, and what goes wrong between them; used as a context manager.

    :ivar passed: how many bytes each link has carried.
    """

    def __init__(self) -> None:
        self.passed: dict[Link, int] = {}
        self._blocked: set[Link] = set()
        self._delay = 0.0
        self._changed = asyncio.Event()
        self._servers: list[asyncio.Server] = []
        self._connections: dict[asyncio.Task[None], Link] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays")
        self._thread.start()

    def __enter__(self) -> Relays:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def serve(self, destination: str, port: int) -> int:
        """The port at which a node is reached that listens on ``port``."""

        async def listen() -> int:
            server = await asyncio.start_server(
                lambda reader, writer: self._accept(reader, writer, destination, port),
                "127.0.0.1",
                0,
            )
            self._servers.append(server)
            found: int = server.sockets[0].getsockname()[1]
            return found

        return asyncio.run_coroutine_threadsafe(listen(), self._loop).result(PATIENCE)

    def block(self, source: str, destination: str) -> None:
        """Nothing of what ``source`` sends arrives at ``destination``, on old connections and on
        new ones; the other way is another link."""
        self._do(lambda: self._blocked.add((source, destination)))

    def cut(self, source: str, destination: str) -> None:
        """Reset the connections that ``source`` has opened to ``destination``."""

        def reset() -> None:
            for task, link in self._connections.items():
                if link == (source, destination):
                    task.cancel()

        self._do(reset)

    def delay(self, seconds: float) -> None:
        """Whatever arrives does so this much later."""
        self._do(lambda: setattr(self, "_delay", seconds))

    def heal(self) -> None:
        """Nothing is blocked or late any more; what was held back arrives."""

        def all_well() -> None:
            self._blocked.clear()
            self._delay = 0.0
            self._changed.set()
            self._changed = asyncio.Event()

        self._do(all_well)

    def close(self) -> None:
        """End all connections and listeners, and the thread.  May be called twice."""
        if self._loop.is_closed():
            return

        async def end() -> None:
            for server in self._servers:
                server.close()
            tasks = list(self._connections)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def _do(self, change: Callable[[], object]) -> None:
        async def changed() -> None:
            change()

        asyncio.run_coroutine_threadsafe(changed(), self._loop).result(PATIENCE)

    async def _accept(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        destination: str,
        port: int,
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = ("", destination)
        ends = [writer]
        try:
            hello, caller = await first_box(reader)
            self._connections[task] = (caller, destination)
            await self._passes(caller, destination)
            there, back = await asyncio.open_connection("127.0.0.1", port)
            ends.append(back)
            back.write(hello)
            ways = {
                asyncio.ensure_future(self._pump(reader, back, caller, destination)),
                asyncio.ensure_future(self._pump(there, writer, destination, caller)),
            }
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # its end is what the two sides are told
        finally:
            del self._connections[task]
            for end in ends:
                end.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        source: str,
        destination: str,
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._passes(source, destination)
                writer.write(data)
                await writer.drain()
                self.passed[source, destination] = self.passed.get((source, destination), 0) + len(
                    data
                )
        await self._passes(source, destination)  # nor does its end arrive

    async def _passes(self, source: str, destination: str) -> None:
        if self._delay:
            await asyncio.sleep(self._delay)
        while (source, destination) in self._blocked:
            await self._changed.wait()


async def first_box(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    """The first AMP box of a stream as it is, and the caller's id in it.

    A box is pairs of a key and a value, each behind its length in two bytes, and ends with a key
    of length zero (``twisted.protocols.amp``).
    """
    raw = b""
    node = ""
    while True:
        raw += (head := await reader.readexactly(2))
        if not (length := int.from_bytes(head, "big")):
            return raw, node
        raw += (key := await reader.readexactly(length))
        raw += (head := await reader.readexactly(2))
        raw += (value := await reader.readexactly(int.from_bytes(head, "big")))
        if key == b"node":
            node = value.decode()
