"""In a cluster every answer names the leader; elsewhere none does."""

from __future__ import annotations

import pytest

from bleepstore.errors import SlowDown
from tests.s3.harness import Server

HEADER = "x-bleepstore-leader"


@pytest.fixture
def server() -> Server:
    server = Server()
    server.signed("PUT", "/bucket")
    server.signed("PUT", "/bucket/key", body=b"x")
    return server


ANSWERS = (
    ("GET", "/bucket/key", 200),
    ("GET", "/bucket/none", 404),
    ("HEAD", "/bucket/none", 404),
    ("GET", "/bucket", 200),
    ("POST", "/bucket/key?x=y", 405),
    ("DELETE", "/bucket/none", 204),
    ("GET", "/health", 200),
    ("GET", "/metrics", 200),
    ("GET", "/docs", 200),
)


@pytest.mark.parametrize(("method", "target", "status"), ANSWERS)
def test_without_a_cluster_nobody_leads(
    server: Server, method: str, target: str, status: int
) -> None:
    answer = server.signed(method, target)
    assert (answer.status, answer.answered(HEADER)) == (status, None)


@pytest.mark.parametrize(("method", "target", "status"), ANSWERS)
def test_in_a_cluster_every_answer_names_the_leader(
    server: Server, method: str, target: str, status: int
) -> None:
    for leader in ("node-2", "", "node-3"):
        server.front.name_leader(leader)
        answer = server.signed(method, target)
        assert (answer.status, answer.answered(HEADER)) == (status, leader)


def test_what_never_became_a_request_is_answered_with_the_leader_too(server: Server) -> None:
    server.front.name_leader("node-2")
    status, headers, _ = server.front.refuse(SlowDown())
    assert status == 503
    assert (b"X-BleepStore-Leader", b"node-2") in headers
    assert (b"Retry-After", b"1") in headers
