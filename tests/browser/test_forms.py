"""Every request form's whole way: a clerk's browser, an approver's, and the customer's, who sees what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.browser.journey import see_outcome
from tests.browser.support.branch import Branch
from tests.browser.support.screens_of_second_steps import code_of
from tests.browser.support.walk import Walk, walking

from sekisho.domain.request_forms import FormKind

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page, Playwright

WRONG = "wrong111"


@dataclass
class Company:
    """The sample contract's administrator and keiri01, each at their computer, and what they know by now."""

    walk: Walk
    branch: Branch
    user: dict[str, Any] = field(init=False)
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.user = self.walk.served.user("keiri01")

    @property
    def contract(self) -> dict[str, Any]:
        contract: dict[str, Any] = self.walk.served.info["contract"]
        return contract

    def through(self, kind: str, **typed: str) -> Page:
        """Have the branch carry a form out, and see that the clerk is told so."""
        clerk = self.branch.carry_out(self.branch.receive(kind, **typed))
        see_outcome(clerk, "form-carried-out")
        self.done.append(kind)
        return clerk

    def administrator(self) -> Page:
        """Open the administrator's page in a new window, as whoever begins a day."""
        return self.walk.page(self.walk.served.info["administrator"])

    def users_door(self, code: str) -> None:
        """See what keiri01's certificate opens."""
        page = self.walk.page(self.user)
        self.walk.go(page, "user")
        see_outcome(page, code)

    def log_on(self) -> Page:
        page = self.administrator()
        self.walk.log_on_administrator(page)
        page.locator("a[href='/contract']").wait_for()
        return page

    def told_in_the_inbox(self, page: Page, number: str) -> None:
        self.walk.go(page, "administrator", "/inbox")
        page.get_by_text(number).first.wait_for()


def test_every_form_from_the_counter_to_what_the_customer_sees(
    playwright: Playwright, tmp_path: Path, artifacts: Path
) -> None:
    with walking("ja", playwright, tmp_path, artifacts) as walk:
        company = Company(walk, Branch(walk))
        certificates(company)
        stops_and_lockouts(company)
        changes(company)
        cards(company)
        beginning_and_end(company)
        assert sorted(company.done) == sorted(kind.value for kind in FormKind)


def certificates(company: Company) -> None:
    walk = company.walk
    company.through("certificate-reissue", user_id="keiri01")
    company.users_door("certificate-reissued")
    company.user = walk.enroll("again", company.user)
    walk.log_on_user(walk.page(company.user), company.user)
    company.through("certificate-revocation", user_id="keiri01")
    company.users_door("certificate-revoked")
    page = company.log_on()
    walk.go(page, "administrator", "/contract/forms")
    assert page.get_by_text("電子証明書失効依頼書").first.is_visible()


def stops_and_lockouts(company: Company) -> None:
    walk = company.walk
    company.through("emergency-stop")
    page = company.administrator()
    walk.go(page, "administrator")
    see_outcome(page, "emergency-stopped")
    company.through("emergency-stop-lift")
    company.log_on()
    page = company.administrator()
    for _ in range(7):
        walk.enter_pin(page, "administrator", WRONG)
    see_outcome(page, "contract-closed")
    company.through("lockout-lift")
    company.log_on()


def changes(company: Company) -> None:
    walk, contract = company.walk, company.contract
    slip = company.through("pin-reset").locator(".secret").all_inner_texts()
    page = company.administrator()
    walk.enter_pin(page, "administrator", slip[0])
    walk.answer_card(page)
    new = {"contract_pin": "shinki1aa", "contract_confirmation_pin": "shinki2bb"}
    present = dict(zip(("present_pin", "present_confirmation_pin"), slip, strict=True))
    typed = present | {
        name + again: new[f"contract_{name.removeprefix('new_')}"]
        for name in ("new_pin", "new_confirmation_pin")
        for again in ("", "_again")
    }
    for name, value in typed.items():
        page.locator(f"[name={name}]").fill(value)
    walk.press(page)
    see_outcome(page, "pins-changed")
    contract |= new

    # This one comes from the administrator's own screen: no seal is compared.
    page = company.log_on()
    walk.go(page, "administrator", "/contract/forms/new?kind=contract-change")
    page.locator("[name=company]").fill("新見本株式会社")
    page.locator("[name=confirmation_pin]").fill(contract["contract_confirmation_pin"])
    walk.press(page)
    walk.go(company.branch.clerk, "console", "/forms")
    number = company.branch.clerk.locator("tbody th a").last.inner_text().strip()
    see_outcome(company.branch.carry_out(number), "form-carried-out")
    company.done.append("contract-change")
    company.told_in_the_inbox(company.log_on(), number)
    walk.go(page := company.log_on(), "administrator", "/status")
    page.get_by_text("新見本株式会社").first.wait_for()


def cards(company: Company) -> None:
    walk = company.walk
    company.through("card-reissue")
    page = company.administrator()
    walk.enter_pin(page, "administrator", company.contract["contract_pin"])
    see_outcome(page, "card-missing")
    code = company.through("interim-step").locator(".secret").inner_text().strip()
    page = company.administrator()
    walk.enter_pin(page, "administrator", company.contract["contract_pin"])
    page.locator("[name=interim_code]").fill(code)
    walk.press(page)
    secret = page.locator(".serial").inner_text().replace(" ", "")
    page.locator("[name=code]").fill(code_of(secret))
    walk.press(page)
    page.get_by_text("お届け").first.wait_for()  # the status screen tells of the card that is on its way


def beginning_and_end(company: Company) -> None:
    walk = company.walk
    company.through("contract-end")
    page = company.administrator()
    walk.go(page, "administrator")
    see_outcome(page, "certificate-revoked")
    walk.go(company.branch.clerk, "console", "/openings")
    number = company.branch.fill(
        company_name="株式会社新見本", administrator_name="見本 花子", contract_id="20000000002"
    )
    slip = company.branch.carry_out(number).locator(".secret").all_inner_texts()
    see_outcome(company.branch.clerk, "form-carried-out")
    company.done.append("contract-opening")
    contract = {"contract_id": "20000000002", "contract_pin": slip[0], "contract_confirmation_pin": slip[1]}
    newcomer = walk.enroll("newcomer", {"contract": contract})
    page = walk.page(newcomer)
    walk.enter_pin(page, "administrator", slip[0])
    see_outcome(page, "card-missing")
