"""J6 to J9 in Debian's Firefox ESR: users, PINs, mail address, opening, renewal in the page, lockout and stop."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect
from tests.browser import journey
from tests.browser.support.screens_of_opening import CHOSEN, MAIL
from tests.browser.support.screens_of_people import WRONG, fill
from tests.support.est_client import enroll, new_key
from tests.support.served import Served, free_port_base

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page
    from tests.browser.conftest import Firefoxes
    from tests.browser.support.firefox import Firefox

FILE_PASSWORD = "a file password"
# The page wants a longer one.
PAGE_PASSWORD = "correct-horse-battery"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a bank whose certificates were acquired 340 days ago: a browser has no clock that a test moves."""
    one = Served(tmp_path_factory.mktemp("life") / "data", free_port_base())
    one.set_clock_ahead(days=-340)
    one.start()
    one.set_clock_ahead(days=0)
    yield one
    one.stop()


def computer_of(firefox: Firefoxes, served: Served, name: str, p12: Path, password: str) -> Firefox:
    made = firefox(name, ca=Path(served.info["tls_ca"]))
    made.certificates.import_p12(p12, password)
    return made


def of_demo(firefox: Firefoxes, served: Served, holder: dict[str, Any]) -> Firefox:
    return computer_of(firefox, served, Path(holder["p12"]).stem, Path(holder["p12"]), holder["p12_password"])


def press(page: Page) -> None:
    """Send the form whose button is the page's main one."""
    with page.expect_navigation():
        page.locator("main button.main").click()


def test_a_certificate_is_renewed_in_the_page(served: Served, firefox: Firefoxes) -> None:
    keiri01 = served.user("keiri01")
    page = of_demo(firefox, served, keiri01).page()
    journey.log_on_user(page, served, keiri01)
    journey.see_heading(page, "利用者ステータス")
    page.locator("a[href='/renew']").click()
    page.locator("form[data-acquire]").wait_for()
    fill(page, pin=WRONG)
    page.locator("form[data-acquire] button.main").click()
    page.locator("[role=alert][data-code=entry-wrong]").wait_for()
    fill(page, pin=keiri01["user_pin"])
    page.locator("form[data-acquire] button.main").click()
    page.locator("[data-step=save]").wait_for()
    for field in page.locator("form[data-save] input[type=password]").all():
        field.fill(PAGE_PASSWORD)
    page.locator("form[data-save] button[type=submit]").click()
    # Whoever drives Firefox is told of no download; the file is opened by NSS in Chromium's journeys.
    link = page.locator("[data-part=link]")
    link.wait_for()
    assert (link.get_attribute("download") or "").endswith(".p12")
    assert (link.get_attribute("href") or "").startswith("blob:")
    listed = served.sekisho("certificates", "list", "--json").stdout
    assert sum("keiri019990" in line for line in listed.splitlines()) == 2, listed
    page.goto(served.info["urls"]["user"] + "/status")
    journey.see_heading(page, "利用者ステータス")  # until the new one's first logon both count


def test_a_user_is_locked_out_let_in_again_and_stops_the_certificate(
    served: Served, firefox: Firefoxes, tmp_path: Path
) -> None:
    key, keiri02 = new_key(tmp_path, "keiri02"), served.user("keiri02")
    administrator = of_demo(firefox, served, served.info["administrator"]).page()
    journey.log_on_administrator(administrator, served)
    journey.choose_user(administrator, "keiri02")
    journey.change_certificate(administrator, served, "再発行")
    journey.see_outcome(administrator, "certificate-reissued")
    answer = enroll(served, key, keiri02)
    assert answer.status == 200, answer.code
    key.save(answer)

    page = computer_of(firefox, served, "keiri02", key.p12, FILE_PASSWORD).page()
    journey.to_logon(page, served, "利用者ログオン")
    for _ in range(6):
        with page.expect_navigation():
            journey.enter_user_pin(page, keiri02, WRONG)
        journey.see_outcome(page, "entry-wrong")
    with page.expect_navigation():
        journey.enter_user_pin(page, keiri02, WRONG)
    journey.see_outcome(page, "user-suspended")
    administrator.goto(served.info["urls"]["administrator"] + "/contract/users/confirm?user_id=keiri02&step=lift")
    fill(administrator, confirmation_pin=served.info["contract"]["contract_confirmation_pin"])
    press(administrator)
    journey.see_outcome(administrator, "user-lifted")
    journey.log_on_user(page, served, keiri02)
    journey.see_heading(page, "利用者ステータス")
    page.goto(served.info["urls"]["user"] + "/emergency/certificate")
    press(page)
    journey.see_outcome(page, "certificate-suspended")


def test_a_contract_is_opened(served: Served, firefox: Firefoxes, tmp_path: Path) -> None:
    contract = served.info["unopened_contract"]
    key = new_key(tmp_path, "unopened")
    served.set_clock_ahead(days=-340)  # while its permit is open
    answer = enroll(served, key, {"contract": contract})
    assert answer.status == 200, answer.code
    key.save(answer)
    served.set_clock_ahead(days=0)
    page = computer_of(firefox, served, "unopened", key.p12, FILE_PASSWORD).page()
    journey.to_logon(page, served, "管理者ログオン")
    page.get_by_label("ご契約先暗証番号", exact=True).fill(contract["contract_pin"])
    page.get_by_role("button", name="ログオン", exact=True).click()
    journey.answer_card(page, served, contract)
    for name, pin in CHOSEN.items():
        fill(page, **{name: pin, f"{name}_again": pin})
    fill(page, registration_pin=contract["registration_pin"], mail_address=MAIL)
    press(page)
    fill(page, mailed_code=served.mailed_code())
    press(page)
    journey.see_outcome(page, "contract-opened")


def test_a_user_looks_after_pins_address_and_sessions(served: Served, firefox: Firefoxes) -> None:
    keiri01 = served.user("keiri01")
    page = of_demo(firefox, served, keiri01).page()
    journey.log_on_user(page, served, keiri01)
    journey.see_heading(page, "利用者ステータス")
    page.locator("a[href='/mail-address']").last.click()
    present = keiri01["user_confirmation_pin"]
    fill(page, new_mail_address="ayumi@example.co.jp", confirmation_pin=present)
    press(page)
    fill(page, mailed_code=served.mailed_code())
    press(page)
    journey.see_outcome(page, "mail-address-changed")
    page.goto(served.info["urls"]["user"] + "/pins")
    fill(page, present_pin=keiri01["user_pin"], present_confirmation_pin=present)
    fill(page, new_confirmation_pin="atarasii2", new_confirmation_pin_again="atarasii2")
    press(page)
    journey.see_outcome(page, "pins-changed")
    page.goto(served.info["urls"]["user"] + "/status")
    expect(page.locator("#notices-heading .tag")).to_be_visible()
    page.locator("a[href='/inbox']").click()
    journey.see_heading(page, "お知らせ")
    expect(page.locator("li.unread")).not_to_have_count(0)
    page.goto(served.info["urls"]["user"] + "/status")
    expect(page.locator("#notices-heading .tag")).to_have_count(0)
    expect(page.locator(".waiting a[href='/mail-address']")).to_have_count(0)
    page.goto(served.info["urls"]["user"] + "/sessions")
    journey.see_heading(page, "ログオン中のパソコン")


def test_an_administrator_registers_changes_and_deletes_a_user(served: Served, firefox: Firefoxes) -> None:
    page = of_demo(firefox, served, served.info["administrator"]).page()
    confirmation = served.info["contract"]["contract_confirmation_pin"]
    journey.log_on_administrator(page, served)
    journey.see_heading(page, "ご契約先ステータス")
    page.goto(served.info["urls"]["administrator"] + "/contract/users/new")
    fill(page, user_id="soumu01", name="総務 一郎", mail_address="soumu01@example.com", confirmation_pin=confirmation)
    press(page)
    journey.see_outcome(page, "user-registered")
    expect(page.locator("a[href^='data:application/pdf']")).to_have_attribute("download", re.compile(r"\.pdf$"))
    page.goto(served.info["urls"]["administrator"] + "/contract/users/details?user_id=soumu01")
    fill(page, name="総務 太郎", confirmation_pin=confirmation)
    press(page)
    journey.see_outcome(page, "user-changed")
    page.goto(served.info["urls"]["administrator"] + "/contract/users?find=soumu")
    expect(page.get_by_text("総務 太郎")).to_be_visible()
    page.goto(served.info["urls"]["administrator"] + "/contract/users/confirm?user_id=soumu01&step=delete")
    fill(page, confirmation_pin=confirmation)
    press(page)
    journey.see_outcome(page, "user-deleted")
