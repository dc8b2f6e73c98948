"""What becomes of a write that was begun in a cloud: it is committed, or nothing is left of it.

An intent is recorded before the cloud is asked (``model.intents``), and ended by the command it
was recorded for, or forgotten.  Whoever does not know how a request ended (no answer, a crash, a
commit that failed) leaves the intent; :meth:`Settling.settle` asks the cloud what lies under the
name, and ends it one way or the other.  Until then nobody may change that key.

Knows intents, the cloud by its interface, and metadata; not what a write is for.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from bleepstore.errors import (
    InsufficientStorage,
    InternalError,
    OperationAborted,
    ServiceUnavailable,
    StoreError,
)
from bleepstore.interfaces.in_place import IInPlaceStore, NativeObject
from bleepstore.interfaces.metadata import IMetadataStore
from bleepstore.interfaces.threads import Now
from bleepstore.model.commands import (
    CompleteUpload,
    ForgetIntent,
    PutObject,
    RecordIntent,
    Result,
    decode,
)
from bleepstore.model.intents import Intent
from bleepstore.model.locators import OBJECT, Locator
from bleepstore.model.objects import Extent, Manifest
from bleepstore.streams.turns import Turns

AT_A_TIME = 16
"""Names that are settled at the same time."""

_log = Logger()

Final = PutObject | CompleteUpload
"""The commands that an intent is recorded for."""


def located(command: Final, locator: str) -> Final:
    """The command, now that it is known where its bytes lie."""
    if isinstance(command, CompleteUpload):
        extents = command.extents
        assert extents is not None, "the parts are where they were"
        return msgspec.structs.replace(command, extents=_at(extents, locator))
    manifest = command.manifest
    return msgspec.structs.replace(
        command, manifest=Manifest(_at(manifest.extents, locator), manifest.parts)
    )


def _at(extents: tuple[Extent, ...], locator: str) -> tuple[Extent, ...]:
    (extent,) = extents
    return (Extent(extent.length, locator),)


def locator_of(found: NativeObject) -> Locator:
    """The locator of what lies under a name and was written by a BleepStore."""
    return Locator(found.blob_id, OBJECT, found.tag, found.name)


class Settling:
    """The intents of this process, and those it found when it started.

    :ivar pending: by name, those that nobody is working on and that must be ended before the key
        is changed.
    """

    def __init__(
        self, metadata: IMetadataStore, store: IInPlaceStore, turns: Turns, now: Now
    ) -> None:
        self._metadata = metadata
        self._store = store
        self._turns = turns
        self._now = now
        self.pending: dict[str, dict[str, Intent]] = {}

    async def load(self) -> int:
        """Learn what earlier processes left; gives how many intents that are."""
        count = 0
        after = ""
        while page := await self._metadata.intents(after):
            for intent in page:
                self.leave(intent)
            count += len(page)
            after = page[-1].intent_id
        return count

    def leave(self, intent: Intent) -> None:
        """Nobody works on an intent any more, and it has not ended."""
        self.pending.setdefault(intent.name, {})[intent.intent_id] = intent

    async def settle_all(self) -> bool:
        """Try to end all that is pending, name by name; whether nothing is left.

        What cannot be ended for now is logged.
        """
        names = iter(tuple(self.pending))
        workers = [Deferred.fromCoroutine(self._settle_each(names)) for _ in range(AT_A_TIME)]
        for worker in workers:
            await worker
        return not self.pending

    async def _settle_each(self, names: Iterator[str]) -> None:
        for name in names:
            try:
                async with self._turns.of(name):
                    await self.settle(name)
            except StoreError as error:
                _log.warn("{name} cannot be settled yet: {error}", name=name, error=error)
            except Exception:
                _log.failure("{name} cannot be settled yet", name=name)

    async def settle(self, name: str) -> None:
        """End what is pending for a name; whoever calls it has the name's turn.

        :raises Exception: it cannot be ended for now.
        """
        while intents := self.pending.get(name):
            await self.end(next(iter(intents.values())))

    async def record(self, intent: Intent, request_id: str = "") -> None:
        """Remember an intent.

        :raises StoreError: as the command :class:`RecordIntent`; it is not remembered, or it is
            not known whether it is, and it is pending.
        """
        try:
            await self._metadata.submit(
                RecordIntent(at=self._now(), request_id=request_id, intent=intent)
            )
        except (ServiceUnavailable, InternalError):
            self.leave(intent)
            raise

    async def forget(self, intent: Intent) -> None:
        """Undo an intent whose bytes do not lie under the name.

        :raises Exception: it cannot be undone for now; it is pending.
        """
        self.leave(intent)
        if intent.begun:
            await self._store.delete(intent.begun)
        await self._forget(intent)

    async def _forget(self, intent: Intent) -> None:
        """Nothing is left of it in the cloud."""
        await self._metadata.submit(ForgetIntent(at=self._now(), intent_id=intent.intent_id))
        self._ended(intent)

    async def _written(self, intent: Intent) -> NativeObject | None:
        """The intent's bytes, if they lie under the name."""
        found = await self._store.look(intent.name) if intent.command else None
        return found if found is not None and found.blob_id == intent.blob_id else None

    async def commit(self, intent: Intent, locator: str, final: Final | None = None) -> Result:
        """Commit the command of an intent whose bytes lie under the name.

        :param final: the command, if it is at hand.
        :raises StoreError: it is not certain that it was committed; the intent is pending.
        """
        self.leave(intent)
        command = decode(intent.command) if final is None else final
        assert isinstance(command, Final), "no other command is recorded"
        result = await self._metadata.submit(located(command, locator))
        self._ended(intent)
        return result

    async def end(self, intent: Intent) -> Result | None:
        """Look what became of an intent; commits it and gives the result, or undoes it.

        :raises Exception: it cannot be ended for now; it is pending.
        """
        self.leave(intent)
        found = await self._written(intent)
        if found is None:
            if intent.begun:
                # A request of a process that has died may still be on its way.  Without what was
                # begun S3 and Cloud Storage have nothing to put in place: what does not lie there
                # now never will.  (Azure may have copied it already.)
                await self._store.delete(intent.begun)
                found = await self._written(intent)
            if found is None:
                await self._forget(intent)
                return None
        try:
            return await self.commit(intent, str(locator_of(found)))
        except OperationAborted:
            self._ended(intent)  # committed already, though nobody was told
        except (ServiceUnavailable, InternalError, InsufficientStorage):
            raise
        except StoreError as error:
            # It was checked, and the key's turn is ours: this cannot be.  What lies there now is
            # found to be another program's.
            _log.error(
                "what was written to {name} can no longer be committed: {code}",
                name=intent.name,
                code=error.code,
            )
            await self.forget(intent)
        return None

    def _ended(self, intent: Intent) -> None:
        intents = self.pending.get(intent.name)
        if intents is not None:
            intents.pop(intent.intent_id, None)
            if not intents:
                del self.pending[intent.name]
