"""What a system of the bank shuts at once: asked twice, by a branch, too often, and what stands already."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.support.staff import Office
from tests.support.under_way import finish, put_under_way
from tests.support.world import ADDRESS, ADMINISTRATOR, CONTRACT, KEIRI01, KEIRI02, World

from sekisho.domain.certificate import Reason
from sekisho.domain.customer_card import CardState
from sekisho.domain.errors import (
    CertificateSuspended,
    ContractUnknown,
    DetailsNotAllowed,
    IdempotencyKeyReused,
    NothingToWithdraw,
    RoleMissing,
    SerialUnknown,
    SessionRefused,
    TooManyRequests,
)
from sekisho.domain.permit import PermitState
from sekisho.domain.staff import Role
from sekisho.store.audit import Actor
from sekisho.usecases import shut_for_system
from sekisho.usecases.enter_console import meet_system
from sekisho.usecases.lift_certificate import lift_certificate
from sekisho.usecases.read_held import read_cards, read_certificate, read_permits
from sekisho.usecases.revoke_certificate import revoke_certificate
from sekisho.usecases.serve_systems import read_asked
from sekisho.usecases.shut_for_system import suspend_for_system, withdraw_for_system

if TYPE_CHECKING:
    from tests.support.staff import Colleague

    from sekisho.domain.certificate import Certificate
    from sekisho.domain.permit import Permit
    from sekisho.usecases.enter_console import AtWork


class Watch:
    """A program of the bank that looks for fraud, and one of a branch that has no such contract."""

    def __init__(self, bank: World) -> None:
        self.bank = bank
        office = Office(bank)
        self.office = office
        self.core, self.branch = office.add("fraud", Role.SYSTEM), office.add("b101", Role.SYSTEM, branch="101")

    def at_work(self, one: Colleague) -> AtWork:
        found = meet_system(self.bank.ports, bank=self.bank.bank, der=one.der, address=ADDRESS)
        assert found is not None
        return found

    def suspend(self, serial: int, key: str = "stop-0001", *, by: Colleague | None = None) -> Certificate:
        current = self.at_work(by or self.core)
        asked = read_asked(current, key, b"suspend %x" % serial)
        return suspend_for_system(self.bank.ports, at_work=current, asked=asked, serial=serial)

    def withdraw(
        self, user_id: str, key: str = "take-0001", *, by: Colleague | None = None, contract_id: str = CONTRACT
    ) -> Permit:
        current = self.at_work(by or self.core)
        asked = read_asked(current, key, f"{contract_id} {user_id}".encode())
        return withdraw_for_system(
            self.bank.ports, at_work=current, asked=asked, contract_id=contract_id, user_id=user_id
        )

    def actions(self) -> list[tuple[str, str]]:
        rows = self.bank.rows("SELECT action, actor FROM audit WHERE actor LIKE 'staff:%' ORDER BY id")
        return [(row.action, row.actor) for row in rows]


@pytest.fixture
def watch(bank: World) -> Watch:
    return Watch(bank)


def test_a_suspended_certificate_opens_nothing_and_both_are_told(bank: World, watch: Watch) -> None:
    held = bank.acquire(KEIRI01)
    token = bank.log_on(held)
    done = watch.suspend(held.serial)
    assert (done.id, done.suspended_at, done.ended_at) == (held.id, bank.clock[0], None)
    with pytest.raises(CertificateSuspended):
        bank.log_on(held)
    with pytest.raises((SessionRefused, CertificateSuspended)):
        bank.resume(held, token)
    assert watch.actions() == [("certificate-suspended", "staff:fraud")]
    told = bank.rows("SELECT p.user_id FROM notices n JOIN people p ON p.id = n.person_id WHERE n.code = :c",
                     c="certificate-suspended")  # fmt: skip
    assert {row.user_id for row in told} == {None, "keiri01"}


def test_the_same_request_is_done_once_even_after_people_lifted_it(bank: World, watch: Watch) -> None:
    """What a system sends again because it heard no answer undoes nothing that people have done since."""
    held = bank.acquire(KEIRI01)
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda _: watch.suspend(held.serial), range(8)))
    assert {one.suspended_at for one in done} == {bank.clock[0]}
    assert watch.actions() == [("certificate-suspended", "staff:fraud")]
    lift_certificate(bank.ports, serial=held.serial, actor=Actor("operator:test"))
    assert watch.suspend(held.serial).suspended_at is None
    assert watch.suspend(held.serial, "stop-0002").suspended_at is not None
    with pytest.raises(IdempotencyKeyReused):
        watch.suspend(held.serial + 1)


def test_what_has_ended_stays_as_it_ended(bank: World, watch: Watch) -> None:
    held = bank.acquire(KEIRI01)
    ended = revoke_certificate(bank.ports, serial=held.serial, reason=Reason.KEY_COMPROMISE, actor=Actor("x"))
    assert watch.suspend(held.serial) == ended
    assert watch.actions() == []


def test_a_branchs_system_neither_sees_nor_shuts_what_is_anothers(bank: World, watch: Watch) -> None:
    held = bank.acquire(KEIRI01)
    current = watch.at_work(watch.branch)
    with pytest.raises(SerialUnknown):
        watch.suspend(held.serial, by=watch.branch)
    with pytest.raises(SerialUnknown):
        read_certificate(bank.ports, at_work=current, serial=held.serial)
    for ask in (read_permits, read_cards):
        with pytest.raises(ContractUnknown):
            ask(bank.ports, at_work=current, contract_id=CONTRACT)
    with pytest.raises(ContractUnknown):
        watch.withdraw("keiri02", by=watch.branch)
    with pytest.raises(SerialUnknown):
        watch.suspend(1)
    assert watch.actions() == []


def test_people_shut_nothing_here(bank: World, watch: Watch) -> None:
    held = bank.acquire(KEIRI01)
    clerk = watch.office.add("kakari09", Role.CLERK).at_work()
    with pytest.raises(RoleMissing):
        suspend_for_system(bank.ports, at_work=clerk, asked=read_asked(clerk, "stop-0001", b""), serial=held.serial)


def test_a_permit_is_withdrawn_once_and_told(bank: World, watch: Watch) -> None:
    first = watch.withdraw("ＫＥＩＲＩ０２")
    assert (first.person.user_id, first.state(bank.clock[0])) == ("keiri02", PermitState.WITHDRAWN)
    assert watch.withdraw("ＫＥＩＲＩ０２") == first
    assert watch.actions() == [("permit-withdrawn", "staff:fraud")]
    with pytest.raises(NothingToWithdraw):
        watch.withdraw("keiri02", "take-0002")
    for wrong in ("nobody", "名前", "a b"):
        with pytest.raises(DetailsNotAllowed):
            watch.withdraw(wrong, "take-0003")
    assert watch.withdraw("", "take-0004").person == ADMINISTRATOR


def test_a_system_that_was_taken_over_shuts_no_bank_out(
    bank: World, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shut_for_system, "MOST_IN_AN_HOUR", 2)
    certificates = [bank.acquire(who) for who in (KEIRI01, ADMINISTRATOR)]
    for at, held in enumerate(certificates):
        watch.suspend(held.serial, f"stop-000{at}")
    with pytest.raises(TooManyRequests):
        watch.withdraw("keiri02", "take-0001")
    watch.suspend(certificates[0].serial, "stop-0000")
    bank.clock[0] += timedelta(minutes=61)
    assert watch.withdraw("keiri02", "take-0001").withdrawn_at


def test_what_a_contract_holds_is_read_with_a_row_that_says_who_looked(bank: World, watch: Watch) -> None:
    held = bank.acquire(KEIRI01)
    current = watch.at_work(watch.core)
    found = read_permits(bank.ports, at_work=current, contract_id=CONTRACT)
    assert {(one.person, one.state(bank.clock[0]).value) for one in found} == {
        (ADMINISTRATOR, "granted"), (KEIRI01, "spent"), (KEIRI02, "granted"),
    }  # fmt: skip
    assert found[0].state(bank.clock[0] + timedelta(days=15)) is PermitState.EXPIRED
    (card,) = read_cards(bank.ports, at_work=current, contract_id=CONTRACT)
    assert card.state is CardState.IN_USE
    assert read_certificate(bank.ports, at_work=current, serial=held.serial).id == held.id
    assert [action for action, _ in watch.actions()] == ["contract-read", "contract-read", "certificate-read"]


def test_what_is_to_take_its_place_is_shut_with_it(bank: World, watch: Watch) -> None:
    held, other = bank.acquire(KEIRI01), bank.acquire(KEIRI02)
    bank.later(days=336)
    new = bank.renew(held)
    watch.suspend(held.serial)
    with pytest.raises(CertificateSuspended):
        bank.log_on(new)
    put_under_way(bank, lambda: bank.renew(other))
    watch.suspend(other.serial, "stop-0002")
    assert finish(bank) == [None, None, None, "reissued"]
