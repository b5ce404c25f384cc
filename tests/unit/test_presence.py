"""A database that goes is a line in the log, one that is back another; and nobody waits for what is known."""

from __future__ import annotations

import logging

import pytest

from sekisho.background import Trouble
from sekisho.domain.errors import CaAway, StoreAway
from sekisho.store.presence import Entry, Presence


class Watch:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_it_is_said_once_that_the_database_goes_and_once_that_it_is_back(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    presence = Presence(watch)
    for _ in range(1000):
        presence.failed(Entry.READ, "no route", unreachable=True)
        presence.failed(Entry.WRITE, "no route", unreachable=True)
    watch.now += 60
    presence.worked(Entry.READ)
    assert lines(caplog) == [("ERROR", "the database cannot be used: no route")]
    presence.worked(Entry.WRITE)
    presence.worked(Entry.WRITE)
    assert lines(caplog)[1:] == [("INFO", "the database can be used again")]
    presence.failed(Entry.WRITE, "disk full", unreachable=False)
    assert lines(caplog)[2:] == [("ERROR", "the database cannot be used: disk full")]


def test_one_that_comes_and_goes_does_not_fill_the_log(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    presence = Presence(watch)
    for _ in range(1000):
        presence.failed(Entry.WRITE, "busy", unreachable=False)
        presence.worked(Entry.READ)
        watch.now += 1
        presence.worked(Entry.WRITE)
    assert len(caplog.records) == 1


def test_a_disk_that_is_full_can_be_read_and_tried(watch: Watch) -> None:
    presence = Presence(watch)
    for _ in range(5):
        presence.failed(Entry.WRITE, "disk full", unreachable=False)
        presence.enter()


def test_while_it_cannot_be_reached_one_tries_and_the_rest_are_told_at_once(watch: Watch) -> None:
    presence = Presence(watch)
    presence.enter()
    presence.failed(Entry.READ, "gone", unreachable=True)
    for _ in range(3):
        with pytest.raises(StoreAway):
            presence.enter()
    watch.now += 2
    presence.enter()  # the one who tries
    watch.now += 5
    with pytest.raises(StoreAway):
        presence.enter()
    presence.failed(Entry.READ, "gone", unreachable=True)
    with pytest.raises(StoreAway):
        presence.enter()
    watch.now += 2
    presence.enter()
    presence.worked(Entry.READ)
    for _ in range(3):
        presence.enter()


def test_who_reaches_it_in_vain_shuts_nobody_else_out(watch: Watch) -> None:
    """A standby that is not the leader yet, say, or a lock that did not come free."""
    for say_so in (True, False):
        presence = Presence(watch)
        presence.failed(Entry.READ, "gone", unreachable=True)
        watch.now += 2
        presence.enter()  # the one who tries
        if say_so:
            presence.failed(Entry.WRITE, "read-only", unreachable=False)
        else:
            presence.reached()
        for _ in range(3):
            presence.enter()


def test_a_try_that_was_never_heard_of_again_does_not_shut_the_others_out(watch: Watch) -> None:
    presence = Presence(watch)
    presence.failed(Entry.READ, "gone", unreachable=True)
    watch.now += 2
    presence.enter()
    watch.now += 60
    presence.enter()


def test_background_work_says_once_what_it_meets_and_once_that_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    trouble = Trouble("mails")
    for _ in range(100):
        trouble.met(CaAway())
    for _ in range(100):
        trouble.met(OSError(28, "No space left on device"))
    trouble.met(StoreAway())
    trouble.over()
    trouble.over()
    assert [line for _, line in lines(caplog)] == [
        "background work (mails) has to wait: ca-away",
        "background work (mails) failed and is tried again",
        "background work (mails) goes on",
    ]
    trouble.met(StoreAway())
    trouble.over()
    assert len(caplog.records) == 3, "the store says itself that it is away"
