"""What goes wrong, and what operators do, while clients work."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Iterable
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from bleepstore.errors import ServiceUnavailable
from bleepstore.raft.messages import Members
from tests.sim.clients import pass_time
from tests.sim.network import SNAPSHOT_TIMES, Weather
from tests.sim.nodes import Node, Surroundings

WEATHERS = (
    Weather(),
    Weather(loss=0.05, repetition=0.05),
    Weather(delay=0.05, spread=8),
    Weather(delay=0.15, spread=4, loss=0.02, repetition=0.1),
    Weather(loss=0.3),
)


class Faults:
    """Draws one thing after another from a scenario's weights, and does it."""

    def __init__(
        self,
        around: Surroundings,
        dice: random.Random,
        new_node: Callable[[str, Members], Node],
    ) -> None:
        """:param new_node: makes a node with an empty disk, and starts it."""
        self._around = around
        self._dice = dice
        self._new_node = new_node
        self._numbers = count(len(around.nodes) + 1)
        self._reigns = False
        self._founder_lost = False
        around.invariants.elected = self._elected
        self._acts: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "power cut": self._power_cut,
            "stop": lambda: self._some_node().stop(),
            "blackout": self._blackout,
            "pause": self._pause,
            "freeze the leader": self._freeze,
            "slow the leader's clock": self._slow_clock,
            "cut off": lambda: self._isolate(self._some_node()),
            "cut off the leader": lambda: self._isolate(self._leader()),
            "one-way cut": self._one_way,
            "split": self._split,
            "heal": self._heal,
            "weather": self._weather,
            "slow disk": self._slow_disk,
            "full disk": self._full_disk,
            "rot": self._rot,
            "transfer": self._transfer,
            "snapshot": self._snapshot,
            "slow snapshots": self._slow_snapshots,
            "contested entry": lambda: self._launch(self._contested_entry()),
            "rival changes": lambda: self._launch(self._rival_changes()),
            "add": self._add,
            "remove": self._remove,
            "lost disk": lambda: self._launch(self._lost_disk()),
        }

    async def reign(self) -> None:
        """Do harm for as long as the scenario says."""
        self._reigns = True
        scenario, time = self._around.scenario, self._around.time
        end = time.now + scenario.duration
        names = list(scenario.weights)
        weights = [scenario.weights[name] for name in names]
        while time.now < end:
            await pass_time(time, 2 * scenario.pace * self._dice.random())
            (name,) = self._dice.choices(names, weights)
            self._acts[name]()

    def end(self) -> None:
        """Repair everything."""
        self._note("all faults end")
        self._reigns = False
        self._around.network.heal()
        self._around.network.weather = Weather()
        self._around.network.snapshot_time = SNAPSHOT_TIMES[0]
        for node in self._around.nodes.values():
            node.disk.full = False
            node.disk.slowness = 1.0
            node.resume()
            node.start()

    # -- whom

    def _note(self, what: str) -> None:
        self._around.trace.matters("faults", what)

    def _some_node(self) -> Node:
        return self._dice.choice(list(self._around.nodes.values()))

    def _leader(self) -> Node:
        leaders = [node for node in self._around.nodes.values() if node.leads]
        return self._dice.choice(leaders) if leaders else self._some_node()

    def _later(self, most: float, call: Callable[[], None]) -> None:
        self._around.time.after(most * self._dice.random(), call)

    def _elected(self, node_id: str) -> None:
        """There is a new leader; some fall before anybody has heard of it, or when the first
        answers have come (which is what figure 8 of the paper is made of)."""
        dice, node = self._dice, self._around.nodes[node_id]
        if not self._reigns or dice.random() >= self._around.scenario.coups:
            return
        delay = self._around.scenario.weather.delay
        moment = delay * dice.choice((0.4, 0.4, 2.5, 3, 8 * dice.random()))
        fall = dice.choice((lambda: self._isolate(node), lambda: self._isolate(node), node.blink))
        self._around.time.after(moment, fall)

    # -- processes

    def _kill(self) -> None:
        node = self._some_node()
        node.kill()
        self._later(3, node.start)

    def _power_cut(self) -> None:
        node = self._some_node()
        node.cut_power()
        self._later(3, node.start)

    def _blackout(self) -> None:
        for node in self._around.nodes.values():
            node.cut_power()
            self._later(2, node.start)

    def _pause(self) -> None:
        node = self._some_node()
        node.pause()
        self._later(4, node.resume)

    def _freeze(self) -> None:
        """The leader stands still, and goes on without hearing what has happened meanwhile."""
        node = self._leader()
        node.pause()
        self._isolate(node)
        self._later(4, node.resume)

    def _slow_clock(self) -> None:
        node = self._leader()
        self._note(f"the clock of {node.id} goes slow")
        node.set_rate(1 - self._around.scenario.drift)

    # -- the network

    @staticmethod
    def _both_ways(ours: Iterable[str], theirs: Iterable[str]) -> list[tuple[str, str]]:
        pairs = [(one, other) for one in ours for other in theirs]
        return pairs + [(other, one) for one, other in pairs]

    def _cut(self, what: str, cuts: list[tuple[str, str]], seconds: float = 0) -> None:
        """Cut it for a while: long enough to elect another leader, as a rule."""
        network = self._around.network
        self._note(what)
        for sender, receiver in cuts:
            network.cut(sender, receiver)

        def mend() -> None:
            self._note(f"no longer: {what}")
            for sender, receiver in cuts:
                network.mend(sender, receiver)

        self._around.time.after(seconds or 6 * self._dice.random(), mend)

    def _isolate(self, node: Node) -> None:
        others = [other for other in self._around.nodes if other != node.id]
        self._cut(f"{node.id} is cut off", self._both_ways([node.id], others))

    def _one_way(self) -> None:
        """Nothing gets from one to another, or from one to all others."""
        one, other = self._some_node().id, self._some_node().id
        if one != other:
            self._cut(f"nothing gets from {one} to {other}", [(one, other)])
        else:
            others = [other for other in self._around.nodes if other != one]
            self._cut(f"nothing gets out of {one}", [(one, other) for other in others])

    def _split(self) -> None:
        ids = list(self._around.nodes)
        self._dice.shuffle(ids)
        half = self._dice.randint(1, max(len(ids) - 1, 1))
        ours, theirs = ids[:half], ids[half:]
        self._cut(
            f"{', '.join(ours)} and {', '.join(theirs)} are parted", self._both_ways(ours, theirs)
        )

    def _heal(self) -> None:
        if self._around.network.cuts:
            self._note("the network is whole again")
            self._around.network.heal()

    def _weather(self) -> None:
        self._around.network.weather = weather = self._dice.choice(WEATHERS)
        self._note(f"the network has {weather}")

    def _slow_snapshots(self) -> None:
        seconds = self._dice.choice(SNAPSHOT_TIMES)
        self._around.network.snapshot_time = seconds
        self._note(f"a snapshot takes {seconds} s to be sent")

    # -- disks

    def _slow_disk(self) -> None:
        node = self._some_node()
        node.disk.slowness = self._dice.choice((5.0, 30.0))
        self._note(f"the disk of {node.id} is {node.disk.slowness} times slower")

        def recover() -> None:
            node.disk.slowness = 1.0

        self._later(5, recover)

    def _full_disk(self) -> None:
        node = self._some_node()
        node.disk.full = True
        self._note(f"the disk of {node.id} is full")

        def recover() -> None:
            node.disk.full = False
            node.start()

        self._later(4, recover)

    def _rot(self) -> None:
        """A snapshot is not what was written, which is found out when it is read.  Not one that is
        taking the place of the state: a crash then would leave a node that must join anew."""
        node = self._some_node()
        newest = node.disk.snapshots.newest
        if newest and node.core is not None and newest[0].index <= node.core.applied_index:
            node.disk.snapshots.rot()
            self._note(f"the snapshots of {node.id} rot")

    # -- operators

    def _transfer(self) -> None:
        to = self._some_node()
        self._ask(self._leader(), f"hand over to {to.id}", "transfer_leadership", to.id)

    def _snapshot(self) -> None:
        self._ask(self._some_node(), "take a snapshot", "take_snapshot")

    def _add(self) -> None:
        """Add a new node, or go on with adding one that is there."""
        nodes = self._around.nodes
        members = self._leader().members
        strangers = [
            node_id
            for node_id in nodes
            if (known := members.get(node_id)) is None or not known.voter
        ]
        if not strangers and len(members.nodes) < 6:
            node = self._new_node(f"n{next(self._numbers)}", Members())
            strangers = [node.id]
        if strangers:
            whom = self._dice.choice(strangers)
            self._ask(self._leader(), f"add {whom}", "add_member", whom, whom)

    def _remove(self) -> None:
        """Remove a node, if two voters stay."""
        leader = self._leader()
        if len(leader.members.voters) > 2 and not self._wiped():
            whom = self._dice.choice(sorted(leader.members.voters))
            self._ask(leader, f"remove {whom}", "remove_member", whom)

    def _launch(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        Deferred.fromCoroutine(work).addErrback(self._broken)

    def _broken(self, failure: Failure) -> None:
        self._around.failures.append(failure.getTraceback())

    async def _contested_entry(self) -> None:
        """Figure 8 of the paper: an entry of an old term reaches a majority, and is overwritten
        all the same by a leader whose own entry is of a later term."""
        around = self._around
        old = self._leader()
        if not old.leads or len(old.members.voters) != 3:
            return
        others = sorted(old.members.voters - {old.id})
        self._cut(f"{old.id} is cut off", self._both_ways([old.id], others), 9)
        if not await self._comes(lambda: old.has_uncommitted, 1):
            return
        if not await self._comes(lambda: any(around.nodes[each].leads for each in others), 4):
            return
        later, third = sorted(others, key=lambda each: not around.nodes[each].leads)
        self._cut(f"{later} is cut off", self._both_ways([later], [old.id, third]), 9)
        self._join(old.id, third)
        if not await self._comes(lambda: old.leads and old.term > around.nodes[later].term, 6):
            return
        entry = old.first_of_term() - 1
        if await self._comes(lambda: old.sent_to(third) >= entry, 2):
            what = f"{third} has entry {entry}, and is parted from {old.id}"
            self._cut(what, self._both_ways([old.id], [third]), 9)
            self._join(later, third)

    def _join(self, one: str, other: str) -> None:
        self._note(f"{one} and {other} reach each other")
        for sender, receiver in self._both_ways([one], [other]):
            self._around.network.mend(sender, receiver)

    async def _rival_changes(self) -> None:
        """Two leaders, one after the other, each make another new node a voter, and the second
        does not know of the first one's change: the way to two majorities that share nobody, if
        a leader may change members before it has committed anything in its term (D. Ongaro, "bug
        in single-server membership changes", raft-dev, 2015)."""
        around = self._around
        old = self._leader()
        if not old.leads or len(old.members.voters) != 4 or len(old.members.nodes) != 4:
            return
        others = sorted(old.members.voters - {old.id})
        second = self._new_node(f"n{next(self._numbers)}", Members())
        self._ask(old, f"add {second.id}", "add_member", second.id, second.id)
        if not await self._comes(lambda: old.members.get(second.id) is not None, 2):
            return
        second.pause()  # so that it stays a learner for now
        first = self._new_node(f"n{next(self._numbers)}", Members())
        self._ask(old, f"add {first.id}", "add_member", first.id, first.id)
        if not await self._comes(lambda: first.id in old.members.voters, 3):
            return
        ours, theirs = [old.id, first.id], [*others, second.id]
        cuts = self._both_ways(ours, theirs)
        self._cut(f"{', '.join(ours)} and {', '.join(theirs)} are parted", cuts, 9)
        second.resume()
        if not await self._comes(lambda: any(around.nodes[each].leads for each in others), 5):
            return
        rival = next(each for each in others if around.nodes[each].leads)
        undecided = self._dice.choice([each for each in others if each != rival])
        rest = [each for each in theirs if each != undecided]
        what = f"{undecided} and {', '.join(rest)} are parted"
        self._cut(what, self._both_ways([undecided], rest), 9)
        self._ask(around.nodes[rival], f"add {second.id}", "add_member", second.id, second.id)
        await pass_time(around.time, 1 + self._dice.random())
        for each in ours:
            self._join(each, undecided)

    def _wiped(self) -> list[Node]:
        return [node for node in self._around.nodes.values() if node.wiped]

    async def _lost_disk(self) -> None:
        """A voter loses its disk while others have missed what it had helped to decide; then it
        meets them, without those who know better: together they would be a majority."""
        around = self._around
        if around.scenario.nodes == 1:
            await self._lost_founder()
            return
        leader = self._leader()
        voters = leader.members.voters
        if not leader.leads or len(voters) < 3 or self._wiped():
            return
        others = sorted(voters - {leader.id})
        self._dice.shuffle(others)
        if self._dice.random() < 0.7:  # such nodes are few
            others.sort(key=lambda each: around.nodes[each].began)
        lost, *rest = others
        kept, away = rest[: len(voters) // 2 - 1], rest[len(voters) // 2 - 1 :]
        ours = [leader.id, *kept]
        what = f"{', '.join(away)} miss what the others decide"
        self._cut(what, self._both_ways(away, [*ours, lost]), 20)
        decided = _committed(leader)
        if not await self._comes(lambda: _committed(leader) > decided + 1, 3) or self._wiped():
            return
        around.nodes[lost].lose_disk()
        await pass_time(around.time, self._dice.random())
        self._cut(f"{', '.join(ours)} are cut off", self._both_ways(ours, [*away, lost]), 5)
        for each in away:
            self._join(each, lost)

    async def _lost_founder(self) -> None:
        """The node that began the cluster alone loses its disk, and is let in again.  What it is
        told first, and whoever joins later, is of a time when one of its name was the only voter,
        and had the log that is lost."""
        founder, leader = self._around.nodes["n1"], self._leader()
        if self._founder_lost or not leader.leads:
            return
        if len(leader.members.voters) < 3:
            self._add()
            return
        self._founder_lost = True
        if leader is founder:
            to = self._dice.choice(sorted(leader.members.voters - {founder.id}))
            self._ask(leader, f"hand over to {to}", "transfer_leadership", to)
            if not await self._comes(lambda: self._leader() is not founder, 4):
                return
        founder.kill()  # with its old configuration an empty disk would begin another cluster
        if not await self._comes(lambda: self._is_removed(founder), 5) or not self._reigns:
            return
        founder.join_anew()
        leader = self._leader()
        self._ask(leader, f"add {founder.id}", "add_member", founder.id, founder.id)
        if await self._comes(lambda: founder.members.voters == {founder.id}, 4):
            others = [each for each in self._around.nodes if each != founder.id]
            cuts = [(each, founder.id) for each in others]
            self._cut(f"{founder.id} is told no more for now", cuts, 1)
        if not await self._comes(lambda: founder.id in self._leader().members.voters, 6):
            return
        self._ask(self._leader(), f"hand over to {founder.id}", "transfer_leadership", founder.id)
        if await self._comes(lambda: founder.leads, 3):
            self._add()

    def _is_removed(self, node: Node) -> bool:
        """Whether that is committed; if it is not even begun, a leader is asked for it."""
        leader = self._leader()
        if leader.core is None or not leader.leads:
            return False
        if leader.members.get(node.id) is None:
            return leader.core.members_index <= leader.core.commit
        if self._dice.random() < 0.002:  # once or twice a second
            self._ask(leader, f"remove {node.id}", "remove_member", node.id)
        return False

    async def replace_wiped(self) -> None:
        """What an operator does about a lost disk: remove the node, and let it join anew."""
        for node in self._wiped():
            while (leader := self._leader()).members.get(node.id) is not None or not leader.leads:
                self._ask(leader, f"remove {node.id}", "remove_member", node.id)
                await pass_time(self._around.time, 1)
            node.join_anew()
            while not self._leader().members.get(node.id):
                self._ask(self._leader(), f"add {node.id}", "add_member", node.id, node.id)
                await pass_time(self._around.time, 1)

    async def _comes(self, true: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is true, for so long at most."""
        time = self._around.time
        end = time.now + seconds
        while not true() and time.now < end and self._reigns:
            await pass_time(time, 0.001)
        return true()

    def _ask(self, node: Node, what: str, method: str, *arguments: str) -> None:
        life = node.life
        if life is None or not node.serves:
            return
        self._note(f"{node.id} is asked to {what}")

        async def ask() -> None:
            try:
                await getattr(life.consensus, method)(*arguments)
            except (ServiceUnavailable, ValueError) as error:
                self._note(f"{node.id} does not {what}: {error}")
            else:
                self._note(f"{node.id} did {what}")

        life.clock.run(lambda: Deferred.fromCoroutine(ask()).addErrback(life.failed))


def _committed(node: Node) -> int:
    return node.core.commit if node.core is not None else 0
