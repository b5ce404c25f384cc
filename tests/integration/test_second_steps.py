"""The second step of an administrator's logon by an authenticator app or a passkey."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from tests.support.authenticator import Authenticator
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, CARD, PINS

from sekisho.domain.errors import (
    ContractClosed,
    EntryMissing,
    EntryNotDigits,
    EntryTooLong,
    EntryWrong,
    PasskeyNotAccepted,
    SecondStepMissing,
)
from sekisho.domain.second_step import SecondStep
from sekisho.store import banks
from sekisho.usecases.log_on import OpenedSession, answer_card, enter_pin
from sekisho.usecases.manage_second_steps import (
    Confirmed,
    add_passkey,
    add_totp,
    ask_new_passkey,
    begin_totp,
    mark_of,
    new_totp,
    remove_passkey,
    remove_totp,
)
from sekisho.usecases.read_second_steps import read_second_steps
from sekisho.usecases.second_step import answer_passkey, answer_totp, ask_passkey
from sekisho.vault import totp
from sekisho.vault.passkeys import PasskeyJudge, count_grew

if TYPE_CHECKING:
    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.usecases.resume_session import LoggedOn

ORIGIN = "https://kanri.mihon.example:8441"
JUDGE = PasskeyJudge(ORIGIN, "みほん信用金庫")
PIN, CONFIRMATION_PIN = PINS[ADMINISTRATOR]


@dataclass
class Administrator:
    """The administrator at a computer, logged on with the card."""

    bank: World
    certificate: IssuedCertificate

    def enter_pin(self) -> tuple[LoggedOn, OpenedSession]:
        opened = enter_pin(
            self.bank.ports, bank=self.bank.bank, kind=self.certificate.kind, der=self.certificate.der, pin=PIN,
            address=ADDRESS,
        )  # fmt: skip
        return self.bank.resume(self.certificate, opened.token), opened

    def log_on(self) -> LoggedOn:
        return self.bank.resume(self.certificate, self.bank.log_on(self.certificate))

    def resume(self, opened: OpenedSession) -> LoggedOn:
        return self.bank.resume(self.certificate, opened.token)

    def add_app(self) -> str:
        """Add an authenticator app and return its secret; its first code can be used a step later."""
        current = self.log_on()
        begin_totp(self.bank.ports, bank=self.bank.bank, current=current)
        secret = new_totp(self.bank.ports, bank=self.bank.bank, current=current)
        shown = mark_of(secret)
        add_totp(
            self.bank.ports, bank=self.bank.bank, confirmed=confirmed(current), code=self.code(secret), shown=shown
        )
        self.bank.later(seconds=60)
        return secret

    def code(self, secret: str, later: float = 0) -> str:
        import base64

        device = TOTP(base64.b32decode(secret), 6, SHA1(), 30)  # noqa: S303 - what apps do
        return device.generate(self.bank.ports.now().timestamp() + later).decode()

    def add_passkey(self, label: str = "鍵") -> Authenticator:
        device = Authenticator(ORIGIN, "kanri.mihon.example")
        current = self.log_on()
        asked = ask_new_passkey(self.bank.ports, bank=self.bank.bank, current=current, judge=JUDGE)
        add_passkey(
            self.bank.ports, bank=self.bank.bank, confirmed=confirmed(current), judge=JUDGE, label=label,
            answer=device.create(asked),
        )  # fmt: skip
        return device

    def take_totp(self, current: LoggedOn, code: str) -> OpenedSession:
        return answer_totp(self.bank.ports, bank=self.bank.bank, current=current, code=code, address=ADDRESS)

    def ask(self, current: LoggedOn) -> str:
        return ask_passkey(self.bank.ports, bank=self.bank.bank, current=current, judge=JUDGE)

    def take_passkey(self, current: LoggedOn, answer: str) -> OpenedSession:
        return answer_passkey(
            self.bank.ports, bank=self.bank.bank, current=current, judge=JUDGE, answer=answer, address=ADDRESS
        )

    def told(self) -> list[str]:
        rows = self.bank.rows("SELECT code FROM notices WHERE code LIKE 'second-step%' ORDER BY id")
        return [row.code for row in rows]

    def actions(self) -> list[str]:
        rows = self.bank.rows(
            "SELECT action FROM audit WHERE action LIKE 'second-step%' OR action LIKE 'passkey%' ORDER BY id"
        )
        return [row.action for row in rows]


def confirmed(current: LoggedOn, pin: str = CONFIRMATION_PIN) -> Confirmed:
    return Confirmed(current, pin, ADDRESS)


@pytest.fixture
def administrator(bank: World) -> Administrator:
    return Administrator(bank, bank.acquire(ADMINISTRATOR))


def offered(administrator: Administrator, current: LoggedOn) -> list[SecondStep]:
    return read_second_steps(administrator.bank.ports, bank=administrator.bank.bank, person=current.person).offered


# The vectors of RFC 6238, appendix B, for SHA-1, cut to six digits.
@pytest.mark.parametrize(
    ("at", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_rfc(at: int, code: str) -> None:
    import base64
    from datetime import UTC, datetime

    secret = base64.b32encode(b"12345678901234567890").decode()
    now = datetime.fromtimestamp(at, UTC)
    assert totp.step_of(secret, code, now) == at // 30
    assert totp.step_of(secret, f"{(int(code) + 1) % 1_000_000:06}", now) is None


def test_an_app_is_asked_first_once_it_was_added_and_completes_the_logon(administrator: Administrator) -> None:
    secret = administrator.add_app()
    current, opened = administrator.enter_pin()
    assert opened.step is SecondStep.TOTP
    assert offered(administrator, current) == [SecondStep.TOTP, SecondStep.CARD]
    done = administrator.take_totp(current, administrator.code(secret))
    assert not administrator.resume(done).session.positions
    assert administrator.told() == ["second-step-added-totp"]
    assert administrator.actions() == ["second-step-added"]
    (kept,) = administrator.bank.rows("SELECT verifier FROM secrets WHERE name = 'totp'")
    assert secret not in kept.verifier


def test_a_code_is_good_for_its_step_and_one_beside_and_only_once(administrator: Administrator) -> None:
    secret = administrator.add_app()
    code = administrator.code(secret)
    current, _ = administrator.enter_pin()
    administrator.take_totp(current, f" {code[:3]} {code[3:]} ")
    current, _ = administrator.enter_pin()
    with pytest.raises(EntryWrong):
        administrator.take_totp(current, code)
    with pytest.raises(EntryWrong):
        administrator.take_totp(current, administrator.code(secret, later=-30))
    with pytest.raises(EntryWrong):
        administrator.take_totp(current, administrator.code(secret, later=60))
    administrator.take_totp(current, administrator.code(secret, later=30))
    administrator.bank.later(seconds=90)
    current, _ = administrator.enter_pin()
    administrator.take_totp(current, administrator.code(secret, later=-30))


@pytest.mark.parametrize("code", ["12345", "1234567", "12345x", "١٢٣٤٥٦", "      "])
def test_what_is_no_code_is_no_guess(administrator: Administrator, code: str) -> None:
    administrator.add_app()
    current, _ = administrator.enter_pin()
    for _ in range(8):
        with pytest.raises(EntryNotDigits):
            administrator.take_totp(current, code)
    assert administrator.bank.rows("SELECT misses FROM secrets WHERE name = 'totp'")[0].misses == 0


def test_full_width_digits_are_digits(administrator: Administrator) -> None:
    secret = administrator.add_app()
    current, _ = administrator.enter_pin()
    full = administrator.code(secret).translate({ord("0") + n: ord("０") + n for n in range(10)})
    assert administrator.take_totp(current, full)


def test_seven_wrong_codes_close_the_contract_and_a_right_one_in_between_does_not_count(
    administrator: Administrator,
) -> None:
    secret = administrator.add_app()
    current, _ = administrator.enter_pin()
    right = administrator.code(secret)
    wrong = f"{(int(right) + 500_000) % 1_000_000:06}"
    for _ in range(6):
        with pytest.raises(EntryWrong):
            administrator.take_totp(current, wrong)
    administrator.take_totp(current, right)
    assert administrator.bank.rows("SELECT misses FROM secrets WHERE name = 'totp'")[0].misses == 0
    current, _ = administrator.enter_pin()
    for _ in range(6):
        with pytest.raises(EntryWrong):
            administrator.take_totp(current, wrong)
    with pytest.raises(ContractClosed):
        administrator.take_totp(current, wrong)
    with pytest.raises(ContractClosed):
        administrator.enter_pin()


def test_an_app_counts_only_once_a_code_of_it_was_typed_with_the_right_pin(administrator: Administrator) -> None:
    ports, bank = administrator.bank.ports, administrator.bank.bank
    current = administrator.log_on()
    with pytest.raises(SecondStepMissing):
        new_totp(ports, bank=bank, current=current)
    begin_totp(ports, bank=bank, current=current)
    secret = new_totp(ports, bank=bank, current=current)
    shown = mark_of(secret)
    assert offered(administrator, current) == [SecondStep.CARD]
    code = administrator.code(secret)
    with pytest.raises(EntryWrong) as refused:
        add_totp(ports, bank=bank, confirmed=confirmed(current), code=f"{(int(code) + 1) % 1_000_000:06}", shown=shown)
    assert refused.value.fields == {"code": "entry-wrong"}
    with pytest.raises(EntryWrong):
        add_totp(ports, bank=bank, confirmed=confirmed(current, "wrong111"), code=code, shown=shown)
    assert new_totp(ports, bank=bank, current=current) == secret, "the app that was scanned is still the one"
    administrator.bank.later(minutes=31)
    with pytest.raises(SecondStepMissing):
        add_totp(ports, bank=bank, confirmed=confirmed(current), code=administrator.code(secret), shown=shown)
    assert administrator.told() == []


def test_an_app_is_replaced_and_taken_away(administrator: Administrator) -> None:
    ports, bank = administrator.bank.ports, administrator.bank.bank
    old = administrator.add_app()
    new = administrator.add_app()
    current, _ = administrator.enter_pin()
    with pytest.raises(EntryWrong):
        administrator.take_totp(current, administrator.code(old))
    current = administrator.resume(administrator.take_totp(current, administrator.code(new)))
    remove_totp(ports, bank=bank, confirmed=confirmed(current))
    with pytest.raises(SecondStepMissing):
        remove_totp(ports, bank=bank, confirmed=confirmed(current))
    current, opened = administrator.enter_pin()
    assert opened.step is SecondStep.CARD
    administrator.bank.later(seconds=60)
    with pytest.raises(SecondStepMissing):
        administrator.take_totp(current, administrator.code(new))
    assert administrator.told() == ["second-step-added-totp"] * 2 + ["second-step-removed-totp"]


def test_a_passkey_completes_the_logon_and_is_noted(administrator: Administrator) -> None:
    device = administrator.add_passkey()
    current, opened = administrator.enter_pin()
    assert opened.step is SecondStep.PASSKEY
    done = administrator.take_passkey(current, device.get(administrator.ask(current)))
    assert not administrator.resume(done).session.positions
    (kept,) = administrator.bank.rows("SELECT label, sign_count, used_at FROM passkeys")
    assert (kept.label, kept.sign_count) == ("鍵", 1)
    assert kept.used_at is not None
    assert administrator.told() == ["second-step-added-passkey"]
    assert administrator.bank.rows("SELECT detail FROM audit WHERE action = 'logged-on' ORDER BY id DESC LIMIT 1")


def test_an_answer_is_good_for_one_question(administrator: Administrator) -> None:
    device = administrator.add_passkey()
    current, _ = administrator.enter_pin()
    before = administrator.ask(current)
    now = administrator.ask(current)
    with pytest.raises(PasskeyNotAccepted):
        administrator.take_passkey(current, device.get(before))
    with pytest.raises(PasskeyNotAccepted):
        administrator.take_passkey(current, device.get(now))  # the wrong answer took the question away
    answer = device.get(administrator.ask(current))
    administrator.take_passkey(current, answer)
    current, _ = administrator.enter_pin()
    with pytest.raises(PasskeyNotAccepted):
        administrator.take_passkey(current, answer)


def wrong_answers(device: Authenticator, asked: str) -> dict[str, str]:
    stranger = Authenticator(ORIGIN, "kanri.mihon.example")
    thief = Authenticator(ORIGIN, "kanri.mihon.example", credential_id=device.credential_id)
    other_site = replace(device, rp_id="another.example")
    other_site._key = device._key
    unverified = replace(device, verifies_user=False)
    unverified._key = device._key
    return {
        "another passkey": stranger.get(asked),
        "another key under its name": thief.get(asked),
        "another relying party": other_site.get(asked),
        "another origin": device.get(asked, origin="https://kanri.mihon.example"),
        "a page below": device.get(asked, origin=ORIGIN + "/"),
        "a page that only begins so": device.get(asked, origin=ORIGIN + ".evil.example"),
        "an answer to create()": device.get(asked, kind="webauthn.create"),
        "the user not verified": unverified.get(asked),
        "nothing": "",
        "no JSON": "{",
        "no object": "[]",
        "an empty object": "{}",
        "too long": '{"id": "' + "x" * 20_000 + '"}',
    }


def test_wrong_answers_of_every_kind_are_refused_and_close_nothing(administrator: Administrator) -> None:
    device = administrator.add_passkey()
    current, _ = administrator.enter_pin()
    for what in wrong_answers(device, administrator.ask(current)):
        answer = wrong_answers(device, administrator.ask(current))[what]
        with pytest.raises(PasskeyNotAccepted):
            administrator.take_passkey(current, answer)
    assert administrator.take_passkey(current, device.get(administrator.ask(current)))


def test_a_count_that_falls_back_is_a_copys(administrator: Administrator) -> None:
    device = administrator.add_passkey()
    current, _ = administrator.enter_pin()
    administrator.take_passkey(current, device.get(administrator.ask(current), counts=5))
    current, _ = administrator.enter_pin()
    with pytest.raises(PasskeyNotAccepted):
        administrator.take_passkey(current, device.get(administrator.ask(current), counts=0))
    assert administrator.actions()[-1] == "passkey-copied"
    assert count_grew(0, 0), "some never count"
    assert not count_grew(5, 0)


def test_several_passkeys_and_one_is_taken_away(administrator: Administrator) -> None:
    ports, bank = administrator.bank.ports, administrator.bank.bank
    first, second = administrator.add_passkey("机の鍵"), administrator.add_passkey("金庫の鍵")
    current, _ = administrator.enter_pin()
    current = administrator.resume(administrator.take_passkey(current, second.get(administrator.ask(current))))
    keys = read_second_steps(ports, bank=bank, person=current.person).passkeys
    assert [key.label for key in keys] == ["机の鍵", "金庫の鍵"]
    with pytest.raises(EntryWrong):
        remove_passkey(ports, bank=bank, confirmed=confirmed(current, "wrong111"), passkey_id=keys[0].id)
    remove_passkey(ports, bank=bank, confirmed=confirmed(current), passkey_id=keys[0].id)
    with pytest.raises(SecondStepMissing):
        remove_passkey(ports, bank=bank, confirmed=confirmed(current), passkey_id=keys[0].id)
    current, _ = administrator.enter_pin()
    with pytest.raises(PasskeyNotAccepted):
        administrator.take_passkey(current, first.get(administrator.ask(current)))
    assert administrator.take_passkey(current, second.get(administrator.ask(current)))
    assert administrator.told() == ["second-step-added-passkey"] * 2 + ["second-step-removed-passkey"]


def test_a_new_passkey_has_to_answer_this_question_and_to_have_a_name(administrator: Administrator) -> None:
    ports, bank = administrator.bank.ports, administrator.bank.bank
    current = administrator.log_on()
    device = Authenticator(ORIGIN, "kanri.mihon.example")

    def add(answer: str, label: str = "鍵", pin: str = CONFIRMATION_PIN) -> None:
        add_passkey(ports, bank=bank, confirmed=confirmed(current, pin), judge=JUDGE, label=label, answer=answer)

    def ask() -> str:
        return ask_new_passkey(ports, bank=bank, current=current, judge=JUDGE)

    with pytest.raises(PasskeyNotAccepted):
        add("{}")
    before = ask()
    ask()
    with pytest.raises(PasskeyNotAccepted):
        add(device.create(before))
    with pytest.raises(PasskeyNotAccepted):
        add(device.create(ask(), origin="https://evil.example"))
    with pytest.raises(PasskeyNotAccepted):
        add(replace(device, verifies_user=False).create(ask()))
    with pytest.raises(EntryMissing):
        add(device.create(ask()), label="  ")
    with pytest.raises(EntryTooLong):
        add(device.create(ask()), label="x" * 41)
    with pytest.raises(EntryWrong):
        add(device.create(ask()), pin="wrong111")
    add(device.create(ask()))
    with pytest.raises(PasskeyNotAccepted):
        add(device.create(ask()))
    assert len(administrator.bank.rows("SELECT id FROM passkeys")) == 1


def restrict(administrator: Administrator, *steps: SecondStep) -> None:
    administrator.bank.change(f"UPDATE banks SET second_steps = '{','.join(steps)}'")  # noqa: S608 - the test's own
    with administrator.bank.db.read() as tx:
        found = banks.find(tx, BANK.code)
    assert found is not None
    administrator.bank.bank = replace(BANK, policy=replace(BANK.policy, second_steps=found.policy.second_steps))


def answer_with_the_card(administrator: Administrator, current: LoggedOn) -> OpenedSession:
    digits = [CARD[str(position)] for position in current.session.positions]
    return answer_card(
        administrator.bank.ports, bank=administrator.bank.bank, certificate=current.certificate,
        session=current.session, digits=digits, address=ADDRESS,
    )  # fmt: skip


def test_the_bank_chooses_which_are_offered(administrator: Administrator) -> None:
    secret = administrator.add_app()
    device = administrator.add_passkey()
    current, _ = administrator.enter_pin()
    assert offered(administrator, current) == [SecondStep.PASSKEY, SecondStep.TOTP, SecondStep.CARD]
    asked = administrator.ask(current)

    restrict(administrator, SecondStep.TOTP)
    assert offered(administrator, current) == [SecondStep.TOTP]
    with pytest.raises(PasskeyNotAccepted):
        administrator.take_passkey(current, device.get(asked))
    with pytest.raises(SecondStepMissing):
        administrator.ask(current)
    with pytest.raises(SecondStepMissing):
        answer_with_the_card(administrator, current)

    restrict(administrator, SecondStep.CARD)
    with pytest.raises(SecondStepMissing):
        administrator.take_totp(current, administrator.code(secret))
    logged_on = administrator.resume(answer_with_the_card(administrator, current))
    with pytest.raises(SecondStepMissing):
        begin_totp(administrator.bank.ports, bank=administrator.bank.bank, current=logged_on)
    with pytest.raises(SecondStepMissing):
        ask_new_passkey(administrator.bank.ports, bank=administrator.bank.bank, current=logged_on, judge=JUDGE)


def test_whoever_has_set_up_nothing_else_has_the_card(administrator: Administrator) -> None:
    restrict(administrator, SecondStep.TOTP, SecondStep.PASSKEY)
    current, opened = administrator.enter_pin()
    assert opened.step is SecondStep.CARD
    assert answer_with_the_card(administrator, current)


def test_a_sealed_secret_opens_for_nobody_else(administrator: Administrator) -> None:
    administrator.add_app()
    seal: Any = administrator.bank.ports.seal
    (kept,) = administrator.bank.rows("SELECT verifier, person_id FROM secrets WHERE name = 'totp'")
    with pytest.raises(RuntimeError, match="does not open"):
        seal.open(kept.verifier, f"totp:9990:12345678901:{kept.person_id + 1}")
    with pytest.raises(RuntimeError, match="does not open"):
        seal.open(kept.verifier, "12345678901")
