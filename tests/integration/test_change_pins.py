"""暗証番号変更: both present PINs, the rules for new ones, and what comes with a change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.support.at_once import DONE, at_once
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, KEIRI01, PINS

from sekisho.domain.errors import (
    ContractClosed,
    EntryDiffers,
    EntryMissing,
    EntryRefused,
    EntryTooLong,
    EntryWrong,
    PinNotAllowed,
    Refusal,
    SessionRefused,
    UserSuspended,
)
from sekisho.domain.secret import SecretName
from sekisho.usecases.change_pins import PinEntries, change_pins
from sekisho.usecases.log_on import enter_pin
from sekisho.usecases.read_status import read_inbox, read_status

if TYPE_CHECKING:
    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.domain.person import PersonId
    from sekisho.usecases.resume_session import LoggedOn

PIN, CONFIRMATION = SecretName.PIN, SecretName.CONFIRMATION_PIN


@dataclass
class Desk:
    """Somebody who is logged on and changes PINs."""

    bank: World
    held: IssuedCertificate
    current: LoggedOn
    pins: tuple[str, str]

    def change(
        self,
        pin: str = "",
        confirmation_pin: str = "",
        *,
        present: tuple[str, str] | None = None,
        again: str | None = None,
    ) -> None:
        typed = present or self.pins
        change_pins(
            self.bank.ports,
            bank=self.bank.bank,
            session=self.current.session,
            certificate_id=self.held.id,
            entries=PinEntries(
                present={PIN: typed[0], CONFIRMATION: typed[1]},
                new={PIN: pin, CONFIRMATION: confirmation_pin},
                again={PIN: pin if again is None else again, CONFIRMATION: confirmation_pin},
            ),
            address=ADDRESS,
        )
        self.pins = (pin or self.pins[0], confirmation_pin or self.pins[1])


def desk(bank: World, who: PersonId = KEIRI01) -> Desk:
    held = bank.acquire(who)
    return Desk(bank, held, bank.resume(held, bank.log_on(held)), PINS[who])


def misses(bank: World, who: PersonId) -> dict[str, int]:
    sql = "SELECT s.name, s.misses FROM secrets s JOIN people p ON p.id = s.person_id WHERE user_key = :key"
    return {row.name: row.misses for row in bank.rows(sql, key=who.user_key)}


@pytest.mark.parametrize("who", [ADMINISTRATOR, KEIRI01])
def test_a_new_pin_takes_the_place_of_the_present_one(bank: World, who: PersonId) -> None:
    one = desk(bank, who)
    one.change("shinki12")
    with pytest.raises(EntryWrong):
        bank.log_on(one.held, PINS[who][0])
    assert bank.log_on(one.held, "shinki12")
    one.current = bank.resume(one.held, bank.log_on(one.held, "shinki12"))
    one.change(confirmation_pin="shinki34")
    assert bank.log_on(one.held, "shinki12")


def test_both_at_once_and_full_width_entry_mean_the_same(bank: World) -> None:
    one = desk(bank)
    one.change("ｓｈｉｎｋｉ１２", "SHINKI34")
    assert bank.log_on(one.held, "shinki12")
    with pytest.raises(EntryWrong):
        bank.log_on(one.held, "SHINKI12")


@pytest.mark.parametrize(
    ("pin", "why"),
    [
        ("ab1", "pin-length"),
        ("abcdefgh12345", "pin-length"),
        ("abc-1234", "pin-characters"),
        ("けいり1234", "pin-characters"),
        ("a1\u200bb2c3d4", "pin-characters"),
        ("abcdefgh", "pin-mixture"),
        ("12345678", "pin-mixture"),
        ("keiri01", "pin-equals-id"),
        ("KEIRI01", "pin-equals-id"),
        ("keiri2bb", "pin-equals-sister"),
        ("keiri1aa", "pin-recent"),
    ],
)
def test_the_rules_for_a_new_pin(bank: World, pin: str, why: str) -> None:
    one = desk(bank)
    with pytest.raises(PinNotAllowed) as refused:
        one.change(pin)
    assert refused.value.fields == {"new_pin": why}
    assert bank.log_on(one.held)
    assert misses(bank, KEIRI01) == {"pin": 0, "confirmation-pin": 0}


def test_a_bank_sets_how_long_a_pin_is_and_how_many_are_remembered(bank: World) -> None:
    bank.bank = replace(BANK, policy=replace(BANK.policy, pin_shortest=10, pin_longest=16, pins_remembered=5))
    one = desk(bank)
    for pin in ("shinki123", "shinki12345678901"):
        with pytest.raises(PinNotAllowed) as refused:
            one.change(pin)
        assert refused.value.fields == {"new_pin": "pin-length"}
    for n in range(1, 6):
        one.change(f"shinki1234{n}")
    with pytest.raises(PinNotAllowed) as refused:
        one.change("shinki12341")
    assert refused.value.fields == {"new_pin": "pin-recent"}
    one.change("shinki1234567890")
    assert bank.rows("SELECT count(*) AS n FROM past_pins")[0].n == 5


def test_both_new_ones_may_not_be_the_same(bank: World) -> None:
    with pytest.raises(PinNotAllowed) as refused:
        desk(bank).change("shinki12", "shinki12")
    assert refused.value.fields == {"new_confirmation_pin": "pin-equals-sister"}


def test_none_of_the_last_three_comes_back(bank: World) -> None:
    one = desk(bank)
    for n in range(1, 4):
        one.change(f"shinki1{n}")
    for used in ("keiri1aa", "shinki11", "shinki12", "shinki13"):
        with pytest.raises(PinNotAllowed) as refused:
            one.change(used)
        assert refused.value.fields == {"new_pin": "pin-recent"}
    one.change("shinki14")
    one.change("keiri1aa")
    rows = bank.rows("SELECT count(*) AS n FROM past_pins")
    assert rows[0].n == 3, "no more than that is kept"


@pytest.mark.parametrize(
    ("present", "counted"),
    [
        (("wrong111", "keiri2bb"), {"pin": 1, "confirmation-pin": 0}),
        (("keiri1aa", "wrong111"), {"pin": 0, "confirmation-pin": 1}),
        (("wrong111", "wrong111"), {"pin": 1, "confirmation-pin": 1}),
    ],
)
def test_a_miss_counts_where_it_counts_at_the_door(
    bank: World, present: tuple[str, str], counted: dict[str, int]
) -> None:
    one = desk(bank)
    with pytest.raises(EntryWrong) as refused:
        one.change("shinki12", present=present)
    assert refused.value.fields == {}, "which was wrong is not said"
    assert misses(bank, KEIRI01) == counted
    assert bank.log_on(one.held)


def test_what_breaks_a_rule_tells_nothing_of_the_other_pin_without_it(bank: World) -> None:
    """Else the confirmation PIN could be tried out as a new PIN, uncounted."""
    one = desk(bank)
    for guess in ("keiri2bb", "shinki12", "keiri1aa"):
        with pytest.raises(EntryWrong):
            one.change(guess, present=("keiri1aa", "wrong111"))
    assert misses(bank, KEIRI01)["confirmation-pin"] == 3


def test_seven_misses_close_the_door_as_anywhere(bank: World) -> None:
    one, administrator = desk(bank), desk(bank, ADMINISTRATOR)
    for person, closed in ((one, UserSuspended), (administrator, ContractClosed)):
        right = PINS[person.held.person]
        for _ in range(6):
            with pytest.raises(EntryWrong):
                person.change("shinki12", present=(right[0], "wrong111"))
        with pytest.raises(closed):
            person.change("shinki12", present=(right[0], "wrong111"))
        with pytest.raises(Refusal):
            person.change("shinki12")
        with pytest.raises(closed):
            bank.log_on(person.held)


def test_misses_at_the_door_and_here_are_one_count(bank: World) -> None:
    one = desk(bank)
    for _ in range(6):
        with pytest.raises(EntryWrong):
            bank.log_on(one.held, "wrong111")
    with pytest.raises(UserSuspended):
        one.change("shinki12", present=("wrong111", "keiri2bb"))


def test_a_change_clears_both_counts(bank: World) -> None:
    one = desk(bank)
    with pytest.raises(EntryWrong):
        one.change("shinki12", present=("wrong111", "wrong111"))
    one.change("shinki12")
    assert misses(bank, KEIRI01) == {"pin": 0, "confirmation-pin": 0}


@pytest.mark.parametrize(
    ("typed", "refusal", "fields"),
    [
        ({"pin": ""}, EntryMissing, {"new_pin": "new-pin-missing"}),
        ({"pin": "shinki12", "again": "shinki13"}, EntryDiffers, {"new_pin_again": "entry-differs"}),
        ({"pin": "", "again": "shinki13"}, EntryMissing, {"new_pin": "entry-missing"}),
        ({"pin": "shinki12", "present": ("", "x")}, EntryMissing, {"present_pin": "entry-missing"}),
        ({"pin": "shinki12", "present": ("x", "y" * 65)}, EntryTooLong, {"present_confirmation_pin": "entry-too-long"}),
    ],
)
def test_what_is_no_guess_is_not_counted(
    bank: World, typed: dict[str, str], refusal: type[EntryRefused], fields: dict[str, str]
) -> None:
    one = desk(bank)
    with pytest.raises(refusal) as refused:
        one.change(**typed)  # type: ignore[arg-type]
    assert refused.value.fields == fields
    assert misses(bank, KEIRI01) == {"pin": 0, "confirmation-pin": 0}


def test_other_sessions_end_and_the_person_is_told(bank: World) -> None:
    """One session for each person: another one is a logon whose card is not answered yet."""
    administrator = desk(bank, ADMINISTRATOR)
    half = enter_pin(
        bank.ports,
        bank=BANK,
        kind=ADMINISTRATOR.kind,
        der=administrator.held.der,
        pin=PINS[ADMINISTRATOR][0],
        address=ADDRESS,
    )
    administrator.change("shinki12")
    with pytest.raises(SessionRefused):
        bank.resume(administrator.held, half.token)
    told = read_inbox(bank.ports, logged_on=administrator.current)
    assert told[0].code == "pins-changed"
    audit = bank.rows("SELECT detail FROM audit WHERE action = 'pins-changed'")
    assert "shinki12" not in str(audit)
    assert "sessions_ended" in str(audit[0].detail)


def test_of_two_changes_at_once_one_counts(bank: World) -> None:
    one = desk(bank)
    new = [f"shinki1{n}" for n in range(4)]
    outcomes = at_once([partial(replace(one).change, pin) for pin in new])
    assert sorted(outcomes) == [DONE] + ["entry-wrong"] * 3
    assert bank.log_on(one.held, new[outcomes.index(DONE)])


def test_an_ended_session_changes_nothing(bank: World) -> None:
    one = desk(bank)
    bank.log_on(one.held)  # the newer one counts
    bank.later(minutes=16)
    with pytest.raises(SessionRefused):
        one.change("shinki12")
    assert bank.log_on(one.held)


def test_after_ninety_days_the_status_screen_asks_for_a_change(bank: World) -> None:
    one = desk(bank)
    bank.later(days=89, hours=23)
    current = bank.resume(one.held, bank.log_on(one.held))
    assert not read_status(bank.ports, bank=BANK, logged_on=current).pins_old
    bank.later(hours=1)
    one.current = current = bank.resume(one.held, bank.log_on(one.held))
    assert read_status(bank.ports, bank=BANK, logged_on=current).pins_old
    one.change("shinki12")
    assert read_status(bank.ports, bank=BANK, logged_on=current).pins_old, "the other one is as old"
    one.change(confirmation_pin="shinki34")
    assert not read_status(bank.ports, bank=BANK, logged_on=current).pins_old
