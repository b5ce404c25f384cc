"""利用者情報登録／変更: registering, changing and deleting users, and their provisional PINs (J7, J10)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.at_once import DONE, at_once
from tests.support.desk import DETAILS, KEIRI03, Desk, acquire, code_of, last_code, replace_pins
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, KEIRI01, PINS, new_csr

from sekisho.domain.contract import Application
from sekisho.domain.errors import (
    CertificateRevoked,
    ContractClosed,
    DetailsNotAllowed,
    EntryMissing,
    EntryWrong,
    MailAddressConfirmed,
    MailAddressMissing,
    MailAway,
    MailedCodeNeeded,
    MailedCodesUsedUp,
    MailedCodeWrong,
    NotAccepted,
    PermitSpent,
    PermitWithdrawn,
    PinNotAllowed,
    PinsToReplace,
    ProvisionalPinEnded,
    SessionRefused,
    UserIdTaken,
    UsersFull,
    UserUnknown,
)
from sekisho.domain.secret import SecretName, pin_problems
from sekisho.store import people
from sekisho.usecases.change_details import change_details
from sekisho.usecases.change_user import Change, permit_reissue
from sekisho.usecases.delete_user import delete_user
from sekisho.usecases.ports import MailServerAway
from sekisho.usecases.provisional_pins import reset_pins
from sekisho.usecases.read_users import read_user, read_users
from sekisho.usecases.register_user import UserDetails, register_user
from sekisho.web.problems import headers_of, status_of

if TYPE_CHECKING:
    from tests.support.world import World

    from sekisho.usecases.provisional_pins import IssuedPins

WRONG_CODE = "00000000"


@pytest.fixture
def desk(bank: World) -> Desk:
    return Desk(bank)


def entered(bank: World, issued: IssuedPins) -> Any:
    """Acquire with provisional PINs and the code that is mailed."""
    with pytest.raises(MailedCodeNeeded):
        acquire(bank, issued)
    return acquire(bank, issued, last_code(bank))


def test_a_user_from_registration_to_their_own_pins(bank: World, desk: Desk) -> None:
    issued = desk.register()
    assert (issued.who, (issued.until - bank.clock[0]).days) == (KEIRI03, 14)
    certificate = entered(bank, issued)
    current = bank.resume(certificate, bank.log_on(certificate, issued.pins[SecretName.PIN]))
    assert current.pins_to_replace
    replace_pins(bank, certificate, issued, "watashi1", "watashi2")
    current = bank.resume(certificate, bank.log_on(certificate, "watashi1"))
    assert not current.pins_to_replace
    with pytest.raises(EntryWrong):
        bank.log_on(certificate, issued.pins[SecretName.PIN])


def test_provisional_pins_follow_the_rules_and_are_not_kept(bank: World, desk: Desk) -> None:
    drawn = [desk.register(f"keiri1{n}").pins for n in range(5)]
    for pins in drawn:
        pin, sister = pins[SecretName.PIN], pins[SecretName.CONFIRMATION_PIN]
        assert pin_problems(pin, ids=(), sister=sister) == []
        assert pin_problems(sister, ids=(), sister=pin) == []
        for query in ("SELECT * FROM secrets", "SELECT * FROM audit", "SELECT * FROM notices", "SELECT * FROM people"):
            assert pin not in str(bank.rows(query))
        assert not any(pin in mail.as_string() for mail in bank.mailbox.mails.values())
    assert len({pin for pins in drawn for pin in pins.values()}) == 10


def test_what_was_typed_is_kept_in_one_form(bank: World, desk: Desk) -> None:
    details = UserDetails("  経理　 三郎 ", "ｋｅｉｒｉ@ｅｘａｍｐｌｅ．ｃｏｍ", ("transfer", "nothing"))
    bank_with = replace(BANK, applications=(Application("transfer", {"ja": "振込", "en": "Transfers"}),))
    register_user(
        bank.ports, bank=bank_with, confirmation=desk.confirmation(), user_id="ｋｅｉｒｉ０３", details=details
    )
    person = read_user(bank.ports, administrator=ADMINISTRATOR, user_id="KEIRI03").person
    assert (person.who.user_id, person.name, person.mail_address) == ("keiri03", "経理 三郎", "keiri@example.com")
    assert person.applications == ("transfer",)


@pytest.mark.parametrize(
    ("user_id", "changed", "wrong"),
    [
        ("", {}, {"user_id": "entry-missing"}),
        ("keiri 03", {}, {"user_id": "user-id-form"}),
        ("経理03", {}, {"user_id": "user-id-form"}),
        ("k" * 31, {}, {"user_id": "user-id-form"}),
        ("keiri03\u202e", {}, {"user_id": "user-id-form"}),
        ("keiri03", {"name": "  "}, {"name": "entry-missing"}),
        ("keiri03", {"name": "あ" * 61}, {"name": "entry-too-long"}),
        ("keiri03", {"name": "経理\u202e三郎"}, {"name": "entry-characters"}),
        ("keiri03", {"name": "経理\x00三郎"}, {"name": "entry-characters"}),
        ("keiri03", {"name": "経理😀"}, {"name": "entry-characters"}),
        ("keiri03", {"mail_address": ""}, {"mail_address": "entry-missing"}),
        ("keiri03", {"mail_address": "keiri03"}, {"mail_address": "mail-address-form"}),
        ("keiri03", {"mail_address": "a@b"}, {"mail_address": "mail-address-form"}),
        ("keiri03", {"mail_address": "a b@example.com"}, {"mail_address": "mail-address-form"}),
        ("keiri03", {"mail_address": "a@b.com,c@d.com"}, {"mail_address": "mail-address-form"}),
        ("keiri03", {"mail_address": "a@b.com\r\nBcc: c@d.com"}, {"mail_address": "mail-address-form"}),
        ("keiri03", {"mail_address": f"{'a' * 250}@b.com"}, {"mail_address": "entry-too-long"}),
    ],
)
def test_what_cannot_be_taken_is_told_by_its_field(
    bank: World, desk: Desk, user_id: str, changed: dict[str, str], wrong: dict[str, str]
) -> None:
    with pytest.raises(DetailsNotAllowed) as refused:
        desk.register(user_id, replace(DETAILS, **changed))
    assert refused.value.fields == wrong
    assert len(read_users(bank.ports, administrator=ADMINISTRATOR)) == 2


@pytest.mark.parametrize("user_id", ["keiri01", "KEIRI01", "ｋｅｉｒｉ０１"])
def test_an_id_is_given_once_ignoring_case(desk: Desk, user_id: str) -> None:
    with pytest.raises(UserIdTaken):
        desk.register(user_id)


def test_deleting_never_frees_the_id(bank: World, desk: Desk) -> None:
    held = bank.acquire(KEIRI01)
    token = bank.log_on(held)
    delete_user(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri01")
    with pytest.raises(CertificateRevoked):
        bank.resume(held, token)
    with pytest.raises(NotAccepted):
        bank.acquire(KEIRI01)
    with pytest.raises(UserUnknown):
        read_user(bank.ports, administrator=ADMINISTRATOR, user_id="keiri01")
    with pytest.raises(UserUnknown):
        delete_user(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri01")
    with pytest.raises(UserIdTaken):
        desk.register("Keiri01")
    rows = bank.rows(
        "SELECT count(*) AS n FROM secrets JOIN people ON people.id = person_id WHERE user_key = 'keiri01'"
    )
    assert rows[0].n == 0
    told = bank.rows("SELECT user_key FROM notices JOIN people ON people.id = person_id WHERE code = 'user-deleted'")
    assert sorted(row.user_key for row in told) == ["", "keiri01"]


def test_a_contract_has_ninety_nine_users_and_two_at_once_are_not_more(bank: World, desk: Desk) -> None:
    small = replace(BANK, policy=replace(BANK.policy, users_of_contract=3))
    confirmation = desk.confirmation()

    def register(user_id: str) -> None:
        register_user(bank.ports, bank=small, confirmation=confirmation, user_id=user_id, details=DETAILS)

    outcomes = at_once([partial(register, f"soumu{n}") for n in range(4)])
    assert sorted(outcomes) == [DONE, *["users-full"] * 3]
    assert BANK.policy.users_of_contract == 99
    delete_user(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri02")
    register_user(bank.ports, bank=small, confirmation=desk.confirmation(), user_id="soumu9", details=DETAILS)
    with pytest.raises(UsersFull):
        register_user(bank.ports, bank=small, confirmation=desk.confirmation(), user_id="soumu8", details=DETAILS)


def test_without_the_confirmation_pin_nothing_is_registered_and_misses_count(bank: World, desk: Desk) -> None:
    confirmation = desk.confirmation("wrong111")
    for _ in range(6):
        with pytest.raises(EntryWrong):
            register_user(bank.ports, bank=BANK, confirmation=confirmation, user_id="keiri03", details=DETAILS)
    with pytest.raises(ContractClosed):
        register_user(bank.ports, bank=BANK, confirmation=confirmation, user_id="keiri03", details=DETAILS)
    with pytest.raises(EntryMissing):
        register_user(
            bank.ports,
            bank=BANK,
            confirmation=replace(confirmation, confirmation_pin=""),
            user_id="k3",
            details=DETAILS,
        )
    assert bank.rows("SELECT count(*) AS n FROM people")[0].n == 3


# ------------------------------------------------------------------------------------------ the mailed code


def test_the_code_goes_to_the_user_and_counts_once(bank: World, desk: Desk) -> None:
    issued = desk.register()
    with pytest.raises(MailedCodeNeeded):
        acquire(bank, issued)
    mails = [mail for mail in bank.mailbox.mails.values() if code_of(mail)]
    assert [mail["To"] for mail in mails] == ["keiri03@example.com"]
    code = last_code(bank)
    stored = bank.rows("SELECT * FROM mailed_codes")
    assert code not in str(stored)
    assert code not in str(bank.rows("SELECT * FROM notices"))
    assert code not in str(bank.rows("SELECT * FROM audit"))
    csr = new_csr()
    certificate = acquire(bank, issued, f" {code[:4]} {code[4:]} ", csr)
    assert acquire(bank, issued, code, csr).der == certificate.der, "a lost answer"
    assert acquire(bank, issued, "", csr).der == certificate.der
    with pytest.raises(PermitSpent):
        acquire(bank, issued, code)
    assert read_user(bank.ports, administrator=ADMINISTRATOR, user_id="keiri03").person.mail_confirmed


def test_a_second_question_sends_no_second_mail_at_once(bank: World, desk: Desk) -> None:
    issued = desk.register()
    for _ in range(3):
        with pytest.raises(MailedCodeNeeded):
            acquire(bank, issued)
    assert len(bank.mailbox.mails) == 1
    first = last_code(bank)
    bank.later(minutes=1)
    with pytest.raises(MailedCodeNeeded):
        acquire(bank, issued)
    assert len(bank.mailbox.mails) == 2
    with pytest.raises(MailedCodeWrong):
        acquire(bank, issued, first)
    assert acquire(bank, issued, last_code(bank))


def test_nobodys_mailbox_is_filled(bank: World, desk: Desk) -> None:
    issued = desk.register()
    for _ in range(15):
        with pytest.raises(MailedCodeNeeded):
            acquire(bank, issued)
        bank.later(minutes=1)
    assert len(bank.mailbox.mails) == 10
    bank.later(minutes=10)  # the tenth is over, and nobody says that an eleventh was mailed
    with pytest.raises(MailedCodesUsedUp) as told:
        acquire(bank, issued)
    assert (status_of(told.value), headers_of(told.value)) == (403, {}), "no client waits for half a minute"
    assert len(bank.mailbox.mails) == 10
    bank.later(days=1)
    with pytest.raises(MailedCodeNeeded):
        acquire(bank, issued)
    assert acquire(bank, issued, last_code(bank))


def test_a_code_is_good_for_a_quarter_of_an_hour(bank: World, desk: Desk) -> None:
    issued = desk.register()
    with pytest.raises(MailedCodeNeeded):
        acquire(bank, issued)
    bank.later(minutes=15)
    with pytest.raises(MailedCodeWrong):
        acquire(bank, issued, last_code(bank))


def test_wrong_codes_count_against_the_permit_and_end_the_pins_with_it(bank: World, desk: Desk) -> None:
    issued = desk.register()
    with pytest.raises(MailedCodeNeeded):
        acquire(bank, issued)
    for _ in range(3):
        with pytest.raises(NotAccepted):
            acquire(bank, replace(issued, pins={**issued.pins, SecretName.PIN: "wrong111"}))
    for _ in range(4):
        with pytest.raises(MailedCodeWrong):
            acquire(bank, issued, WRONG_CODE)
    with pytest.raises(PermitWithdrawn):
        acquire(bank, issued, last_code(bank))
    ended = bank.rows(
        "SELECT provisional_until FROM secrets JOIN people ON people.id = person_id WHERE user_key = 'keiri03'"
    )
    assert len(ended) == 2
    permit_reissue(bank.ports, bank=BANK, change=change(desk, "keiri03"))
    with pytest.raises(ProvisionalPinEnded):
        acquire(bank, issued, last_code(bank))


def test_who_guesses_provisional_pins_without_an_open_permit_learns_nothing_from_the_limit_on(
    bank: World, desk: Desk
) -> None:
    issued = desk.register()
    wrong = replace(issued, pins={**issued.pins, SecretName.PIN: "wrong111"})
    for _ in range(7):  # which end the permit
        with pytest.raises(NotAccepted):
            acquire(bank, wrong)
    with pytest.raises(PermitWithdrawn):
        acquire(bank, issued)
    for _ in range(7):
        with pytest.raises(NotAccepted):
            acquire(bank, wrong)
    with pytest.raises(NotAccepted):
        acquire(bank, issued)
    assert bank.mailbox.mails == {}


def test_no_code_is_mailed_to_whoever_does_not_know_both_pins(bank: World, desk: Desk) -> None:
    issued = desk.register()
    for name in SecretName.PIN, SecretName.CONFIRMATION_PIN:
        with pytest.raises(NotAccepted):
            acquire(bank, replace(issued, pins={**issued.pins, name: "wrong111"}))
    assert bank.mailbox.mails == {}


def test_final_pins_need_no_code(bank: World) -> None:
    assert bank.acquire(KEIRI01)
    assert bank.mailbox.mails == {}


def test_mails_that_cannot_be_sent_leave_no_code_and_are_none_of_the_days_ten(bank: World, desk: Desk) -> None:
    issued = desk.register()

    class Broken:
        sender = "no-reply@mihon.example"

        def line(self) -> None:
            raise MailServerAway("connection refused")

    mailbox, bank.ports = bank.ports.mail, replace(bank.ports, mail=Broken())  # type: ignore[arg-type]
    for _ in range(11):
        with pytest.raises(MailAway):
            acquire(bank, issued)
        bank.later(minutes=2)
    bank.ports = replace(bank.ports, mail=mailbox)
    with pytest.raises(MailedCodeNeeded):
        acquire(bank, issued)
    assert acquire(bank, issued, last_code(bank))


def test_of_many_who_use_one_code_at_once_one_gets_a_certificate(bank: World, desk: Desk) -> None:
    issued = desk.register()
    with pytest.raises(MailedCodeNeeded):
        acquire(bank, issued)
    code = last_code(bank)
    outcomes = at_once([lambda: acquire(bank, issued, code)] * 4)
    assert outcomes.count(DONE) == 1, outcomes
    assert set(outcomes) <= {DONE, "permit-spent", "mailed-code-wrong"}


def test_a_user_without_a_mail_address_is_told_so(bank: World, desk: Desk) -> None:
    issued = desk.register()
    bank.change("UPDATE people SET mail_address = NULL WHERE user_key = 'keiri03'")
    with pytest.raises(MailAddressMissing):
        acquire(bank, issued)


# ------------------------------------------------------------------------------------------ provisional PINs end


def change(desk: Desk, user_id: str) -> Change:
    typed = desk.confirmation()
    return Change(typed.session, typed.certificate_id, user_id, typed.confirmation_pin, ADDRESS)


def test_provisional_pins_end_when_their_permit_would(bank: World, desk: Desk) -> None:
    issued = desk.register()
    certificate = entered(bank, issued)
    bank.later(days=14)
    with pytest.raises(ProvisionalPinEnded):
        bank.log_on(certificate, issued.pins[SecretName.PIN])
    with pytest.raises(EntryWrong):
        bank.log_on(certificate, "wrong111")


def test_a_reissue_ends_them(bank: World, desk: Desk) -> None:
    issued = desk.register()
    permit_reissue(bank.ports, bank=BANK, change=change(desk, "keiri03"))
    with pytest.raises(ProvisionalPinEnded):
        acquire(bank, issued)
    again = reset_pins(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri03")
    assert again.acquires
    assert entered(bank, again)


def test_a_forgotten_pin_is_reset_and_the_certificate_stays(bank: World, desk: Desk) -> None:
    held = bank.acquire(KEIRI01)
    token = bank.log_on(held)
    issued = reset_pins(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri01")
    assert not issued.acquires
    with pytest.raises(SessionRefused):
        bank.resume(held, token)
    with pytest.raises(EntryWrong):
        bank.log_on(held)
    replace_pins(bank, held, issued, "watashi1", "watashi2")
    assert bank.log_on(held, "watashi1")
    told = bank.rows("SELECT user_key FROM notices JOIN people ON people.id = person_id WHERE code = 'pins-reset'")
    assert sorted(row.user_key for row in told) == ["", "keiri01"]


def test_provisional_pins_have_to_be_replaced_both_and_by_others(bank: World, desk: Desk) -> None:
    held = bank.acquire(KEIRI01)
    issued = reset_pins(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri01")
    with pytest.raises(EntryMissing) as refused:
        replace_pins(bank, held, issued, "watashi1", "")
    assert refused.value.fields == {"new_confirmation_pin": "entry-missing"}
    with pytest.raises(PinNotAllowed):
        replace_pins(bank, held, issued, issued.pins[SecretName.PIN], "watashi2")
    with pytest.raises(PinNotAllowed):
        replace_pins(bank, held, issued, PINS[KEIRI01][0], "watashi2")


def test_nothing_is_renewed_with_a_provisional_pin(bank: World, desk: Desk) -> None:
    held = bank.acquire(KEIRI01)
    bank.later(days=336)
    issued = reset_pins(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri01")
    with pytest.raises(PinsToReplace):
        bank.renew(held, pin=issued.pins[SecretName.PIN])


# ------------------------------------------------------------------------------------------ what stands about a user


def test_details_are_changed_and_both_are_told(bank: World, desk: Desk) -> None:
    details = UserDetails("経理 花子", "hanako@example.com", ())
    change_details(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri01", details=details)
    person = read_user(bank.ports, administrator=ADMINISTRATOR, user_id="keiri01").person
    assert (person.name, person.mail_address) == ("経理 花子", "hanako@example.com")
    change_details(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri01", details=details)
    told = bank.rows("SELECT user_key FROM notices JOIN people ON people.id = person_id WHERE code = 'user-changed'")
    assert sorted(row.user_key for row in told) == ["", "keiri01"], "what changes nothing tells nothing"


def test_an_address_that_the_user_confirmed_stays(bank: World, desk: Desk) -> None:
    """Else an administrator would have the code, too, and could become the user."""
    entered(bank, desk.register())
    new = UserDetails("経理 花子", "kanri@example.com", ())
    with pytest.raises(MailAddressConfirmed):
        change_details(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri03", details=new)
    kept = replace(new, mail_address="keiri03@example.com")
    change_details(bank.ports, bank=BANK, confirmation=desk.confirmation(), user_id="keiri03", details=kept)
    with bank.db.read() as tx:
        person = people.find(tx, KEIRI03)
    assert person is not None
    assert (person.name, person.mail_confirmed) == ("経理 花子", True)
