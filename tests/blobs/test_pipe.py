"""From a writer to a reader, with nothing between."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError

from bleepstore.blobs.pipe import Pipe
from tests.objectstore.driving import Running, run


def test_a_write_returns_when_its_last_piece_was_taken() -> None:
    pipe = Pipe()
    writing = Running(pipe.write([b"a", b"", b"b"]))
    assert run(pipe.read()) == b"a"
    assert not writing.done
    assert run(pipe.read()) == b"b"
    assert writing.done
    run(pipe.write([]))
    pipe.end()
    assert run(pipe.read()) == b""
    assert run(pipe.read()) == b""


def test_a_reader_waits() -> None:
    pipe = Pipe()
    reading = Running(pipe.read())
    assert not reading.done
    writing = Running(pipe.write([b"a", b"b"]))
    assert reading.result() == b"a"
    assert not writing.done
    assert run(pipe.read()) == b"b"
    writing.result()
    last = Running(pipe.read())
    pipe.end()
    assert last.result() == b""


def test_a_reader_that_gives_up_loses_nothing() -> None:
    pipe = Pipe()
    reading = Running(pipe.read())
    reading.cancel()
    with pytest.raises(CancelledError):
        reading.result()
    writing = Running(pipe.write([b"a"]))
    assert run(pipe.read()) == b"a"
    writing.result()


def test_where_nobody_reads_any_more_writes_fail() -> None:
    pipe = Pipe()
    writing = Running(pipe.write([b"a"]))
    pipe.fail(ValueError("gone"))
    pipe.fail(ValueError("again"))
    with pytest.raises(ValueError, match="gone"):
        writing.result()
    with pytest.raises(ValueError, match="gone"):
        run(pipe.write([b"b"]))
