"""J2: 「再発行」 and 「失効」."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, KEIRI01, KEIRI02, PINS, new_csr, new_key

from sekisho.domain.errors import (
    CertificateReissued,
    CertificateRevoked,
    ContractClosed,
    EntryWrong,
    KeyReused,
    NothingToRevoke,
    Refusal,
    UserUnknown,
)
from sekisho.store import certificates
from sekisho.usecases.acquire_certificate import Claim
from sekisho.usecases.change_user import Change, permit_reissue, revoke_of_user
from sekisho.usecases.publish_crl import publish_crls
from sekisho.usecases.read_users import read_user, read_users

if TYPE_CHECKING:
    from tests.support.world import World


def change(bank: World, user_id: str = "keiri01", pin: str | None = None) -> Change:
    rows = bank.rows("SELECT order_id FROM certificates WHERE kind='administrator' AND ended_at IS NULL")
    if rows:
        with bank.db.read() as tx:
            held = certificates.issued_of_orders(tx, [rows[0].order_id])[rows[0].order_id]
    else:
        held = bank.acquire(ADMINISTRATOR)
    current = bank.resume(held, bank.log_on(held))
    return Change(current.session, held.id, user_id, pin or PINS[ADMINISTRATOR][1], ADDRESS)


def test_reissue_ends_the_old_certificate_and_its_session_and_permits_a_new_one(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    token = bank.log_on(old)
    until = permit_reissue(bank.ports, bank=BANK, change=change(bank))
    assert (until - bank.clock[0]).days == 14
    with pytest.raises(CertificateReissued):
        bank.resume(old, token)
    ended = bank.rows("SELECT ending, reason FROM certificates WHERE kind='user'")[0]
    assert (ended.ending, ended.reason) == ("reissued", "superseded")
    new = bank.acquire(KEIRI01)
    assert new.der != old.der
    assert bank.resume(new, bank.log_on(new))


def test_both_are_told(bank: World) -> None:
    bank.acquire(KEIRI01)
    permit_reissue(bank.ports, bank=BANK, change=change(bank))
    sql = "SELECT user_key FROM notices JOIN people ON people.id = person_id WHERE code = 'certificate-reissued'"
    told = bank.rows(sql)
    assert sorted(row.user_key for row in told) == ["", "keiri01"]


def test_the_old_key_gets_no_new_certificate(bank: World) -> None:
    key = new_key()
    bank.acquire(KEIRI01, new_csr(key))
    permit_reissue(bank.ports, bank=BANK, change=change(bank))
    with pytest.raises(KeyReused):
        bank.acquire(KEIRI01, new_csr(key))
    assert bank.acquire(KEIRI01)


def test_a_wrong_confirmation_pin_changes_nothing_and_seven_close_the_contract(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    ask = change(bank, pin="wrong111")
    for _ in range(6):
        with pytest.raises(EntryWrong):
            permit_reissue(bank.ports, bank=BANK, change=ask)
    assert bank.resume(old, bank.log_on(old))
    with pytest.raises(ContractClosed):
        permit_reissue(bank.ports, bank=BANK, change=ask)
    with pytest.raises(Refusal):
        permit_reissue(bank.ports, bank=BANK, change=replace(ask, confirmation_pin=PINS[ADMINISTRATOR][1]))
    assert read_user(bank.ports, administrator=ADMINISTRATOR, user_id="keiri01").state == "in-force"


def test_the_logon_pin_is_not_the_confirmation_pin(bank: World) -> None:
    bank.acquire(KEIRI01)
    with pytest.raises(EntryWrong):
        permit_reissue(bank.ports, bank=BANK, change=change(bank, pin=PINS[ADMINISTRATOR][0]))


def test_a_right_confirmation_pin_clears_its_count(bank: World) -> None:
    bank.acquire(KEIRI01)
    for _ in range(3):
        for _ in range(6):
            with pytest.raises(EntryWrong):
                permit_reissue(bank.ports, bank=BANK, change=change(bank, pin="wrong111"))
        permit_reissue(bank.ports, bank=BANK, change=change(bank))


@pytest.mark.parametrize("user_id", ["nobody", "", "keiri01'--", "管理者"])
def test_a_user_who_does_not_exist(bank: World, user_id: str) -> None:
    with pytest.raises(UserUnknown):
        permit_reissue(bank.ports, bank=BANK, change=change(bank, user_id=user_id))


def test_reissue_without_a_certificate_replaces_the_permit(bank: World) -> None:
    permit_reissue(bank.ports, bank=BANK, change=change(bank, "KEIRI02"))
    states = bank.rows("SELECT withdrawn_at FROM permits JOIN people ON people.id=person_id WHERE user_key='keiri02'")
    assert [row.withdrawn_at is None for row in states] == [False, True]
    assert bank.acquire(KEIRI02)


def test_an_unfinished_order_cannot_come_to_life_after_the_reissue(bank: World) -> None:
    from sekisho.domain.certificate import KeyHeld
    from sekisho.domain.errors import CaAway
    from sekisho.usecases.acquire_certificate import acquire_certificate
    from sekisho.usecases.resume_orders import resume_orders

    class Away:
        def sign_all(self, *_: object) -> list[bytes | Exception]:
            raise CaAway

    csr = new_csr()
    claim = Claim(KEIRI01.contract_id, "keiri01", *PINS[KEIRI01])
    with pytest.raises(CaAway):
        acquire_certificate(
            replace(bank.ports, cas={"9990": Away()}),  # type: ignore[dict-item]
            bank=BANK,
            claim=claim,
            csr=csr,
            held=KeyHeld.FILE,
            address=ADDRESS,
        )
    permit_reissue(bank.ports, bank=BANK, change=change(bank))
    new = bank.acquire(KEIRI01)
    bank.later(minutes=1)
    assert resume_orders(bank.ports).finished == 1
    rows = bank.rows("SELECT id, ended_at, ending FROM certificates WHERE kind='user' ORDER BY id")
    assert [(row.ended_at is None, row.ending) for row in rows] == [(True, None), (False, "reissued")]
    assert bank.resume(new, bank.log_on(new))
    with pytest.raises(KeyReused):
        bank.acquire(KEIRI01, csr)


def test_revoking_ends_the_certificate_without_a_permit(bank: World) -> None:
    old = bank.acquire(KEIRI01)
    revoke_of_user(bank.ports, bank=BANK, change=change(bank))
    with pytest.raises(CertificateRevoked):
        bank.log_on(old)
    assert read_user(bank.ports, administrator=ADMINISTRATOR, user_id="keiri01").state == "revoked"
    with pytest.raises(NothingToRevoke):
        revoke_of_user(bank.ports, bank=BANK, change=change(bank))


def test_the_list_shows_each_users_state(bank: World) -> None:
    bank.acquire(KEIRI01)
    lines = read_users(bank.ports, administrator=ADMINISTRATOR)
    assert [(line.person.who.user_id, line.state.value) for line in lines] == [
        ("keiri01", "in-force"),
        ("keiri02", "permit"),
    ]
    bank.later(days=366)
    states = [line.state.value for line in read_users(bank.ports, administrator=ADMINISTRATOR)]
    assert states == ["expired", "none"]


def test_the_revocation_list_names_it_with_its_reason(bank: World) -> None:
    from cryptography import x509

    assert publish_crls(bank.ports, bank="9990") == 2
    assert publish_crls(bank.ports, bank="9990") == 0, "nothing has changed"
    old = bank.acquire(KEIRI01)
    bank.later(seconds=5)
    permit_reissue(bank.ports, bank=BANK, change=change(bank))
    bank.later(seconds=5)
    assert publish_crls(bank.ports, bank="9990") == 1
    der = bank.rows("SELECT der FROM crls WHERE name = 'user'")[0].der
    crl = x509.load_der_x509_crl(der)
    issuer = bank.made.issuing[old.kind].certificate
    assert crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    entry = crl.get_revoked_certificate_by_serial_number(old.serial)
    assert entry is not None
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.superseded
