"""Forms of tabs that were left open: sent twice, late, out of order, or from another session; nothing is half done."""

from __future__ import annotations

import base64
import re
from html import unescape
from typing import TYPE_CHECKING

import pytest
from anyio.from_thread import start_blocking_portal
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from tests.support.authenticator import Authenticator
from tests.support.desk import last_code
from tests.support.tabs import HOST, computer
from tests.support.unopened import CONTRACT, FORM_PINS, MAIL, NEW_PINS, REGISTRATION_PIN, Unopened
from tests.support.world import ADMINISTRATOR, PINS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.from_thread import BlockingPortal
    from tests.support.person import Page
    from tests.support.tabs import Browser
    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate

STEPS = "/contract/second-steps"
APP, PASSKEY, REMOVE = f"{STEPS}/totp", f"{STEPS}/passkey", f"{STEPS}/remove"
PIN, CONFIRMATION_PIN = PINS[ADMINISTRATOR]
CONFIRMED = {"confirmation_pin": CONFIRMATION_PIN}
ENTRIES = {
    "registration_pin": REGISTRATION_PIN,
    "new_pin": NEW_PINS[0],
    "new_pin_again": NEW_PINS[0],
    "new_confirmation_pin": NEW_PINS[1],
    "new_confirmation_pin_again": NEW_PINS[1],
    "mail_address": MAIL,
}


@pytest.fixture
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as opened:
        yield opened


@pytest.fixture
def opening(bank: World, portal: BlockingPortal) -> Browser:
    """Log on the administrator of a contract that is not open."""
    browser = computer(bank, Unopened(bank).held, portal)
    assert browser.log_on(FORM_PINS[0]).path == "/opening"
    return browser


@pytest.fixture
def held(bank: World) -> IssuedCertificate:
    return bank.acquire(ADMINISTRATOR)


@pytest.fixture
def desk(bank: World, held: IssuedCertificate, portal: BlockingPortal) -> Browser:
    """Log on an administrator."""
    browser = computer(bank, held, portal)
    assert browser.log_on(PIN).path == "/status"
    return browser


def outcome(page: Page) -> tuple[int, str, str | None]:
    return page.status, page.path, page.outcome


def actions(bank: World, which: str = "%") -> list[str]:
    return [
        row.action for row in bank.rows("SELECT action FROM audit WHERE action LIKE :which ORDER BY id", which=which)
    ]


def state(bank: World) -> list[object]:
    """Return everything that the steps of these pages change."""
    return [
        *bank.rows("SELECT person_id, name, verifier, misses FROM secrets ORDER BY person_id, name"),
        *bank.rows("SELECT id, mail_address, mail_confirmed_at FROM people ORDER BY id"),
        *bank.rows("SELECT opened_at FROM contracts ORDER BY contract_id"),
        *bank.rows("SELECT id, label FROM passkeys ORDER BY id"),
        *actions(bank),
    ]


# ---------------------------------------------------------------- 開通確認


def test_the_first_step_of_the_opening_from_a_second_tab_is_not_done_again(bank: World, opening: Browser) -> None:
    first, second = opening.tab("/opening"), opening.tab("/opening")
    assert outcome(opening.send(first, "/opening", **ENTRIES)) == (200, "/opening", None)
    before = state(bank)
    late = opening.send(second, "/opening", **ENTRIES | {"mail_address": "hoka@kogyo.example.com"})
    assert outcome(late) == (200, "/opening", "opening-step-done")
    assert f"{MAIL} に届いた確認コード" in late.text, "the page shows where it goes on"
    assert state(bank) == before


@pytest.mark.parametrize("step", ["code", "mail"])
def test_the_second_step_of_the_opening_does_not_come_first(bank: World, opening: Browser, step: str) -> None:
    before, tab = state(bank), opening.tab("/opening")
    early = opening.send(tab, "/opening", step=step, mailed_code="12345678", mail_address=MAIL)
    assert outcome(early) == (200, "/opening", "opening-step-done")
    assert 'name="registration_pin"' in early.text
    assert state(bank) == before


def test_the_code_of_the_opening_sent_twice_opens_once(bank: World, opening: Browser) -> None:
    opening.send(opening.tab("/opening"), "/opening", **ENTRIES)
    tabs = [opening.tab("/opening") for _ in range(2)]
    code = last_code(bank)
    for tab in tabs:
        assert outcome(opening.send(tab, "/opening", step="code", mailed_code=code)) == (
            200,
            "/status",
            "contract-opened",
        )
    assert actions(bank, "contract-opened") == ["contract-opened"]
    # What was left open any longer is told that it was done, and not that it was done just now.
    bank.later(minutes=11)
    before = state(bank)
    for fields in (
        {"step": "code", "mailed_code": code},
        {**ENTRIES, "step": "entries"},
        {"step": "mail", "mail_address": MAIL},
    ):
        assert outcome(opening.send(tabs[0], "/opening", **fields)) == (200, "/status", "opening-step-done")
    assert state(bank) == before


def test_a_code_that_another_tab_has_replaced_opens_nothing(bank: World, opening: Browser) -> None:
    opening.send(opening.tab("/opening"), "/opening", **ENTRIES)
    first, second = opening.tab("/opening"), opening.tab("/opening")
    old = last_code(bank)
    opening.send(second, "/opening", step="mail", mail_address="hoka@kogyo.example.com")
    late = opening.send(first, "/opening", step="code", mailed_code=old)
    assert outcome(late) == (403, "/opening", "opening-code-wrong")
    assert "hoka@kogyo.example.com に届いた確認コード" in late.text
    assert actions(bank, "contract-opened") == []


def test_a_form_of_an_older_session_opens_nothing(bank: World, opening: Browser) -> None:
    old = opening.tab("/opening")
    opening.log_on(FORM_PINS[0])
    before = state(bank)
    assert outcome(opening.send(old, "/opening", **ENTRIES)) == (403, "/opening", "form-expired")
    assert state(bank) == before
    opening.send(opening.tab("/opening"), "/opening", **ENTRIES)
    old = opening.tab("/opening")
    opening.log_on(NEW_PINS[0])
    refused = opening.send(old, "/opening", step="code", mailed_code=last_code(bank))
    assert outcome(refused) == (403, "/opening", "form-expired")
    assert bank.rows("SELECT opened_at FROM contracts WHERE contract_id = :id", id=CONTRACT) == [(None,)]


def test_a_form_of_another_contracts_administrator_opens_nothing(bank: World, opening: Browser, desk: Browser) -> None:
    before = state(bank)
    assert outcome(opening.send(desk.tab("/status"), "/opening", **ENTRIES)) == (403, "/opening", "form-expired")
    assert outcome(desk.send(opening.tab("/opening"), "/opening", **ENTRIES))[1:] == ("/status", "opening-step-done")
    assert state(bank) == before


# ---------------------------------------------------------------- an authenticator app


def begin(desk: Browser) -> tuple[Page, str]:
    """Begin to add an app; return the tab and the secret that it shows."""
    tab = desk.send(desk.tab(STEPS), STEPS)
    shown = re.search(r'<p class="serial">([A-Z2-7 ]+)</p>', tab.text)
    assert tab.path == APP
    assert shown is not None
    return tab, shown[1].replace(" ", "")


def code_of(bank: World, secret: str) -> str:
    app = TOTP(base64.b32decode(secret), 6, SHA1(), 30)  # noqa: S303 - what apps do
    return app.generate(bank.ports.now().timestamp()).decode()


def test_an_app_that_is_sent_twice_is_added_once(bank: World, desk: Browser) -> None:
    tab, secret = begin(desk)
    entries = {"code": code_of(bank, secret), **CONFIRMED}
    for _ in range(2):
        assert outcome(desk.send(tab, APP, **entries)) == (200, STEPS, "second-step-added")
    assert actions(bank, "second-step%") == ["second-step-added"]


def test_an_app_that_another_tab_began_anew_is_not_taken(bank: World, desk: Browser) -> None:
    first, old = begin(desk)
    second, new = begin(desk)
    assert old != new
    late = desk.send(first, APP, code=code_of(bank, old), **CONFIRMED)
    assert outcome(late) == (200, APP, "form-expired")
    assert new[:4] in late.text, "the page shows the one that waits"
    assert actions(bank, "second-step%") == []
    assert outcome(desk.send(second, APP, code=code_of(bank, new), **CONFIRMED))[1:] == (STEPS, "second-step-added")
    before = state(bank)
    assert outcome(desk.send(first, APP, code=code_of(bank, old), **CONFIRMED))[1:] == (STEPS, "second-step-missing")
    assert state(bank) == before


def test_an_app_is_not_taken_before_it_was_begun(bank: World, desk: Browser) -> None:
    before, tab = state(bank), desk.tab(STEPS)
    assert outcome(desk.send(tab, APP, code="123456", **CONFIRMED))[1:] == (STEPS, "second-step-missing")
    assert desk.tab(APP).outcome == "second-step-missing"
    assert state(bank) == before


def test_an_app_is_taken_away_once(bank: World, desk: Browser) -> None:
    tab, secret = begin(desk)
    desk.send(tab, APP, code=code_of(bank, secret), **CONFIRMED)
    tabs = [desk.tab(REMOVE, which="totp") for _ in range(2)]
    told = [outcome(desk.send(tab, REMOVE, **CONFIRMED))[1:] for tab in tabs]
    assert told == [(STEPS, "second-step-removed"), (STEPS, "second-step-missing")]
    assert actions(bank, "second-step%") == ["second-step-added", "second-step-removed"]
    # The form that had added it brings it not back.
    assert outcome(desk.send(tab, APP, code=code_of(bank, secret), **CONFIRMED))[1:] == (STEPS, "second-step-missing")


def test_a_logon_that_waits_for_an_app_that_is_gone_goes_on_with_the_card(
    bank: World, desk: Browser, held: IssuedCertificate, portal: BlockingPortal
) -> None:
    tab, secret = begin(desk)
    desk.send(tab, APP, code=code_of(bank, secret), **CONFIRMED)
    half = computer(bank, held, portal)
    waiting = half.send(half.tab("/"), "/", pin=PIN)
    assert waiting.path == "/totp"
    desk.send(desk.tab(REMOVE, which="totp"), REMOVE, **CONFIRMED)
    bank.later(minutes=1)
    late = half.send(waiting, "/totp", code=code_of(bank, secret))
    assert outcome(late)[1:] == ("/card", "second-step-missing")


# ---------------------------------------------------------------- passkeys


def asked(tab: Page) -> str:
    found = re.search(r'data-asked="([^"]+)"', tab.text)
    assert found is not None, tab.outcome
    return unescape(found[1])


def test_a_passkey_that_is_sent_twice_is_added_once(bank: World, desk: Browser) -> None:
    tab, device = desk.tab(PASSKEY), Authenticator(HOST, "localhost")
    entries = {"label": "机の鍵", "answer": device.create(asked(tab)), **CONFIRMED}
    for _ in range(2):
        assert outcome(desk.send(tab, PASSKEY, **entries)) == (200, STEPS, "second-step-added")
    assert actions(bank, "second-step%") == ["second-step-added"]
    assert len(bank.rows("SELECT id FROM passkeys")) == 1


def test_the_newer_of_two_tabs_that_ask_for_a_passkey_counts(bank: World, desk: Browser) -> None:
    first, second = desk.tab(PASSKEY), desk.tab(PASSKEY)
    device, other = (Authenticator(HOST, "localhost") for _ in range(2))
    late = desk.send(first, PASSKEY, label="机の鍵", answer=device.create(asked(first)), **CONFIRMED)
    assert outcome(late)[1:] == (PASSKEY, "passkey-not-accepted")
    assert 'value="机の鍵"' in late.text, "what was typed stays"
    assert bank.rows("SELECT id FROM passkeys") == []
    # The refusal asked anew, so the second tab's question is an old one by now; its page asks again.
    stale = desk.send(second, PASSKEY, label="机の鍵", answer=other.create(asked(second)), **CONFIRMED)
    assert stale.outcome == "passkey-not-accepted"
    again = desk.send(stale, PASSKEY, label="机の鍵", answer=other.create(asked(stale)), **CONFIRMED)
    assert outcome(again)[1:] == (STEPS, "second-step-added")


def test_a_passkey_is_not_taken_before_it_was_asked_for(bank: World, desk: Browser) -> None:
    device, before = Authenticator(HOST, "localhost"), state(bank)
    answer = device.create('{"challenge": "AAAA"}')
    refused = desk.send(desk.tab(STEPS), PASSKEY, label="机の鍵", answer=answer, **CONFIRMED)
    assert outcome(refused)[1:] == (PASSKEY, "passkey-not-accepted")
    assert state(bank) == before


def test_a_passkey_is_taken_away_once(bank: World, desk: Browser) -> None:
    tab, device = desk.tab(PASSKEY), Authenticator(HOST, "localhost")
    desk.send(tab, PASSKEY, label="机の鍵", answer=device.create(asked(tab)), **CONFIRMED)
    [row] = bank.rows("SELECT id FROM passkeys")
    tabs = [desk.tab(REMOVE, which=str(row.id)) for _ in range(2)]
    told = [outcome(desk.send(tab, REMOVE, **CONFIRMED))[1:] for tab in tabs]
    assert told == [(STEPS, "second-step-removed"), (STEPS, "second-step-missing")]


def test_a_logon_that_waits_for_a_passkey_that_is_gone_goes_on_with_the_card(
    bank: World, desk: Browser, held: IssuedCertificate, portal: BlockingPortal
) -> None:
    tab, device = desk.tab(PASSKEY), Authenticator(HOST, "localhost")
    desk.send(tab, PASSKEY, label="机の鍵", answer=device.create(asked(tab)), **CONFIRMED)
    half = computer(bank, held, portal)
    waiting = half.send(half.tab("/"), "/", pin=PIN)
    assert waiting.path == "/passkey"
    [row] = bank.rows("SELECT id FROM passkeys")
    desk.send(desk.tab(REMOVE, which=str(row.id)), REMOVE, **CONFIRMED)
    late = half.send(waiting, "/passkey", answer=device.get(asked(waiting)))
    assert outcome(late)[1:] == ("/card", "second-step-missing")


def test_forms_of_an_older_session_change_no_second_step(bank: World, desk: Browser) -> None:
    old, secret = begin(desk)
    desk.log_on(PIN)
    before = state(bank)
    fields = {"code": code_of(bank, secret), "label": "x", "answer": "{}", "which": "totp", **CONFIRMED}
    for path in (APP, PASSKEY, STEPS):
        assert outcome(desk.send(old, path, **fields))[1:] == (path, "form-expired")
    # There is no app yet, and the page on which one is taken away says that first.
    assert outcome(desk.send(old, REMOVE, **fields))[1:] == (STEPS, "second-step-missing")
    assert state(bank) == before
