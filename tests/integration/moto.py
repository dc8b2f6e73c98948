"""Moto's server: a mock of AWS, and another opinion of what S3 does."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def moto() -> Iterator[str]:
    """A server without buckets; its URL."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            raise RuntimeError("moto's server did not start")
        drained = threading.Thread(target=process.stderr.read)
        drained.start()
        yield found[0]
    finally:
        process.terminate()
        process.wait()
    drained.join()
    process.stderr.close()
