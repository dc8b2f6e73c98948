"""Blobs from before there was a cluster: read and deleted here, made nowhere."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from bleepstore.blobs.memory import MemoryBlobStore
from bleepstore.cluster.retained import RetainedBlobs
from bleepstore.errors import NotImplemented
from bleepstore.interfaces.blobs import IBlobStore, Placement
from bleepstore.interfaces.lifecycle import IPart
from bleepstore.streams.threads import ImmediateThreads
from tests.objectstore.driving import run

ID = "00000001-00000000"


def with_blob() -> RetainedBlobs:
    store = MemoryBlobStore(Clock(), ImmediateThreads())
    writer = run(store.create(ID, Placement()))
    run(writer.write(b"0123456789"))
    run(writer.finish())
    return RetainedBlobs(store)


def test_it_is_a_blob_store() -> None:
    assert verifyObject(IBlobStore, with_blob())
    assert verifyObject(IPart, with_blob())


def test_what_there_is_can_be_read_and_deleted() -> None:
    blobs = with_blob()
    assert run(run(blobs.open(ID, 2, 3)).read()) == b"234"
    run(blobs.delete(ID))
    with pytest.raises(NotImplemented):
        run(blobs.open(ID, 0, 1))


def test_it_knows_whether_there_is_anything() -> None:
    blobs = with_blob()
    run(blobs.start())
    assert blobs.any
    empty = RetainedBlobs(MemoryBlobStore(Clock(), ImmediateThreads()))
    run(empty.start())
    assert not empty.any


def test_what_is_elsewhere_is_a_clear_refusal_and_no_defect() -> None:
    with pytest.raises(NotImplemented) as caught:
        run(with_blob().open("00000001-00000001", 0, 1))
    assert caught.value.message.startswith("The data of this object is not on this node")


def test_nothing_is_written() -> None:
    blobs = with_blob()
    assert blobs.capabilities.read_only
    with pytest.raises(NotImplemented):
        run(blobs.create("00000002-00000000", Placement()))


def test_the_store_is_checked_through_it() -> None:
    asked: list[str] = []

    class Store(MemoryBlobStore):
        async def check(self) -> None:
            asked.append("check")

    run(RetainedBlobs(Store(Clock(), ImmediateThreads())).check())
    assert asked == ["check"]
