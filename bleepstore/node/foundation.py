"""What the use cases of a node stand on: its stores, and in a cluster the agreement with others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from bleepstore.cluster.retained import RetainedBlobs
from bleepstore.config.sections import Config
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.node.reactor import INodeReactor
from bleepstore.node.sites import require_object_data, require_site
from bleepstore.node.stores import Blobs, Metadata, build_blobs, build_metadata
from bleepstore.streams.threads import ReactorThreads

if TYPE_CHECKING:
    from bleepstore.node.cluster import ClusterParts


class Foundation(Struct, frozen=True):
    """:ivar threads: for disks and digests.
    :ivar services: name → parts, in the order in which they start.
    :ivar cluster: None in an embedded node.
    """

    threads: ReactorThreads
    metadata: Metadata
    blobs: Blobs | RetainedBlobs
    services: Sequence[tuple[str, Sequence[IPart]]]
    cluster: ClusterParts | None = None


def build_foundation(
    config: Config,
    reactor: INodeReactor,
    *,
    ended: Callable[[str], object],
    led: Callable[[str], object],
) -> Foundation:
    """Open what there is on the disks.  What can be checked at once raises here.

    :param ended: called once, with the reason, when the node cannot go on.
    :param led: called with the id of the leader of the cluster whenever that changes.
    :raises StartError: the configuration and what lies on the disks do not fit together.
    :raises UnusableDatabase: the metadata cannot be used.
    :raises UnusableStore: the blobs cannot be used.
    :raises UnusableLog: the cluster's log cannot be used.
    """
    threads = ReactorThreads(reactor)
    commit_threads = ReactorThreads(reactor, size=1, name="bleepstore-commit", prompt=True)
    pools = [threads, commit_threads]
    if config.metadata.engine != "raft":
        metadata = build_metadata(config, reactor, threads, commit_threads)
        require_object_data(config, metadata)
        blobs = build_blobs(config, reactor, threads)
        require_site(config, metadata, blobs)
        services = (("threads", pools), ("metadata", (metadata,)), ("blobs", (blobs,)))
        return Foundation(threads, metadata, blobs, services)

    from bleepstore.node.cluster import build_cluster  # an embedded start need not wait for it

    log_threads = ReactorThreads(reactor, size=1, name="bleepstore-log", prompt=True)
    cluster = build_cluster(
        config, reactor, threads, commit_threads, log_threads, ended=ended, led=led
    )
    blobs = build_blobs(config, reactor, threads)
    retained = RetainedBlobs(blobs)
    return Foundation(
        threads,
        cluster.metadata,
        retained,
        (
            ("threads", (*pools, log_threads)),
            ("metadata", cluster.stored),
            ("raft", cluster.agreed),
            ("blobs", (blobs, retained)),
        ),
        cluster,
    )
