"""Comparing the index with the cloud: what one has and the other has not, or has otherwise.

Both are listed in the same order, and joined as they come; nothing is changed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence, Set
from enum import StrEnum

from msgspec import Struct

from bleepstore.errors import NoSuchBucket
from bleepstore.interfaces.in_place import IInPlaceStore, ListedName
from bleepstore.interfaces.metadata import IMetadataReader
from bleepstore.model.names import is_valid_bucket_name
from bleepstore.objectstore.foreign import locator_at


class Drift(StrEnum):
    """How an object differs.

    :cvar MISSING: the index has it, the cloud does not.
    :cvar CHANGED: the cloud has other bytes under its name.
    :cvar UNKNOWN: the cloud has it, the index does not.
    """

    MISSING = "missing"
    CHANGED = "changed"
    UNKNOWN = "unknown"


class Drifted(Struct, frozen=True):
    """An object that differs; ``key`` is empty for a name that can be no object's."""

    kind: Drift
    bucket: str
    key: str
    name: str


class Comparison:
    """The index and the cloud, side by side.

    :ivar compared: objects that were looked at so far.
    """

    def __init__(self, metadata: IMetadataReader, store: IInPlaceStore) -> None:
        self._metadata = metadata
        self._store = store
        self.compared = 0

    async def run(self, owner_ids: Sequence[str]) -> AsyncIterator[Drifted]:
        """All that differs: the buckets of these owners one by one, then what is in none of them.

        :raises StoreError: the cloud or the metadata cannot be used.
        """
        buckets = sorted([name for owner in owner_ids async for name in self._buckets(owner)])
        for bucket in buckets:
            async for drifted in self._compare(bucket):
                yield drifted
        known = set(buckets)
        async for page in self._store.list_names(""):
            for listed in page:
                where = self._store.key_of(listed.name)
                if where is None or not is_valid_bucket_name(where[0]):
                    yield Drifted(Drift.UNKNOWN, "", "", listed.name)
                elif where[0] not in known and await self._is_bucket(where[0]):
                    known.add(where[0])  # of an owner whose keys are not configured any more
                    async for drifted in self._compare(where[0]):
                        yield drifted
                elif where[0] not in known:
                    yield Drifted(Drift.UNKNOWN, *where, listed.name)

    async def _is_bucket(self, name: str) -> bool:
        try:
            await self._metadata.get_bucket(name)
        except NoSuchBucket:
            return False
        return True

    async def _buckets(self, owner_id: str) -> AsyncIterator[str]:
        after = ""
        while True:
            page = await self._metadata.list_buckets(owner_id, "", after)
            for bucket in page.buckets:
                yield bucket.name
            after = page.next_after
            if not after:
                return

    async def _compare(self, bucket: str) -> AsyncIterator[Drifted]:
        """Join the keys of a bucket with its names, both ascending.

        The cloud's order may be that of UTF-16 (``IInPlaceStore.list_names``): what seems to be
        missing or unknown is looked after where that makes a difference, and met only once.
        """
        met: set[str] = set()
        lying = self._lying(bucket, met)
        there = await anext(lying, None)
        async for key in self._keys(bucket):
            self.compared += 1
            name = self._store.name_of(bucket, key)
            if self._store.key_of(name) is None:  # it has a name of another order
                found = await self._store.look(name)
                if found is None:
                    yield Drifted(Drift.MISSING, bucket, key, name)
                elif not await self._is_tag(bucket, key, name, found.tag):
                    yield Drifted(Drift.CHANGED, bucket, key, name)
                continue
            if name in met:
                continue
            while there is not None and there.name.encode() < name.encode():
                if drifted := await self._unexpected(bucket, there, met):
                    yield drifted
                there = await anext(lying, None)
            if there is None or there.name != name:
                found = await self._store.look(name) if _order_differs(name) else None
                if found is None:
                    yield Drifted(Drift.MISSING, bucket, key, name)
                    continue
                met.add(name)
                tag = found.tag
            else:
                tag = there.tag
                there = await anext(lying, None)
            if not await self._is_tag(bucket, key, name, tag):
                yield Drifted(Drift.CHANGED, bucket, key, name)
        while there is not None:
            if drifted := await self._unexpected(bucket, there, met):
                yield drifted
            there = await anext(lying, None)

    async def _unexpected(self, bucket: str, listed: ListedName, met: set[str]) -> Drifted | None:
        """What a name is that no key of the index stands before; None: as it should be."""
        where = self._store.key_of(listed.name)
        key = where[1] if where else ""
        if _order_differs(listed.name):
            lookup = await self._metadata.get_object(bucket, key, "", True)
            if (known := locator_at(lookup, listed.name)) is not None:
                met.add(listed.name)
                changed = Drifted(Drift.CHANGED, bucket, key, listed.name)
                return None if known.tag == listed.tag else changed
        self.compared += 1
        return Drifted(Drift.UNKNOWN, bucket, key, listed.name)

    async def _lying(self, bucket: str, met: Set[str]) -> AsyncIterator[ListedName]:
        """What lies there under names of the bucket's objects, but for those met already."""
        async for page in self._store.list_names(f"{bucket}/"):
            for listed in page:
                if self._store.key_of(listed.name) is not None and listed.name not in met:
                    yield listed

    async def _keys(self, bucket: str) -> AsyncIterator[str]:
        after = ""
        while True:
            page = await self._metadata.list_objects(bucket, after=after)
            for listed in page.objects:
                yield listed.key
            after = page.next_after
            if not after:
                return

    async def _is_tag(self, bucket: str, key: str, name: str, tag: str) -> bool:
        lookup = await self._metadata.get_object(bucket, key, "", True)
        locator = locator_at(lookup, name)
        return locator is not None and locator.tag == tag


def _order_differs(name: str) -> bool:
    """Whether a name may stand elsewhere in the order of UTF-16 than in that of UTF-8."""
    return any(letter >= "\ue000" for letter in name)
