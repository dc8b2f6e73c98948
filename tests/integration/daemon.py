"""A real ``twistd bleepstore`` process for tests: started, awaited by its own log, ended."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

TWISTD = Path(sys.executable).with_name("twistd")
READY = re.compile(r"https?://[^\s:/]+:(\d+)")
START_TIMEOUT = 60.0
"""A bound for hangs, in seconds; nothing is expected to take anywhere near it."""


class Daemon:
    """One server process on a free loopback port, with its data below ``directory``.

    Used as a context manager, or started and killed by hand.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.settings = dict(settings or {})
        self.environment = dict(environment or {})
        self.port = 0
        self.log: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Daemon:
        """Start it and return when it says where it listens."""
        config = self.directory / "bleepstore.yaml"
        settings = dict(self.settings)
        settings["server"] = {"port": self.port, **settings.get("server", {})}
        config.write_text(yaml.safe_dump(settings))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BLEEPSTORE")}
        command = [str(TWISTD), "-n", "--pidfile=", "bleepstore", "--config", str(config)]
        self._process = self._spawn(command, {**environment, **self.environment})
        ready: queue.Queue[int] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(self._process, ready))
        self._reader.start()
        try:
            port = ready.get(timeout=START_TIMEOUT)
        except queue.Empty:
            port = 0
        if not port:
            self.kill()
            raise RuntimeError("the server did not start:\n" + "".join(self.log))
        self.port = port
        return self

    def _spawn(
        self, command: Sequence[str], environment: Mapping[str, str], pass_fds: Sequence[int] = ()
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=pass_fds,
        )

    def _read(self, process: subprocess.Popen[str], ready: queue.Queue[int]) -> None:
        assert process.stdout is not None
        announced = False
        with process.stdout:
            for line in process.stdout:
                self.log.append(line)
                if not announced and (match := READY.search(line)):
                    announced = True
                    ready.put(int(match[1]))
        ready.put(0)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end of the process, and of its output; its exit status."""
        assert self._process is not None
        assert self._reader is not None
        status = self._process.wait(timeout=START_TIMEOUT)
        self._reader.join(timeout=START_TIMEOUT)
        return status

    def kill(self) -> None:
        """SIGKILL: what a crash is.  Data stays."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """SIGTERM: a stop as a service manager does it; the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def __enter__(self) -> Daemon:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()
