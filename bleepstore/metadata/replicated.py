"""The replicated engine: changes go through a consensus, reads are made here.

A command is proposed, and comes back with its outcome when this node's replica has applied it.  A
strong read first has the consensus confirm that this replica is up to date (linearizable, thesis
section 6.4); an eventual one takes the state as it is, at once.

Knows a replica to read and a consensus to ask; not the log, the peers or who leads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from bleepstore.errors import ServiceUnavailable
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.metadata import IMetadataStore, ObjectLookup
from bleepstore.interfaces.replication import IConsensus
from bleepstore.interfaces.threads import IThreads
from bleepstore.metadata.groupcommit import Counters
from bleepstore.metadata.queries import Queries
from bleepstore.metadata.reader import Reader
from bleepstore.metadata.readers import ReaderPool
from bleepstore.metadata.replica import MetadataReplica
from bleepstore.model.accounts import Credential
from bleepstore.model.commands import AnyCommand, Result, encode
from bleepstore.model.intents import Intent
from bleepstore.model.objects import Bucket, PlacedPart, Upload

T = TypeVar("T")


@implementer(IMetadataStore, IPart)
class ReplicatedMetadata(Queries):
    """Metadata that is the same on every node of a cluster.

    Whatever the consistency, some queries have one of their own.  ``totals``, ``released_blobs``
    and ``stale_uploads`` are answered at once, with a quorum or without: they are for metrics,
    and for work whose commands decide anew.  ``referenced_blobs`` is always confirmed: who asks
    it deletes what is not referenced, and a replica that lags behind must not be believed.
    """

    def __init__(
        self,
        replica: MetadataReplica,
        consensus: IConsensus,
        clock: IReactorTime,
        threads: IThreads,
        *,
        eventual: bool = False,
    ) -> None:
        """
        :param replica: this node's, which ``consensus`` applies to; it stops after this.
        :param threads: for listings.
        :param eventual: reads need no confirmation, and may be behind other nodes' writes.
        """
        self._replica = replica
        self._propose = consensus.propose
        self._barrier = consensus.barrier
        self._threads = threads
        self._strong = not eventual
        self._reader, self._snapshot = replica.database.point_reader(clock)
        self._readers = ReaderPool(replica.database.open_reader)
        self._seen = replica.applied_index()
        self._stopped = False

    @property
    def counters(self) -> Counters:
        """What the replica has applied."""
        return self._replica.counters

    async def start(self) -> None:
        """It serves as soon as the consensus does."""

    async def stop(self) -> None:
        """See :class:`IPart`."""
        if self._stopped:
            return
        self._stopped = True
        self._reader.close()
        await self._threads.run(self._readers.close)

    async def submit(self, command: AnyCommand) -> Result:
        """See :class:`IMetadataStore`."""
        if self._stopped:
            raise ServiceUnavailable("The store is stopping.")
        outcome = await self._propose(encode(command))
        self._catch_up()  # whoever is answered now, and reads, must find the change
        if isinstance(outcome, Exception):
            raise outcome
        return cast(Result, outcome)

    async def digest(self) -> str:
        """The hash of this node's state, equal on all that have applied the same entries."""
        return await self._replica.digest()

    # Point reads

    async def get_bucket(self, name: str) -> Bucket:
        """See :class:`IMetadataReader`."""
        if self._strong:
            await self._barrier()
            self._catch_up()
        return self._reader.get_bucket(name)

    def peek_bucket(self, name: str) -> tuple[Bucket, bytes]:
        """See :class:`IMetadataReader`."""
        self._catch_up()
        return self._reader.peek_bucket(name)

    async def get_object(
        self, bucket: str, key: str, version_id: str = "", with_manifest: bool = False
    ) -> ObjectLookup:
        """See :class:`IMetadataReader`."""
        if self._strong:
            await self._barrier()
            self._catch_up()
        return self._reader.get_object(bucket, key, version_id, with_manifest)

    async def get_upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """See :class:`IMetadataReader`."""
        if self._strong:
            await self._barrier()
            self._catch_up()
        return self._reader.get_upload(bucket, key, upload_id)

    async def get_credential(self, access_key: str) -> Credential | None:
        """See :class:`IMetadataReader`."""
        if self._strong:
            await self._barrier()
            self._catch_up()
        return self._reader.get_credential(access_key)

    async def last_epoch(self) -> int:
        """See :class:`IMetadataReader`."""
        if self._strong:
            await self._barrier()
            self._catch_up()
        return self._reader.last_epoch()

    # Queries with a consistency of their own

    async def released_blobs(self, limit: int = 1000) -> Sequence[str]:
        """See :class:`IMetadataReader`.  What was released is never referenced again, so that
        one which is out of date names no blob too many."""
        return await self._scan_here(Reader.released_blobs, limit)

    async def stale_uploads(self, initiated_before: int, limit: int = 1000) -> Sequence[Upload]:
        """See :class:`IMetadataReader`."""
        return await self._scan_here(Reader.stale_uploads, initiated_before, limit)

    async def referenced_blobs(self, blob_ids: Sequence[str]) -> frozenset[str]:
        """See :class:`IMetadataReader`."""
        await self._barrier()
        return await self._scan_here(Reader.referenced_blobs, blob_ids)

    async def is_released(self, blob_id: str) -> bool:
        """See :class:`IMetadataReader`.  Always confirmed: who asks deletes it."""
        await self._barrier()
        self._catch_up()
        return self._reader.is_released(blob_id)

    async def part_extents(
        self, upload_id: str, after: int = 0, limit: int = 1000
    ) -> Sequence[PlacedPart]:
        """See :class:`IMetadataReader`.  Always confirmed: what is written follows from it."""
        await self._barrier()
        return await self._scan_here(Reader.part_extents, upload_id, after, limit)

    async def intents(self, after: str = "", limit: int = 1000) -> Sequence[Intent]:
        """See :class:`IMetadataReader`.  Always confirmed: what is undone follows from it."""
        await self._barrier()
        return await self._scan_here(Reader.intents, after, limit)

    async def _scan(self, query: Callable[..., T], *args: object) -> T:
        if self._strong:
            await self._barrier()
        return await self._scan_here(query, *args)

    async def _scan_here(self, query: Callable[..., T], *args: object) -> T:
        if self._stopped:
            raise ServiceUnavailable("The store is stopping.")
        found: T = await self._threads.run(self._readers.call, query, *args)
        if self._snapshot is not None:
            self._snapshot.end()  # what was found must not be older than what is read next
        return found

    def _catch_up(self) -> None:
        """Let no read see less than what this node has applied by now."""
        applied = self._replica.applied_index()
        if applied != self._seen:
            self._seen = applied
            if self._snapshot is not None:
                self._snapshot.end()
