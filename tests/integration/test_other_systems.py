"""A server without what only Linux has: what macOS and the BSDs lack is taken away from it.

This is no proof that it runs there; it is one that nothing here asks for such a thing unseen.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

from tests.integration.conftest import client_of
from tests.integration.daemon import Daemon

MISSING = """
import os, resource, select, socket, sys

for module, names in (
    (os, "fdatasync posix_fadvise posix_fallocate copy_file_range splice eventfd memfd_create pipe2"
         " getrandom getresuid getresgid sched_getaffinity sched_setaffinity pidfd_open"
         " RWF_NOWAIT RWF_DSYNC RWF_SYNC RWF_APPEND RWF_HIPRI O_TMPFILE O_DIRECT O_PATH"
         " POSIX_FADV_DONTNEED POSIX_FADV_SEQUENTIAL POSIX_FADV_WILLNEED"),
    (select, "epoll EPOLLIN EPOLLOUT EPOLLET EPOLL_CLOEXEC"),
    (socket, "SO_PEERCRED AF_PACKET AF_NETLINK SOCK_CLOEXEC SOCK_NONBLOCK TCP_CORK"
             " TCP_USER_TIMEOUT"),
    (resource, "prlimit"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
print("without", "epoll" if not hasattr(select, "epoll") else "nothing", flush=True)
"""


@pytest.mark.parametrize("storage", ["local", "sqlite"])
def test_a_server_does_without_what_only_linux_has(tmp_path: Path, storage: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(MISSING)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    daemon = Daemon(
        tmp_path / "node",
        {"storage": {"backend": storage}},
        environment={"PYTHONPATH": os.pathsep.join(paths)},
    )
    (tmp_path / "node").mkdir()
    bodies = {"small": b"x" * 1000, "middle": os.urandom(100_000), "large": os.urandom(40_000_000)}
    with daemon:
        assert "without epoll\n" in daemon.log
        client = client_of(daemon)
        client.create_bucket(Bucket="bucket")
        for key, body in bodies.items():
            client.put_object(Bucket="bucket", Key=key, Body=body)
        daemon.kill()
    with daemon:
        client = client_of(daemon)
        for key, body in bodies.items():
            found = client.get_object(Bucket="bucket", Key=key)["Body"].read()
            assert sha256(found).digest() == sha256(body).digest()
        assert not [line for line in daemon.log if "Traceback" in line]
