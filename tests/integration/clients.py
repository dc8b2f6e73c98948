"""Where the real clients are; a test of a client that is not installed skips and says so.

``tests/integration/install-clients`` installs what pip cannot put beside the rest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ACCESS_KEY = "bleepstore"
SECRET_KEY = "bleepstore-secret"
REGION = "us-east-1"
OWN = Path(__file__).parents[2] / ".clients"
"""Where install-clients puts its environments."""

AWS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def find(name: str) -> Path:
    """The program ``name``: beside this Python, or on the PATH."""
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return beside
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (tests/integration/install-clients does it)")
    return Path(found)


def own(*parts: str) -> Path:
    """A file of an environment that install-clients made."""
    path = OWN.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{'/'.join(parts)} is missing (tests/integration/install-clients makes it)")
    return path


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment without anybody's settings: no AWS variables, an empty home."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "RCLONE_", "RESTIC_", "BLEEPSTORE"))
        and name not in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY")
    }
    return {**kept, "HOME": str(home), **(extra or {})}


def run(
    *command: str | Path,
    env: Mapping[str, str],
    cwd: Path,
    ok: bool = True,
    text: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a client to its end; fail with all that it said unless it exits 0 (``ok`` False: any)."""
    done = subprocess.run(
        [str(part) for part in command],
        env=dict(env),
        cwd=cwd,
        input=text,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if ok and done.returncode != 0:
        shown = " ".join(map(str, command))
        pytest.fail(f"{shown}\nexited {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done
