"""利用中止解除, 取得許可の取消し, 緊急停止, and what is done for many users at once (J9, J10, J2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.counter import Counter
from tests.support.desk import Desk, acquire, last_code
from tests.support.under_way import finish, put_under_way
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, KEIRI01, KEIRI02

from sekisho.domain.errors import (
    CertificateReissued,
    CertificateRevoked,
    CertificateSuspended,
    ContractClosed,
    EmergencyStopped,
    EntryWrong,
    FormWithoutEffect,
    MailedCodeNeeded,
    NotAccepted,
    NothingToRevoke,
    NothingToWithdraw,
    PermitWithdrawn,
    ProvisionalPinEnded,
    SessionRefused,
    UserNotSuspended,
    UserSuspended,
    UserUnknown,
)
from sekisho.domain.request_forms import FormKind
from sekisho.store import people
from sekisho.store.audit import Actor
from sekisho.usecases.change_user import permit_reissues, revoke_of_users
from sekisho.usecases.emergency_stop import (
    Demand,
    stop_at_branch,
    stop_certificate,
    stop_contract,
    stop_user,
    suspend_at_branch,
)
from sekisho.usecases.lift_suspension import lift_suspension
from sekisho.usecases.read_users import read_user
from sekisho.usecases.withdraw_permit import withdraw_permit

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate


@pytest.fixture
def desk(bank: World) -> Desk:
    return Desk(bank)


def demand(bank: World, held: IssuedCertificate) -> Demand:
    return Demand(bank.resume(held, bank.log_on(held)).session, held.id, ADDRESS)


def state(bank: World, user_id: str) -> str:
    return read_user(bank.ports, administrator=ADMINISTRATOR, user_id=user_id).state.value


def told(bank: World, code: str) -> list[str]:
    sql = "SELECT user_key FROM notices JOIN people ON people.id = person_id WHERE code = :code"
    return sorted(row.user_key for row in bank.rows(sql, code=code))


def test_a_suspended_user_is_let_in_again_with_counts_anew(bank: World, desk: Desk) -> None:
    held = bank.acquire(KEIRI01)
    for _ in range(6):
        with pytest.raises(EntryWrong):
            bank.log_on(held, "wrong111")
    with pytest.raises(UserSuspended):
        bank.log_on(held, "wrong111")
    assert state(bank, "keiri01") == "suspended"
    lift_suspension(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri01")
    assert state(bank, "keiri01") == "in-force"
    for _ in range(6):
        with pytest.raises(EntryWrong):
            bank.log_on(held, "wrong111")
    assert bank.log_on(held)
    assert told(bank, "user-lifted") == ["", "keiri01"]
    with pytest.raises(UserNotSuspended):
        lift_suspension(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri01")


def test_a_wrong_confirmation_pin_lifts_nothing_and_counts(bank: World, desk: Desk) -> None:
    bank.change("UPDATE people SET closed_at = '2026-11-24 03:00:00' WHERE user_key = 'keiri01'")
    confirmation = desk.confirmation("wrong111")
    for _ in range(6):
        with pytest.raises(EntryWrong):
            lift_suspension(bank.ports, bank=BANK, confirmation=confirmation, user_id="keiri01")
    assert state(bank, "keiri01") == "suspended"
    with pytest.raises(ContractClosed):
        lift_suspension(bank.ports, bank=BANK, confirmation=confirmation, user_id="keiri01")


def test_a_permit_is_taken_back_and_provisional_pins_with_it(bank: World, desk: Desk) -> None:
    issued = desk.register()
    with pytest.raises(MailedCodeNeeded):
        acquire(bank, issued)
    withdraw_permit(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri03")
    with pytest.raises(PermitWithdrawn):
        acquire(bank, issued, last_code(bank))
    assert told(bank, "permit-withdrawn") == ["", "keiri03"]
    with pytest.raises(NothingToWithdraw):
        withdraw_permit(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri03")
    permit_reissues(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_ids=["keiri03"])
    with pytest.raises(ProvisionalPinEnded):
        acquire(bank, issued, last_code(bank))


def test_ones_own_certificate_stops_at_once(bank: World, desk: Desk) -> None:
    held = bank.acquire(KEIRI01)
    token = bank.log_on(held)
    stop_certificate(bank.ports, bank=BANK, demand=Demand(bank.resume(held, token).session, held.id, ADDRESS))
    with pytest.raises(CertificateSuspended):
        bank.resume(held, token)
    with pytest.raises(CertificateSuspended):
        bank.log_on(held)
    assert told(bank, "certificate-suspended") == ["", "keiri01"]
    stop_certificate(bank.ports, bank=BANK, demand=demand(bank, desk.held))
    with pytest.raises(CertificateSuspended):
        bank.log_on(desk.held)


def test_a_user_who_is_stopped_gets_in_nowhere_and_the_administrator_cannot_lift_it(bank: World, desk: Desk) -> None:
    held = bank.acquire(KEIRI01)
    token = bank.log_on(held)
    stop_user(bank.ports, bank=BANK, demand=demand(bank, desk.held), user_id="KEIRI01")
    with pytest.raises(SessionRefused):
        bank.resume(held, token)
    with pytest.raises(EmergencyStopped):
        bank.log_on(held)
    with pytest.raises(EmergencyStopped):
        bank.log_on(held, "wrong111")
    with pytest.raises(UserNotSuspended):
        lift_suspension(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri01")
    permit_reissues(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_ids=["keiri01"])
    with pytest.raises(NotAccepted):
        bank.acquire(KEIRI01)
    assert state(bank, "keiri01") == "stopped"
    assert told(bank, "user-stopped") == ["", "keiri01"]
    assert bank.acquire(KEIRI02), "nobody else is stopped"


def test_a_contract_that_is_stopped_lets_nobody_in_by_any_way(bank: World, desk: Desk) -> None:
    held = bank.acquire(KEIRI01)
    tokens = {held: bank.log_on(held), desk.held: bank.log_on(desk.held)}
    current = bank.resume(desk.held, tokens[desk.held])
    stop_contract(bank.ports, bank=BANK, demand=Demand(current.session, desk.held.id, ADDRESS))
    for one, token in tokens.items():
        with pytest.raises(SessionRefused):
            bank.resume(one, token)
        with pytest.raises(EmergencyStopped):
            bank.log_on(one)
    with pytest.raises(NotAccepted):
        bank.acquire(KEIRI02)
    bank.later(days=336)
    with pytest.raises(EmergencyStopped):
        bank.renew(held)
    assert told(bank, "contract-stopped") == [""]
    assert told(bank, "users-shut-out") == ["keiri01", "keiri02"]


def test_a_user_of_nobody_is_not_stopped(bank: World, desk: Desk) -> None:
    with pytest.raises(UserUnknown):
        stop_user(bank.ports, bank=BANK, demand=demand(bank, desk.held), user_id="nobody")


def test_many_are_reissued_with_one_confirmation(bank: World, desk: Desk) -> None:
    held = [bank.acquire(KEIRI01), bank.acquire(KEIRI02)]
    until = permit_reissues(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_ids=["keiri01", "KEIRI02"])
    for one in held:
        with pytest.raises(CertificateReissued):
            bank.log_on(one)
        line = read_user(bank.ports, administrator=ADMINISTRATOR, user_id=one.person.user_id or "")
        assert line.permit is not None
        assert line.permit.expires_at == until
    assert told(bank, "certificate-reissued") == ["", "", "keiri01", "keiri02"]


def test_one_who_is_unknown_keeps_all_from_being_changed(bank: World, desk: Desk) -> None:
    held = bank.acquire(KEIRI01)
    with pytest.raises(UserUnknown):
        permit_reissues(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_ids=["keiri01", "nobody"])
    with pytest.raises(UserUnknown):
        revoke_of_users(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_ids=["keiri01", "nobody"])
    assert bank.log_on(held)


def test_many_are_revoked_and_whoever_has_nothing_is_passed_over(bank: World, desk: Desk) -> None:
    held = bank.acquire(KEIRI01)
    revoke_of_users(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_ids=["keiri02"])
    revoke_of_users(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_ids=["keiri01", "keiri02"])
    with pytest.raises(CertificateRevoked):
        bank.log_on(held)
    with pytest.raises(NothingToRevoke):
        revoke_of_users(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_ids=["keiri01", "keiri02"])


def test_where_a_certificate_was_asked_for_is_told(bank: World, desk: Desk) -> None:
    bank.acquire(KEIRI01)
    origin = read_user(bank.ports, administrator=ADMINISTRATOR, user_id="keiri01").origin
    assert origin is not None
    assert (origin.address, origin.computer) == (ADDRESS, None)


def stop_own(bank: World, held: IssuedCertificate, _: Desk) -> None:
    stop_certificate(bank.ports, bank=BANK, demand=demand(bank, held))


def stop_by_administrator(bank: World, _: IssuedCertificate, desk: Desk) -> None:
    stop_user(bank.ports, bank=BANK, demand=demand(bank, desk.held), user_id="keiri01")


def stop_all(bank: World, _: IssuedCertificate, desk: Desk) -> None:
    stop_contract(bank.ports, bank=BANK, demand=demand(bank, desk.held))


def stop_user_at_branch(bank: World, _: IssuedCertificate, __: Desk) -> None:
    at_branch(bank, stop_at_branch)


def stop_certificate_at_branch(bank: World, _: IssuedCertificate, __: Desk) -> None:
    at_branch(bank, suspend_at_branch)


def at_branch(bank: World, act: Callable[..., None]) -> None:
    def run(tx: Connection) -> None:
        person = people.find(tx, KEIRI01)
        assert person is not None
        act(tx, people.hold(tx, person.id), Actor("staff:kakari01"), bank.clock[0])

    bank.db.write(run)


STOPS = (stop_own, stop_by_administrator, stop_all, stop_user_at_branch, stop_certificate_at_branch)


@pytest.mark.parametrize("stop", STOPS)
def test_a_renewal_under_way_is_not_there_once_the_stop_is_lifted(
    bank: World, desk: Desk, stop: Callable[[World, IssuedCertificate, Desk], None]
) -> None:
    held, counter = bank.acquire(KEIRI01), Counter(bank)
    bank.later(days=336)
    put_under_way(bank, lambda: bank.renew(held))
    stop(bank, held, desk)
    assert finish(bank) == [None, "reissued"]
    counter.through(FormKind.EMERGENCY_STOP_LIFT, "" if stop is stop_all else "keiri01")
    assert state(bank, "keiri01") == "in-force", "of the one that is left"
    bank.log_on(held)
    assert bank.log_on(bank.renew(held)), "it is renewed anew, with another key"


@pytest.mark.parametrize("stop", [stop_by_administrator, stop_user_at_branch, stop_certificate_at_branch])
def test_an_acquisition_under_way_is_stopped_too(
    bank: World, desk: Desk, stop: Callable[[World, IssuedCertificate, Desk], None]
) -> None:
    put_under_way(bank, lambda: bank.acquire(KEIRI01))
    stop(bank, desk.held, desk)
    assert finish(bank) == ["reissued"]
    with pytest.raises(FormWithoutEffect):
        at_branch(bank, suspend_at_branch)


@pytest.mark.parametrize("stop", [stop_own, stop_certificate_at_branch])
def test_with_a_certificate_its_renewal_that_was_not_used_yet_stops(
    bank: World, desk: Desk, stop: Callable[[World, IssuedCertificate, Desk], None]
) -> None:
    held, counter = bank.acquire(KEIRI01), Counter(bank)
    bank.later(days=336)
    renewed = bank.renew(held)
    stop(bank, held, desk)
    for one in (held, renewed):
        with pytest.raises(CertificateSuspended):
            bank.log_on(one)
    counter.through(FormKind.EMERGENCY_STOP_LIFT, "keiri01")
    assert bank.log_on(held)
    assert bank.log_on(renewed)
