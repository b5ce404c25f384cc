"""J1 and J4: certificate, PIN, card; and what a session is bound to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, CARD, KEIRI01, PINS

from sekisho.domain.certificate import Ending, Reason
from sekisho.domain.errors import (
    CertificateExpired,
    CertificateMissing,
    CertificateNotYetValid,
    CertificateOtherBank,
    CertificateReissued,
    CertificateRevoked,
    CertificateSuperseded,
    CertificateUnknown,
    CertificateWrongKind,
    ContractClosed,
    EntryMissing,
    EntryNotDigits,
    EntryTooLong,
    EntryWrong,
    Refusal,
    SessionCertificateDiffers,
    SessionEndedAge,
    SessionEndedCertificate,
    SessionEndedElsewhere,
    SessionEndedIdle,
    SessionRefused,
    UserSuspended,
)
from sekisho.domain.person import Kind
from sekisho.store import certificates, people
from sekisho.store.audit import Actor
from sekisho.usecases.log_off import log_off
from sekisho.usecases.log_on import answer_card, enter_pin
from sekisho.usecases.revoke_certificate import revoke_certificate
from sekisho.usecases.show_certificate import show_certificate

if TYPE_CHECKING:
    from tests.support.world import World

    from sekisho.domain.certificate import Certificate


def show(bank: World, der: bytes | None, kind: Kind = Kind.USER, code: str = "9990") -> Certificate:
    with bank.db.read() as tx:
        return show_certificate(tx, der, bank=code, kind=kind, now=bank.clock[0]).certificate


def test_a_user_is_logged_on_with_certificate_and_pin(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    current = bank.resume(held, bank.log_on(held))
    assert current.person.who == KEIRI01
    assert current.session.positions == ()


def test_who_is_at_the_door_is_the_person_of_the_contract(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    user = "WHERE user_id = 'keiri01'"
    bank.change(
        f'UPDATE people SET applications = \'["transfer", "tax"]\', mail_confirmed_at = registered_at {user}'  # noqa: S608 - our own
    )
    with bank.db.read() as tx:
        door = show_certificate(tx, held.der, bank="9990", kind=Kind.USER, now=bank.clock[0]).person
        assert door == people.get(tx, door.id)
    assert door.applications == ("transfer", "tax")
    assert door.mail_confirmed


def test_an_administrator_is_logged_on_only_after_the_card(bank: World) -> None:
    held = bank.acquire(ADMINISTRATOR)
    opened = enter_pin(
        bank.ports, bank=BANK, kind=Kind.ADMINISTRATOR, der=held.der, pin=PINS[ADMINISTRATOR][0], address=ADDRESS
    )
    assert len(set(opened.positions)) == 4
    assert bank.resume(held, opened.token).session.positions == opened.positions
    assert bank.rows("SELECT count(*) AS n FROM audit WHERE action='logged-on'")[0].n == 0
    assert bank.resume(held, bank.log_on(held)).session.positions == ()


def test_the_card_question_stays_until_it_is_answered(bank: World) -> None:
    held = bank.acquire(ADMINISTRATOR)

    def ask() -> tuple[int, ...]:
        return enter_pin(
            bank.ports, bank=BANK, kind=Kind.ADMINISTRATOR, der=held.der, pin=PINS[ADMINISTRATOR][0], address=ADDRESS
        ).positions

    first = ask()
    assert [ask() for _ in range(5)] == [first] * 5
    bank.log_on(held)
    assert any(ask() != first or bank.log_on(held) is None for _ in range(20)), "a new logon asks anew"


def test_the_session_gets_a_new_token_with_the_card(bank: World) -> None:
    held = bank.acquire(ADMINISTRATOR)
    opened = enter_pin(
        bank.ports, bank=BANK, kind=Kind.ADMINISTRATOR, der=held.der, pin=PINS[ADMINISTRATOR][0], address=ADDRESS
    )
    current = bank.resume(held, opened.token)
    digits = [CARD[str(position)] for position in opened.positions]
    answer_card(bank.ports, bank=BANK, certificate=held, session=current.session, digits=digits, address=ADDRESS)
    with pytest.raises(SessionRefused):
        bank.resume(held, opened.token)


def test_seven_wrong_card_answers_shut_the_contract(bank: World) -> None:
    held, user = bank.acquire(ADMINISTRATOR), bank.acquire(KEIRI01)
    users_token = bank.log_on(user)
    codes = []
    for _ in range(7):
        opened = enter_pin(
            bank.ports, bank=BANK, kind=Kind.ADMINISTRATOR, der=held.der, pin=PINS[ADMINISTRATOR][0], address=ADDRESS
        )
        session = bank.resume(held, opened.token).session
        wrong = [str((int(CARD[str(position)]) + 1) % 10) for position in opened.positions]
        with pytest.raises(Refusal) as refused:
            answer_card(bank.ports, bank=BANK, certificate=held, session=session, digits=wrong, address=ADDRESS)
        codes.append(refused.value.code)
    assert codes == ["entry-wrong"] * 6 + ["contract-closed"]
    with pytest.raises((ContractClosed, SessionRefused)):
        bank.resume(user, users_token)
    with pytest.raises(ContractClosed):
        bank.log_on(user)


def test_a_suspended_users_session_ends(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    token = bank.log_on(held)
    for _ in range(6):
        with pytest.raises(EntryWrong):
            bank.log_on(held, "wrong111")
    with pytest.raises(UserSuspended):
        bank.log_on(held, "wrong111")
    with pytest.raises(SessionRefused):
        bank.resume(held, token)
    with pytest.raises(UserSuspended):
        bank.log_on(held)


@pytest.mark.parametrize(("pin", "refusal"), [("", EntryMissing), ("  ", EntryMissing), ("x" * 65, EntryTooLong)])
def test_what_was_never_a_guess_is_not_counted(bank: World, pin: str, refusal: type[Refusal]) -> None:
    held = bank.acquire(KEIRI01)
    with pytest.raises(refusal):
        enter_pin(bank.ports, bank=BANK, kind=Kind.USER, der=held.der, pin=pin, address=ADDRESS)
    assert bank.rows("SELECT sum(misses) AS n FROM secrets")[0].n == 0


def test_card_digits_that_are_none_are_named_by_field_and_not_counted(bank: World) -> None:
    held = bank.acquire(ADMINISTRATOR)
    opened = enter_pin(
        bank.ports, bank=BANK, kind=Kind.ADMINISTRATOR, der=held.der, pin=PINS[ADMINISTRATOR][0], address=ADDRESS
    )
    session = bank.resume(held, opened.token).session
    with pytest.raises(EntryNotDigits) as refused:
        answer_card(
            bank.ports, bank=BANK, certificate=held, session=session, digits=["1", "x", "３", "44"], address=ADDRESS
        )
    assert set(refused.value.fields) == {"digit_2", "digit_4"}
    assert bank.rows("SELECT sum(misses) AS n FROM secrets")[0].n == 0


def test_a_certificate_counts_by_its_exact_bytes(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    assert show(bank, held.der).id == held.id
    changed = held.der[:-1] + bytes([held.der[-1] ^ 1])
    for der, refusal in ((None, CertificateMissing), (changed, CertificateUnknown), (b"", CertificateUnknown)):
        with pytest.raises(refusal):
            show(bank, der)


def test_each_state_has_its_own_refusal(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    with pytest.raises(CertificateWrongKind):
        show(bank, held.der, Kind.ADMINISTRATOR)
    with pytest.raises(CertificateOtherBank):
        show(bank, held.der, code="9991")
    bank.later(days=-2)
    with pytest.raises(CertificateNotYetValid):
        show(bank, held.der)
    bank.later(days=2 + 365)
    with pytest.raises(CertificateExpired):
        show(bank, held.der)
    for ending, refusal in (
        (Ending.REISSUED, CertificateReissued),
        (Ending.SUPERSEDED, CertificateSuperseded),
        (Ending.REVOKED, CertificateRevoked),
    ):
        bank.change_unguarded("UPDATE certificates SET ended_at = NULL, ending = NULL, reason = NULL")
        end = partial(certificates.end, ending=ending, reason=Reason.SUPERSEDED, now=bank.clock[0])
        bank.db.write(lambda tx: end(tx, held.id))  # noqa: B023 - runs at once
        with pytest.raises(refusal):
            show(bank, held.der)


def test_a_session_ends_when_idle_and_when_old(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    token = bank.log_on(held)
    for _ in range(31):
        bank.later(minutes=14)
        bank.resume(held, token)
    bank.later(minutes=15)
    with pytest.raises(SessionEndedIdle):
        bank.resume(held, token)
    token = bank.log_on(held)
    for _ in range(34):
        bank.later(minutes=14)
        bank.resume(held, token)
    bank.later(minutes=14)
    with pytest.raises(SessionEndedAge):
        bank.resume(held, token)


def test_the_newer_session_wins(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    older, newer = bank.log_on(held), bank.log_on(held)
    assert bank.resume(held, newer)
    with pytest.raises(SessionEndedElsewhere):
        bank.resume(held, older)


def test_a_session_is_bound_to_the_certificate_that_opened_it(bank: World) -> None:
    held, other = bank.acquire(KEIRI01), bank.acquire(ADMINISTRATOR)
    token = bank.log_on(held)
    from tests.support.world import KEIRI02

    another_user = bank.acquire(KEIRI02)
    with pytest.raises(SessionCertificateDiffers):
        bank.resume(another_user, token)
    with pytest.raises(SessionCertificateDiffers):
        bank.resume(other, token)


def test_a_copied_table_opens_no_session(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    token = bank.log_on(held)
    stored = bank.rows("SELECT token_sha256 FROM sessions")[0].token_sha256
    assert stored != token
    with pytest.raises(SessionRefused):
        bank.resume(held, stored)


def test_revoking_ends_the_certificate_and_its_session_at_once(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    token = bank.log_on(held)
    actor = Actor("operator:test")
    ended = revoke_certificate(bank.ports, serial=held.serial, reason=Reason.KEY_COMPROMISE, actor=actor)
    assert ended.reason is Reason.KEY_COMPROMISE
    with pytest.raises(CertificateRevoked):
        bank.resume(held, token)
    again = revoke_certificate(bank.ports, serial=held.serial, reason=Reason.UNSPECIFIED, actor=actor)
    assert again == ended, "it ended once and for good"
    with pytest.raises(CertificateUnknown):
        revoke_certificate(bank.ports, serial=held.serial ^ 1, reason=Reason.UNSPECIFIED, actor=actor)


def test_an_ended_session_says_that_its_certificate_ended_when_shown_with_the_next(bank: World) -> None:
    from sekisho.usecases.change_user import Change, permit_reissue

    administrator, held = bank.acquire(ADMINISTRATOR), bank.acquire(KEIRI01)
    token = bank.log_on(held)
    current = bank.resume(administrator, bank.log_on(administrator))
    permit_reissue(
        bank.ports,
        bank=BANK,
        change=Change(current.session, administrator.id, "keiri01", PINS[ADMINISTRATOR][1], ADDRESS),
    )
    with pytest.raises(SessionEndedCertificate):
        bank.resume(bank.acquire(KEIRI01), token)


def test_logging_off_ends_the_session(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    token = bank.log_on(held)
    log_off(bank.ports, session=bank.resume(held, token).session, address=ADDRESS)
    with pytest.raises(SessionRefused) as refused:
        bank.resume(held, token)
    assert refused.value.code == "session-missing"
