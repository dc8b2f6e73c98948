"""All use cases in one value: what the node builds and a front is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from zope.interface import implementer

from bleepstore.interfaces.blobs import IBlobStore
from bleepstore.interfaces.in_place import IInPlaceStore
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.metadata import IMetadataStore
from bleepstore.interfaces.threads import Dice, IThreads, Now
from bleepstore.model.accounts import Credential
from bleepstore.model.commands import Epoch, OpenEpoch
from bleepstore.objectstore.accounts import Accounts
from bleepstore.objectstore.acls import Acls
from bleepstore.objectstore.buckets import Buckets
from bleepstore.objectstore.copying import Copies
from bleepstore.objectstore.foreign import Foreign
from bleepstore.objectstore.ids import Ids, epoch_of
from bleepstore.objectstore.in_place import InPlacePublisher
from bleepstore.objectstore.joining import Joining
from bleepstore.objectstore.listing import Listings
from bleepstore.objectstore.objects import Objects
from bleepstore.objectstore.part_copying import PartCopies
from bleepstore.objectstore.pins import Pins
from bleepstore.objectstore.publishing import Publisher
from bleepstore.objectstore.settling import Settling
from bleepstore.objectstore.sources import Sources
from bleepstore.objectstore.uploads import Uploads
from bleepstore.streams.ingest import INLINE_MAX, Ingest
from bleepstore.streams.turns import Turns


class MismatchedStores(RuntimeError):
    """The blobs are not those of the metadata; the message is for the operator.

    To go on would give names a second time, and sweep what another metadata may still reference.
    """


@implementer(IPart)
class ObjectStore:
    """The use cases, over one metadata store and one blob store.

    It is started after both and stopped before them.

    :ivar accounts: who there is.
    :ivar ids: the names that this process gives; its epoch is opened by :meth:`start`.
    :ivar settling: of writes to a cloud, if that is where the blobs are; what earlier processes
        left is loaded by :meth:`start`, and to be settled soon.
    """

    def __init__(
        self,
        *,
        metadata: IMetadataStore,
        blobs: IBlobStore,
        threads: IThreads,
        now: Now,
        dice: Dice,
        pins: Pins,
        credentials: Sequence[Credential],
        region: str,
        node_id: str,
        max_object_size: int,
        released: Callable[[], None],
        require_room: Callable[[int | None], None] = lambda _: None,
        inline_max: int = INLINE_MAX,
        volatile: bool = False,
        adopt_foreign: bool = True,
    ) -> None:
        """:param credentials: of the configuration; the first is the root's.
        :param node_id: under which the epoch is opened.
        :param max_object_size: bytes, of an object put whole.
        :param released: called after each change that may have let go of blobs
            (``background.collector.Collector.wake``).
        :param require_room: called before whatever stores something new, once it is known who may,
            with the bytes of its body: None if they are not known, 0 for what has none.  Raises
            InsufficientStorage.
        :param inline_max: bytes up to which a body is kept beside its metadata.
        :param volatile: whether the metadata is lost with its process, and counts its epochs from
            1 again: then blobs may be there already under the names that it would give.
        :param adopt_foreign: whether objects that another program changed in the cloud are taken as
            they are, or refused.
        """
        self._metadata = metadata
        self._blobs = blobs
        self._volatile = volatile
        self._now = now
        self._node_id = node_id
        self.ids = Ids(dice)
        self.accounts = Accounts(credentials, metadata)
        acls = Acls(self.accounts)
        self.settling: Settling | None = None
        if blobs.capabilities.in_place:
            store = cast(IInPlaceStore, blobs)
            turns = Turns()
            self.settling = Settling(metadata, store, turns, now)
            publisher: Publisher = InPlacePublisher(
                metadata,
                store,
                Ingest(blobs, threads, self.ids.native_id, inline_max),
                released,
                self.ids,
                now,
                turns,
                self.settling,
                Foreign(metadata, store, self.ids, now, adopt_foreign),
            )
        else:
            ingest = Ingest(blobs, threads, self.ids.blob_id, inline_max)
            publisher = Publisher(metadata, blobs, ingest, released)
        sources = Sources(metadata, blobs, publisher, threads, pins)
        self.buckets = Buckets(metadata, acls, region, released, require_room)
        self.objects = Objects(
            metadata, blobs, publisher, acls, pins, max_object_size, require_room
        )
        self.copies = Copies(metadata, publisher, acls, sources, require_room)
        self.uploads = Uploads(
            metadata,
            publisher,
            PartCopies(publisher, sources, Joining(blobs, publisher, require_room)),
            self.accounts,
            acls,
            self.ids,
            max_object_size,
            require_room,
        )
        self.listings = Listings(metadata, self.accounts)

    async def start(self) -> None:
        """Open the epoch under which blobs are written; none where no blobs are.

        :raises MismatchedStores: blobs are there, and durable metadata that has never named one.
        """
        if self._blobs.capabilities.read_only:
            return
        is_new = self._volatile or not await self._metadata.last_epoch()
        # What is in a cloud is named uniquely (``Ids.native_id``), and may well be another's.
        in_place = self._blobs.capabilities.in_place
        used = await self._highest_epoch() if is_new and not in_place else 0
        if used and not self._volatile:
            raise MismatchedStores(
                "there is object data of an earlier metadata, but the configured metadata is new; "
                "give the metadata that belongs to it, or an empty place for object data"
            )
        epoch = 0
        while epoch <= used:
            result = await self._metadata.submit(OpenEpoch(at=self._now(), node_id=self._node_id))
            assert isinstance(result, Epoch)
            epoch = result.number
        self.ids.open(epoch)
        if self.settling is not None:
            await self.settling.load()

    async def _highest_epoch(self) -> int:
        """The highest epoch under which there is a blob, 0 if there is none."""
        highest = 0
        async for batch in self._blobs.blob_ids():
            highest = max([highest, *[epoch_of(blob_id) or 0 for blob_id in batch]])
        return highest

    async def stop(self) -> None:
        """Nothing is held: requests under way are ended by the front."""
