"""``bleepstore cluster …``: ask a running node about its cluster, or to change it.

Speaks to the node's control socket (``cluster.control`` has the protocol), on the node's machine,
as the user that the node runs as.  ``detach`` alone is for a node that does not run.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bleepstore.config.cluster_refusals import check_member, control_socket
from bleepstore.config.load import load
from bleepstore.config.problems import ConfigError
from bleepstore.config.sections import Config

NAME = "bleepstore cluster"

TIMEOUT = 120.0
"""Seconds to wait for an answer: a node that is added first receives all there is."""

TIMEOUT_MAX = 86400.0

STANDING = {
    "founding": "It waits for the other first members of its cluster; its log says for whom.",
    "joining": "It is a member of no cluster, and serves nothing. Add it, at any member:\n"
    "bleepstore cluster add {node_id} ADDRESS",
    "pre-candidate": "It hears of no leader: there is no majority, or this node was removed, which "
    "another one would tell.",
    "removed": "It is no member any more, as one that leads says. Stop it; or add it again, at any "
    "member:\nbleepstore cluster add {node_id} ADDRESS",
}
"""What an operator should know of a node that cannot serve, by its role."""


class Refused(Exception):
    """The node, or the lack of one, says no; the message is one line."""


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run a command; the exit status: 0, 1 if it was refused, 2 if it makes no sense."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "detach":
            print(_detach(_config(options, environ)))
            return 0
        result = ask(_socket_path(options, environ), _request(options), options.timeout)
    except Refused as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 1
    if options.command == "status":
        print(msgspec.json.encode(result).decode() if options.json else describe(result))
    elif options.command == "snapshot":
        print(f"a snapshot stands at index {result['index']}")
    return 0


def ask(path: str, request: Mapping[str, str], timeout: float) -> Any:
    """Send one request to the control socket at ``path``; the result that it answers with.

    :param timeout: seconds.
    :raises Refused: nobody answers there, or the answer is no.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as channel:
        channel.settimeout(timeout)
        try:
            channel.connect(path)
            channel.sendall(msgspec.json.encode(request) + b"\n")
            with channel.makefile("rb") as answers:
                line = answers.readline()
        except TimeoutError:
            raise Refused(f"no answer within {timeout:g} seconds; it may still be done") from None
        except OSError as error:
            where = os.path.abspath(path)
            raise Refused(f"no node listens on {where}: {error.strerror or error}") from None
    if not line.endswith(b"\n"):
        raise Refused("the node ended before it answered; it may still be done")
    answer = msgspec.json.decode(line)
    if not answer["ok"]:
        raise Refused(answer["error"] + (" (try again)" if answer["again"] else ""))
    return answer["result"]


def describe(status: Mapping[str, Any]) -> str:
    """A status, to be read."""
    leader = status["leader"]
    where = f"{leader} at {status['leader_address']}" if leader else "(none known)"
    lines = [
        f"cluster   {status['cluster_id'] or '(none yet)'}",
        f"node      {status['node_id']}: {status['role']} in term {status['term']}",
        f"leader    {where}",
        f"log       last {status['last_index']}, committed {status['commit_index']}, "
        f"applied {status['applied_index']}, snapshot at {status['snapshot_index']}",
        "",
    ]
    if standing := STANDING.get(status["role"]):
        lines += [standing.format(**status), ""]
    rows = [("peer", "address", "votes", "behind", "heard of")]
    for peer in status["peers"]:
        behind = "-" if peer["match"] < 0 else str(max(status["last_index"] - peer["match"], 0))
        votes = "yes" if peer["voter"] else "no"
        rows.append((peer["id"], peer["address"], votes, behind, _heard(status, peer)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _heard(status: Mapping[str, Any], peer: Mapping[str, Any]) -> str:
    """When a peer was last heard of; who follows a leader need not hear of anybody else."""
    if status["role"] != "leader" and status["leader"] not in ("", peer["id"]):
        return "-"
    since = peer["last_contact_ms"]
    return "never" if since < 0 else f"{since / 1000:.1f} s ago"


def _socket_path(options: argparse.Namespace, environ: Mapping[str, str]) -> str:
    if options.socket:
        return str(options.socket)
    return control_socket(_config(options, environ).cluster)


def _config(options: argparse.Namespace, environ: Mapping[str, str]) -> Config:
    try:
        config = load(file=options.config, environ=environ)
    except ConfigError as error:
        raise Refused("; ".join(error.problems)) from None
    if config.metadata.engine != "raft":
        engine = config.metadata.engine
        raise Refused(f"metadata.engine is {engine}, not raft: name the node's file by --config")
    return config


def _detach(config: Config) -> str:
    """Take a node that does not run out of its cluster, with the data that it has.

    The log is put aside first: a state that has forgotten where it stood must not meet it again.
    """
    from bleepstore.metadata.detach import detach  # the other commands need no database
    from bleepstore.metadata.schema import UnusableDatabase
    from bleepstore.node.problems import StartError
    from bleepstore.node.stores import lock_data

    path, directory = config.metadata.sqlite.path, config.cluster.data_dir.rstrip("/")
    aside = f"{directory}.detached"
    if not os.path.exists(path):
        raise Refused(f"there is no {path} (metadata.sqlite.path)")
    if os.path.lexists(aside):
        raise Refused(f"{aside} is there already; remove it first")
    try:
        locks = lock_data(config)
    except StartError as error:
        raise Refused(str(error)) from None
    try:
        os.rename(directory, aside)
        index = detach(path)
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from None
    except UnusableDatabase as error:
        raise Refused(str(error)) from None
    finally:
        for lock in locks:
            lock.release()
    return (
        f"{path} is an embedded store's now, as of index {index}; the log is in {aside}.\n"
        "Start it with metadata.engine: sqlite, or with raft and no peers as a new cluster of one."
    )


def _request(options: argparse.Namespace) -> dict[str, str]:
    request = {"do": options.command}
    if getattr(options, "id", None):
        request["id"] = options.id
    if options.command == "add":
        try:
            check_member(options.id, options.address)
        except ValueError as error:
            raise Refused(str(error)) from None
        request["address"] = options.address
    return request


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(
            f"must be more than 0 and at most {TIMEOUT_MAX:g}, not {text!r}"
        )
    return seconds


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--config",
        help="configuration file of the node [default: bleepstore.yaml, if there is one]",
    )
    shared.add_argument("--socket", help="its control socket, in place of the configured one")
    shared.add_argument(
        "--timeout", type=_seconds, default=TIMEOUT, help="seconds to wait [default: %(default)g]"
    )
    parser = argparse.ArgumentParser(prog=NAME, description="Ask a node about its cluster.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    status = commands.add_parser("status", parents=[shared], help="who belongs to it, who leads")
    status.add_argument("--json", action="store_true", help="all of it, as JSON")
    add = commands.add_parser("add", parents=[shared], help="add a node that waits (cluster.join)")
    add.add_argument("id", help="its cluster.node_id")
    add.add_argument("address", help="its host:port for peers")
    remove = commands.add_parser("remove", parents=[shared], help="remove a node")
    remove.add_argument("id", help="its cluster.node_id")
    transfer = commands.add_parser("transfer", parents=[shared], help="have another node lead")
    transfer.add_argument("id", nargs="?", help="which one [default: the one that is furthest]")
    commands.add_parser(
        "detach", parents=[shared], help="make an embedded store of this node, which does not run"
    )
    commands.add_parser("snapshot", parents=[shared], help="take a snapshot on this node now")
    return parser
