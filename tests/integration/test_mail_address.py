"""メールアドレス変更: the confirmation PIN, the code at the new address, and who is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.at_once import DONE, at_once
from tests.support.desk import last_code
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, KEIRI01, PINS

from sekisho.domain.errors import (
    ContractClosed,
    DetailsNotAllowed,
    EntryMissing,
    EntryWrong,
    MailAddressCodeWrong,
    MailAddressConfirmed,
    MailAway,
    MailedCodesUsedUp,
    Refusal,
    SessionRefused,
    UserSuspended,
)
from sekisho.usecases.change_details import change_details
from sekisho.usecases.change_mail_address import AddressChange, ask_new_address, read_address_change, take_new_address
from sekisho.usecases.confirm import Confirmation
from sekisho.usecases.log_off import log_off
from sekisho.usecases.ports import MailServerAway
from sekisho.usecases.read_status import read_inbox
from sekisho.usecases.read_users import read_user
from sekisho.usecases.register_user import UserDetails
from sekisho.web.mails import code_mail, send_mails

if TYPE_CHECKING:
    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.domain.person import PersonId
    from sekisho.usecases.resume_session import LoggedOn

NEW = "atarashii@keiri.example.co.jp"
OTHER = "betsu@keiri.example.co.jp"
OLD = {ADMINISTRATOR: "kanri@example.com", KEIRI01: "keiri01@example.com"}
both_kinds = pytest.mark.parametrize("who", [ADMINISTRATOR, KEIRI01], ids=["administrator", "user"])


@dataclass
class Somebody:
    """A person, logged on, who changes their address."""

    bank: World
    held: IssuedCertificate
    current: LoggedOn

    def ask(self, mail_address: str = NEW, pin: str | None = None) -> None:
        ask_new_address(
            self.bank.ports,
            bank=BANK,
            confirmation=Confirmation(
                self.current.session, self.held.id, PINS[self.held.person][1] if pin is None else pin, ADDRESS
            ),
            mail_address=mail_address,
            mail=code_mail(self.bank.ports, BANK),
        )

    def take(self, code: str) -> None:
        take_new_address(self.bank.ports, bank=BANK, logged_on=self.current, code=code, address=ADDRESS)

    @property
    def stands(self) -> AddressChange:
        return read_address_change(self.bank.ports, bank=BANK, person_id=self.current.person.id)

    def log_on(self) -> None:
        self.current = self.bank.resume(self.held, self.bank.log_on(self.held))


def somebody(bank: World, who: PersonId = KEIRI01) -> Somebody:
    held = bank.acquire(who)
    return Somebody(bank, held, bank.resume(held, bank.log_on(held)))


def actions(bank: World) -> list[str]:
    sql = "SELECT action FROM audit WHERE action LIKE 'mail%' OR action = 'entry-missed' ORDER BY id"
    return [row.action for row in bank.rows(sql)]


def misses(bank: World, name: str = "confirmation-pin") -> int:
    sql = "SELECT s.misses FROM secrets s JOIN people p ON p.id = s.person_id WHERE s.name = :name AND user_key = :key"
    found: int = bank.rows(sql, name=name, key=KEIRI01.user_key)[0].misses
    return found


def wrong_code(bank: World) -> str:
    return "00000000" if last_code(bank) != "00000000" else "00000001"


@both_kinds
def test_only_the_code_changes_the_address_and_the_one_before_is_told(bank: World, who: PersonId) -> None:
    one = somebody(bank, who)
    one.ask()
    assert [mail["To"] for mail in bank.mailbox.mails.values()] == [NEW], "the code goes there and nowhere else"
    assert one.stands == AddressChange(OLD[who], confirmed=False, waiting=NEW, changed_at=None)
    one.take(last_code(bank))
    assert one.stands == AddressChange(NEW, confirmed=True, waiting=None, changed_at=bank.clock[0])
    assert actions(bank) == ["mail-address-asked", "mail-address-changed"]
    told = read_inbox(bank.ports, logged_on=one.current)
    assert [notice.code for notice in told if "mail" in notice.code] == ["mail-address-changed", "code-mailed"]
    bank.mailbox.mails.clear()
    send_mails(bank.ports, bank=BANK)
    changed = [mail for mail in bank.mailbox.mails.values() if "メールアドレスを変更しました" in mail["Subject"]]
    assert sorted(mail["To"] for mail in changed) == sorted({OLD[who], OLD[ADMINISTRATOR]})
    for mail in changed:
        assert not any(secret in mail.get_content() for secret in ("http", NEW, "keiri01"))


def test_the_administrator_is_told_and_sees_the_users_new_address(bank: World) -> None:
    one, administrator = somebody(bank), somebody(bank, ADMINISTRATOR)
    one.ask()
    one.take(last_code(bank))
    told = read_inbox(bank.ports, logged_on=administrator.current)
    notice = next(notice for notice in told if notice.code == "mail-address-changed")
    assert notice.detail["user_id"] == "keiri01"
    line = read_user(bank.ports, administrator=ADMINISTRATOR, user_id="keiri01")
    assert (line.person.mail_address, line.person.mail_confirmed) == (NEW, True)
    with pytest.raises(MailAddressConfirmed):
        change_details(
            bank.ports,
            bank=BANK,
            confirmation=Confirmation(
                administrator.current.session, administrator.held.id, PINS[ADMINISTRATOR][1], ADDRESS
            ),
            user_id="keiri01",
            details=UserDetails("経理", OLD[KEIRI01], ()),
        )


@both_kinds
def test_wrong_pins_count_and_close_the_door_as_anywhere(bank: World, who: PersonId) -> None:
    one = somebody(bank, who)
    for _ in range(6):
        with pytest.raises(EntryWrong):
            one.ask(pin="wrong111")
    with pytest.raises(ContractClosed if who is ADMINISTRATOR else UserSuspended):
        one.ask(pin="wrong111")
    with pytest.raises(Refusal):
        one.ask()
    assert bank.mailbox.mails == {}
    assert one.stands.waiting is None
    assert actions(bank) == ["entry-missed"] * 7


def test_a_right_pin_clears_its_count(bank: World) -> None:
    one = somebody(bank)
    with pytest.raises(EntryWrong):
        one.ask(pin="wrong111")
    assert misses(bank) == 1
    one.ask()
    assert misses(bank) == 0


@pytest.mark.parametrize(
    ("typed", "refusal", "fields"),
    [
        ({"mail_address": ""}, DetailsNotAllowed, {"new_mail_address": "entry-missing"}),
        ({"mail_address": "keiri@kogyo"}, DetailsNotAllowed, {"new_mail_address": "mail-address-form"}),
        ({"mail_address": "a@" + "b" * 260 + ".jp"}, DetailsNotAllowed, {"new_mail_address": "entry-too-long"}),
        ({"pin": " "}, EntryMissing, {"confirmation_pin": "entry-missing"}),
    ],
)
def test_what_lacks_something_counts_nothing(
    bank: World, typed: dict[str, str], refusal: type[Refusal], fields: dict[str, str]
) -> None:
    one = somebody(bank)
    with pytest.raises(refusal) as refused:
        one.ask(**typed)
    assert refused.value.fields == fields
    assert (misses(bank), bank.mailbox.mails, actions(bank)) == (0, {}, [])


def test_the_present_address_is_confirmed_once_and_then_is_no_new_one(bank: World) -> None:
    one = somebody(bank)
    one.ask(OLD[KEIRI01])
    one.take(last_code(bank))
    assert one.stands.confirmed
    assert actions(bank) == ["mail-address-asked", "mail-address-confirmed"]
    assert "mail-address-changed" not in {notice.code for notice in read_inbox(bank.ports, logged_on=one.current)}
    with pytest.raises(DetailsNotAllowed) as refused:
        one.ask("ｋｅｉｒｉ０１@example.com")
    assert refused.value.fields == {"new_mail_address": "mail-address-same"}


def test_a_second_request_replaces_the_first(bank: World) -> None:
    one = somebody(bank)
    one.ask()
    first = last_code(bank)
    one.ask(OTHER)
    assert one.stands.waiting == OTHER
    with pytest.raises(MailAddressCodeWrong):
        one.take(first)
    one.take(last_code(bank))
    assert one.stands.present == OTHER


def test_a_second_click_sends_no_second_mail(bank: World) -> None:
    one = somebody(bank)
    one.ask()
    one.ask()
    assert len(bank.mailbox.mails) == 1
    one.take(last_code(bank))


def test_seven_wrong_codes_end_the_code_and_close_nothing(bank: World) -> None:
    one = somebody(bank)
    one.ask()
    right = last_code(bank)
    for _ in range(7):
        with pytest.raises(MailAddressCodeWrong):
            one.take(wrong_code(bank))
    assert one.stands.waiting is None
    with pytest.raises(MailAddressCodeWrong):
        one.take(right)
    assert one.stands.present == OLD[KEIRI01]
    one.log_on()
    bank.later(minutes=2)
    one.ask()
    one.take(last_code(bank))


def test_a_code_lives_for_fifteen_minutes_and_counts_once(bank: World) -> None:
    one = somebody(bank)
    one.ask()
    bank.later(minutes=14)
    late = last_code(bank)
    bank.later(minutes=1)
    one.log_on()
    assert one.stands.waiting is None
    with pytest.raises(MailAddressCodeWrong):
        one.take(late)
    one.ask()
    code = last_code(bank)
    one.take(code)
    with pytest.raises(MailAddressCodeWrong):
        one.take(code)
    assert actions(bank).count("mail-address-changed") == 1


def test_ten_codes_a_day_and_no_more(bank: World) -> None:
    one = somebody(bank)
    for n in range(10):
        one.ask(f"n{n}@example.co.jp")
    with pytest.raises(MailedCodesUsedUp):
        one.ask()
    assert len(bank.mailbox.mails) == 10
    assert one.stands.waiting == "n9@example.co.jp"
    one.ask("n9@example.co.jp")
    one.take(last_code(bank))
    assert one.stands.present == "n9@example.co.jp"
    bank.later(days=1, seconds=1)
    one.log_on()
    one.ask()


def test_without_a_mail_server_nothing_is_changed_or_lost(bank: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one = somebody(bank)

    def away(_message: object, _key: str) -> str:
        raise MailServerAway("no answer")

    with monkeypatch.context() as fault:
        fault.setattr(bank.mailbox, "send", away)
        with pytest.raises(MailAway):
            one.ask()
    assert one.stands == AddressChange(OLD[KEIRI01], confirmed=False, waiting=None, changed_at=None)
    one.ask()
    one.take(last_code(bank))
    assert one.stands.present == NEW


def test_of_the_same_code_twice_at_once_one_counts(bank: World) -> None:
    one = somebody(bank)
    one.ask()
    code = last_code(bank)
    outcomes = at_once([lambda: one.take(code)] * 4)
    assert sorted(outcomes) == [DONE] + ["mail-address-code-wrong"] * 3
    assert actions(bank).count("mail-address-changed") == 1


def test_a_door_that_was_shut_meanwhile_stays_shut(bank: World) -> None:
    one = somebody(bank)
    one.ask()
    bank.change("UPDATE people SET closed_at = registered_at WHERE user_key = 'keiri01'")
    with pytest.raises(UserSuspended):
        one.take(last_code(bank))
    assert one.stands.present == OLD[KEIRI01]


def test_a_session_that_has_ended_changes_nothing(bank: World) -> None:
    one = somebody(bank)
    one.ask()
    bank.later(minutes=15)
    with pytest.raises(SessionRefused):
        one.ask()
    with pytest.raises(SessionRefused):
        one.take(last_code(bank))
    assert one.stands.present == OLD[KEIRI01]


def test_a_code_of_another_person_or_for_something_else_is_none(bank: World) -> None:
    one, administrator = somebody(bank), somebody(bank, ADMINISTRATOR)
    administrator.ask()
    code: Any = last_code(bank)
    one.ask(OTHER)
    with pytest.raises(MailAddressCodeWrong):
        one.take(code)
    bank.change("UPDATE mailed_codes SET purpose = 'mail-address'")
    with pytest.raises(MailAddressCodeWrong):
        one.take(last_code(bank))
    assert one.stands.present == OLD[KEIRI01]


def test_no_secret_is_left_anywhere(bank: World) -> None:
    one = somebody(bank)
    one.ask()
    code = last_code(bank)
    one.take(code)
    log_off(bank.ports, session=one.current.session, address=ADDRESS)
    told = [*bank.rows("SELECT detail FROM audit"), *bank.rows("SELECT detail FROM notices")]
    stored = str([*told, *bank.rows("SELECT * FROM mailed_codes"), *bank.rows("SELECT * FROM secrets")])
    assert code not in stored
    assert PINS[KEIRI01][1] not in stored
    assert NEW not in str(told)
