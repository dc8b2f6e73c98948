"""What can go wrong with real nodes under load, one thing at a time: begun, outlived, mended.

Each fault lasts until the nodes that are left serve and clients had answers from them, and returns
when it is over and everybody has caught up.  Nothing here waits for a time to pass.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from tests.integration import disks
from tests.integration.cluster import Cluster, Node, eventually
from tests.integration.cluster_load import Load
from tests.integration.networks import Network, Relayed, isolate

SOME = 25
"""Answers that clients have during a fault, before it is mended."""


@dataclass
class Scene:
    """A cluster under load.

    :ivar small: the node whose disk is small; None where that needs a root that we are not.
    """

    cluster: Cluster
    load: Load
    dice: random.Random
    small: Node | None = None

    @property
    def network(self) -> Network:
        return self.cluster.network

    @property
    def leader(self) -> Node:
        return self.cluster.leader()

    @property
    def anyone(self) -> Node:
        return self.dice.choice(self.cluster.running)

    @property
    def follower(self) -> Node:
        return self.dice.choice(self.cluster.followers())

    def others(self, *nodes: Node) -> list[Node]:
        """All but these."""
        return [node for node in self.cluster.running if node not in nodes]

    def serve(self, nodes: list[Node]) -> None:
        """Return when these nodes confirm a read, and clients have had more answers."""
        self.cluster.caught_up(nodes)
        self.load.more(SOME)

    def mend(self) -> None:
        """Everything is well, and everybody knows."""
        self.network.heal()
        for node in self.cluster:
            if node.paused:
                node.resume()
        self.cluster.start()
        self.serve(list(self.cluster))


def follower_killed(scene: Scene) -> None:
    """SIGKILL; it comes back."""
    lost = scene.follower
    lost.kill()
    scene.serve(scene.others(lost))


def leader_killed(scene: Scene) -> None:
    """SIGKILL; it comes back."""
    lost = scene.leader
    lost.kill()
    scene.serve(scene.others(lost))


def all_killed(scene: Scene) -> None:
    """As when the power fails."""
    for node in scene.cluster:
        node.kill()


def follower_paused(scene: Scene) -> None:
    """SIGSTOP, SIGCONT."""
    still = scene.follower
    still.pause()
    scene.serve(scene.others(still))


def leader_paused(scene: Scene) -> None:
    """It goes on in the belief that it leads."""
    still = scene.leader
    still.pause()
    scene.serve(scene.others(still))


def leader_isolated(scene: Scene) -> None:
    """The others elect another one; it answers nothing that is not true."""
    lost = scene.leader
    rest = scene.others(lost)
    isolate(scene.network, [lost.node_id], [node.node_id for node in rest])
    scene.serve(rest)


def minority_isolated(scene: Scene) -> None:
    """As many as may be, among themselves."""
    nodes = scene.cluster.running
    scene.dice.shuffle(nodes)
    most = (len(nodes) - 1) // 2
    lost, rest = nodes[:most], nodes[most:]
    isolate(scene.network, [node.node_id for node in lost], [node.node_id for node in rest])
    scene.serve(rest)


def leader_not_heard(scene: Scene) -> None:
    """It hears the others, who have no word from it."""
    lost = scene.leader
    rest = scene.others(lost)
    for node in rest:
        scene.network.block(lost.node_id, node.node_id)
    scene.serve(rest)


def leader_hears_nobody(scene: Scene) -> None:
    """They hear from it, and it has no answer."""
    lost = scene.leader
    rest = scene.others(lost)
    for node in rest:
        scene.network.block(node.node_id, lost.node_id)
    scene.serve(rest)


def one_link_lost(scene: Scene) -> None:
    """Two nodes cannot reach each other, everybody else can."""
    one, other = scene.dice.sample(scene.cluster.running, 2)
    isolate(scene.network, [one.node_id], [other.node_id])
    scene.load.more(SOME)


def everybody_alone(scene: Scene) -> None:
    """Nobody has a majority, and nobody says so more than anyone else."""
    nodes = scene.cluster.running
    ids = [node.node_id for node in nodes]
    for at, node_id in enumerate(ids):
        isolate(scene.network, [node_id], ids[at + 1 :])
    for node in nodes:
        eventually(lambda at=node: not at.status()["leader"])


def connections_cut(scene: Scene) -> None:
    """All connections break, again and again."""
    assert isinstance(scene.network, Relayed)
    ids = [node.node_id for node in scene.cluster]
    for _ in range(3):
        for one in ids:
            for other in ids:
                scene.network.relays.cut(one, other)
        scene.load.more(SOME)


def network_late(scene: Scene) -> None:
    """Every message is late."""
    assert isinstance(scene.network, Relayed)
    scene.network.relays.delay(0.03)
    scene.serve(scene.cluster.running)


def disk_slow(scene: Scene) -> None:
    """Every sync of one node takes longer than a heartbeat."""
    with disks.slow(scene.anyone.pid, 0.1):
        scene.load.more(SOME)


def disk_fails(scene: Scene) -> None:
    """The node ends, and the others go on."""
    lost = scene.anyone
    rest = scene.others(lost)
    disks.fails(lost.pid)
    assert lost.wait() == 1
    assert any("BleepStore cannot go on: " in line for line in lost.log)
    scene.serve(rest)


def disk_full(scene: Scene) -> None:
    """The node ends, and the others go on."""
    assert scene.small is not None
    with disks.full(scene.small.directory):
        scene.serve(scene.others(scene.small))
        for _ in range(40):  # as long as it finds room in files that it has
            if scene.small.running:
                scene.load.more(SOME)
        assert scene.small.wait() == 1
        assert any("is full" in line or "No space left" in line for line in scene.small.log)


def rolling_restart(scene: Scene) -> None:
    """One after the other, the leader last, as docs/operations.md says."""
    leader = scene.leader
    for node in [*scene.others(leader), leader]:
        assert node.stop() in (0, -15)
        node.start()
        scene.serve([node])


def member_replaced(scene: Scene) -> None:
    """One is added while all serve, and another one removed."""
    members = [node for node in scene.cluster if node is not scene.small]
    new = scene.cluster.joiner(f"node-{1 + max(int(n.node_id[5:]) for n in scene.cluster)}")
    old = scene.dice.choice(members)
    eventually(lambda: members[0].control("add", id=new.node_id, address=new.address) or True)
    scene.serve([new])
    eventually(lambda: new.control("remove", id=old.node_id) or True)
    old.stop()
    del scene.cluster.nodes[old.node_id]


def leadership_handed_on(scene: Scene) -> None:
    """On request, while everybody writes."""
    target = scene.follower
    eventually(lambda: target.control("transfer", id=target.node_id) or True)


Fault = Callable[[Scene], None]

ALL: tuple[Fault, ...] = (
    follower_killed,
    leader_killed,
    all_killed,
    follower_paused,
    leader_paused,
    leader_isolated,
    minority_isolated,
    leader_not_heard,
    leader_hears_nobody,
    one_link_lost,
    everybody_alone,
    connections_cut,
    network_late,
    disk_slow,
    disk_fails,
    disk_full,
    rolling_restart,
    member_replaced,
    leadership_handed_on,
)


def possible(fault: Fault, in_namespaces: bool) -> bool:
    """Whether a fault can be had on this machine, on that network."""
    if fault in (connections_cut, network_late):
        return not in_namespaces
    if fault is disk_full:
        return os.geteuid() == 0
    if fault is disk_slow:
        return shutil.which("strace") is not None
    return True
