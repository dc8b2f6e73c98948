"""Indexing what a cloud holds already, under the names that objects have there.

No byte is read: an object's size, ETag and description are the cloud's.  It belongs to the
owner of its bucket, and is private; a bucket that is not there yet is created for the root account.
What the index knows already is passed over, so an import may be repeated, and one that was broken
off goes on from where it was.

Nothing else may use the metadata meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct
from twisted.internet.defer import Deferred

from bleepstore.errors import NoSuchBucket
from bleepstore.interfaces.in_place import IInPlaceStore, ListedName
from bleepstore.interfaces.metadata import IMetadataStore
from bleepstore.interfaces.threads import Now
from bleepstore.model.acl import private_acl
from bleepstore.model.commands import CreateBucket
from bleepstore.model.names import MAX_KEY_BYTES, is_valid_bucket_name
from bleepstore.objectstore.foreign import Foreign, locator_at

AT_A_TIME = 16
"""Objects that the cloud is asked about at the same time."""


class ImportCount(Struct):
    """How far an import is.

    :ivar seen: objects listed so far.
    :ivar taken: those that the index did not know, or knew as they were before.
    :ivar bytes: of those.
    :ivar passed: those whose names cannot be ours: no bucket's name before the first slash, or a
        key that is too long.
    :ivar after: the last name that all before it are done with.
    """

    seen: int = 0
    taken: int = 0
    bytes: int = 0
    passed: int = 0
    after: str = ""


class Importing:
    """One import.

    :param foreign: takes what is there as it is.
    :param owner_id: of buckets that are created.
    """

    def __init__(
        self,
        metadata: IMetadataStore,
        store: IInPlaceStore,
        foreign: Foreign,
        now: Now,
        owner_id: str,
        region: str,
    ) -> None:
        self._metadata = metadata
        self._store = store
        self._foreign = foreign
        self._now = now
        self._owner_id = owner_id
        self._region = region
        self._buckets: set[str] = set()
        self.count = ImportCount()

    async def run(
        self,
        prefix: str = "",
        after: str = "",
        progress: Callable[[ImportCount], None] | None = None,
    ) -> ImportCount:
        """Index everything under a prefix of names.

        :param prefix: after the configured one: a bucket, or a part of one.
        :param after: the ``after`` of an import that was broken off.
        :param progress: told after each page of names.
        :raises StoreError: the cloud or the metadata cannot be used.
        """
        count = self.count
        count.after = after
        async for page in self._store.list_names(prefix, after):
            names = iter(page)
            workers = [Deferred.fromCoroutine(self._take_each(names)) for _ in range(AT_A_TIME)]
            failure: Exception | None = None
            for worker in workers:
                try:
                    await worker
                except Exception as error:
                    failure = error
            if failure is not None:
                raise failure
            count.after = page[-1].name
            if progress is not None:
                progress(count)
        return count

    async def _take_each(self, names: Iterator[ListedName]) -> None:
        for listed in names:
            await self._take(listed)

    async def _take(self, listed: ListedName) -> None:
        count = self.count
        count.seen += 1
        where = self._store.key_of(listed.name)
        if (
            where is None
            or not is_valid_bucket_name(where[0])
            or len(where[1].encode()) > MAX_KEY_BYTES
        ):
            count.passed += 1
            return
        bucket, key = where
        await self._require_bucket(bucket)
        lookup = await self._metadata.get_object(bucket, key, "", True)
        known = locator_at(lookup, listed.name)
        if known is not None and known.tag == listed.tag:
            return
        found = await self._store.look(listed.name)
        if found is None:
            return  # deleted since it was listed
        await self._foreign.reconcile(lookup, key, found)
        count.taken += 1
        count.bytes += found.size

    async def _require_bucket(self, bucket: str) -> None:
        if bucket in self._buckets:
            return
        try:
            await self._metadata.get_bucket(bucket)
        except NoSuchBucket:
            await self._metadata.submit(
                CreateBucket(
                    at=self._now(),
                    bucket=bucket,
                    owner_id=self._owner_id,
                    region=self._region,
                    acl=private_acl(self._owner_id),
                )
            )
        self._buckets.add(bucket)
