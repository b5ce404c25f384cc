"""The counts behind the overview are those of the rows that they were made from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.support.desk import DETAILS, Desk
from tests.support.plans import collected
from tests.support.staff import Office
from tests.support.world import ADMINISTRATOR, BANK, CONTRACT, KEIRI01, KEIRI02, World, world

from sekisho.background import jobs
from sekisho.domain.certificate import Reason
from sekisho.domain.errors import Refusal
from sekisho.domain.request_forms import FormState, Step
from sekisho.domain.staff import Role
from sekisho.domain.tally import DAY, HOUR, WEEK, Tally, day_of, hour_of, week_of
from sekisho.store import tallies
from sekisho.store.audit import Actor
from sekisho.store.tables.told import OF_STAFF, SELDOM
from sekisho.usecases.file_form import file_at_counter
from sekisho.usecases.keep_tallies import add_up, count_waiting, remove_old_tallies
from sekisho.usecases.move_form import move_form
from sekisho.usecases.read_overview import read_overview
from sekisho.usecases.register_user import register_user
from sekisho.usecases.revoke_certificate import revoke_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.domain.certificate import IssuedCertificate

LONG = 1000 * DAY


def told(bank: World, what: Tally, branch: str | None = None) -> dict[datetime, int]:
    now = bank.clock[0]
    with bank.db.read() as tx:
        found = tallies.sums(tx, what, BANK.code, branch, now - LONG, now + LONG)
    return {begins_at: number for begins_at, number in found.items() if number}


def count(bank: World) -> None:
    """Let a minute pass, and count."""
    bank.later(minutes=2)
    while add_up(bank.ports):
        pass
    count_waiting(bank.ports)


def lock_out(bank: World, certificate: IssuedCertificate) -> None:
    for _ in range(7):
        with pytest.raises(Refusal):
            bank.log_on(certificate, "wrong111")


def test_hours_days_and_weeks_are_those_of_japan() -> None:
    at = datetime(2026, 11, 29, 15, 30, 1, tzinfo=UTC)  # a Monday, half past midnight
    assert hour_of(at) == datetime(2026, 11, 29, 15, tzinfo=UTC)
    assert day_of(at) == datetime(2026, 11, 29, 15, tzinfo=UTC)
    assert day_of(at - HOUR) == datetime(2026, 11, 28, 15, tzinfo=UTC)
    assert week_of(at) == day_of(at)
    assert week_of(at - HOUR) == day_of(at) - WEEK


def test_each_logon_and_acquisition_is_counted_once_in_its_hour(bank: World) -> None:
    first, hour = bank.acquire(KEIRI01), hour_of(bank.clock[0])
    bank.acquire(KEIRI02)
    bank.log_on(first)
    assert add_up(bank.ports) == 0, "rows of the last minute wait"
    bank.later(hours=1)
    bank.log_on(first)
    bank.log_on(first)
    count(bank)
    count(bank)
    assert told(bank, Tally.ACQUISITIONS) == {hour: 2}
    assert told(bank, Tally.LOGONS) == {hour: 1, hour + HOUR: 2}
    assert told(bank, Tally.LOGONS, "") == told(bank, Tally.LOGONS)
    assert told(bank, Tally.LOGONS, "001") == {}
    with bank.db.read() as tx:
        assert tallies.reached(tx, tallies.ADDED) == bank.clock[0] - timedelta(seconds=60)


def test_ends_follow_issue_renewal_and_revocation(bank: World) -> None:
    first, second = bank.acquire(KEIRI01), bank.acquire(KEIRI02)
    count(bank)
    assert told(bank, Tally.ENDS) == {day_of(first.not_after): 2}
    bank.later(days=340)
    renewed = bank.renew(first)
    count(bank)
    assert told(bank, Tally.ENDS) == {day_of(first.not_after): 2, day_of(renewed.not_after): 1}
    bank.log_on(renewed)  # supersedes the first
    revoke_certificate(bank.ports, serial=second.serial, reason=Reason.KEY_COMPROMISE, actor=Actor("operator:test"))
    count(bank)
    assert told(bank, Tally.ENDS) == {day_of(renewed.not_after): 1}
    assert bank.rows("SELECT count(*) FROM certificates WHERE ended_at IS NULL")[0][0] == 1


def test_a_renewal_is_no_acquisition(bank: World) -> None:
    first = bank.acquire(KEIRI01)
    bank.later(days=340)
    bank.renew(first)
    count(bank)
    assert told(bank, Tally.ACQUISITIONS) == {}


def test_lockouts_and_doors(bank: World) -> None:
    user, administrator = bank.acquire(KEIRI01), bank.acquire(ADMINISTRATOR)
    lock_out(bank, user)
    lock_out(bank, administrator)
    count(bank)
    assert sum(told(bank, Tally.LOCKOUTS).values()) == 2
    bank.change("UPDATE people SET stopped_at = closed_at WHERE user_id = 'keiri01'")
    count_waiting(bank.ports)
    with bank.db.read() as tx:
        shut = tallies.doors(tx, BANK.code, None)
        assert shut == {Tally.USER_CLOSED: 1, Tally.USER_STOPPED: 1, Tally.CONTRACT_CLOSED: 1}
        assert tallies.doors(tx, BANK.code, "001") == {}
    bank.change("UPDATE people SET closed_at = NULL, stopped_at = NULL")
    assert count_waiting(bank.ports) == 3
    assert count_waiting(bank.ports) == 0


def test_permits_wait_by_the_day_on_which_they_end(bank: World) -> None:
    count(bank)
    ends = day_of(bank.clock[0] + 14 * DAY)
    assert told(bank, Tally.PERMITS) == {ends: 3}
    desk = Desk(bank)  # acquires
    register_user(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri03", details=DETAILS)
    bank.change(f"UPDATE contracts SET branch = '001' WHERE contract_id = '{CONTRACT}'")  # noqa: S608 - a constant
    count(bank)
    assert told(bank, Tally.PERMITS, "001") == {ends: 3}
    assert told(bank, Tally.PERMITS, "") == {}
    bank.later(days=15)
    count(bank)
    assert told(bank, Tally.PERMITS) == {}, "what nobody has written down as expired waits no more either"


def test_what_is_old_goes(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    bank.log_on(held)
    count(bank)
    assert remove_old_tallies(bank.ports) == 0
    bank.later(days=94)
    while remove_old_tallies(bank.ports):
        pass
    assert told(bank, Tally.ACQUISITIONS) == {}
    assert told(bank, Tally.LOGONS) == {}
    assert told(bank, Tally.ENDS) == {day_of(held.not_after): 1}


def test_a_count_that_fails_is_not_kept_in_part(bank: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.log_on(bank.acquire(KEIRI01))
    bank.later(minutes=2)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(tallies, "advance", fail)
        with pytest.raises(RuntimeError):
            add_up(bank.ports)
    assert told(bank, Tally.LOGONS) == {}
    count(bank)
    assert sum(told(bank, Tally.LOGONS).values()) == 1


def test_another_bank_is_counted_for_itself(tmp_path: Path) -> None:
    neighbour = replace(BANK, code="9991")
    with world(tmp_path) as one, world(tmp_path, bank=neighbour) as other:
        one.log_on(one.acquire(KEIRI01))
        count(one)
        with one.db.read() as tx:
            span = (one.clock[0] - LONG, one.clock[0] + LONG)
            assert sum(tallies.sums(tx, Tally.PERMITS, "9991", None, *span).values()) == 3
            assert sum(tallies.sums(tx, Tally.PERMITS, "9990", None, *span).values()) == 2
            assert tallies.sums(tx, Tally.LOGONS, "9991", None, *span) == {}
        assert other.bank.code == "9991"


def test_the_worker_keeps_them(bank: World) -> None:
    bank.log_on(bank.acquire(KEIRI01))
    bank.later(minutes=2)
    for job in jobs(bank.ports, lambda: BANK, lambda: False):
        if job.name.startswith("counts"):
            job.run()
    assert sum(told(bank, Tally.LOGONS).values()) == 1
    assert sum(told(bank, Tally.PERMITS).values()) == 2


def test_the_overview_shows_forms_by_state_and_age_and_permits_by_days_left(bank: World) -> None:
    office = Office(bank)
    clerk, auditor = office.add("kakari01", Role.CLERK).at_work(), office.add("kansa01", Role.AUDITOR).at_work()

    def file() -> str:
        return file_at_counter(bank.ports, at_work=clerk, contract_id=CONTRACT, kind="pin-reset", user_id="", detail={})

    old = file()
    bank.later(days=3)
    move_form(bank.ports, at_work=clerk, number=old, step=Step.CHECK_SEAL)
    file()
    bank.later(days=2)
    file()
    withdrawn = file()
    move_form(bank.ports, at_work=clerk, number=withdrawn, step=Step.WITHDRAW, reason="x")
    count(bank)
    whole = read_overview(bank.ports, staff=auditor.staff)
    assert whole.forms[FormState.SEAL_CHECKED] == [0, 0, 0, 1]
    assert whole.forms[FormState.RECEIVED] == [1, 1, 0, 0]
    assert sum(sum(ages) for ages in whole.forms.values()) == 3
    assert whole.permits == [0, 0, 3, 0], "granted for 14 days, five days ago"
    other = read_overview(bank.ports, staff=replace(auditor.staff, branch="001"))
    assert sum(sum(ages) for ages in other.forms.values()) == sum(other.permits) == 0


def test_the_overview_of_another_day(bank: World) -> None:
    auditor = Office(bank).add("kansa01", Role.AUDITOR).at_work().staff
    bank.log_on(bank.acquire(KEIRI01))
    then = bank.clock[0]
    bank.later(days=2)
    count(bank)
    today = read_overview(bank.ports, staff=auditor)
    assert (sum(today.logons), today.after, today.before) == (0, None, day_of(bank.clock[0]) - DAY)
    shown = read_overview(bank.ports, staff=auditor, day=then)
    assert shown.day == day_of(then)
    assert (shown.logons[12], sum(shown.logons), shown.acquisitions[12]) == (1, 1, 1)
    assert [number for _, number in shown.lockouts] == [0] * 14
    for strange in (then - 1000 * DAY, then + 1000 * DAY):
        assert read_overview(bank.ports, staff=auditor, day=strange).day == today.day


def test_logon_and_issuance_write_no_count_and_into_no_index_of_few_rows(bank: World) -> None:
    (before,) = bank.rows("SELECT max(id) AS id FROM audit")
    with collected(bank.db) as sent:
        held = bank.acquire(KEIRI01)
        bank.log_on(held)
        bank.later(days=340)
        bank.log_on(bank.renew(held))
    assert not [statement for statement in sent if "tall" in statement]
    written = bank.rows("SELECT DISTINCT action FROM audit WHERE id > :id", id=before.id)
    assert len(written) > 4
    in_indexes = f"SELECT action FROM audit WHERE id > :id AND ({SELDOM} OR {OF_STAFF})"  # noqa: S608 - constants
    assert bank.rows(in_indexes, id=before.id) == []
