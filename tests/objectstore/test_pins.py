"""A blob is never deleted between its look-up and the end of its reading."""

from twisted.internet.defer import Deferred

from bleepstore.objectstore.pins import Pins


def settling(pins: Pins) -> list[None]:
    done: list[None] = []
    Deferred.fromCoroutine(pins.settled()).addCallback(done.append)
    return done


def test_a_pinned_blob_stays_pinned_until_every_reader_let_go() -> None:
    pins = Pins()
    pins.pin(["a", "b"])
    pins.pin(["a"])
    pins.unpin(["a", "b"])
    assert pins.is_pinned("a")
    assert not pins.is_pinned("b")
    pins.unpin(["a"])
    assert not pins.is_pinned("a")
    assert pins.count == 0


def test_a_blob_that_an_object_names_twice_is_pinned_twice() -> None:
    pins = Pins()
    pins.pin(["a", "a"])
    pins.unpin(["a"])
    assert pins.is_pinned("a")
    assert pins.count == 1


def test_with_nobody_looking_up_it_settles_at_once() -> None:
    pins = Pins()
    pins.leave(pins.enter())
    assert settling(pins) == [None]


def test_it_settles_when_the_last_earlier_lookup_ends() -> None:
    pins = Pins()
    first, second = pins.enter(), pins.enter()
    done = settling(pins)
    pins.leave(first)
    assert not done
    pins.leave(second)
    assert done == [None]


def test_later_lookups_are_not_waited_for() -> None:
    pins = Pins()
    earlier = pins.enter()
    done = settling(pins)
    later = pins.enter()
    pins.leave(earlier)
    assert done == [None]
    again = settling(pins)
    assert not again
    pins.leave(later)
    assert again == [None]


def test_two_who_wait_at_once_both_wait_for_all_earlier_lookups() -> None:
    pins = Pins()
    first = pins.enter()
    one = settling(pins)
    second = pins.enter()
    two = settling(pins)
    pins.leave(second)
    assert (one, two) == ([], [])
    pins.leave(first)
    assert (one, two) == ([None], [None])
    assert not pins._draining
