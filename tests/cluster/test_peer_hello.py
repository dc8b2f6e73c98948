"""Who may call whom: both sides check, and say what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from bleepstore.cluster.peer_commands import (
    PeerRefusal,
    WrongCluster,
    WrongFormat,
    WrongNode,
    WrongProtocol,
)
from bleepstore.cluster.peer_hello import (
    ASK,
    CONSENSUS,
    SNAPSHOT,
    Common,
    Self,
    Versions,
    acceptance,
    check_answer,
    examine,
    introduction,
)

ME = Self(node="a", address="h-a:1", cluster="one")
YOU = Self(node="b", address="h-b:1", cluster="one")
NOBODY = Self(node="c", address="h-c:1")


def hello(of: Self = YOU, expected: str = "a", purpose: str = CONSENSUS, **wrong: Any) -> Any:
    return {**introduction(of, expected, purpose), **wrong}


def answer(of: Self = YOU, **wrong: Any) -> Any:
    return {**acceptance(of, Common(1, 1, 1)), **wrong}


@pytest.mark.parametrize("purpose", [CONSENSUS, SNAPSHOT, ASK])
@pytest.mark.parametrize("expected", ["a", ""])
def test_members_of_a_cluster_understand_each_other(purpose: str, expected: str) -> None:
    assert examine(ME, hello(YOU, expected, purpose)) == Common(1, 1, 1)
    check_answer(YOU, expected, purpose, answer(ME))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (hello(Self(node="b", address="", cluster="two")), WrongCluster),
        (hello(NOBODY), WrongCluster),
        (hello(NOBODY, purpose=SNAPSHOT), WrongCluster),
        (hello(Self(node="b", address="", cluster="two"), purpose=ASK), WrongCluster),
        (hello(Self(node="a", address="", cluster="one")), WrongNode),
        (hello(expected="c"), WrongNode),
        (hello(protocol_low=2, protocol_high=3), WrongProtocol),
        (hello(protocol_low=0, protocol_high=0), WrongProtocol),
        (hello(command_low=2, command_high=2), WrongFormat),
        (hello(proposal_low=7, proposal_high=9), WrongFormat),
        (hello(node=""), ValueError),
        (hello(purpose="chat"), ValueError),
        (hello(protocol_low=2, protocol_high=1), ValueError),
    ],
)
def test_a_wrong_caller_is_refused(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        examine(ME, wrong)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (answer(cluster="two"), WrongCluster),
        (answer(cluster=""), WrongCluster),
        (answer(node="c"), WrongNode),
        (answer(node="a"), WrongNode),
        (answer(node=""), WrongNode),
        (answer(protocol=2), WrongProtocol),
        (answer(protocol=0), WrongProtocol),
        (answer(command=2), WrongFormat),
        (answer(proposal=0), WrongFormat),
    ],
)
def test_a_wrong_answer_is_refused(wrong: Any, error: type[PeerRefusal]) -> None:
    with pytest.raises(error):
        check_answer(ME, "b", CONSENSUS, wrong)


def test_a_node_without_a_cluster_may_be_called_and_may_ask_who_is_there() -> None:
    examine(NOBODY, hello(YOU, "c"))
    examine(ME, hello(NOBODY, "", ASK))
    examine(NOBODY, hello(Self(node="d", address=""), "", ASK))
    check_answer(NOBODY, "", ASK, answer())


def test_a_node_may_find_itself() -> None:
    examine(ME, hello(ME, "", ASK))
    check_answer(ME, "", ASK, answer(ME))


def test_the_greatest_common_version_is_spoken() -> None:
    newer = Self(
        node="b",
        address="",
        cluster="one",
        versions=Versions(protocol=(1, 5), command=(1, 3), proposal=(2, 4)),
    )
    me = Self(
        node="a",
        address="",
        cluster="one",
        versions=Versions(protocol=(1, 2), command=(3, 4), proposal=(1, 9)),
    )
    assert examine(me, hello(newer)) == Common(2, 3, 4)
