"""What the front adds to the checks of its parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from bleepstore.blobs.disk import UnusableStore
from bleepstore.errors import SlowDown
from bleepstore.metadata.schema import UnusableDatabase
from bleepstore.node.front import known, unmoved
from bleepstore.observability.health import Unusable
from tests.objectstore.driving import run


def test_a_store_that_refuses_is_no_news() -> None:
    async def check() -> None:
        raise SlowDown

    with pytest.raises(Unusable) as caught:
        run(known(check)())  # type: ignore[arg-type]
    assert caught.value.details == {"reason": f"SlowDown: {SlowDown.message}"}


def test_data_that_has_gone_is_for_the_log_alone() -> None:
    async def check() -> None:
        raise UnusableStore("/srv/objects has gone")

    with pytest.raises(Unusable) as caught:
        run(known(check)())  # type: ignore[arg-type]
    assert caught.value.details == {}


def test_a_database_that_was_moved_or_replaced_is_noticed(tmp_path: Path) -> None:
    async def totals() -> str:
        return "totals"

    path = tmp_path / "metadata.db"
    path.touch()
    check = unmoved(totals, str(path))  # type: ignore[arg-type]
    assert run(check()) == "totals"
    path.rename(tmp_path / "away")
    with pytest.raises(UnusableDatabase, match="was moved or replaced while the server runs"):
        run(check())
    path.touch()
    with pytest.raises(UnusableDatabase):
        run(check())
    (tmp_path / "away").replace(path)
    assert run(check()) == "totals"


def test_a_defect_is_one() -> None:
    async def check() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(known(check)())  # type: ignore[arg-type]
