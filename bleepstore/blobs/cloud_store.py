"""What all stores that keep objects in place in a cloud have in common.

Knows names, locators and whom to tell; not the requests of any cloud.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from bleepstore.blobs.cloud_names import CloudNames
from bleepstore.blobs.reachability import Reachability
from bleepstore.errors import InternalError, StoreError
from bleepstore.interfaces.blobs import BlobCapabilities, IBlobReader, Placement
from bleepstore.interfaces.in_place import Began
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.model.locators import Locator, parse_locator
from bleepstore.remote.downloading import ResponseBody
from bleepstore.remote.failures import RemoteFailure
from bleepstore.remote.resuming import ResumingBody


class CloudStore:
    """The part of an ``IInPlaceStore`` that is the same for every cloud.

    :param names: which objects have.
    :param ask: asks the cloud whether it can be used; raises what is wrong.
    :param parts: what is to be stopped with the store: connections and credentials.
    :param where: the cloud and the bucket, as an index remembers them.
    :ivar site: the same with the prefix: what names are taken from.
    """

    capabilities = BlobCapabilities(inline_small=False, in_place=True)

    def __init__(
        self,
        names: CloudNames,
        clock: IReactorTime,
        ask: Callable[[], Awaitable[None]],
        parts: Sequence[IPart] = (),
        where: str = "",
    ) -> None:
        self._names = names
        self.site = f"{where}/{names.prefix}"
        self._parts = parts
        self._reachability = Reachability(clock, ask)
        self._began: Began | None = None

    async def start(self) -> None:
        """Nothing is asked before it is needed: a cloud that is away must not keep a server from
        starting."""
        for part in self._parts:
            await part.start()

    async def stop(self) -> None:
        """What is staged is lost, as in a crash."""
        self._let_go()
        for part in reversed(self._parts):
            await part.stop()

    def _let_go(self) -> None:
        """Forget what is staged; a store that stages says how."""

    async def check(self) -> None:
        """See ``IBlobStore``; asks the cloud every few seconds at most."""
        await self._reachability.check()

    def tell(self, began: Began) -> None:
        """See ``IInPlaceStore``."""
        self._began = began

    async def told(self, blob_id: str, placement: Placement, begun: Locator) -> None:
        """Tell of what was begun, before it costs."""
        if self._began is not None:
            await self._began(blob_id, placement, str(begun))

    def name_of(self, bucket: str, key: str) -> str:
        """See ``IInPlaceStore``."""
        return self._names.name_of(bucket, key)

    def key_of(self, name: str) -> tuple[str, str] | None:
        """See ``IInPlaceStore``."""
        return self._names.key_of(name)


def located(text: str) -> Locator:
    """:raises InternalError: these bytes were never in a cloud."""
    locator = parse_locator(text)
    if locator is None:
        raise InternalError(f"{text} is not in the cloud")
    return locator


async def open_run(
    length: int,
    open_from: Callable[[int], Awaitable[ResponseBody]],
    translate: Callable[[RemoteFailure], StoreError],
) -> IBlobReader:
    """A reader of at least one byte.  A connection that breaks is replaced, unseen.

    :param open_from: asks for the bytes after so many; it must ask for the same object.
    :param translate: what a failure is.
    :raises StoreError: as ``translate`` has it.
    """
    try:
        body = await open_from(0)
    except RemoteFailure as failure:
        raise translate(failure) from failure
    return _Run(body, length, open_from, translate)


@implementer(IBlobReader)
class _Run(ResumingBody):
    """The bytes of an answer, or of several."""


@implementer(IBlobReader)
class Nothing:
    """No bytes."""

    async def read(self) -> bytes:
        """See :class:`IBlobReader`."""
        return b""

    def close(self) -> None:
        """See :class:`IBlobReader`."""
