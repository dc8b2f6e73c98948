"""systemd is told when the node is ready, where it asks to be told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bleepstore.node.readiness import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_the_state_is_sent_to_the_socket(tmp_path: Path, abstract: bool) -> None:
    name = f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name if abstract else name)
        notify("READY=1", {"NOTIFY_SOCKET": "@" + name if abstract else name})
        manager.setblocking(False)
        assert manager.recv(100) == b"READY=1"


def test_without_a_service_manager_nothing_happens() -> None:
    notify("READY=1", {})


def test_a_manager_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    notify("READY=1", {"NOTIFY_SOCKET": f"{tmp_path}/nobody"})
