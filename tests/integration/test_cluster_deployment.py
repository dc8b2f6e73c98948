"""A cluster as the README and docs/operations.md have it started and asked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bleepstore.config.load import load
from tests.integration.cluster import BOUND, Cluster, content, eventually
from tests.integration.daemon import TWISTD

ROOT = Path(__file__).parents[2]
SMALL = bytes(range(256)) * 16
LARGE = bytes(range(256)) * 400  # more than what is kept beside the metadata


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def test_the_console_command(directory: Path) -> None:
    with Cluster(directory) as cluster:
        leader = cluster.leader()
        config = str(cluster["node-2"].directory / "bleepstore.yaml")

        def bleepstore(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "bleepstore", "cluster", *arguments, "--config", config],
                cwd=cluster["node-2"].directory,
                capture_output=True, text=True, timeout=BOUND,
            )  # fmt: skip

        shown = bleepstore("status")
        assert shown.returncode == 0, shown.stderr
        assert f"leader    {leader.node_id} at {leader.address}" in shown.stdout
        assert "node-3" in shown.stdout
        refused = bleepstore("remove", "nobody")
        assert refused.returncode == 1
        assert refused.stderr.startswith("bleepstore cluster: ")


# As the README has it


def moved(text: str, cluster: Cluster) -> str:
    """The ports of tap/cluster in a configuration, replaced by free ones."""
    for number, node in enumerate(cluster):
        text = text.replace(f"port: {9000 + 10 * number}\n", f"port: {node.port}\n")
        text = text.replace(f"127.0.0.1:{9002 + 10 * number}", node.address)
    return text


@pytest.fixture
def files(directory: Path) -> Iterator[tuple[Path, Cluster]]:
    """tap/ with free ports in its configurations, and nodes that stand for where they are."""
    cluster = Cluster(directory)
    (directory / "tap" / "cluster").mkdir(parents=True)
    for path in (ROOT / "tap" / "cluster").glob("*.yaml"):
        (directory / "tap" / "cluster" / path.name).write_text(moved(path.read_text(), cluster))
    tac = (ROOT / "tap" / "dev-cluster.tac").read_text()
    (directory / "tap" / "dev-cluster.tac").write_text(tac)
    yield directory, cluster
    cluster.ports.close()


def readme_lines(start: str) -> list[list[str]]:
    """The command lines of the README that begin so, with this installation's programs."""
    found = []
    for line in (ROOT / "README.md").read_text().splitlines():
        if line.startswith(f"    .venv/bin/{start}"):
            program, *arguments = line.split()
            found.append([str(TWISTD.with_name(Path(program).name)), *arguments])
    return found


def use(cluster: Cluster) -> None:
    """One store at three ports."""
    first, second, third = (cluster.client(node.node_id) for node in cluster)
    for node in cluster:
        eventually(lambda at=node: at.request("GET", "/").status == 200)
    first.create_bucket(Bucket="notes")
    second.put_object(Bucket="notes", Key="hello", Body=b"hello")
    assert content(third, "notes", "hello") == b"hello"


def run_lines(lines: list[list[str]], directory: Path, cluster: Cluster) -> str:
    """Run programs beside each other while the cluster is used, and end them; what they said."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BLEEPSTORE")}
    running = [
        subprocess.Popen(
            line, cwd=directory, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for line in lines
    ]  # fmt: skip
    try:
        use(cluster)
    finally:
        for process in running:
            process.terminate()
        said = "".join(process.communicate(timeout=BOUND)[0] for process in running)
        print(said)
    return said


def test_three_processes_with_the_files_of_tap_are_a_cluster(files: tuple[Path, Cluster]) -> None:
    lines = readme_lines("twistd -n --pidfile= bleepstore --config tap/cluster/")
    assert len(lines) == 3
    assert "Traceback" not in run_lines(lines, *files)


def test_the_application_file_is_a_cluster_in_one_process(files: tuple[Path, Cluster]) -> None:
    lines = readme_lines("twistd -ny tap/dev-cluster.tac")
    assert len(lines) == 1
    assert "Traceback" not in run_lines(lines, *files)


def test_the_examples_are_three_nodes_that_name_each_other() -> None:
    configs = [load(file=str(path)) for path in sorted((ROOT / "tap" / "cluster").glob("*.yaml"))]
    assert len(configs) == 3
    for config in configs:
        others = {(c.cluster.node_id, c.cluster.bind_addr) for c in configs if c is not config}
        assert {(peer.id, peer.addr) for peer in config.cluster.peers} == others
    paths = [config.metadata.sqlite.path for config in configs]
    paths += [config.storage.local.root_dir for config in configs]
    paths += [config.cluster.data_dir for config in configs]
    assert len(set(paths)) == 9
