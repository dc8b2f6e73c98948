"""Publishing where bytes lie under an object's own name in a cloud.

The order of a write, so that the index never describes other bytes than are there, and a crash at
any instant can be made good:

1. the body is staged in the cloud, or kept if it is small; nobody sees it;
2. the key's turn is waited for: from here on nobody else of this process changes the key;
3. the intent is recorded, if nothing refuses its command: conditions are decided here;
4. the cloud is asked to put the bytes in place, on condition that there is what the index says;
5. the command is committed, and ends the intent.

After a doubtful answer the cloud is asked what is there (``settling``).  If somebody else has
changed it, the index learns that first, or the write is refused (``foreign``).

A deletion is committed first: the released locator is its recorded intent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from bleepstore.errors import (
    Displaced,
    InternalError,
    NoSuchUpload,
    OperationAborted,
    ServiceUnavailable,
    SourceChanged,
    StoreError,
)
from bleepstore.interfaces.blobs import Placement
from bleepstore.interfaces.http import IPayload
from bleepstore.interfaces.in_place import IInPlaceStore
from bleepstore.interfaces.metadata import IMetadataStore
from bleepstore.interfaces.threads import Now
from bleepstore.model.checksums import ChecksumAlgorithm
from bleepstore.model.commands import (
    AbortUpload,
    AnyCommand,
    Command,
    CompleteUpload,
    CopyObject,
    CreateUpload,
    DeletedMany,
    DeleteObject,
    DeleteObjects,
    ForgetBlobs,
    PutObject,
    PutPart,
    Result,
    encode,
)
from bleepstore.model.intents import Intent
from bleepstore.model.locators import Locator, parse_locator
from bleepstore.model.objects import (
    Extent,
    Manifest,
    ObjectVersion,
    PlacedPart,
    Upload,
)
from bleepstore.objectstore.foreign import Foreign, is_same, locator_at
from bleepstore.objectstore.ids import Ids
from bleepstore.objectstore.placing import native_of, part_turn, placement_of, upload_turn
from bleepstore.objectstore.publishing import Publisher
from bleepstore.objectstore.requests import Claims
from bleepstore.objectstore.settling import Final, Settling, locator_of
from bleepstore.objectstore.sources import ATTEMPTS
from bleepstore.streams.ingest import Ingest, Ingested
from bleepstore.streams.turns import Turns

DELETIONS = 16
"""Objects of one DeleteObjects that are deleted in the cloud at the same time."""

_log = Logger()

_Run = Callable[[Any, Sequence[Extent]], Coroutine[Any, Any, Result]]


class InPlacePublisher(Publisher):
    """Publishes in a cloud; see :class:`Publisher` for what each method is for."""

    def __init__(
        self,
        metadata: IMetadataStore,
        store: IInPlaceStore,
        ingest: Ingest,
        released: Callable[[], None],
        ids: Ids,
        now: Now,
        turns: Turns,
        settling: Settling,
        foreign: Foreign,
    ) -> None:
        super().__init__(metadata, store, ingest, released)
        self._store = store
        self._ids = ids
        self._now = now
        self._turns = turns
        self._settling = settling
        self._foreign = foreign
        self._begun: dict[str, tuple[Placement, Intent]] = {}
        self._runs: dict[type[Command], _Run] = {
            PutObject: self._put,
            CreateUpload: self._create_upload,
            CompleteUpload: self._complete,
            AbortUpload: self._abort_upload,
            DeleteObject: self._delete,
            DeleteObjects: self._delete_many,
        }
        store.tell(self._began)

    async def take(
        self,
        payload: IPayload,
        claims: Claims,
        placement: Placement,
        max_size: int,
        algorithm: ChecksumAlgorithm,
    ) -> Ingested:
        """See :class:`Publisher`."""
        try:
            return await super().take(payload, claims, placement, max_size, algorithm)
        except BaseException:
            for told, intent in tuple(self._begun.values()):
                if told is placement:
                    await self._undo(intent)
            raise

    async def submit(self, command: AnyCommand, fresh: Sequence[Extent] = ()) -> Result:
        """See :class:`Publisher`."""
        run = self._runs.get(type(command))
        if run is None:
            return await super().submit(command, fresh)
        result = await run(command, fresh)
        self._released()
        return result

    async def copy(self, command: CopyObject, version: ObjectVersion, manifest: Manifest) -> Result:
        """Copy inside the cloud, into an object of the destination's own."""
        (source,) = manifest.extents
        blob_id = self._ids.native_id()
        await self._store.stage_copy(
            blob_id, source, placement_of(command, version.size, command.description)
        )
        final = PutObject(
            at=command.at,
            request_id=command.request_id,
            bucket_owner_id=command.bucket_owner_id,
            bucket=command.bucket,
            key=command.key,
            version_id=command.version_id,
            size=version.size,
            etag=version.etag,
            owner_id=command.owner_id,
            acl=command.acl,
            description=command.description,
            checksum=command.checksum,
            manifest=Manifest((Extent(version.size, blob_id),), manifest.parts),
            conditions=command.conditions,
        )
        result = await self._put(final, final.manifest.extents, copied=True)
        self._released()
        return result

    async def put_part(self, command: PutPart, fresh: Sequence[Extent]) -> str:
        """The cloud has been sent the part, or all but its end."""
        (extent,) = fresh
        async with self._part_turn(command):
            try:
                placed = await self._made(command, self._store.place(extent.blob_id, ""))
            finally:
                await self._drop(extent.blob_id)
            if not command.etag:
                there = parse_locator(placed)
                assert there is not None, "it has just been placed there"
                command = msgspec.structs.replace(command, etag=there.tag)
            await self._commit_part(command, placed)
        return command.etag

    async def copy_part(
        self, command: PutPart, upload: Upload, fresh: Sequence[Extent] = ()
    ) -> None:
        """Copy a part inside the cloud."""
        blob_id = self._ids.native_id()
        if command.extents:
            (source,) = command.extents
            async with self._part_turn(command):
                placed = await self._made(
                    command,
                    self._store.copy_part(blob_id, native_of(upload), command.number, source),
                )
                await self._commit_part(command, placed)
            return
        writer = await self._store.create(
            blob_id,
            Placement(
                command.bucket, command.key, "", 0, upload=native_of(upload), part=command.number
            ),
        )
        await writer.finish()
        fresh = (Extent(0, blob_id),)
        await self.put_part(msgspec.structs.replace(command, extents=fresh), fresh)

    async def refresh(self, bucket: str, key: str) -> None:
        """Wait for the write of the key that is under way; if there was none, see what another
        program has done."""
        name = self._store.name_of(bucket, key)
        async with self._turn(name):
            lookup = await self._metadata.get_object(bucket, key, "", True)
            found = await self._store.look(name)
            if not is_same(locator_at(lookup, name), found):
                await self._foreign.reconcile(lookup, key, found)

    # Objects

    async def _put(
        self, command: PutObject, fresh: Sequence[Extent], copied: bool = False
    ) -> Result:
        (extent,) = fresh
        blob_id = extent.blob_id
        name = self._store.name_of(command.bucket, command.key)
        _, begun = self._begun.get(blob_id, (None, None))
        intent = begun or Intent(
            intent_id=blob_id, blob_id=blob_id, bucket=command.bucket, key=command.key, name=name
        )
        async with self._turns.of(name):
            return await self._publish(intent, command, copied)

    async def _publish(self, intent: Intent, command: Final, copied: bool = False) -> Result:
        """Put what was staged in place, and commit it.

        Whatever happens, nothing stays staged, and an intent that has not ended is pending.

        :raises SourceChanged: it was to be copied.
        """
        name, recorded = intent.name, bool(intent.begun)
        try:
            await self._settling.settle(name)
            for _ in range(ATTEMPTS):
                lookup = await self._metadata.get_object(intent.bucket, intent.key, "", True)
                current = locator_at(lookup, name)
                final = msgspec.structs.replace(
                    command,
                    intent=intent.intent_id,
                    displaced="" if current is None else str(current),
                )
                intent = msgspec.structs.replace(intent, command=encode(final))
                await self._settling.record(intent, command.request_id)
                recorded = True
                try:
                    placed = await self._store.place(
                        intent.blob_id, "" if current is None else current.tag
                    )
                except Displaced:
                    found = await self._store.look(name)
                    if found is not None and found.blob_id == intent.blob_id:
                        # The first of several attempts had been answered by nobody.
                        placed = str(locator_of(found))
                    elif not is_same(current, found):
                        await self._foreign.reconcile(lookup, intent.key, found)
                        continue
                    elif copied:
                        raise SourceChanged from None
                    else:
                        continue  # it was somebody else's for a moment
                except Exception as error:
                    result = await self._doubtful(intent, error)
                    recorded = False
                    if result is None:
                        raise
                    return result
                recorded = False
                return await self._settling.commit(intent, placed, final)
            raise OperationAborted
        finally:
            self._begun.pop(intent.blob_id, None)
            await self._drop(intent.blob_id)
            if recorded:
                await self._undo(intent)

    async def _doubtful(self, intent: Intent, error: Exception) -> Result | None:
        """What became of a request whose outcome is not known; None: nothing."""
        said = (
            "it is not known whether {name} was written ({error}); its key is settled as soon "
            "as the cloud can be asked"
        )
        try:
            return await self._settling.end(intent)
        except StoreError:
            _log.warn(said, name=intent.name, error=error)
        except Exception:
            _log.failure(said, name=intent.name, error=error)
        return None

    async def _began(self, blob_id: str, placement: Placement, begun: str) -> None:
        """See ``interfaces.in_place.Began``."""
        name = self._store.name_of(placement.bucket, placement.key)
        intent = Intent(
            intent_id=blob_id,
            blob_id=blob_id,
            bucket=placement.bucket,
            key=placement.key,
            name=name,
            begun=begun,
        )
        self._begun[blob_id] = placement, intent
        await self._settling.record(intent)

    async def _undo(self, intent: Intent) -> None:
        """Forget an intent, now or later."""
        self._begun.pop(intent.blob_id, None)
        try:
            await self._settling.forget(intent)
        except StoreError as error:
            _log.warn(
                "what was begun for {name} is undone later: {error}", name=intent.name, error=error
            )
        except Exception:
            _log.failure("what was begun for {name} is undone later", name=intent.name)

    async def _drop(self, blob_id: str) -> None:
        """Let go of what is staged, if it is."""
        try:
            await self._store.delete(blob_id)
        except StoreError as error:
            _log.warn("what was staged as {blob_id} is left: {error}", blob_id=blob_id, error=error)
        except Exception:
            _log.failure("what was staged as {blob_id} is left", blob_id=blob_id)

    # Deletions

    async def _delete(self, command: DeleteObject, _: Sequence[Extent]) -> Result:
        name = self._store.name_of(command.bucket, command.key)
        async with self._turn(name):
            lookup = await self._metadata.get_object(
                command.bucket, command.key, command.version_id, True
            )
            result = await super().submit(command)
            await self._remove(locator_at(lookup, name))
            return result

    async def _delete_many(self, command: DeleteObjects, _: Sequence[Extent]) -> Result:
        bucket = command.bucket
        names = {self._store.name_of(bucket, target.key): target.key for target in command.targets}
        async with self._turns.of_all(names):
            lying: dict[str, Locator | None] = {}
            for name, key in names.items():
                await self._settling.settle(name)
                lookup = await self._metadata.get_object(bucket, key, "", True)
                lying[key] = locator_at(lookup, name)
            result = await super().submit(command)
            assert isinstance(result, DeletedMany)
            gone = iter(
                {
                    target.key: lying[target.key]
                    for target, refusal in zip(command.targets, result.outcomes, strict=True)
                    if refusal is None
                }.values()
            )
            workers = [Deferred.fromCoroutine(self._remove_each(gone)) for _ in range(DELETIONS)]
            for worker in workers:
                await worker
            return result

    async def _remove_each(self, locators: Any) -> None:
        for locator in locators:
            await self._remove(locator)

    async def _remove(self, locator: Locator | str | None) -> None:
        """Delete what a committed command has let go of; what cannot be is the collector's."""
        if not locator:
            return
        try:
            await self._store.delete(str(locator))
            await self._metadata.submit(ForgetBlobs(at=self._now(), blob_ids=(str(locator),)))
        except Exception as error:
            _log.warn("{locator} is deleted later: {error}", locator=str(locator), error=error)

    # Uploads

    async def _create_upload(self, command: CreateUpload, _: Sequence[Extent]) -> Result:
        upload = command.upload
        native = await self._store.begin_upload(
            self._ids.native_id(), placement_of(upload, -1, upload.description)
        )
        try:
            return await self._metadata.submit(
                msgspec.structs.replace(
                    command, upload=msgspec.structs.replace(upload, native=native)
                )
            )
        except (ServiceUnavailable, InternalError):
            raise  # it may have been created, or be later
        except StoreError:
            await self._drop(native)
            raise

    @asynccontextmanager
    async def _part_turn(self, command: PutPart) -> AsyncIterator[None]:
        """The turn of a part, with nothing pending that may be made of the one before."""
        name = self._store.name_of(command.bucket, command.key)
        async with self._turns.of(part_turn(command.upload_id, command.number)):
            if command.upload_id in self._settling.pending.get(name, ()):
                async with self._turn(name):
                    pass
            yield

    async def _made(self, command: PutPart, making: Awaitable[str]) -> str:
        """The locator of a part that the cloud is asked for.

        :raises NoSuchUpload: the upload has ended meanwhile, and the cloud's with it.
        """
        try:
            return await making
        except InternalError:
            async with self._turns.of(upload_turn(command.upload_id)):
                await self._metadata.get_upload(command.bucket, command.key, command.upload_id)
            raise

    async def _commit_part(self, command: PutPart, placed: str) -> None:
        """Commit a part that the cloud has.  If it is refused, nobody else knows of it."""
        try:
            await self._metadata.submit(
                msgspec.structs.replace(
                    command, extents=(Extent(command.size, placed),), shares_blobs=False
                )
            )
        except (ServiceUnavailable, InternalError):
            raise  # it may have been committed, or be later
        except StoreError:
            await self._drop(placed)
            raise
        self._released()

    async def _complete(self, command: CompleteUpload, _: Sequence[Extent]) -> Result:
        name = self._store.name_of(command.bucket, command.key)
        upload_id = command.upload_id
        named = [part_turn(upload_id, part.number) for part in command.parts]
        # Turns of a part, of an upload, of a key: whoever wants several takes them in this order.
        async with (
            self._turns.of_all(named),
            self._turns.of(upload_turn(upload_id)),
            self._turn(name),
        ):
            try:
                upload = await self._metadata.get_upload(
                    command.bucket, command.key, command.upload_id
                )
            except NoSuchUpload:
                return await self._metadata.submit(command)  # a repetition, perhaps
            wanted = {part.number for part in command.parts}
            parts = [part async for part in self._parts(upload) if part.number in wanted]
            size = sum(extent.length for part in parts for extent in part.extents)
            blob_id = await self._store.stage_parts(
                native_of(upload), parts, placement_of(upload, size, upload.description)
            )
            return await self._publish(
                Intent(
                    intent_id=upload.upload_id,
                    blob_id=blob_id,
                    bucket=upload.bucket,
                    key=upload.key,
                    name=name,
                ),
                msgspec.structs.replace(command, extents=(Extent(size, blob_id),)),
            )

    async def _parts(self, upload: Upload) -> AsyncIterator[PlacedPart]:
        after = 0
        while page := await self._metadata.part_extents(upload.upload_id, after):
            for part in page:
                yield part
            after = page[-1].number

    async def _abort_upload(self, command: AbortUpload, _: Sequence[Extent]) -> Result:
        upload = await self._metadata.get_upload(command.bucket, command.key, command.upload_id)
        result = await self._metadata.submit(command)
        await self._remove(upload.native or "")
        return result

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        """The turn of a name, with nothing pending for it.

        :raises Exception: something is pending that cannot be settled for now.
        """
        async with self._turns.of(name):
            await self._settling.settle(name)
            yield
