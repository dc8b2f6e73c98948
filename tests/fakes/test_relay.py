"""Relays between nodes: what is blocked does not arrive, and arrives late once it is not."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from twisted.protocols.amp import AmpBox

from tests.fakes.relay import PATIENCE, Relays

HELLO = AmpBox({b"_command": b"Hello", b"node": b"a", b"expected": b"b"}).serialize()


@pytest.fixture
def relays() -> Iterator[Relays]:
    with Relays() as made:
        yield made


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """The node ``b``."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(PATIENCE)
        yield made


def called(relays: Relays, listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """A connection from ``a`` to ``b``: its two ends, behind Hello."""
    port = relays.serve("b", listener.getsockname()[1])
    caller = socket.create_connection(("127.0.0.1", port), PATIENCE)
    caller.sendall(HELLO)
    accepted, _ = listener.accept()
    accepted.settimeout(PATIENCE)
    assert received(accepted, len(HELLO)) == HELLO
    return caller, accepted


def received(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := end.recv(size - len(data))):
        data += more
    return data


def ended(end: socket.socket) -> bool:
    """Whether the connection ends, one way or another."""
    try:
        return not end.recv(1)
    except ConnectionResetError:
        return True


def silent(end: socket.socket) -> bool:
    """Whether nothing has arrived, though it had the time."""
    end.settimeout(0.1)
    try:
        return not end.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        end.settimeout(PATIENCE)


def test_bytes_pass_both_ways_and_the_end_does(relays: Relays, listener: socket.socket) -> None:
    caller, accepted = called(relays, listener)
    with caller, accepted:
        caller.sendall(b"question")
        assert received(accepted, 8) == b"question"
        accepted.sendall(b"answer")
        assert received(caller, 6) == b"answer"
        accepted.shutdown(socket.SHUT_WR)
        assert ended(caller)


def test_one_way_is_blocked_and_the_other_is_not(relays: Relays, listener: socket.socket) -> None:
    caller, accepted = called(relays, listener)
    with caller, accepted:
        relays.block("a", "b")
        caller.sendall(b"late")
        accepted.sendall(b"in time")
        assert received(caller, 7) == b"in time"
        assert silent(accepted)
        relays.heal()
        assert received(accepted, 4) == b"late"


def test_a_new_connection_is_blocked_until_all_is_well(
    relays: Relays, listener: socket.socket
) -> None:
    port = relays.serve("b", listener.getsockname()[1])
    relays.block("a", "b")
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as caller:
        caller.sendall(HELLO)
        listener.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listener.accept()
        listener.settimeout(PATIENCE)
        relays.heal()
        accepted, _ = listener.accept()
        with accepted:
            assert received(accepted, len(HELLO)) == HELLO


def test_connections_of_one_caller_are_reset(relays: Relays, listener: socket.socket) -> None:
    caller, accepted = called(relays, listener)
    with caller, accepted:
        relays.cut("c", "b")
        caller.sendall(b"x")
        assert received(accepted, 1) == b"x"
        relays.cut("a", "b")
        assert ended(accepted)


def test_nobody_listens(relays: Relays, listener: socket.socket) -> None:
    port = relays.serve("b", listener.getsockname()[1])
    listener.close()
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as caller:
        caller.sendall(HELLO)
        assert ended(caller)
