"""Disks of a test's nodes that are slow, small, full, or fail."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.integration import clients

MIB = 1024 * 1024


@contextmanager
def slow(pid: int, seconds: float) -> Iterator[None]:
    """Every sync of a process takes this much longer: strace holds it up at its entry."""
    delay = f"inject=fsync,fdatasync:delay_enter={int(seconds * 1e6)}"
    command = [str(clients.find("strace")), "-f", "-e", "trace=fsync,fdatasync", "-e", delay]
    tracing = subprocess.Popen(
        [*command, "-o", "/dev/null", "-p", str(pid)], stderr=subprocess.PIPE, text=True
    )
    assert tracing.stderr is not None
    try:
        attached = tracing.stderr.readline()
        assert "attached" in attached, attached
        yield
    finally:
        tracing.terminate()
        tracing.communicate()


@contextmanager
def small(directory: Path, mib: int) -> Iterator[None]:
    """A file system of its own, in memory, on a new directory; needs root."""
    directory.mkdir()
    size = f"size={mib}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(directory)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


@contextmanager
def full(directory: Path) -> Iterator[None]:
    """A file takes all the room that is left on a file system."""
    ballast = directory / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(MIB))
        with ballast.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(512))
        assert os.statvfs(directory).f_bavail == 0
        yield
    finally:
        ballast.unlink()


def fails(pid: int) -> None:
    """From now on a process can write to no file, until it ends."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, 1))
