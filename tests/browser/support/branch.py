"""The branch's people at the console, with a computer each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.browser.support.walk import Walk


def log_on(walk: Walk, page: Page, colleague: dict[str, Any], pin: str | None = None) -> None:
    walk.go(page, "console")
    page.locator("[name=staff_pin]").fill(pin or colleague["pin"])
    walk.press(page)


@dataclass
class Branch:
    """A clerk and an approver who are logged on, each in a browser of their own."""

    walk: Walk
    clerk: Page = field(init=False)
    approver: Page = field(init=False)

    def __post_init__(self) -> None:
        self.clerk, self.approver = (self._logged_on(role) for role in ("clerk", "approver"))

    def receive(self, kind: str, **typed: str) -> str:
        """Receive a form about the sample contract, and return its number."""
        contract = self.walk.served.info["contract"]["contract_id"]
        self.walk.go(self.clerk, "console", f"/contracts/{contract}/forms?kind={kind}")
        return self.fill(**typed)

    def fill(self, **typed: str) -> str:
        """Fill the form that the clerk sees, send it, and return its number."""
        for name, value in typed.items():
            self.clerk.locator(f"[name={name}]").fill(value)
        self.walk.press(self.clerk)
        return self.clerk.url.split("?")[0].rsplit("/", 1)[1]

    def carry_out(self, number: str) -> Page:
        """Take a form through what is left of its steps, and return the clerk's page that tells so."""
        self.walk.go(self.clerk, "console", f"/forms/{number}")
        self.walk.press(self.clerk)  # received, or its seal compared
        self.walk.go(self.approver, "console", f"/forms/{number}")
        self.walk.press(self.approver)
        self.walk.go(self.clerk, "console", f"/forms/{number}")
        self.walk.press(self.clerk)
        return self.clerk

    def _logged_on(self, role: str) -> Page:
        colleague = self.walk.served.staff(role)
        page = self.walk.page(colleague)
        log_on(self.walk, page, colleague)
        return page


def through_branch(walk: Walk, kind: str, **typed: str) -> Page:
    """Take a form about the sample contract through all of its steps, and return the clerk's page that tells so."""
    branch = Branch(walk)
    return branch.carry_out(branch.receive(kind, **typed))
