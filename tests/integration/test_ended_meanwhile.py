"""A session that ended between the beginning of a request and its transaction does nothing any more."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.support.unopened import FORM_PINS, MAIL, Unopened
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, KEIRI01, PINS

from sekisho.domain.certificate import Reason
from sekisho.domain.errors import SessionEndedCertificate
from sekisho.domain.secret import SecretName
from sekisho.store import certificates, people
from sekisho.store.audit import Actor
from sekisho.usecases.change_mail_address import take_new_address
from sekisho.usecases.change_pins import PinEntries, change_pins
from sekisho.usecases.change_user import Change, permit_reissue
from sekisho.usecases.emergency_stop import Demand, stop_user
from sekisho.usecases.end_session import end_session_of_user
from sekisho.usecases.mailed_code import no_mail
from sekisho.usecases.name_computer import name_computer
from sekisho.usecases.open_contract import Opener, mail_opening_code
from sekisho.usecases.revoke_certificate import revoke_certificate
from sekisho.usecases.suspend_certificate import suspend_certificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.usecases.resume_session import LoggedOn

OPERATOR = Actor("operator:test")


def reissue(bank: World, current: LoggedOn) -> None:
    change = Change(current.session, current.certificate.id, "keiri01", PINS[ADMINISTRATOR][1], ADDRESS)
    permit_reissue(bank.ports, bank=BANK, change=change)


def replace_pin(bank: World, current: LoggedOn) -> None:
    present = dict(zip((SecretName.PIN, SecretName.CONFIRMATION_PIN), PINS[ADMINISTRATOR], strict=True))
    new = {SecretName.PIN: "shinki12", SecretName.CONFIRMATION_PIN: ""}
    change_pins(
        bank.ports,
        bank=BANK,
        session=current.session,
        certificate_id=current.certificate.id,
        entries=PinEntries(present, new, new),
        address=ADDRESS,
    )


def demand(current: LoggedOn) -> Demand:
    return Demand(current.session, current.certificate.id, ADDRESS)


def stop(bank: World, current: LoggedOn) -> None:
    stop_user(bank.ports, bank=BANK, demand=demand(current), user_id="keiri01")


def end_another(bank: World, current: LoggedOn) -> None:
    (row,) = bank.rows("SELECT s.id FROM sessions s JOIN people p ON p.id = s.person_id WHERE p.user_key = 'keiri01'")
    end_session_of_user(bank.ports, bank=BANK, demand=demand(current), session_id=row.id)


def name(bank: World, current: LoggedOn) -> None:
    name_computer(bank.ports, bank=BANK, logged_on=current, computer="keiri", address=ADDRESS)


def change_address(bank: World, current: LoggedOn) -> None:
    take_new_address(bank.ports, bank=BANK, logged_on=current, code="12345678", address=ADDRESS)


def log_on(bank: World) -> tuple[IssuedCertificate, LoggedOn]:
    held = bank.acquire(ADMINISTRATOR)
    bank.log_on(bank.acquire(KEIRI01))
    return held, bank.resume(held, bank.log_on(held))


def suspend(bank: World, held: IssuedCertificate) -> None:
    revoke_certificate(bank.ports, serial=held.serial, reason=Reason.CERTIFICATE_HOLD, actor=OPERATOR)


def stands(bank: World) -> list[object]:
    """Return all that one who acts leaves behind."""
    return [
        bank.rows("SELECT count(*) AS n FROM audit")[0].n,
        bank.rows("SELECT count(*) AS n FROM sessions WHERE ended_at IS NULL")[0].n,
        bank.rows("SELECT sum(misses) AS n FROM secrets")[0].n,
    ]


@pytest.mark.parametrize("act", [reissue, replace_pin, stop, end_another, name, change_address])
def test_who_was_shut_out_since_the_request_began_does_nothing(
    bank: World, act: Callable[[World, LoggedOn], None]
) -> None:
    held, current = log_on(bank)
    suspend(bank, held)
    before = stands(bank)
    with pytest.raises(SessionEndedCertificate):
        act(bank, current)
    assert stands(bank) == before


def test_nor_do_they_open_a_contract(bank: World) -> None:
    held = Unopened(bank).held
    current = bank.resume(held, bank.log_on(held, FORM_PINS[0]))
    suspend(bank, held)
    opener = Opener(current.session, held.id, ADDRESS)
    with pytest.raises(SessionEndedCertificate):
        mail_opening_code(bank.ports, bank=BANK, opener=opener, mail_address=MAIL, mail=no_mail)


@pytest.mark.parametrize("act", [reissue, replace_pin, stop])
def test_nor_do_they_while_they_wait_for_whoever_shuts_them_out(
    bank: World, act: Callable[[World, LoggedOn], None]
) -> None:
    held, current = log_on(bank)
    suspended, done = threading.Event(), threading.Event()

    def shut(tx: Connection) -> None:
        found = people.find(tx, ADMINISTRATOR)
        assert found is not None
        people.hold(tx, found.id)
        suspend_certificate(tx, certificates.get(tx, held.id), actor=OPERATOR, now=bank.clock[0])
        suspended.set()
        # Until then whoever looks at the session without waiting has acted.
        done.wait(1)

    with ThreadPoolExecutor(1) as threads:
        shutting = threads.submit(bank.ports.db.write, shut)
        assert suspended.wait(20)
        with pytest.raises(SessionEndedCertificate):
            act(bank, current)
        done.set()
        shutting.result()
