"""Callers in a crowd: each gets what is theirs, in time, whatever happens to the work or to the one who leads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho.domain.errors import StoreAway, TooManyRequests
from sekisho.gatherer import MOST, Crowd, Gatherer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_LONG_S = 30.0


class Wrong(Exception):  # noqa: N818 - what an item meets, or all
    pass


class Cut(BaseException):
    """What ends a thread, as an interpreter that shuts down would."""


class Work:
    """Doubles numbers; the first batch waits at a gate where there is one, so that a crowd gathers behind it."""

    def __init__(self, *, gated: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.busy = threading.Lock()
        if not gated:
            self.gate.set()

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        assert self.busy.acquire(blocking=False), "two batches at once"
        try:
            self.batches.append(list(items))
            self.begun.set()
            assert self.gate.wait(_LONG_S)
            return [self.outcome(item) for item in items]
        finally:
            self.busy.release()

    def outcome(self, item: int) -> int | Exception:
        return Wrong(item) if item < 0 else 2 * item


def threads_for(act: Callable[[int], object], items: Iterable[int]) -> list[threading.Thread]:
    started = [threading.Thread(target=act, args=(item,), daemon=True) for item in items]
    for thread in started:
        thread.start()
    return started


def join(threads: Iterable[threading.Thread]) -> None:
    for thread in threads:
        thread.join(_LONG_S)
        assert not thread.is_alive(), "a caller waits for ever"


class Callers:
    """Submit items, a thread each, and keep what came back."""

    def __init__(self, gatherer: Gatherer[int, int]) -> None:
        self.gatherer = gatherer
        self.came: dict[int, object] = {}
        self.threads: list[threading.Thread] = []

    def act(self, item: int) -> None:
        try:
            self.came[item] = self.gatherer.submit(item)
        except (Exception, Cut) as failure:  # noqa: BLE001 - whatever a caller meets is looked at
            self.came[item] = failure

    def come(self, *items: int) -> None:
        self.threads += threads_for(self.act, items)

    def come_in_order(self, *items: int) -> None:
        for item in items:
            before = len(self.gatherer._waiting)
            self.come(item)
            until(lambda before=before: len(self.gatherer._waiting) > before)  # type: ignore[misc]

    def go(self) -> dict[int, object]:
        join(self.threads)
        return self.came


def until(holds: Callable[[], bool]) -> None:
    for _ in range(int(_LONG_S * 1000)):
        if holds():
            return
        threading.Event().wait(0.001)
    raise AssertionError


def test_one_who_comes_alone_is_served_alone() -> None:
    work = Work()
    gatherer = Gatherer(work, patience_s=_LONG_S)
    assert [gatherer.submit(item) for item in (1, 2, 3)] == [2, 4, 6]
    assert work.batches == [[1], [2], [3]]


def test_who_comes_while_work_is_under_way_is_served_at_once_after_it_in_the_order_of_coming() -> None:
    work = Work(gated=True)
    callers = Callers(Gatherer(work, patience_s=_LONG_S))
    callers.come(0)
    assert work.begun.wait(_LONG_S)
    callers.come_in_order(*range(1, 9))
    work.gate.set()
    assert callers.go() == {item: 2 * item for item in range(9)}
    assert work.batches == [[0], list(range(1, 9))]


def test_no_batch_is_larger_than_the_bound() -> None:
    work = Work(gated=True)
    callers = Callers(Gatherer(work, patience_s=_LONG_S))
    callers.come(0)
    assert work.begun.wait(_LONG_S)
    callers.come(*range(1, 2 * MOST + 10))
    until(lambda: len(callers.gatherer._waiting) == 2 * MOST + 9)
    work.gate.set()
    assert callers.go() == {item: 2 * item for item in range(2 * MOST + 10)}
    assert [len(batch) for batch in work.batches] == [1, MOST, MOST, 9]
    assert MOST == 256


def test_after_a_crowd_the_next_leader_lets_those_come_who_are_on_their_way() -> None:
    work = Work(gated=True)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) <= 3:
            others.come_in_order(20 + len(pauses))

    gatherer = Gatherer(work, patience_s=_LONG_S, pause=pause)
    others = Callers(gatherer)
    others.come(0)
    assert work.begun.wait(_LONG_S)
    others.come_in_order(1, 2)
    assert pauses == [], "nobody is waited for before there was a crowd"
    work.gate.set()
    others.go()
    assert gatherer.submit(20) == 40
    others.go()
    assert work.batches == [[0], [1, 2], [20, 21, 22, 23]]
    assert len(pauses) == 4
    assert gatherer.submit(30) == 60
    assert len(pauses) == 5, "one look is enough where nobody comes"
    assert gatherer.submit(31) == 62
    assert len(pauses) == 5, "it is a crowd no more"


def test_whoever_never_stops_coming_is_waited_for_so_long_and_no_longer() -> None:
    work = Work(gated=True)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        others.come_in_order(20 + len(pauses))

    gatherer = Gatherer(work, patience_s=_LONG_S, pause=pause)
    others = Callers(gatherer)
    others.come(0)
    assert work.begun.wait(_LONG_S)
    others.come_in_order(1, 2)
    work.gate.set()
    others.go()
    assert gatherer.submit(20) == 40
    others.go()
    assert sum(pauses) == pytest.approx(0.002)


def test_an_item_that_fails_fails_alone() -> None:
    work = Work(gated=True)
    callers = Callers(Gatherer(work, patience_s=_LONG_S))
    callers.come(0)
    assert work.begun.wait(_LONG_S)
    callers.come_in_order(1, -2, 3)
    work.gate.set()
    came = callers.go()
    assert isinstance(came.pop(-2), Wrong)
    assert came == {0: 0, 1: 2, 3: 6}


def test_what_the_work_itself_raises_is_raised_for_all_and_the_next_are_served() -> None:
    work = Work(gated=True)

    def fail_for_two_and_more(items: Sequence[int]) -> list[int | Exception]:
        done = work(items)
        if len(items) > 1:
            raise Wrong
        return done

    callers = Callers(Gatherer(fail_for_two_and_more, patience_s=_LONG_S))
    callers.come(0)
    assert work.begun.wait(_LONG_S)
    callers.come_in_order(1, 2, 3)
    work.gate.set()
    came = callers.go()
    assert came.pop(0) == 0
    assert {type(one) for one in came.values()} == {Wrong}
    assert callers.gatherer.submit(4) == 8


@pytest.mark.parametrize("count", [0, 1, 3])
def test_work_that_returns_too_few_or_too_many_outcomes_tells_nobody_anothers(count: int) -> None:
    gatherer: Gatherer[int, int] = Gatherer(lambda _items: [7] * count, patience_s=_LONG_S)
    if count == 1:
        assert gatherer.submit(1) == 7
    else:
        with pytest.raises(ValueError, match="zip"):
            gatherer.submit(1)
    assert not gatherer._led


def test_a_leader_who_is_cut_off_leaves_a_word_for_its_batch_and_the_lead_for_the_next() -> None:
    work = Work(gated=True)

    def cut(items: Sequence[int]) -> list[int | Exception]:
        done = work(items)
        if len(work.batches) == 2:
            raise Cut
        return done

    callers = Callers(Gatherer(cut, patience_s=_LONG_S, most=3))
    callers.come(0)
    assert work.begun.wait(_LONG_S)
    callers.come_in_order(1, 2, 3, 4)
    work.gate.set()
    came = callers.go()
    assert [type(came[item]) for item in (1, 2, 3)] == [Cut, StoreAway, StoreAway]
    assert (came[0], came[4]) == (0, 8)


def test_who_waits_too_long_is_told_whether_anything_was_begun() -> None:
    work = Work(gated=True)
    gatherer = Gatherer(work, patience_s=2.0, most=2)
    leader, second = Callers(gatherer), Callers(gatherer)
    leader.come(0)
    assert work.begun.wait(_LONG_S)
    second.come_in_order(1)
    assert isinstance(second.go()[1], TooManyRequests), "nobody began with it"
    assert not gatherer._waiting, "and nobody will"
    work.gate.set()
    assert leader.go() == {0: 0}
    assert [1] not in work.batches


def test_who_was_begun_with_and_hears_nothing_is_told_that_it_is_not_known() -> None:
    work = Work(gated=True)
    second_gate = threading.Event()

    def slow(items: Sequence[int]) -> list[int | Exception]:
        done = work(items)
        if len(items) > 1:
            assert second_gate.wait(_LONG_S)
        return done

    gatherer = Gatherer(slow, patience_s=2.0)
    callers = Callers(gatherer)
    callers.come(0)
    assert work.begun.wait(_LONG_S)
    callers.come_in_order(1, 2)
    work.gate.set()
    until(lambda: 2 in callers.came)
    second_gate.set()
    came = callers.go()
    assert isinstance(came[2], StoreAway)
    assert came[1] == 2, "who leads waits for the work itself"
    assert gatherer.submit(3) == 6


def test_each_kind_of_work_has_a_crowd_of_its_own() -> None:
    def double(means: int, items: Sequence[int]) -> list[int | Exception]:
        return [2 * item + means for item in items]

    def negate(_means: int, items: Sequence[int]) -> list[int | Exception]:
        return [-item for item in items]

    crowd = Crowd()
    assert (crowd.serve(double, 100, 1), crowd.serve(negate, 100, 1), crowd.serve(double, 100, 2)) == (102, -1, 104)


# A caller: after how many others it comes, and what it brings; below zero fails alone, a multiple of 7 fails all.
_CALLERS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-50, 1000)), min_size=32, max_size=64, unique_by=lambda one: one[1]
)


@settings(max_examples=60, deadline=None)
@given(schedule=_CALLERS, most=st.integers(1, 40), pauses=st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_whatever_the_schedule_everyone_gets_what_is_theirs_once(
    schedule: list[tuple[int, int]], most: int, pauses: list[int]
) -> None:
    work = Work()
    gates = [threading.Event() for _ in range(4)]

    def sometimes(items: Sequence[int]) -> list[int | Exception]:
        threading.Event().wait(pauses[len(work.batches) % len(pauses)] / 1000)
        done = work(items)
        if any(item % 7 == 0 for item in items):
            raise Wrong(*items)
        return done

    gatherer = Gatherer(sometimes, patience_s=_LONG_S, most=most)
    callers = Callers(gatherer)
    wave_of = {item: wave for wave, item in schedule}

    def act(item: int) -> None:
        assert gates[wave_of[item]].wait(_LONG_S)
        callers.act(item)

    callers.threads = threads_for(act, wave_of)
    for gate in gates:
        gate.set()
    came = callers.go()
    batch_of = {item: batch for batch in work.batches for item in batch}
    assert sorted(item for batch in work.batches for item in batch) == sorted(wave_of), "each once"
    assert max(map(len, work.batches)) <= most
    for item, outcome in came.items():
        if any(other % 7 == 0 for other in batch_of[item]):
            assert isinstance(outcome, Wrong)
            assert outcome.args == tuple(batch_of[item])
        elif item < 0:
            assert isinstance(outcome, Wrong)
            assert outcome.args == (item,)
        else:
            assert outcome == 2 * item
    assert not gatherer._led
    assert not gatherer._waiting
