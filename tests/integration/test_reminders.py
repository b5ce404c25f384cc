"""Reminders, ends by time, and clean-up: each once, and none to those who need none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.support.world import ADMINISTRATOR, BANK, KEIRI01, KEIRI02

from sekisho.domain.certificate import Reason
from sekisho.domain.errors import PermitExpired
from sekisho.store import people, permits
from sekisho.store.audit import Actor
from sekisho.usecases.clean_up import SESSIONS_KEPT, clean_up
from sekisho.usecases.expire_permits import expire_permits
from sekisho.usecases.revoke_certificate import revoke_certificate
from sekisho.usecases.send_reminders import remind_of_permits, remind_of_renewal

if TYPE_CHECKING:
    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate


def told(bank: World, code: str) -> list[str]:
    """Return who was told it, the administrator as the empty string, in the order in which they were."""
    rows = bank.rows(
        "SELECT user_key FROM notices JOIN people ON people.id = person_id WHERE code = :code ORDER BY notices.id",
        code=code,
    )
    return [row.user_key for row in rows]


def remind(bank: World) -> list[str]:
    """Remind until there is nothing left, and return who has been reminded of a renewal."""
    for _ in range(50):
        if not remind_of_renewal(bank.ports, bank=bank.bank):
            return told(bank, "renewal-due")
    raise AssertionError("it does not come to an end")


def go_to(bank: World, certificate: IssuedCertificate, days_left: float) -> None:
    bank.clock[0] = certificate.not_after - timedelta(days=days_left)


def test_a_holder_is_reminded_thirty_ten_and_three_days_before_the_end_once_each(bank: World) -> None:
    certificate = bank.acquire(KEIRI01)
    assert remind(bank) == []
    reminded = []
    for days_left in (31, 30, 29, 11, 10, 9, 4, 3, 2, 0.1, -0.1, -5):
        go_to(bank, certificate, days_left)
        before = len(told(bank, "renewal-due"))
        remind(bank)
        remind(bank)
        if len(told(bank, "renewal-due")) > before:
            reminded.append(days_left)
    assert reminded == [30, 10, 3]
    assert told(bank, "renewal-due") == ["keiri01"] * 3
    (until,) = {
        row.detail for row in bank.rows("SELECT CAST(detail AS TEXT) AS detail FROM notices WHERE code = 'renewal-due'")
    }
    assert certificate.not_after.isoformat() in until


def test_each_of_many_is_reminded_at_their_own_time(bank: World) -> None:
    first = bank.acquire(KEIRI01)
    bank.later(days=1)
    second = bank.acquire(KEIRI02)
    go_to(bank, first, 30)
    assert remind(bank) == ["keiri01"]
    go_to(bank, second, 30)
    assert remind(bank) == ["keiri01", "keiri02"]


def test_certificates_that_end_in_the_same_second_are_all_reminded_of(
    bank: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sekisho.usecases.send_reminders._AT_ONCE", 1)
    certificates = [bank.acquire(who) for who in (ADMINISTRATOR, KEIRI01, KEIRI02)]
    assert len({one.not_after for one in certificates}) == 1
    go_to(bank, certificates[0], 30)
    assert sorted(remind(bank)) == ["", "keiri01", "keiri02"]


def test_whoever_renewed_or_holds_no_certificate_any_more_is_not_reminded(bank: World) -> None:
    renewed, revoked = bank.acquire(KEIRI01), bank.acquire(KEIRI02)
    go_to(bank, renewed, 30)
    assert sorted(remind(bank)) == ["keiri01", "keiri02"]
    bank.later(days=1)
    newer = bank.renew(renewed)
    revoke_certificate(bank.ports, serial=revoked.serial, reason=Reason.KEY_COMPROMISE, actor=Actor("test"))
    for days_left in (10, 3):
        go_to(bank, renewed, days_left)
        assert len(remind(bank)) == 2
    go_to(bank, newer, 30)
    assert remind(bank)[2:] == ["keiri01"], "the new one has an end of its own"


def test_after_a_long_pause_one_reminder_stands_for_all(bank: World) -> None:
    certificate = bank.acquire(KEIRI01)
    remind(bank)
    go_to(bank, certificate, 2)
    assert remind(bank) == ["keiri01"]


def test_what_ended_before_the_first_run_is_not_looked_at(bank: World) -> None:
    certificate = bank.acquire(KEIRI01)
    go_to(bank, certificate, -1)
    assert remind_of_renewal(bank.ports, bank=BANK) == 0
    assert told(bank, "renewal-due") == []


def test_a_certificate_that_is_issued_inside_a_window_is_not_reminded_of_it(bank: World) -> None:
    bank.bank = replace(BANK, policy=replace(BANK.policy, certificate_life=timedelta(days=15)))
    certificate = bank.acquire(KEIRI01)
    assert remind(bank) == []
    go_to(bank, certificate, 10)
    assert remind(bank) == ["keiri01"]


def test_a_permit_that_ends_soon_is_told_once_to_the_person_and_the_administrator(bank: World) -> None:
    bank.acquire(KEIRI01)
    assert remind_of_permits(bank.ports, bank=BANK) == 0
    bank.later(days=11)
    for _ in range(3):
        remind_of_permits(bank.ports, bank=BANK)
    assert sorted(told(bank, "permit-ends-soon")) == ["", "", "keiri02"]


def test_a_permit_of_a_day_is_not_reminded_of_at_once(bank: World) -> None:
    def grant(tx: object) -> None:
        person = people.find(tx, KEIRI01)  # type: ignore[arg-type]
        assert person is not None
        now = bank.ports.now()
        permits.withdraw_open(tx, person.id, now)  # type: ignore[arg-type]
        permits.grant(tx, person.id, now=now, expires_at=now + timedelta(days=2))  # type: ignore[arg-type]

    bank.db.write(grant)
    assert remind_of_permits(bank.ports, bank=BANK) == 0
    bank.later(days=1)
    assert remind_of_permits(bank.ports, bank=BANK) == 1


def test_a_permit_that_ends_by_time_is_written_down_and_told_once(bank: World) -> None:
    bank.acquire(KEIRI01)
    bank.later(days=14)
    assert expire_permits(bank.ports, bank=BANK) == 0, "who came in time may be at it"
    with pytest.raises(PermitExpired):
        bank.acquire(KEIRI02)
    bank.later(minutes=3)
    assert expire_permits(bank.ports, bank=BANK) == 2
    assert expire_permits(bank.ports, bank=BANK) == 0
    assert sorted(told(bank, "permit-expired")) == ["", "", "keiri02"]
    assert [row.action for row in bank.rows("SELECT action FROM audit WHERE action = 'permit-expired'")] == [
        "permit-expired"
    ] * 2
    with pytest.raises(PermitExpired):
        bank.acquire(KEIRI02)


def test_sessions_are_removed_when_they_are_of_no_use(bank: World) -> None:
    certificate = bank.acquire(KEIRI01)
    bank.log_on(certificate)
    bank.later(days=300)
    bank.log_on(certificate)
    assert clean_up(bank.ports) == 0
    bank.clock[0] += SESSIONS_KEPT - timedelta(days=299)
    assert clean_up(bank.ports) == 1
    assert clean_up(bank.ports) == 0
    assert len(bank.rows("SELECT id FROM sessions")) == 1
