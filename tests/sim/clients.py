"""Clients that put, get, list and delete at any node, and write down what they saw.

An object's bytes and its ETag are the number of its put, so every put is another one.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred

from bleepstore.errors import (
    BucketNotEmpty,
    InsufficientStorage,
    InternalError,
    NoSuchBucket,
    NoSuchKey,
    PreconditionFailed,
    ServiceUnavailable,
    StoreError,
)
from bleepstore.interfaces.metadata import IMetadataStore
from bleepstore.model.acl import private_acl
from bleepstore.model.commands import CreateBucket, DeleteBucket, DeleteObject, PutObject
from bleepstore.model.conditions import WriteConditions
from bleepstore.model.objects import NULL_VERSION, Description, Extent, Manifest
from tests.sim.clocks import Time
from tests.sim.linearizability import DONE, NO_KEY, History, Outcome
from tests.sim.trace import Trace

T = TypeVar("T")

OWNER = "a" * 64
ACL = private_acl(OWNER)

LASTING = "lasting"
"""A bucket that is there from the beginning: its keys are checked one by one."""

PASSING = "passing"
"""A bucket that comes and goes, and is checked as a whole."""

KEYS = "xy"
"""Of the passing bucket."""

PATIENCE = (0.5, 1.0, 4.0)
"""Seconds after which a client takes an outcome for unknown, and goes elsewhere."""

REFUSALS = (PreconditionFailed, NoSuchKey, NoSuchBucket, BucketNotEmpty)
UNKNOWN = (ServiceUnavailable, InternalError, InsufficientStorage)


class Unanswered(Exception):
    """The process died, or the client's patience did."""


class Place(Protocol):
    """A node, as clients see it."""

    id: str

    def ask(self, question: Callable[[IMetadataStore], Awaitable[T]]) -> Deferred[T]:
        """Have its store asked, in its process.

        :raises Unanswered: by the Deferred, when the process has died meanwhile.
        """


class Client:
    """One client; it has one operation under way at a time."""

    def __init__(
        self,
        name: str,
        time: Time,
        dice: random.Random,
        trace: Trace,
        history: History,
        places: Callable[[], list[Place]],
        numbers: Callable[[], int],
        keys: int,
        reading: float,
    ) -> None:
        """
        :param places: the nodes that take requests now, in a fixed order.
        :param numbers: gives each number once; shared by all clients.
        :param keys: how many the lasting bucket has.
        :param reading: share of operations that read.
        """
        self._name = name
        self._time = time
        self._dice = dice
        self._trace = trace
        self._history = history
        self._places = places
        self._numbers = numbers
        self._keys = {LASTING: "abcdef"[:keys], PASSING: KEYS}
        self._reading = reading
        self._etags: dict[tuple[str, str], str] = {}
        self.stopped = False
        self.answered = 0

    async def live(self, pause: float) -> None:
        """Do one thing after another until stopped.

        :param pause: seconds between two of them, on average.
        """
        while not self.stopped:
            await pass_time(self._time, self._dice.random() * 2 * pause)
            places = self._places()
            if places and not self.stopped:
                await self._act(self._dice.choice(places))

    async def read_all(self, place: Place) -> bool:
        """Read everything there is; whether all was answered."""
        for key in self._keys[LASTING]:
            if not await self.get(place, LASTING, key):
                return False
        return all([await self.list(place, bucket) for bucket in self._keys])

    async def _act(self, place: Place) -> None:
        dice = self._dice
        bucket = LASTING if dice.random() < 0.8 else PASSING
        key = dice.choice(self._keys[bucket])
        roll = dice.random()
        if bucket == PASSING and dice.random() < 0.3:
            await (self.create if roll < 0.7 else self.remove)(place, bucket)
        elif dice.random() < self._reading:
            if roll < 0.85:
                await self.get(place, bucket, key)
            else:
                await self.list(place, bucket)
        elif roll < 0.25:
            await self.delete(place, bucket, key)
        else:
            await self.put(place, bucket, key)

    # -- operations; each gives whether it was answered

    async def get(self, place: Place, bucket: str, key: str) -> bool:
        """Read a key."""

        async def ask(store: IMetadataStore) -> Outcome:
            found = await store.get_object(bucket, key)
            return found.version.etag if found.version is not None else NO_KEY

        return await self._do(place, ask, "get", bucket, key=key)

    async def list(self, place: Place, bucket: str) -> bool:
        """List a bucket."""

        async def ask(store: IMetadataStore) -> Outcome:
            page = await store.list_objects(bucket)
            return tuple((each.key, each.etag) for each in page.objects)

        return await self._do(place, ask, "list", bucket)

    async def put(self, place: Place, bucket: str, key: str) -> bool:
        """Write a key, at times on a condition."""
        dice = self._dice
        etag = f"v{self._numbers()}"
        if_match, if_none_match = "", False
        roll = dice.random()
        if roll < 0.2:
            if_none_match = True
        elif roll < 0.45:
            if_match = self._etags.get((bucket, key), "*")
        conditions = WriteConditions(if_match or None, if_none_match)
        data = etag.encode()
        command = PutObject(
            at=self._at(),
            bucket=bucket,
            key=key,
            version_id=NULL_VERSION,
            size=len(data),
            etag=etag,
            owner_id=OWNER,
            acl=ACL,
            description=Description(),
            checksum=None,
            manifest=Manifest((Extent(len(data), data=data),)),
            conditions=conditions if if_match or if_none_match else None,
        )

        async def ask(store: IMetadataStore) -> Outcome:
            await store.submit(command)
            return DONE

        return await self._do(
            place,
            ask,
            "put",
            bucket,
            key=key,
            value=etag,
            if_match=if_match,
            if_none_match=if_none_match,
        )

    async def delete(self, place: Place, bucket: str, key: str) -> bool:
        """Delete a key, at times on a condition."""
        if_match = self._etags.get((bucket, key), "*") if self._dice.random() < 0.3 else ""
        command = DeleteObject(at=self._at(), bucket=bucket, key=key, if_match=if_match or None)

        async def ask(store: IMetadataStore) -> Outcome:
            await store.submit(command)
            return DONE

        return await self._do(place, ask, "delete", bucket, key=key, if_match=if_match)

    async def create(self, place: Place, bucket: str) -> bool:
        """Create a bucket."""
        command = CreateBucket(
            at=self._at(), bucket=bucket, owner_id=OWNER, region="us-east-1", acl=ACL
        )

        async def ask(store: IMetadataStore) -> Outcome:
            await store.submit(command)
            return DONE

        return await self._do(place, ask, "create_bucket", bucket)

    async def remove(self, place: Place, bucket: str) -> bool:
        """Delete a bucket."""
        command = DeleteBucket(at=self._at(), bucket=bucket)

        async def ask(store: IMetadataStore) -> Outcome:
            await store.submit(command)
            return DONE

        return await self._do(place, ask, "delete_bucket", bucket)

    async def _do(
        self,
        place: Place,
        ask: Callable[[IMetadataStore], Awaitable[Outcome]],
        action: str,
        bucket: str,
        **what: object,
    ) -> bool:
        number = self._history.call(f"{self._name}@{place.id}", action, bucket, **what)
        name = f"{action} {bucket}/{what.get('key', '')} {what.get('value', '')}".rstrip("/ ")
        self._trace.detail(self._name, f"asks {place.id}: {name}")
        try:
            outcome = await within(self._time, self._dice.choice(PATIENCE), place.ask(ask))
        except REFUSALS as error:
            outcome = error.code
        except (*UNKNOWN, Unanswered) as error:
            self._trace.detail(self._name, f"does not know what came of {name}: {error!r}")
            return False
        except StoreError as error:
            raise AssertionError(f"{name} was refused with {error.code}") from error
        self._history.returned(number, outcome)
        self._trace.detail(self._name, f"hears of {name}: {outcome}")
        self._remember(bucket, str(what.get("key", "")), str(what.get("value", "")), outcome)
        self.answered += 1
        return True

    def _remember(self, bucket: str, key: str, value: str, outcome: Outcome) -> None:
        """Keep the ETag that a later condition may name."""
        if key and isinstance(outcome, str) and outcome.startswith("v"):
            self._etags[bucket, key] = outcome
        elif key and value and outcome == DONE:
            self._etags[bucket, key] = value

    def _at(self) -> int:
        return 1_700_000_000_000 + int(self._time.now * 1000)


def pass_time(time: Time, seconds: float) -> Deferred[None]:
    """Fires after a while of true time."""
    passed: Deferred[None] = Deferred()
    time.after(seconds, lambda: passed.callback(None))
    return passed


def within(time: Time, seconds: float, waiting: Deferred[T]) -> Deferred[T]:
    """The same, or :class:`Unanswered` after a while.  What is waited for is not cancelled."""
    answer: Deferred[T] = Deferred()

    def late() -> None:
        if not answer.called:
            answer.errback(Unanswered(f"no answer within {seconds} s"))

    def give(result: object) -> None:
        if not answer.called:
            answer.callback(result)  # type: ignore[arg-type]  # a Failure is passed on as one

    waiting.addBoth(give)
    time.after(seconds, late)
    return answer
