"""How a node finds its place at a start: the beginning of a cluster, or the middle of its log.

A node that has promised nothing yet begins a cluster if its configuration names the first
members, and otherwise waits to be added to one.  Later starts only see that log, state and
snapshots belong together; what a crash left half done between them is done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from bleepstore.cluster.unusable import UnusableLog
from bleepstore.interfaces.replication import ILogStore, ISnapshots, IStateMachine
from bleepstore.raft.effects import HardState, Persist
from bleepstore.raft.messages import Member, Members, SnapshotMark


def cluster_id_of(members: Iterable[Member], name: str, log_id: str) -> str:
    """The id that the first members of a cluster give it, each on its own: its name, a dot, and
    32 hex digits.

    They are a hash of who the members are, so that nodes whose lists differ begin different
    clusters, which refuse each other, rather than two majorities of one.  Who begins one alone
    agrees with nobody: then they are a hash of its log too, which no other node has.

    :param name: tells two clusters apart whose nodes have the same ids.
    :param log_id: see :class:`Identity`.
    """
    ids = sorted(member.id for member in members)
    if len(ids) == 1:
        ids.append(log_id)
    digits = sha256("\n".join(ids).encode()).hexdigest()[:32]
    return f"{name}.{digits}"


def is_named(cluster_id: str, name: str) -> bool:
    """Whether a cluster has this name."""
    return cluster_id.rpartition(".")[0] == name


class _Place(Struct, frozen=True):
    """The three that must belong together."""

    log: ILogStore
    machine: IStateMachine
    snapshots: ISnapshots


def must_agree(log: ILogStore, machine: IStateMachine, members: Members, name: str = "") -> bool:
    """Whether this node is to begin a cluster with others, and does not know their logs yet.

    :raises UnusableLog: its state is in the way of that.
    """
    if not _begins(log, members, name) or len(members.nodes) == 1 or log.identity.founders:
        return False
    _require_fit_to_begin(machine, members)
    return True


async def find_place(
    log: ILogStore,
    machine: IStateMachine,
    snapshots: ISnapshots,
    members: Members,
    name: str = "",
    founders: Mapping[str, str] = {},
) -> None:
    """Make log and state fit for a core to go on from.

    :param members: with whom a cluster begins, this node among them; none: it is to be added to
        one.  Heeded at the first start; later only to see that the log is of the cluster meant.
    :param founders: the ids of all their logs, as they have agreed on them (see ``founding``),
        if :func:`must_agree`.
    :raises UnusableLog: they do not belong together, or the state must not be given up.
    """
    place = _Place(log, machine, snapshots)
    untouched = _is_untouched(log)
    if untouched and not log.identity.cluster_id:
        _require_no_snapshot(snapshots)
    if _begins(log, members, name):
        await _begin(place, members, name, founders)
    elif untouched and not _is_of_the_newest(place):
        _require_nothing_to_lose(machine)
    if not untouched or log.state().snapshot.index or snapshots.newest() is not None:
        await _reconcile(place)
    if not untouched:
        _require_meant(log, members, name)


def _is_untouched(log: ILogStore) -> bool:
    """Whether a log has promised nothing yet."""
    state = log.state()
    found = (state.last_index, state.snapshot, state.hard_state)
    return found == (0, SnapshotMark(), HardState())


def _begins(log: ILogStore, members: Members, name: str) -> bool:
    """Whether it is for this node to begin a cluster.

    A node that was added to a cluster may have received nothing of its log yet: to take its
    configuration for that cluster's beginning would make it a majority of its own.
    """
    meant_id = cluster_id_of(members.nodes, name, log.identity.log_id)
    meant = bool(members.nodes) and log.identity.cluster_id in ("", meant_id)
    return meant and _is_untouched(log)


def _require_fit_to_begin(machine: IStateMachine, members: Members) -> None:
    if machine.applied_index():
        raise UnusableLog(
            f"the metadata is that of index {machine.applied_index()} of a log that is not in "
            "cluster.data_dir: bring that back; or delete both, and let this node join anew; or, "
            "if it is a backup, have its data by bleepstore cluster detach"
        )
    if len(members.nodes) > 1 and not machine.pristine():
        raise UnusableLog(
            "this node has metadata of its own, and so could each of the others: start it "
            "alone, with no cluster.peers, and then add the others"
        )


async def _begin(place: _Place, members: Members, name: str, founders: Mapping[str, str]) -> None:
    """The first start of a first member."""
    log, machine = place.log, place.machine
    _require_fit_to_begin(machine, members)
    own = log.identity
    logs = founders or own.founders or {own.node_id: own.log_id}
    members = Members(tuple(replace(node, log=logs[node.id]) for node in members.nodes))
    mark = SnapshotMark(0, 0, members)
    hard_state = HardState()
    if not machine.pristine():
        # Whoever is added needs what is there already, so the log begins behind a first entry
        # that nobody has: they are sent a snapshot.
        mark = SnapshotMark(1, 1, members)
        hard_state = HardState(1)
    # The ids first: a start that finds them does not ask for them again.
    await log.join(cluster_id_of(members.nodes, name, own.log_id), logs)
    await log.save(Persist(0, hard_state, restore=mark, commit=mark.index))


def _require_no_snapshot(snapshots: ISnapshots) -> None:
    """Whoever has one belongs to a cluster, and its log says to which."""
    if (newest := snapshots.newest()) is not None:
        raise UnusableLog(
            f"cluster.data_dir has a snapshot ({newest[1]}), but not the log that it goes with: "
            "bring that back, or empty cluster.data_dir and delete the metadata database to let "
            "this node join anew"
        )


def _require_nothing_to_lose(machine: IStateMachine) -> None:
    """A node that joins is given the others' state in place of its own."""
    if machine.applied_index() or not machine.pristine():
        raise UnusableLog(
            "this node is to join a cluster, but has metadata of its own, which it would lose: "
            "delete its metadata database first, or begin the cluster with this node"
        )


def _is_of_the_newest(place: _Place) -> bool:
    """Whether the state is that of the newest snapshot: it may be the first thing that a node is
    given which joins, and the crash came before its log had anything at all."""
    newest = place.snapshots.newest()
    return newest is not None and newest[0].index == place.machine.applied_index()


def _is_unfinished(place: _Place) -> bool:
    """Whether the newest snapshot was received, and the crash came before all of the log was
    replaced by it: the log ends before its index, or holds an entry there that was never committed.

    It may have become the state, or not yet.  To go on without it would be to have a snapshot that
    is newer than the log: newer, too, than what another leader may have to send.
    """
    log, newest = place.log, place.snapshots.newest()
    if newest is None or newest[0].index < place.machine.applied_index():
        return False
    mark, state = newest[0], log.state()
    if state.snapshot.index < mark.index <= state.last_index:
        return log.term(mark.index) != mark.term
    return mark.index > state.last_index


async def _reconcile(place: _Place) -> None:
    """Have the state stand somewhere in the log."""
    log, machine, snapshots = place.log, place.machine, place.snapshots
    state, applied = log.state(), machine.applied_index()
    unfinished = _is_unfinished(place)
    fits = state.snapshot.index <= applied <= state.last_index
    if fits and not unfinished:
        return
    if applied == 0 and state.snapshot.index == 1 and not machine.pristine():
        await machine.adopt(1)  # the first start of an embedded node
        return
    kept = snapshots.newest()
    found = await snapshots.borrow()
    if found is None and fits and kept is not None and kept[0].index > applied:
        return  # it is damaged, and nothing depends on it yet: another one will be sent
    mark = SnapshotMark() if found is None else found[0]
    if applied > state.last_index:
        if mark.index != applied:
            raise UnusableLog(
                f"the metadata stands at index {applied}, but the log in cluster.data_dir ends "
                f"at {state.last_index}: they are not of the same node"
            )
    elif found is None or mark.index < state.snapshot.index:
        raise UnusableLog(
            f"the metadata stands at index {applied}, but the log in cluster.data_dir begins "
            f"behind {state.snapshot.index}, and no snapshot leads from one to the other: remove "
            "this node from the cluster, empty cluster.data_dir and delete its metadata "
            "database, and let it join anew"
        )
    if found is None:
        return
    path = found[1]
    try:
        if applied < mark.index:
            await machine.replace(path, mark.index)
        if mark.index > state.last_index or unfinished:
            await log.save(Persist(0, _raised(state.hard_state, mark), (), mark, mark.index))
    finally:
        snapshots.give_back(path)


def _raised(hard_state: HardState, mark: SnapshotMark) -> HardState | None:
    """The term is never less than that of what is in the log."""
    return HardState(mark.term) if mark.term > hard_state.term else None


def _require_meant(log: ILogStore, members: Members, name: str) -> None:
    """The members may have changed since the beginning, but not all at once.

    :raises UnusableLog: the log is another cluster's.
    """
    own, cluster_id = log.identity.node_id, log.identity.cluster_id
    meant_id = cluster_id_of(members.nodes, name, log.identity.log_id)
    known = {member.id for member in log.state().snapshot.members.nodes} - {own}
    meant = {member.id for member in members.nodes} - {own}
    if cluster_id in ("", meant_id) or not (known and meant):
        return
    if not known & meant:
        raise UnusableLog(
            f"the log in cluster.data_dir is of cluster {cluster_id}, whose members were "
            f"{', '.join(sorted(known | {own}))}; none of cluster.peers is among them"
        )
