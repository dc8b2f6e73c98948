"""Terms by index, against a plain list."""

from __future__ import annotations

import random

import pytest

from bleepstore.cluster.log_terms import Terms


@pytest.mark.parametrize("seed", range(20))
def test_it_gives_what_a_list_would(seed: int) -> None:
    dice = random.Random(seed)
    base, term = dice.randrange(5), dice.randrange(3)
    terms = Terms(base, term)
    known = {base: term}
    for _ in range(200):
        last = max(known)
        match dice.randrange(6):
            case 0 if last > base:
                index = dice.randrange(base + 1, last + 2)
                terms.cut(index)
                known = {at: of for at, of in known.items() if at < index}
            case 1:
                base = dice.randrange(base, last + 1)
                terms.begin_behind(base)
                known = {at: of for at, of in known.items() if at >= base}
            case _:
                term = known[last] + (dice.random() < 0.3)
                terms.append(last + 1, term)
                known[last + 1] = term
        assert (terms.base, terms.last) == (base, max(known))
        assert {index: terms.term(index) for index in known} == known
        for outside in (base - 1, terms.last + 1):
            with pytest.raises(IndexError):
                terms.term(outside)
    assert len(terms._starts) == len(set(known.values()))


def test_gaps_and_falling_terms_are_refused() -> None:
    terms = Terms(3, 2)
    with pytest.raises(ValueError, match="entry 5 follows entry 3"):
        terms.append(5, 2)
    with pytest.raises(ValueError, match="term 1 behind term 2"):
        terms.append(4, 1)
    with pytest.raises(ValueError, match="part of the snapshot"):
        terms.cut(3)
    with pytest.raises(IndexError):
        terms.begin_behind(4)
