"""Provisional PINs: besides them the bank mails a code, and Tegata asks for it on the terminal and in its window."""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.browser.support.nss import NssDatabase
from tests.support.person import Person
from tests.support.screen import Screen
from tests.tegata.test_terminal import on_a_terminal
from tests.tegata.test_window import DONE, FORM, Opened

from tegata import exit_codes

if TYPE_CHECKING:
    from tests.support.company_computer import CompanyComputer, Outcome
    from tests.support.served import Served

_NUMBERS = count(1)
WRONG = "00000000"


@pytest.fixture
def newcomer(bank: Served) -> dict[str, Any]:
    """Register a user; what stands on the slip."""
    user_id = f"shinjin{next(_NUMBERS)}"
    administrator = Person(bank, "administrator", bank.info["administrator"])
    try:
        administrator.log_on_administrator()
        page = administrator.send(
            administrator.get("/contract/users/new"),
            "/contract/users/new",
            user_id=user_id,
            name="新人",
            mail_address=f"{user_id}@example.com",
            confirmation_pin=bank.info["contract"]["contract_confirmation_pin"],
        )
        assert page.outcome == "user-registered"
    finally:
        administrator.close()
    pin, confirmation_pin = re.findall(r'class="[^"]*\bsecret\b[^"]*"[^>]*>([^<]+)<', page.text)
    return {"user_id": user_id, "user_pin": pin, "user_confirmation_pin": confirmation_pin}


def acquire(bank: Served, computer: CompanyComputer, user: dict[str, Any], *codes: str) -> Outcome:
    """Acquire with what stands on the slip, and codes in the order in which they are entered."""
    info = bank.info
    return computer.run(
        *("acquire", "--url", info["urls"]["public"], "--bank", "9990", "--contract", info["contract"]["contract_id"]),
        *("--user", user["user_id"], "--ca", info["tls_ca"], "--pin-stdin", "--json"),
        typed=(user["user_pin"], user["user_confirmation_pin"], *codes),
    )


def test_without_a_code_the_bank_refuses_and_nothing_is_left_half_done(
    bank: Served, computer: CompanyComputer, newcomer: dict[str, Any]
) -> None:
    asked = acquire(bank, computer, newcomer)
    assert (asked.code, asked.data["reason"]) == (exit_codes.REFUSED, "mailed-code-needed")
    assert bank.mailed_code() not in asked.out + asked.err
    done = acquire(bank, computer, newcomer, WRONG, bank.mailed_code())
    assert (done.code, done.data["code"]) == (0, "certificate-acquired")
    (stored,) = NssDatabase(computer.home / ".pki/nssdb").certificates()
    assert newcomer["user_id"] in stored.common_name


def test_wrong_codes_come_to_an_end(bank: Served, computer: CompanyComputer, newcomer: dict[str, Any]) -> None:
    refused = acquire(bank, computer, newcomer, WRONG, WRONG, WRONG, WRONG)
    assert (refused.code, refused.data["reason"]) == (exit_codes.REFUSED, "mailed-code-wrong")
    done = acquire(bank, computer, newcomer, bank.mailed_code())
    assert done.code == 0


@pytest.mark.parametrize(
    ("lang", "asked"),
    [
        ("ja_JP.UTF-8", ["利用者暗証番号: ", "利用者確認暗証番号: ", "メールでお送りした確認コード: "]),
        ("en_US.UTF-8", ["User PIN: ", "User confirmation PIN: ", "Code that was mailed to you: "]),
    ],
)
def test_the_terminal_asks_for_the_code(
    bank: Served, computer: CompanyComputer, newcomer: dict[str, Any], lang: str, asked: list[str]
) -> None:
    acquire(bank, computer, newcomer)
    code, info = bank.mailed_code(), bank.info
    answers = (newcomer["user_pin"], newcomer["user_confirmation_pin"], code)
    seen = on_a_terminal(
        computer,
        lang,
        *("acquire", "--url", info["urls"]["public"], "--bank", "9990", "--contract", info["contract"]["contract_id"]),
        *("--user", newcomer["user_id"], "--ca", info["tls_ca"]),
        answers=dict(zip(asked, answers, strict=True)),
    )
    places = [seen.index(words) for words in asked]
    assert places == sorted(places)
    assert not any(secret in seen for secret in answers)


def test_the_window_asks_for_the_code(bank: Served, computer: CompanyComputer, newcomer: dict[str, Any]) -> None:
    acquire(bank, computer, newcomer)
    url, ca, contract = bank.info["urls"]["public"], bank.info["tls_ca"], bank.info["contract"]["contract_id"]
    with (
        Screen() as screen,
        Opened(computer, screen, "gui", "--url", url, "--bank", "9990", "--ca", ca) as opened,
    ):
        screen.tool("windowfocus", "--sync", opened.window(FORM))
        opened.enter(contract, newcomer["user_id"], newcomer["user_pin"], newcomer["user_confirmation_pin"])
        screen.type_into(opened.window("^メールの確認コード$"), bank.mailed_code())
        screen.tool("windowfocus", "--sync", opened.window(DONE))
        screen.tool("key", "Return")
        assert opened.ended() == 0
    (stored,) = NssDatabase(computer.home / ".pki/nssdb").certificates()
    assert newcomer["user_id"] in stored.common_name
