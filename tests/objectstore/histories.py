"""Random requests of several clients at once, in an order that dice choose, and what they saw.

Every command, and every request to a cloud, waits before it is carried out and before it is
answered until it is chosen; so one seed gives one interleaving.  What the clients were answered
must be explained by some order of single steps (``tests.sim.linearizability``), and every body
that was read be the one that its ETag stands for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import md5
from inspect import iscoroutinefunction
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from bleepstore.errors import (
    InvalidPart,
    NoSuchKey,
    NoSuchUpload,
    OperationAborted,
    PreconditionFailed,
    ServiceUnavailable,
)
from bleepstore.metadata.memory import MemoryMetadata
from bleepstore.model.commands import CompletedPart, DeleteTarget
from bleepstore.model.conditions import WriteConditions
from bleepstore.model.objects import Description
from bleepstore.objectstore.requests import (
    Claims,
    CompleteRequest,
    CopyRequest,
    PartCopyRequest,
    PutRequest,
    ReadRequest,
    UploadName,
    UploadRequest,
)
from bleepstore.wire.copying import CopySource
from tests.fakes.cloud import Cloud
from tests.objectstore.driving import Running
from tests.objectstore.world import ALICE, Faulty, Payload, World
from tests.sim.linearizability import DONE, FAILED, NO_KEY, History, Operation

BUCKET = "bucket"
KEYS = ("a", "b")
PARTS = (1, 2)
SIZES = (10, 2_000, 600_000)
"""Bytes of bodies: small everywhere; large in a cloud; large everywhere."""
UNKNOWN = "?"
"""The ETag of what a copy writes, until it is known."""


class Gates:
    """Those who wait, and the dice that let one go on."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._waiting: list[Deferred[None]] = []
        self.open = False  # whether nobody waits any more

    async def wait(self) -> None:
        if not self.open:
            gate: Deferred[None] = Deferred()
            self._waiting.append(gate)
            await gate

    def chance(self, probability: float) -> bool:
        return probability > 0 and self._dice.random() < probability

    def release(self) -> bool:
        """Let one go on; False if nobody waits."""
        if not self._waiting:
            return False
        self._waiting.pop(self._dice.randrange(len(self._waiting))).callback(None)
        return True


class GatedMetadata(Faulty):
    """Metadata whose commands take their time.

    :param reads: whether reads do, too, as those of a cluster.
    """

    def __init__(self, gates: Gates, reads: bool = False) -> None:
        super().__init__(MemoryMetadata())
        self._gates = gates
        self._reads = reads

    def __getattr__(self, name: str) -> Any:
        method = super().__getattr__(name)
        if name != "submit" and not (self._reads and iscoroutinefunction(method)):
            return method

        async def call(*args: Any) -> Any:
            await self._gates.wait()
            try:
                return await method(*args)
            finally:
                await self._gates.wait()

        return call


class GatedCloud(Cloud):
    """A cloud whose requests take their time.

    :param failures: how many of them go wrong, from 0 to 1: they do not arrive, or their answers
        do not; none do while the gates are open.
    """

    def __init__(self, gates: Gates, failures: float = 0) -> None:
        super().__init__()
        self._gates = gates
        self._failures = failures

    async def ask(self, operation: str, name: str, action: Callable[[], Any]) -> Any:
        await self._gates.wait()
        self._perhaps_fail()
        try:
            result = await super().ask(operation, name, action)
        finally:
            await self._gates.wait()
        self._perhaps_fail()
        return result

    def _perhaps_fail(self) -> None:
        if not self._gates.open and self._gates.chance(self._failures / 2):
            raise ServiceUnavailable("the cloud is away")


class Clients:
    """Several clients of a world, one request at a time each.

    :param doubtful: what leaves open whether a request was carried out.
    """

    def __init__(
        self,
        world: World,
        gates: Gates,
        dice: random.Random,
        doubtful: tuple[type[Exception], ...] = (),
    ) -> None:
        self._doubtful = doubtful
        self.world = world
        self._gates = gates
        self._dice = dice
        self._time = 0
        self._history = History(lambda: self._time)
        self._bytes: dict[str, bytes] = {}
        self._etags: dict[str, list[str]] = {key: [] for key in KEYS}
        self._uploads: list[tuple[UploadName, dict[int, list[str]]]] = []
        self._tried: set[UploadName] = set()  # to be completed

    def run(self, clients: int, requests: int, steps: int | None = None) -> list[Running[None]]:
        """Let them make their requests.

        :param steps: after how many everything stops; None: not before the end.
        """
        running = [Running(self._client(f"client {n}", requests)) for n in range(clients)]
        running.append(Running(self._collect(requests)))
        while steps is None or self._time < steps:
            self._time += 1
            if not self._gates.release():
                break
        for each in running:
            if each.done:
                each.result()
        return running

    async def read_all(self) -> None:
        """What is there in the end."""
        for key in KEYS:
            self._time += 1
            await self._get("reader", key)

    def operations(self) -> Iterator[Operation]:
        """What was seen of every key; a copy is a read of its source and a write.

        One of which nothing was heard may have written whatever was read there.
        """
        read: dict[str, set[object]] = {key: set() for key in KEYS}
        for each in self._history.operations:
            if each.action == "get" and each.outcome is not None:
                read[each.key].add(each.outcome)
        for each in self._history.operations:
            if each.value != UNKNOWN:
                yield each
            else:
                for etag in read[each.key]:
                    yield msgspec.structs.replace(each, value=str(etag))

    # One client

    async def _client(self, name: str, requests: int) -> None:
        for _ in range(requests):
            await self._gates.wait()
            request = self._dice.choice(self._requests)
            with suppress(*self._doubtful):
                await request(self, name, self._dice.choice(KEYS))

    async def _collect(self, times: int) -> None:
        for _ in range(times):
            await self._gates.wait()
            await self.world.collect()

    async def _put(self, client: str, key: str) -> None:
        body, etag = self._body()
        conditions = self._conditions(key)
        await self._write(
            client,
            key,
            etag,
            conditions,
            self.world.store.objects.put(
                self.world.caller(ALICE),
                PutRequest(BUCKET, key, Description(), conditions=conditions),
                Payload(body, length=len(body)),
            ),
        )

    async def _get(self, client: str, key: str) -> None:
        call = self._history.call(client, "get", BUCKET, key=key)
        try:
            read = await self.world.store.objects.get(
                self.world.caller(ALICE), ReadRequest(BUCKET, key)
            )
        except NoSuchKey:
            self._history.returned(call, NO_KEY)
            return
        pieces = [read.inline or b""]
        try:
            while read.inline is None and (piece := await read.read()):
                await self._gates.wait()
                pieces.append(piece)
        finally:
            read.close()
        etag = read.version.etag
        assert b"".join(pieces) == self._bytes[etag], f"{key} has other bytes than {etag} means"
        self._history.returned(call, etag)

    async def _delete(self, client: str, key: str) -> None:
        if_match = self._some_etag(key) if self._dice.random() < 0.5 else None
        call = self._history.call(client, "delete", BUCKET, key=key, if_match=if_match or "")
        deleting = self.world.store.objects.delete(
            self.world.caller(ALICE), BUCKET, key, if_match=if_match
        )
        self._history.returned(call, await _outcome(deleting))

    async def _delete_both(self, client: str, _: str) -> None:
        calls = [self._history.call(client, "delete", BUCKET, key=key) for key in KEYS]
        await self.world.store.objects.delete_many(
            self.world.caller(ALICE), BUCKET, [DeleteTarget(key) for key in KEYS]
        )
        for call in calls:
            self._history.returned(call, DONE)

    async def _copy(self, client: str, key: str) -> None:
        source = self._dice.choice(KEYS)
        conditions = self._conditions(key)
        reading = self._history.call(client, "get", BUCKET, key=source)
        copying = self.world.store.copies.copy(
            self.world.caller(ALICE),
            CopyRequest(
                CopySource(BUCKET, source),
                BUCKET,
                key,
                replace=Description(),
                conditions=conditions,
            ),
        )
        writing = self._history.call(
            client, "put", BUCKET, key=key, value=UNKNOWN, **_said(conditions)
        )
        try:
            etag = (await copying).etag
        except (NoSuchKey, PreconditionFailed, OperationAborted):
            self._history.forget(reading)
            self._history.forget(writing)
            return
        self._history.amend(writing, value=etag)
        self._history.returned(reading, etag)
        self._history.returned(writing, DONE)

    # Uploads

    async def _create(self, _: str, key: str) -> None:
        upload = await self.world.store.uploads.create(
            self.world.caller(ALICE), UploadRequest(BUCKET, key, Description())
        )
        self._uploads.append((UploadName(BUCKET, key, upload.upload_id), {}))

    async def _part(self, _: str, key: str) -> None:
        if not self._uploads:
            return
        name, parts = self._dice.choice(self._uploads[-2:])
        number = self._dice.choice(PARTS)
        body, etag = self._body()
        parts.setdefault(number, []).append(etag)
        with suppress(NoSuchUpload):
            await self.world.store.uploads.put_part(
                self.world.caller(ALICE), name, number, Payload(body, length=len(body)), Claims()
            )

    async def _part_copy(self, _: str, key: str) -> None:
        if not self._uploads:
            return
        name, parts = self._dice.choice(self._uploads[-2:])
        number = self._dice.choice(PARTS)
        try:
            part = await self.world.store.uploads.copy_part(
                self.world.caller(ALICE), PartCopyRequest(name, number, CopySource(BUCKET, key))
            )
        except (NoSuchKey, NoSuchUpload, OperationAborted):
            return
        parts.setdefault(number, []).append(part.etag)

    async def _complete(self, client: str, _: str) -> None:
        """With one part, which may have been replaced since, or be about to be.

        With a condition but once: what repeats a completion is answered as that was, whatever its
        conditions are.
        """
        if not self._uploads or not self._uploads[-1][1]:
            return
        name, parts = self._uploads[-1]
        conditions = None if name in self._tried else self._conditions(name.key)
        if conditions is not None:
            self._uploads.pop()
        self._tried.add(name)
        number = self._dice.choice(sorted(parts))
        part = self._dice.choice(parts[number][-2:])
        if part not in self._bytes:
            return
        etag = md5(bytes.fromhex(part)).hexdigest() + "-1"
        self._bytes[etag] = self._bytes[part]
        self._etags[name.key].append(etag)
        await self._write(
            client,
            name.key,
            etag,
            conditions,
            self.world.store.uploads.complete(
                self.world.caller(ALICE),
                CompleteRequest(name, (CompletedPart(number, part),), conditions=conditions),
            ),
        )

    async def _abort(self, _: str, key: str) -> None:
        if self._uploads:
            with suppress(NoSuchUpload, OperationAborted):
                await self.world.store.uploads.abort(
                    self.world.caller(ALICE), self._dice.choice(self._uploads[-2:])[0]
                )

    _requests: tuple[Any, ...] = (
        *(_put, _put, _get, _get, _get, _delete, _delete_both, _copy, _copy),
        *(_create, _part, _part, _part, _part_copy, _complete, _complete, _complete, _abort),
    )

    # What they need

    async def _write(
        self, client: str, key: str, etag: str, conditions: WriteConditions | None, writing: Any
    ) -> None:
        call = self._history.call(client, "put", BUCKET, key=key, value=etag, **_said(conditions))
        try:
            outcome = await _outcome(writing)
        except (InvalidPart, NoSuchUpload, OperationAborted):
            self._history.forget(call)
        else:
            self._history.returned(call, outcome)

    def _body(self) -> tuple[bytes, str]:
        """Bytes that nobody else writes, and their ETag."""
        body = self._dice.randbytes(8) * (self._dice.choice(SIZES) // 8 + 1)
        etag = md5(body).hexdigest()
        self._bytes[etag] = body
        for key in KEYS:
            self._etags[key].append(etag)
        return body, etag

    def _some_etag(self, key: str) -> str:
        return self._dice.choice(self._etags[key][-6:] or ["0" * 32])

    def _conditions(self, key: str) -> WriteConditions | None:
        which = self._dice.random()
        if which < 0.6:
            return None
        if which < 0.8:
            return WriteConditions(if_none_match=True)
        return WriteConditions(if_match=self._some_etag(key))


def _said(conditions: WriteConditions | None) -> dict[str, Any]:
    if conditions is None:
        return {}
    return {"if_match": conditions.if_match or "", "if_none_match": conditions.if_none_match}


async def _outcome(request: Any) -> str:
    try:
        await request
    except NoSuchKey:
        return NO_KEY
    except PreconditionFailed:
        return FAILED
    return DONE
