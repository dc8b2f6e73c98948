"""The fake of Cloud Storage refuses what the service refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.fakes.gcs_objects import UNIT, Bucket, Refused, crc_of

NOW = 1_790_000_000_000


@pytest.fixture
def bucket() -> Bucket:
    return Bucket("b", lambda: NOW)


@contextmanager
def refused(status: int) -> Iterator[None]:
    with pytest.raises(Refused) as caught:
        yield
    assert caught.value.status == status


def test_every_change_has_a_generation_of_its_own(bucket: Bucket) -> None:
    first = bucket.insert("a", b"1", {}, {"ifGenerationMatch": 0})
    with refused(412):
        bucket.insert("a", b"2", {}, {"ifGenerationMatch": 0})
    with refused(412):
        bucket.insert("a", b"2", {}, {"ifGenerationMatch": first.generation - 1})
    second = bucket.insert("a", b"1", {}, {"ifGenerationMatch": first.generation})
    assert second.generation > first.generation
    with refused(404):
        bucket.get("a", {"generation": first.generation})
    with refused(412):
        bucket.get("a", {"ifGenerationMatch": first.generation})
    with refused(304):
        bucket.get("a", {"ifGenerationNotMatch": second.generation})
    with refused(412):
        bucket.delete("a", {"ifGenerationMatch": first.generation})
    bucket.delete("a", {})
    with refused(404):
        bucket.delete("a", {})
    with refused(412):
        bucket.insert("a", b"2", {}, {"ifGenerationMatch": second.generation})


def test_wrong_checksums_names_and_metadata(bucket: Bucket) -> None:
    bucket.insert("a", b"1", {"crc32c": crc_of(b"1")}, {})
    with refused(400):
        bucket.insert("a", b"2", {"crc32c": crc_of(b"1")}, {})
    for name in ("", "x" * 1025, "a\nb", "."):
        with refused(400):
            bucket.insert(name, b"", {}, {})
    for described in ({"etag": "x"}, {"metadata": {"a": 1}}, {"metadata": {"a": "x" * 9000}}):
        with refused(400):
            bucket.insert("a", b"", described, {})


def test_compositions(bucket: Bucket) -> None:
    made = [bucket.insert(f"{n}", b"%d," % n, {}, {}) for n in range(33)]
    with refused(400):
        bucket.compose("all", [{"name": each.name} for each in made], {}, {})
    with refused(400):
        bucket.compose("all", [], {}, {})
    with refused(404):
        bucket.compose("all", [{"name": "gone"}], {}, {})
    stale = {"name": "0", "objectPreconditions": {"ifGenerationMatch": "7"}}
    with refused(412):
        bucket.compose("all", [stale], {}, {})
    composed = bucket.compose("all", [{"name": each.name} for each in made[:32]], {}, {})
    assert composed.data == b"".join(b"%d," % n for n in range(32))
    shown = composed.resource("b")
    assert shown["componentCount"] == 32
    assert "md5Hash" not in shown
    assert bucket.compose("more", [{"name": "all"}, {"name": "0"}], {}, {}).components == 33


def test_rewrites_by_tokens(bucket: Bucket) -> None:
    bucket.insert("a", b"x" * 10, {"contentType": "a/b"}, {})
    bucket.rewrite_size = 4
    made, done, size, token = bucket.rewrite("a", "c", None, {}, {}, "")
    assert (made, done, size) == (None, 4, 10)
    with refused(400):
        bucket.rewrite("a", "other", None, {}, {}, token)
    with refused(400):
        bucket.rewrite("a", "c", None, {}, {}, token)  # a token serves once
    _, _, _, token = bucket.rewrite("a", "c", None, {}, {}, "")
    _, done, _, token = bucket.rewrite("a", "c", None, {}, {}, token)
    made, done, _, token = bucket.rewrite("a", "c", None, {}, {}, token)
    assert made is not None
    assert (made.data, made.described, done, token) == (b"x" * 10, {"contentType": "a/b"}, 10, "")


def test_resumable_uploads(bucket: Bucket) -> None:
    session = bucket.session(bucket.begin("a", {}, {"ifGenerationMatch": 0}))
    with refused(400):
        bucket.append(session, 0, b"x" * 100, None)
    bucket.append(session, 0, b"x" * UNIT, None)
    with refused(503):
        bucket.append(session, 2 * UNIT, b"x" * UNIT, None)
    bucket.append(session, 0, b"y" * UNIT, None)
    bucket.append(session, UNIT, b"z", UNIT + 1)
    assert bucket.finish(session).data == b"x" * UNIT + b"z"
    assert bucket.finish(session).data == b"x" * UNIT + b"z"
    with refused(412):
        bucket.begin("a", {}, {"ifGenerationMatch": 0})
    with refused(404):
        bucket.session("none")


def test_listings_page_by_page(bucket: Bucket) -> None:
    for name in ("a", "b/1", "b/2", "c", "d/1", "ü"):
        bucket.insert(name, b"", {}, {})

    def pages(most: int, **more: str) -> list[Any]:
        token, found = "", []
        while True:
            asked = {"prefix": "", "delimiter": "", "start": "", "end": "", **more}
            items, prefixes, token = bucket.listed(*asked.values(), most, token)
            found.append([each.name for each in items] + prefixes)
            if not token:
                return found

    assert pages(2) == [["a", "b/1"], ["b/2", "c"], ["d/1", "ü"]]
    assert pages(2, delimiter="/") == [["a", "b/"], ["c", "d/"], ["ü"]]
    assert pages(1, prefix="b/") == [["b/1"], ["b/2"]]
    assert pages(9, start="b/2", end="d/1") == [["b/2", "c"]]
    assert json.dumps(bucket.objects["a"].resource("b"))
