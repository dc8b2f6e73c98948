"""``bleepstore gateway``: its options, and how it says how far it is."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from twisted.logger import LogLevel

from bleepstore.cli import gateway
from bleepstore.node.maintenance import compare
from bleepstore.objectstore.drift import Comparison
from tests.objectstore.cloud_world import CloudWorld
from tests.objectstore.driving import run
from tests.objectstore.world import ALICE

SETTINGS = {"BLEEPSTORE__STORAGE__BACKEND": "gcp", "BLEEPSTORE__STORAGE__GCP__BUCKET": "backing"}


def test_an_order_is_what_the_command_line_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    order = gateway.parse(["import", "--prefix", "photos/"], SETTINGS)
    assert (order.command, order.prefix, order.config.storage.backend) == (
        "import",
        "photos/",
        "gcp",
    )
    assert gateway.parse(["check"], SETTINGS).prefix == ""


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {},
            "bleepstore gateway: storage.backend is local, no cloud: name the server's file by "
            "--config\n",
        ),
        (
            {**SETTINGS, "BLEEPSTORE__METADATA__ENGINE": "memory"},
            "bleepstore gateway: metadata.engine must be sqlite\n",
        ),
    ],
)
def test_a_store_without_a_cloud_or_an_index_is_refused(
    environ: dict[str, str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        gateway.parse(["check"], environ)
    assert end.value.code == 1
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("order", ["utf-8", "utf-16-be"])
def test_names_are_compared_in_whatever_order_the_cloud_lists_them(order: str) -> None:
    world = CloudWorld()
    world.native.order = order
    for key in ("a", "z", "\U00010000a", "\U0001f600", "\ue000z", "\uffee", "\uffeeb"):
        world.put(key, key.encode())
    said = list[str]()

    def check() -> list[str]:
        said.clear()
        progress = gateway.Progress(io.StringIO(), 0)
        comparison = Comparison(world.metadata, world.native)
        run(compare(comparison, [ALICE.id], world.clock, progress, said.append))
        return sorted(said)

    assert check() == ["7 objects compared: index and cloud agree"]
    objects = world.cloud.objects
    objects["bucket/\uffee"] = objects["bucket/\U00010000a"] = objects["bucket/a"]
    objects["bucket/\ue000"] = objects["bucket/a"]
    del objects["bucket/\uffeeb"], objects["bucket/\U0001f600"]
    assert check() == [
        "8 objects compared: 2 changed, 2 missing, 1 unknown",
        "changed\tbucket/\uffee",
        "changed\tbucket/\U00010000a",
        "missing\tbucket/\uffeeb",
        "missing\tbucket/\U0001f600",
        "unknown\tbucket/\ue000",
    ]


def test_buckets_are_compared_whose_owners_keys_are_gone() -> None:
    world = CloudWorld()
    for key in ("changed", "kept", "missing"):
        world.put(key, key.encode())
    objects = world.cloud.objects
    objects["bucket/changed"] = objects["other/key"] = objects["bucket/kept"]
    del objects["bucket/missing"]
    said = list[str]()
    progress = gateway.Progress(io.StringIO(), 0)
    run(compare(Comparison(world.metadata, world.native), [], world.clock, progress, said.append))
    assert said == [
        "changed\tbucket/changed",
        "missing\tbucket/missing",
        "unknown\tother/key",
        "3 objects compared: 1 changed, 1 missing, 1 unknown",
    ]


def test_what_a_provider_refused_is_shown_and_does_no_harm_to_a_terminal() -> None:
    shown = io.StringIO()
    warnings = gateway.Warnings(shown, gateway.Progress(shown, 0))
    warnings({"log_level": LogLevel.info, "log_format": "nothing"})
    warnings({"log_level": LogLevel.warn, "log_format": "refused {name}", "name": "a\n\x1b[2Jé"})
    assert shown.getvalue() == "bleepstore gateway: refused a\\n\\x1b[2Jé\n"
    assert gateway.shown("missing\ta\u2028b\x7f😀") == "missing\ta\\u2028b\\x7f😀"


def test_a_check_says_what_differs_while_it_runs_and_in_the_end() -> None:
    world = CloudWorld()
    world.put("gone", b"1")
    world.put("kept", b"2")
    del world.cloud.objects["bucket/gone"]
    shown, said = io.StringIO(), list[str]()
    progress = gateway.Progress(shown, 0)
    world.clock.advance(20)
    comparison = Comparison(world.metadata, world.native)
    status = run(compare(comparison, [ALICE.id], world.clock, progress, said.append))
    assert status == 1
    assert said == ["missing\tbucket/gone", "2 objects compared: 1 missing"]
    assert shown.getvalue() == "1 objects seen, 1 missing, 0/s, at bucket/gone\n"
