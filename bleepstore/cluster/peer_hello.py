"""Who talks to whom: what the first call of a connection says, and whether it is accepted.

Both sides check: who is called, whether it may be called by this caller; the caller, whether it
reached whom it meant.  Pure decisions over values; knows no connections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from bleepstore.cluster.peer_commands import (
    PROTOCOL,
    WrongCluster,
    WrongFormat,
    WrongLog,
    WrongNode,
    WrongProtocol,
    encode_founders,
)
from bleepstore.model import commands, proposals

CONSENSUS = "consensus"
"""A node's one connection for the messages that it sends to the other one."""

SNAPSHOT = "snapshot"
"""For one snapshot, so that heartbeats do not wait behind it."""

ASK = "ask"
"""For nothing more than Hello: who is there?  It may be the caller itself."""

PURPOSES = (CONSENSUS, SNAPSHOT, ASK)

Range = tuple[int, int]

LogOf = Callable[[str], str]
"""The id of a member's log, as far as is known here; empty otherwise."""


class Versions(Struct, frozen=True, kw_only=True):
    """What a program speaks and reads: for each the least and the greatest version.

    :ivar command: the format of ``model.commands``.
    :ivar proposal: the format of ``model.proposals``.
    """

    protocol: Range = PROTOCOL
    command: Range = (commands.FORMAT, commands.FORMAT)
    proposal: Range = (proposals.FORMAT, proposals.FORMAT)


class Self(Struct, kw_only=True):
    """This node, as it introduces itself.

    :ivar cluster: empty while it belongs to none; changes once, when it joins.
    :ivar address: ``host:port`` at which it wants to be called; empty if it does not say.
    :ivar log: the id of its log.
    :ivar founders: see ``Identity``; empty until it has begun.
    """

    node: str
    address: str
    cluster: str = ""
    log: str = ""
    founders: Mapping[str, str] = {}
    versions: Versions = Versions()


class Common(Struct, frozen=True):
    """What both sides have in common: the greatest versions that lie in both ranges."""

    protocol: int
    command: int
    proposal: int


def introduction(me: Self, expected: str, purpose: str) -> dict[str, object]:
    """The arguments of Hello.

    :param expected: the id of the node that should answer; empty for whoever does.
    """
    versions = me.versions
    return {
        "cluster": me.cluster,
        "node": me.node,
        "expected": expected,
        "purpose": purpose,
        "log": me.log,
        "address": me.address,
        "protocol_low": versions.protocol[0],
        "protocol_high": versions.protocol[1],
        "command_low": versions.command[0],
        "command_high": versions.command[1],
        "proposal_low": versions.proposal[0],
        "proposal_high": versions.proposal[1],
    }


def examine(me: Self, hello: Mapping[str, Any], log_of: LogOf = lambda node: "") -> Common:
    """Whether this node may be called so.  That it belongs to no cluster yet is no obstacle.

    :raises PeerRefusal: the reason, as the caller is told.
    :raises ValueError: no program of ours says such a thing.
    """
    caller, cluster, purpose = hello["node"], hello["cluster"], hello["purpose"]
    common = Common(
        _common(WrongProtocol, "protocol", me.versions.protocol, hello),
        _common(WrongFormat, "command", me.versions.command, hello),
        _common(WrongFormat, "proposal", me.versions.proposal, hello),
    )
    if not caller:
        raise ValueError("a node without an id")
    if purpose not in PURPOSES:
        raise ValueError(f"an unknown purpose: {purpose!r}")
    if caller == me.node and purpose != ASK:
        raise WrongNode(f"{caller!r} is the id of the node that was called")
    if hello["expected"] not in ("", me.node):
        raise WrongNode(f"this is {me.node!r}, and not {hello['expected']!r}")
    if cluster and me.cluster and cluster != me.cluster:
        raise WrongCluster(f"this node belongs to {me.cluster!r}, the caller to {cluster!r}")
    if not cluster and purpose != ASK:
        raise WrongCluster("the caller belongs to no cluster")
    if purpose == ASK:
        _check_log(caller, hello["log"], log_of)
    return common


def is_doubted(known: str, log: str) -> bool:
    """Whether a caller has another log than it is known to have here.

    Either it lost that, and must not answer for what it had promised; or it was let in again since,
    and this node has not heard of it yet, and may have to from nobody else: a node that joins, or
    was away, is told the past first.  So such a caller is listened to as one that leads, or stands:
    then others have made it a voter with the log that it has.

    :param known: here.
    :param log: as it says itself.
    """
    return bool(known and log and known != log)


def acceptance(me: Self, common: Common) -> dict[str, object]:
    """The response to Hello."""
    return {
        "cluster": me.cluster,
        "node": me.node,
        "log": me.log,
        "founders": encode_founders(me.founders),
        "address": me.address,
        "protocol": common.protocol,
        "command": common.command,
        "proposal": common.proposal,
    }


def check_answer(
    me: Self,
    expected: str,
    purpose: str,
    answer: Mapping[str, Any],
    log_of: LogOf = lambda node: "",
) -> None:
    """Whether who answered Hello is who was meant.

    :raises PeerRefusal: it is not.
    """
    node, versions = answer["node"], me.versions
    if node == me.node and purpose != ASK:
        raise WrongNode(f"it has this node's own id, {node!r}")
    if not node or (expected and node != expected):
        raise WrongNode(f"it is {node!r}, and not {expected!r}")
    if answer["cluster"] != me.cluster and (purpose != ASK or (answer["cluster"] and me.cluster)):
        raise WrongCluster(f"it belongs to {answer['cluster']!r}, and this node to {me.cluster!r}")
    if not versions.protocol[0] <= answer["protocol"] <= versions.protocol[1]:
        raise WrongProtocol(f"it chose version {answer['protocol']} of the protocol")
    for name, known in (("command", versions.command), ("proposal", versions.proposal)):
        if not known[0] <= answer[name] <= known[1]:
            raise WrongFormat(f"it chose version {answer[name]} of the {name} format")
    _check_log(node, answer["log"], log_of)


def _check_log(node: str, log: str, log_of: LogOf) -> None:
    known = log_of(node)
    if is_doubted(known, log):
        raise WrongLog(
            f"{node!r} is a member with log {known!r}, and not {log!r}: its disk was lost or "
            "replaced, and with it what it had promised; remove it, and add it again"
        )


def _common(
    error: type[WrongProtocol | WrongFormat], name: str, mine: Range, hello: Mapping[str, Any]
) -> int:
    low, high = hello[f"{name}_low"], hello[f"{name}_high"]
    if low > high:
        raise ValueError(f"{name} versions from {low} to {high}")
    greatest: int = min(mine[1], high)
    if greatest < max(mine[0], low):
        raise error(f"{name} versions {mine[0]} to {mine[1]} here, {low} to {high} there")
    return greatest
