"""What the front adds to the checks of its parts."""

from __future__ import annotations

import pytest

from bleepstore.errors import SlowDown
from bleepstore.node.front import known
from bleepstore.observability.health import Unusable
from tests.objectstore.driving import run


def test_a_store_that_refuses_is_no_news() -> None:
    async def check() -> None:
        raise SlowDown

    with pytest.raises(Unusable) as caught:
        run(known(check)())  # type: ignore[arg-type]
    assert caught.value.details == {"reason": f"SlowDown: {SlowDown.message}"}


def test_a_defect_is_one() -> None:
    async def check() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(known(check)())  # type: ignore[arg-type]
