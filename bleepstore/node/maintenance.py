"""What is done to the index of a gateway while no server runs: import, check, and moved.

Composition, as ``tree`` is for a server: the same stores, under the same locks, and a use case.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

import msgspec
from msgspec import Struct
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime

from bleepstore.config.sections import Config
from bleepstore.errors import StoreError
from bleepstore.interfaces.in_place import IInPlaceStore
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.model.commands import Epoch, OpenEpoch
from bleepstore.node.clocks import wall_clock
from bleepstore.node.clouds import build_cloud
from bleepstore.node.problems import StartError
from bleepstore.node.sites import require_moved, require_site
from bleepstore.node.stores import build_metadata, lock_data
from bleepstore.node.usecases import credentials_of
from bleepstore.objectstore.drift import Comparison
from bleepstore.objectstore.foreign import Foreign
from bleepstore.objectstore.ids import Ids
from bleepstore.objectstore.importing import ImportCount, Importing
from bleepstore.objectstore.settling import Settling
from bleepstore.streams.threads import ReactorThreads
from bleepstore.streams.turns import Turns


class IMaintenanceReactor(IReactorTime, IReactorFromThreads):
    """What of a reactor maintenance needs."""


class Watcher(Protocol):
    """Who is shown how far it is: name by name, and line by line."""

    def show(self, seen: int, result: str, place: str, seconds: float) -> None: ...

    def end(self) -> None: ...


class Cursor(Struct, frozen=True):
    """How far an import was that has not ended; kept beside the metadata.

    :ivar of: what was imported: backend, place in the cloud, prefix.
    """

    of: str
    after: str


async def maintain(
    command: str,
    config: Config,
    prefix: str,
    reactor: IMaintenanceReactor,
    watcher: Watcher,
    say: Callable[[str], None],
) -> int:
    """Run ``import``, ``check`` or ``moved``; gives the exit status.

    :param say: takes the lines of the result.
    :raises StartError: the stores cannot be used, or a server uses them.
    """
    locks = lock_data(config)
    started: list[IPart] = []
    try:
        threads = ReactorThreads(reactor)
        metadata = build_metadata(config, reactor, threads, threads)
        store = build_cloud(config, reactor, threads)
        if command == "moved":
            before = require_moved(config, metadata, store)
            say(f"the objects of {before} are taken to lie in {store.site} from now on")
            return 0
        require_site(config, metadata, store)
        parts: tuple[IPart, ...] = (threads, metadata, store)
        for part in parts:
            await part.start()
            started.append(part)
        cloud = cast(IInPlaceStore, store)
        ids = Ids(os.urandom)
        # What a crash has left is settled first: it is neither drift nor foreign.
        settling = Settling(metadata, cloud, Turns(), wall_clock)
        await settling.load()
        if not await settling.settle_all():
            raise StartError("the cloud cannot be asked about writes that a crash has left")
        if command == "check":
            owners = await metadata.bucket_owners()
            return await compare(Comparison(metadata, cloud), owners, reactor, watcher, say)
        opened = await metadata.submit(OpenEpoch(at=wall_clock(), node_id=config.cluster.node_id))
        assert isinstance(opened, Epoch)
        ids.open(opened.number)
        root = credentials_of(config.auth)[0].account
        importing = Importing(
            metadata,
            cloud,
            Foreign(metadata, cloud, ids, wall_clock, adopt=True, quiet=True),
            wall_clock,
            root.id,
            config.server.region,
        )
        return await _import(importing, config, store.site, prefix, reactor, watcher, say)
    except StoreError as error:
        raise StartError(f"{error.code}: {error}") from error
    finally:
        watcher.end()
        for part in reversed(started):
            await part.stop()
        for lock in locks:
            lock.release()


async def _import(
    importing: Importing,
    config: Config,
    site: str,
    prefix: str,
    reactor: IReactorTime,
    watcher: Watcher,
    say: Callable[[str], None],
) -> int:
    path = f"{config.metadata.sqlite.path}.import"
    of = repr((site, prefix))
    kept = _read_cursor(path)
    after = kept.after if kept is not None and kept.of == of else ""
    if after:
        say(f"going on after {after}")

    def progress(count: ImportCount) -> None:
        _write_cursor(path, Cursor(of, count.after))
        result = f"{count.taken} indexed, {_size(count.bytes)}"
        watcher.show(count.seen, result, count.after, reactor.seconds())

    count = await importing.run(prefix, after, progress)
    if os.path.exists(path):
        os.unlink(path)
    watcher.end()
    say(f"{count.seen} objects seen, {count.taken} indexed ({count.bytes} bytes)")
    if count.passed:
        say(f"{count.passed} passed over, which no bucket and key has for a name; check shows them")
    return 0


async def compare(
    comparison: Comparison,
    owners: Sequence[str],
    reactor: IReactorTime,
    watcher: Watcher,
    say: Callable[[str], None],
) -> int:
    """Tell what differs, a line each, and then how much; gives the exit status.

    :param owners: canonical ids, of those whose buckets are compared.
    :raises StoreError: the cloud or the metadata cannot be used.
    """
    found: dict[str, int] = {}
    async for drifted in comparison.run(owners):
        found[drifted.kind] = found.get(drifted.kind, 0) + 1
        watcher.end()
        say(f"{drifted.kind}\t{drifted.name}")
        watcher.show(comparison.compared, _kinds(found), drifted.name, reactor.seconds())
    watcher.end()
    kinds = _kinds(found)
    say(f"{comparison.compared} objects compared: {kinds or 'index and cloud agree'}")
    return 1 if found else 0


def _kinds(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(found.items()))


def _size(count: int) -> str:
    """Bytes, to be read: ``1.5 GiB``."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def _read_cursor(path: str) -> Cursor | None:
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=Cursor)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _write_cursor(path: str, cursor: Cursor) -> None:
    """Not synced: an older one costs only time."""
    with open(f"{path}.new", "wb") as file:
        file.write(msgspec.json.encode(cursor))
    os.replace(f"{path}.new", path)
