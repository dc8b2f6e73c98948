"""The use cases and the background work, over the stores of one node."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime

from bleepstore.background.collector import Collector
from bleepstore.background.expiry import UploadExpiry
from bleepstore.background.periodic import When, always
from bleepstore.background.settler import Settler
from bleepstore.background.sweeper import Sweeper
from bleepstore.cluster.retained import RetainedBlobs
from bleepstore.config.sections import AuthConfig, Config
from bleepstore.interfaces.blobs import IBlobStore
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.interfaces.metadata import IMetadataStore
from bleepstore.interfaces.threads import Dice, IThreads, Now
from bleepstore.model.accounts import Account, Credential, derived_owner_id
from bleepstore.node.room import room_of
from bleepstore.objectstore.pins import Pins
from bleepstore.objectstore.store import ObjectStore


class UseCases(Struct, frozen=True):
    """:ivar jobs: in the order in which they start: the epoch first."""

    store: ObjectStore
    jobs: Sequence[IPart]


def credentials_of(auth: AuthConfig) -> tuple[Credential, ...]:
    """The configured keys; the first is the root's."""
    root = Account(
        auth.owner_id or derived_owner_id(auth.access_key), auth.display_name or auth.access_key
    )
    more = (
        Credential(
            extra.access_key,
            extra.secret_key,
            Account(
                extra.owner_id or derived_owner_id(extra.access_key),
                extra.display_name or extra.access_key,
                extra.email,
            ),
        )
        for extra in auth.credentials
    )
    return (Credential(auth.access_key, auth.secret_key, root), *more)


def build_use_cases(
    config: Config,
    metadata: IMetadataStore,
    blobs: IBlobStore,
    threads: IThreads,
    clock: IReactorTime,
    now: Now,
    dice: Dice,
    leads: When = always,
) -> UseCases:
    """Everything between the stores and the front.

    :param blobs: where they are those that a node of a cluster was left with, only they are
        collected, and nothing is swept: of a replica that lags behind nobody can say what is
        garbage.
    :param leads: whether this node does what one node of a cluster should do.
    """
    retained = blobs if isinstance(blobs, RetainedBlobs) else None
    interval = config.jobs.interval_seconds
    pins = Pins()
    collector = Collector(
        clock,
        now,
        metadata,
        blobs,
        pins,
        interval=interval,
        when=always if retained is None else lambda: retained.any,
    )
    store = ObjectStore(
        metadata=metadata,
        blobs=blobs,
        threads=threads,
        now=now,
        dice=dice,
        pins=pins,
        credentials=credentials_of(config.auth),
        region=config.server.region,
        node_id=config.cluster.node_id,
        max_object_size=config.server.max_object_size,
        released=collector.wake,
        require_room=room_of(config, metadata.reusable_bytes, clock.seconds).require,
        inline_max=config.storage.inline_max_bytes,
        volatile=config.metadata.engine == "memory",
        adopt_foreign=config.storage.foreign_changes == "adopt",
    )
    expiry = UploadExpiry(
        clock,
        now,
        metadata,
        collector.wake,
        interval=interval,
        max_age=config.multipart.expiry_days * config.jobs.day_seconds,
        when=leads,
    )
    if retained is not None:
        return UseCases(store, (store, collector, expiry))
    sweeper = Sweeper(clock, metadata, blobs, pins, store.ids)
    jobs: list[IPart] = [store, collector, sweeper, expiry]
    if store.settling is not None:
        jobs.insert(1, Settler(clock, store.settling))
    return UseCases(store, jobs)
