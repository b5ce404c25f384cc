"""A clock that jumps by an hour, forwards or backwards: nobody is shut out for good, and nothing lives longer by it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from tests.support.bad_days import Crowd
from tests.support.crowd import missing, opened, register
from tests.support.served import Served, free_port_base
from tests.support.world import BANK, KEIRI01, KEIRI02, new_csr

from sekisho.domain.certificate import Reason
from sekisho.domain.errors import (
    CaAway,
    CertificateRevoked,
    CertificateSuperseded,
    SessionEndedAge,
    SessionEndedIdle,
)
from sekisho.store.audit import Actor
from sekisho.usecases.end_overlaps import end_overlaps
from sekisho.usecases.publish_crl import publish_crls
from sekisho.usecases.resume_orders import resume_orders
from sekisho.usecases.revoke_certificate import revoke_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate


class Away:
    def sign_all(self, _orders: object) -> list[bytes | Exception]:
        raise CaAway


def users_list(bank: World) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(bank.rows("SELECT der FROM crls WHERE name = 'user'")[0].der)


def revoke(bank: World, certificate: IssuedCertificate) -> None:
    revoke_certificate(bank.ports, serial=certificate.serial, reason=Reason.KEY_COMPROMISE, actor=Actor("test"))


def test_an_hour_forwards_ends_a_session_in_words_and_the_next_logon_is_good(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    token = bank.log_on(held)
    bank.later(hours=1)
    with pytest.raises(SessionEndedIdle):
        bank.resume(held, token)
    assert bank.resume(held, bank.log_on(held))


def test_an_hour_backwards_takes_no_key_from_whoever_asks_again(bank: World) -> None:
    csr, renewal = new_csr(), new_csr()
    held = bank.acquire(KEIRI01, csr)
    bank.later(hours=-1)
    assert bank.acquire(KEIRI01, csr).der == held.der
    bank.later(days=340)
    renewed = bank.renew(held, renewal)
    bank.later(hours=-1)
    assert bank.renew(held, renewal).der == renewed.der


def test_an_hour_backwards_makes_no_session_idle_for_longer(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    token = bank.log_on(held)
    bank.later(hours=-1)
    assert bank.resume(held, token), "the person is there and goes on"
    bank.later(minutes=14)
    assert bank.resume(held, token)
    bank.later(minutes=16)
    with pytest.raises(SessionEndedIdle):
        bank.resume(held, token)


def test_a_session_that_was_opened_in_the_future_ends_an_hour_later_at_most(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    token = bank.log_on(held)
    bank.later(hours=-1)
    for _ in range(9 * 6 - 1):
        assert bank.resume(held, token)
        bank.later(minutes=10)
    bank.later(minutes=10)
    with pytest.raises(SessionEndedAge):
        bank.resume(held, token)


@pytest.mark.parametrize("hours", [1, -1])
def test_permits_and_certificates_are_good_on_both_sides_of_the_step(bank: World, hours: int) -> None:
    before = bank.acquire(KEIRI01)
    bank.later(hours=hours)
    after = bank.acquire(KEIRI02)
    assert bank.resume(before, bank.log_on(before))
    assert bank.resume(after, bank.log_on(after))
    bank.later(hours=-hours)
    assert bank.resume(before, bank.log_on(before))
    assert bank.resume(after, bank.log_on(after))


def test_what_is_revoked_after_the_clock_was_set_back_is_published_at_once(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    assert publish_crls(bank.ports, bank=BANK.code) == 2
    number = users_list(bank).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    bank.later(hours=-1)
    revoke(bank, held)
    with pytest.raises(CertificateRevoked):
        bank.log_on(held)
    bank.later(seconds=2)
    assert publish_crls(bank.ports, bank=BANK.code) == 2
    published = users_list(bank)
    assert published.get_revoked_certificate_by_serial_number(held.serial) is not None
    assert published.last_update_utc == bank.clock[0]
    assert published.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number > number
    bank.later(seconds=5)
    assert publish_crls(bank.ports, bank=BANK.code) == 0, "once is enough"


def test_what_was_revoked_in_the_future_stays_in_the_list_and_is_signed_once(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    bank.later(hours=1)
    revoke(bank, held)
    bank.later(seconds=2)
    publish_crls(bank.ports, bank=BANK.code)
    bank.later(hours=-1)
    assert publish_crls(bank.ports, bank=BANK.code) == 2
    entry = users_list(bank).get_revoked_certificate_by_serial_number(held.serial)
    assert entry is not None
    assert entry.revocation_date_utc <= users_list(bank).last_update_utc, "a list names no moment after its own"
    for _ in range(5):
        bank.later(seconds=5)
        assert publish_crls(bank.ports, bank=BANK.code) == 0


@pytest.mark.parametrize("hours", [1, -1])
def test_an_overlap_ends_by_its_logon_or_its_week(bank: World, hours: int) -> None:
    old = bank.acquire(KEIRI01)
    bank.later(days=336)
    new = bank.renew(old)
    bank.later(hours=hours)
    assert end_overlaps(bank.ports, bank=BANK) == 0
    assert bank.log_on(old)
    bank.later(days=7, hours=max(0, -hours))
    assert end_overlaps(bank.ports, bank=BANK) == 1
    with pytest.raises(CertificateSuperseded):
        bank.log_on(old)
    assert bank.log_on(new)


def test_an_order_left_unfinished_before_the_clock_was_set_back_is_finished_by_its_key(bank: World) -> None:
    ports, csr = bank.ports, new_csr()
    bank.ports = replace(ports, cas={BANK.code: Away()})  # type: ignore[dict-item]
    with pytest.raises(CaAway):
        bank.acquire(KEIRI01, csr)
    bank.ports = ports
    bank.later(hours=-1)
    assert resume_orders(bank.ports).done == 0, "for all that is known, whoever placed it is still at it"
    assert bank.acquire(KEIRI01, csr).person == KEIRI01
    bank.later(hours=2)
    assert resume_orders(bank.ports).done == 0


def test_visitors_go_on_while_the_clock_jumps(tmp_path: Path) -> None:
    served = Served(tmp_path / "data", free_port_base())
    served.start()
    try:
        visitors = register(served, tmp_path, 6)
        with Crowd(visitors) as crowd:
            crowd.await_all_served(2)
            for step in (timedelta(hours=1), timedelta(0), timedelta(hours=-1), timedelta(0)):
                served.set_clock_ahead(seconds=step.total_seconds())
                crowd.await_all_served(3)
        assert crowd.strange == []
        with opened(served) as ports:
            assert list(missing(ports.db, visitors)) == []
        assert "Traceback" not in served.log()
    finally:
        served.stop()
