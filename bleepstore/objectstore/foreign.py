"""Objects that another program has changed in the cloud, behind the index's back.

They are noticed where it matters: a read finds other bytes than the index describes, a write finds
something else under its name than it is to replace.  By configuration the index then learns what
is there now (*adopt*), or the key is refused until somebody has looked after it.

What an abandoned request of our own has put there late looks just the same, and is the same.
"""

from __future__ import annotations

from twisted.logger import Logger

from bleepstore.errors import OperationAborted
from bleepstore.interfaces.in_place import IInPlaceStore, NativeObject
from bleepstore.interfaces.metadata import IMetadataStore, ObjectLookup
from bleepstore.interfaces.threads import Now
from bleepstore.model.acl import private_acl
from bleepstore.model.commands import DeleteObject, PutObject
from bleepstore.model.locators import OBJECT, Locator, parse_locator
from bleepstore.model.objects import NULL_VERSION, Extent, Manifest
from bleepstore.objectstore.ids import Ids
from bleepstore.objectstore.settling import locator_of

_log = Logger()


def locator_at(lookup: ObjectLookup, name: str) -> Locator | None:
    """Where the index says that the current version's bytes lie, if that is under the name."""
    if lookup.manifest is None or len(lookup.manifest.extents) != 1:
        return None
    locator = parse_locator(lookup.manifest.extents[0].blob_id)
    return locator if locator is not None and locator.name == name else None


def is_same(locator: Locator | None, found: NativeObject | None) -> bool:
    """Whether what lies in the cloud is what the index describes."""
    if locator is None or found is None:
        return locator is None and found is None
    return locator.tag == found.tag


class Foreign:
    """Brings the index up to what lies in the cloud, or refuses to.

    :param adopt: which of the two.
    :param quiet: whether it is no news that there is something: it is being imported.
    """

    def __init__(
        self,
        metadata: IMetadataStore,
        store: IInPlaceStore,
        ids: Ids,
        now: Now,
        adopt: bool,
        quiet: bool = False,
    ) -> None:
        self._metadata = metadata
        self._store = store
        self._ids = ids
        self._now = now
        self._adopt = adopt
        self._quiet = quiet

    async def reconcile(self, lookup: ObjectLookup, key: str, found: NativeObject | None) -> None:
        """Let the index describe what was found under a key's name, which is not what it
        describes now.  Whoever calls it has the name's turn.

        What becomes of the object's other properties: its owner and ACL stay; where there was no
        object, it belongs to the bucket's owner, and is private.  What is left of a deletion of our
        own is deleted instead.

        :param lookup: what the index has for the key.
        :raises OperationAborted: it is to be refused.
        """
        bucket, version = lookup.bucket, lookup.version
        if found is not None and locator_at(lookup, found.name) is None:
            released = str(locator_of(found))
            if await self._metadata.is_released(released):
                # A deletion that was committed, and could not be carried out at once.
                await self._store.delete(released)
                return
        if not self._quiet:
            _log.warn(
                "{bucket}/{key} was changed in the cloud by another program, and is {what}",
                bucket=bucket.name,
                key=key,
                what="taken as it is" if self._adopt else "refused",
            )
        if not self._adopt:
            raise OperationAborted(
                "The object was changed by another program in the storage behind this server."
            )
        if found is None:
            await self._metadata.submit(
                DeleteObject(at=self._now(), bucket=bucket.name, key=key, version_id=NULL_VERSION)
            )
            return
        owner_id = bucket.owner_id if version is None else version.owner_id
        old = locator_at(lookup, found.name)
        await self._metadata.submit(
            PutObject(
                at=found.last_modified,
                bucket=bucket.name,
                key=key,
                version_id=NULL_VERSION,
                size=found.size,
                etag=found.etag,
                owner_id=owner_id,
                acl=private_acl(owner_id) if version is None else version.acl,
                description=found.description,
                checksum=None,
                manifest=self._manifest(found),
                displaced="" if old is None else str(old),
            )
        )

    def _manifest(self, found: NativeObject) -> Manifest:
        """It gets a blob id of its own: the one it may carry can be in use already, as that of
        the object it is a copy of."""
        locator = Locator(self._ids.native_id(), OBJECT, found.tag, found.name)
        return Manifest((Extent(found.size, str(locator)),))
