"""A renewal without a PIN: off by default, for keys that cannot be copied, once, and of no use before a logon."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.world import ADDRESS, KEIRI01, World, new_csr

from sekisho.domain.certificate import KeyHeld
from sekisho.domain.errors import (
    CertificateNotConfirmed,
    CertificateSuperseded,
    EntryWrong,
    NotAccepted,
    Refusal,
    RenewalNeedsPin,
    RenewalNotOpen,
    UserSuspended,
)
from sekisho.usecases.end_overlaps import end_overlaps
from sekisho.usecases.renew_certificate import renew_unattended
from sekisho.usecases.send_reminders import remind_of_renewal

if TYPE_CHECKING:
    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.pki.csr import Csr


@pytest.fixture
def allowing(bank: World) -> World:
    bank.bank = replace(bank.bank, policy=replace(bank.bank.policy, renewal_without_pin=True))
    return bank


def renew(
    bank: World, held: IssuedCertificate, csr: Csr | None = None, new: KeyHeld = KeyHeld.TOKEN
) -> IssuedCertificate:
    return renew_unattended(
        bank.ports, bank=bank.bank, kind=held.kind, der=held.der, csr=csr or new_csr(), held=new, address=ADDRESS
    )


def in_window(bank: World, held: KeyHeld = KeyHeld.TOKEN) -> IssuedCertificate:
    made = bank.acquire(KEIRI01, held=held)
    bank.log_on(made)
    bank.later(days=340)
    return made


def test_no_bank_allows_it_by_itself(bank: World) -> None:
    with pytest.raises(NotAccepted):
        renew(bank, in_window(bank))


def test_what_comes_of_it_opens_nothing_before_a_logon_with_the_one_before(allowing: World) -> None:
    old = in_window(allowing)
    new = renew(allowing, old)
    with pytest.raises(CertificateNotConfirmed):
        allowing.log_on(new)
    with pytest.raises(EntryWrong):
        allowing.log_on(old, "wrong111")
    with pytest.raises(CertificateNotConfirmed):
        allowing.log_on(new)
    allowing.log_on(old)
    allowing.log_on(new)
    with pytest.raises(CertificateSuperseded):
        allowing.log_on(old)


def test_the_one_before_lives_to_its_end_while_the_new_one_waits(allowing: World) -> None:
    old = in_window(allowing)
    renew(allowing, old)
    allowing.later(days=8)
    assert end_overlaps(allowing.ports, bank=allowing.bank) == 0
    allowing.log_on(old)
    assert end_overlaps(allowing.ports, bank=allowing.bank) == 0, "from then on the new one counts"
    allowing.later(days=6, hours=23)
    allowing.log_on(old)
    assert end_overlaps(allowing.ports, bank=allowing.bank) == 0, "another logon begins nothing anew"
    allowing.later(hours=1)
    assert end_overlaps(allowing.ports, bank=allowing.bank) == 1, "the overlap is a week from the first one"


def test_whose_new_one_waits_is_still_reminded(allowing: World) -> None:
    made = allowing.acquire(KEIRI01, held=KeyHeld.TOKEN)
    allowing.later(days=334)
    remind_of_renewal(allowing.ports, bank=allowing.bank)
    allowing.later(days=2)
    renew(allowing, made)
    allowing.later(days=20)
    remind_of_renewal(allowing.ports, bank=allowing.bank)
    assert allowing.rows("SELECT id FROM notices WHERE code = 'renewal-due'")


@pytest.mark.parametrize(("old", "new"), [(KeyHeld.FILE, KeyHeld.TOKEN), (KeyHeld.TPM, KeyHeld.FILE)])
def test_a_key_that_can_be_copied_is_renewed_with_the_pin(allowing: World, old: KeyHeld, new: KeyHeld) -> None:
    made = in_window(allowing, old)
    with pytest.raises(RenewalNeedsPin):
        renew(allowing, made, new=new)
    assert allowing.renew(made, at=allowing.bank)


def test_once_for_each_certificate_and_the_same_key_gets_the_same(allowing: World) -> None:
    old, csr = in_window(allowing), new_csr()
    first = renew(allowing, old, csr)
    assert renew(allowing, old, csr).der == first.der
    with pytest.raises(RenewalNeedsPin):
        renew(allowing, old)
    with_pin = allowing.renew(old, at=allowing.bank)
    allowing.log_on(with_pin)


def test_of_many_at_once_one_is_served(allowing: World) -> None:
    old = in_window(allowing)

    def ask(_: int) -> str:
        try:
            return renew(allowing, old).fingerprint.hex()
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(6) as threads:
        outcomes = list(threads.map(ask, range(6)))
    assert sorted(outcomes)[1:] == ["renewal-needs-pin"] * 5


def test_the_rules_of_every_renewal_hold(allowing: World) -> None:
    early = allowing.acquire(KEIRI01, held=KeyHeld.TOKEN)
    with pytest.raises(RenewalNotOpen):
        renew(allowing, early)
    allowing.later(days=340)
    for _ in range(7):
        with pytest.raises((EntryWrong, UserSuspended)):
            allowing.log_on(early, "wrong111")
    with pytest.raises(UserSuspended):
        renew(allowing, early)
