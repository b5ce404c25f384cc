"""J8: a certificate replaced by its holder before its end."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from tests.support.edge import until
from tests.support.revoking import OPERATOR, revoke_ca
from tests.support.world import ADMINISTRATOR, BANK, KEIRI01, KEIRI02, new_csr, new_key

from sekisho.domain.certificate import Reason
from sekisho.domain.errors import (
    CertificateExpired,
    CertificateSuperseded,
    EntryWrong,
    KeyReused,
    NotAccepted,
    Refusal,
    RenewalNotOpen,
)
from sekisho.store import certificates, people
from sekisho.usecases.end_overlaps import end_overlaps
from sekisho.usecases.lift_certificate import lift_certificate
from sekisho.usecases.read_status import read_status
from sekisho.usecases.renew_certificate import _renew
from sekisho.usecases.revoke_certificate import revoke_certificate
from sekisho.usecases.send_reminders import remind_of_renewal
from sekisho.usecases.suspend_certificate import suspend_with_successor

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.pki.csr import Csr


def test_the_old_one_dies_at_the_first_completed_logon_with_the_new_one(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    bank.later(days=336)
    new = bank.renew(old)
    assert bank.log_on(old), "until then both count"
    assert bank.log_on(new)
    with pytest.raises(CertificateSuperseded):
        bank.log_on(old)


def test_a_handshake_or_a_wrong_pin_ends_nothing(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    bank.later(days=336)
    new = bank.renew(old)
    with pytest.raises(EntryWrong):
        bank.log_on(new, "wrong111")
    assert bank.log_on(old)


def test_the_overlap_ends_after_a_week(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    bank.later(days=336)
    new = bank.renew(old)
    bank.later(days=6, hours=23)
    assert end_overlaps(bank.ports, bank=BANK) == 0
    bank.later(hours=1)
    assert end_overlaps(bank.ports, bank=BANK) == 1
    with pytest.raises(CertificateSuperseded):
        bank.log_on(old)
    assert bank.log_on(new)


def suspend(bank: World, held: IssuedCertificate) -> None:
    revoke_certificate(bank.ports, serial=held.serial, reason=Reason.CERTIFICATE_HOLD, actor=OPERATOR)


def renewal_shown(bank: World, held: IssuedCertificate) -> str | None:
    current = bank.resume(held, bank.log_on(held))
    renewal = read_status(bank.ports, bank=BANK, logged_on=current).renewal
    return None if renewal is None else renewal.value


def test_one_that_opens_no_door_takes_nobodys_place(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    bank.later(days=336)
    new = bank.renew(old)
    suspend(bank, new)
    bank.later(days=8)
    assert end_overlaps(bank.ports, bank=BANK) == 0
    assert renewal_shown(bank, old) == "due"
    lift_certificate(bank.ports, serial=new.serial, actor=OPERATOR)
    assert renewal_shown(bank, old) == "done"
    assert end_overlaps(bank.ports, bank=BANK) == 0, "it counts from now on"
    bank.later(days=7)
    assert end_overlaps(bank.ports, bank=BANK) == 1
    assert bank.log_on(new)


def test_nor_does_one_whose_issuing_ca_is_revoked(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    bank.later(days=336)
    second = bank.rotate()
    bank.renew(old, at=bank.bank)
    revoke_ca(bank, second)
    bank.later(days=8)
    assert end_overlaps(bank.ports, bank=BANK) == 0
    assert renewal_shown(bank, old) == "due"


@pytest.mark.parametrize("of_ca", [False, True])
def test_whose_new_one_opens_no_door_is_still_reminded(bank: World, of_ca: bool) -> None:  # noqa: FBT001
    old = bank.acquire(KEIRI01)
    bank.later(days=334)
    remind_of_renewal(bank.ports, bank=BANK)
    bank.later(days=2)
    second = bank.rotate()
    new = bank.renew(old, at=bank.bank)
    if of_ca:
        revoke_ca(bank, second)
    else:
        suspend(bank, new)
    bank.later(days=20)
    remind_of_renewal(bank.ports, bank=BANK)
    assert bank.rows("SELECT id FROM notices WHERE code = 'renewal-due'")


def test_one_that_is_suspended_just_as_the_overlap_ends_takes_nobodys_place(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    bank.later(days=336)
    new = bank.renew(old)
    bank.later(days=8)
    suspended, done = threading.Event(), threading.Event()

    def stop(tx: Connection) -> None:
        found = people.find(tx, KEIRI01)
        assert found is not None
        person = people.hold(tx, found.id)
        suspend_with_successor(tx, person, certificates.get(tx, new.id), actor=OPERATOR, now=bank.clock[0])
        suspended.set()
        # Until then whoever does not wait for the person has ended the older one.
        done.wait(1)

    with ThreadPoolExecutor(1) as threads:
        stopping = threads.submit(bank.ports.db.write, stop)
        assert suspended.wait(20)
        assert end_overlaps(bank.ports, bank=BANK) == 0
        done.set()
        stopping.result()
    assert bank.log_on(old)


def test_only_inside_the_window(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    with pytest.raises(RenewalNotOpen) as refused:
        bank.renew(old)
    assert (old.not_after - refused.value.values["opens"]).days == 30  # type: ignore[operator]
    bank.later(days=365)
    with pytest.raises(CertificateExpired):
        bank.renew(old)


def test_a_grace_period_keeps_the_window_open_and_no_other_door(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    graceful = dataclasses.replace(BANK, policy=dataclasses.replace(BANK.policy, grace=timedelta(days=80)))
    bank.later(days=365 + 79, hours=23)
    with pytest.raises(CertificateExpired):
        bank.log_on(old)
    with pytest.raises(CertificateExpired):
        bank.renew(old)
    new = bank.renew(old, at=graceful)
    assert bank.log_on(new)
    bank.later(hours=1)
    with pytest.raises(Refusal):
        bank.renew(old, at=graceful)


def test_the_status_screen_asks_for_it_until_it_is_done(bank: World) -> None:
    old = bank.acquire(KEIRI01)

    bank.later(days=334, hours=23)
    assert renewal_shown(bank, old) is None
    bank.later(hours=1)
    assert renewal_shown(bank, old) == "due"
    bank.renew(old)
    assert renewal_shown(bank, old) == "done"


def test_a_new_key_is_required(bank: World) -> None:
    key = new_key()
    old = bank.acquire(KEIRI01, new_csr(key))
    bank.later(days=336)
    with pytest.raises(KeyReused):
        bank.renew(old, new_csr(key))


def test_the_same_key_gets_the_same_bytes_and_another_takes_the_place_of_the_unused_one(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    bank.later(days=336)
    csr = new_csr()
    first = bank.renew(old, csr)
    assert bank.renew(old, csr).der == first.der
    second = bank.renew(old)
    with pytest.raises(CertificateSuperseded):
        bank.log_on(first)
    assert bank.log_on(second)


def test_of_those_who_renew_at_once_one_who_is_refused_is_refused_alone(bank: World) -> None:
    """They are placed in one transaction; a key that was certified before, or a wrong PIN, is nobody else's trouble."""
    used = new_key()
    olds = [bank.acquire(KEIRI01, new_csr(used)), bank.acquire(KEIRI02), bank.acquire(ADMINISTRATOR)]
    bank.later(days=336)
    waiting = threading.Barrier(4)

    def renew(old: IssuedCertificate, csr: Csr, **changed: Any) -> IssuedCertificate | Refusal:
        waiting.wait(20)
        try:
            return bank.renew(old, csr, **changed)
        except Refusal as refusal:
            return refusal

    with ThreadPoolExecutor(4) as threads:
        reused = threads.submit(renew, olds[0], new_csr(used))
        good = [threads.submit(renew, old, new_csr()) for old in olds[1:]]
        wrong = threads.submit(renew, olds[0], new_csr(), pin="wrong111")
    assert isinstance(reused.result(), KeyReused)
    assert isinstance(wrong.result(), EntryWrong)
    renewed = [one.result() for one in good]
    assert [type(one).__name__ for one in renewed] == ["IssuedCertificate"] * 2
    actions = [row.action for row in bank.rows("SELECT action FROM audit WHERE action LIKE 'renewal%'")]
    assert actions == ["renewal-ordered"] * 2
    (counted,) = bank.rows("SELECT sum(misses) AS n FROM secrets")
    assert counted.n == 1, "a right PIN that brings a used key clears nothing"


def test_two_renewals_of_one_person_or_with_one_key_follow_one_another_in_a_crowd(bank: World) -> None:
    olds = [bank.acquire(KEIRI01), bank.acquire(KEIRI02), bank.acquire(ADMINISTRATOR)]
    bank.later(days=336)
    shared = new_key()
    held, release = threading.Event(), threading.Event()

    def hold(tx: Connection) -> None:
        people.lock(tx, [row.id for row in tx.execute(text("SELECT id FROM people ORDER BY id"))])
        held.set()
        assert release.wait(20)

    def renew(old: IssuedCertificate, csr: Csr) -> str:
        try:
            return type(bank.renew(old, csr)).__name__
        except Refusal as refusal:
            return refusal.code

    def waiting() -> int:
        return len(bank.ports.crowd._of[_renew]._waiting)

    with ThreadPoolExecutor(6) as threads:
        holder = threads.submit(bank.ports.db.write, hold)
        assert held.wait(20)
        # It leads, and waits for the database; all others come together in the crowd after it.
        leader = threads.submit(renew, olds[0], new_csr())
        until(lambda: _renew in bank.ports.crowd._of)
        both = [threads.submit(renew, olds[0], new_csr()) for _ in range(2)]
        alike = [threads.submit(renew, old, new_csr(shared)) for old in olds[1:]]
        until(lambda: waiting() == 4)
        release.set()
        holder.result()
        assert leader.result() in {"IssuedCertificate", "key-reused"}
        assert sorted(one.result() for one in both) == ["IssuedCertificate", "key-reused"]
        assert sorted(one.result() for one in alike) == ["IssuedCertificate", "key-reused"]
    in_force = bank.rows("SELECT person_id FROM certificates WHERE ended_at IS NULL AND supersedes IS NOT NULL")
    assert len({row.person_id for row in in_force}) == len(in_force) == 2
    assert bank.rows("SELECT order_id FROM unfinished_orders") == []


def test_the_name_must_be_the_certificates(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    bank.later(days=336)
    with pytest.raises(NotAccepted):
        bank.renew(old, user_id="keiri02")


def test_a_wrong_pin_counts_like_any_other(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    bank.later(days=336)
    for _ in range(6):
        with pytest.raises(EntryWrong):
            bank.renew(old, pin="wrong111")
    from sekisho.domain.errors import UserSuspended

    with pytest.raises(UserSuspended):
        bank.renew(old, pin="wrong111")
