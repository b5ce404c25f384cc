from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sekisho.edge.choice import ChoiceBook
from sekisho.edge.marks import Marks

if TYPE_CHECKING:
    from pathlib import Path

ONE, OTHER = b"1" * 32, b"2" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_marked_certificate_is_refused_once() -> None:
    book = ChoiceBook()
    book.mark(ONE)
    assert [book.take(ONE), book.take(ONE)] == [True, False]


def test_others_are_not_refused() -> None:
    book = ChoiceBook()
    book.mark(ONE)
    assert not book.take(OTHER)
    assert book.take(ONE)


def test_marking_twice_refuses_once() -> None:
    book = ChoiceBook()
    book.mark(ONE)
    book.mark(ONE)
    assert [book.take(ONE), book.take(ONE)] == [True, False]


def test_a_mark_ends_after_ten_seconds() -> None:
    clock = Clock()
    book = ChoiceBook(clock)
    book.mark(ONE)
    book.mark(OTHER)
    clock.now += 9.9
    assert book.take(ONE)
    clock.now += 0.1
    assert not book.take(OTHER)


def test_marking_anew_counts_from_then() -> None:
    clock = Clock()
    book = ChoiceBook(clock)
    book.mark(ONE)
    clock.now += 6
    book.mark(ONE)
    clock.now += 6
    assert book.take(ONE)


def test_a_mark_made_by_another_process_is_seen(tmp_path: Path) -> None:
    mine, theirs = (ChoiceBook(marks=Marks(tmp_path / "choices")) for _ in range(2))
    theirs.mark(ONE)
    assert mine.is_marked(ONE)
    assert not mine.is_marked(OTHER)
    assert mine.take(ONE)
    assert not theirs.is_marked(ONE)
    assert not theirs.take(ONE)


def test_of_two_in_one_place_the_later_stands() -> None:
    marks = Marks()
    one, other = b"same" + bytes(28), b"same" + b"x" * 28
    marks.set(one, 20.0)
    marks.set(other, 20.0)
    assert not marks.take(one, 10.0)
    assert marks.take(other, 10.0)


def test_marking_ends_the_connections_of_that_certificate_alone() -> None:
    book = ChoiceBook()
    ended: list[str] = []
    ends = {name: (lambda name=name: ended.append(name)) for name in ("first", "second", "gone", "other")}
    for name in ("first", "second", "gone"):
        book.opened(ONE, ends[name])
    book.opened(OTHER, ends["other"])
    book.closed(ONE, ends["gone"])
    book.mark(ONE)
    assert sorted(ended) == ["first", "second"]


def test_connections_that_are_closed_are_forgotten() -> None:
    book = ChoiceBook()
    ended: list[bytes] = []
    end = ended.clear
    book.opened(ONE, end)
    book.closed(ONE, end)
    book.closed(ONE, end)
    assert not book._open


def test_of_handshakes_in_parallel_one_is_refused() -> None:
    book = ChoiceBook()
    with ThreadPoolExecutor(8) as threads:
        for _ in range(200):
            book.mark(ONE)
            assert sum(threads.map(book.take, [ONE] * 8)) == 1
