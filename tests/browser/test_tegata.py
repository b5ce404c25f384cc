"""What Tegata brought, in the browsers themselves: J3 by Tegata, then J4 in Chromium and Firefox."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.browser import journey
from tests.support.company_computer import CompanyComputer
from tests.support.screen import Screen
from tests.support.served import Served, free_port_base
from tests.support.tokens import PIN, SoftHsm, Tpm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page
    from tests.browser.support.chromium import Computer
    from tests.browser.support.firefox import Firefox

# The dialog's title in Chromium's own words.
PIN_DIALOG = "Unlock Security Device|セキュリティ デバイスのロック解除"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path / "data", free_port_base())
    one.start()
    yield one
    one.stop()


def log_on_by_certificate(page: Page, served: Served, person: dict[str, Any]) -> None:
    journey.log_on_user(page, served, person)
    journey.see_heading(page, "利用者ステータス")


def test_chromium_logs_on(served: Served, computers: Callable[..., Computer], tmp_path: Path) -> None:
    person = served.user("keiri02")
    desk = computers("desk", ca=Path(served.info["tls_ca"]))
    agent = CompanyComputer(tmp_path / "desk/home")
    assert agent.acquire(served, person).data["store"] == f"nss:{desk.certificates.folder}", "found by itself"
    desk.choose({served.info["urls"]["user"]: {}})
    page = desk.page()
    log_on_by_certificate(page, served, person)
    assert page.get_by_text("ファイル(複製できます)(取得に使ったソフトの申告)").is_visible()


def test_firefox_logs_on(served: Served, firefox: Callable[..., Firefox], tmp_path: Path) -> None:
    person = served.user("keiri02")
    desk = firefox("desk", ca=Path(served.info["tls_ca"]))
    agent = CompanyComputer(tmp_path / "agent")
    assert agent.acquire(served, person, "--store", f"nss:{desk.certificates.folder}").code == 0
    log_on_by_certificate(desk.page(), served, person)


def enters_pin(screen: Screen) -> threading.Thread:
    """Type the token's PIN where the browser asks for it, while the page waits."""
    typing = threading.Thread(target=lambda: screen.type_into(screen.window(PIN_DIALOG), PIN))
    typing.start()
    return typing


def log_on_with_token(
    served: Served,
    token: SoftHsm | Tpm,
    computers: Callable[..., Computer],
    agent: CompanyComputer,
    monkeypatch: pytest.MonkeyPatch,
) -> Page:
    """Acquire into a token, add its module to Chromium, and log on, with the PIN typed into the browser's dialog."""
    person = served.user("keiri02")
    for name, value in token.environment.items():
        monkeypatch.setenv(name, value)
    with Screen() as screen:
        desk = computers("desk", ca=Path(served.info["tls_ca"]), display=screen.display)
        done = agent.acquire(served, person, "--store", token.store, store_pin=PIN)
        assert done.code == 0, done.err
        assert "No browser knows this token yet" in done.err
        if isinstance(token, Tpm):
            token.flush()
        desk.certificates.add_module("token", Path(token.module))
        assert "browser-without-token" not in {line["code"] for line in doctor(agent, token)}
        if isinstance(token, Tpm):
            token.flush()
        desk.choose({served.info["urls"]["user"]: {}})
        page = desk.page()
        page.goto(served.info["urls"]["public"] + "/")
        typing = enters_pin(screen)
        page.get_by_role("link", name="利用者ログオン", exact=True).click(no_wait_after=True)
        journey.enter_user_pin(page, person)
        typing.join()
        journey.see_heading(page, "利用者ステータス")
        desk.screenshot(f"tegata-{token.label}", page)
        shown = page.locator("main").inner_text()
        page.context.close()
    assert "取得に使ったソフトの申告" in shown
    return page


def doctor(agent: CompanyComputer, token: SoftHsm | Tpm) -> list[dict[str, Any]]:
    return agent.run("doctor", "--store", token.store, "--pin-stdin", "--json", typed=(PIN,)).lines


def test_chromium_logs_on_with_a_key_in_a_token(
    served: Served, computers: Callable[..., Computer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = SoftHsm(tmp_path / "hsm")
    agent = CompanyComputer(tmp_path / "desk/home", token.environment)
    log_on_with_token(served, token, computers, agent, monkeypatch)


def test_chromium_logs_on_with_a_key_in_a_tpm(
    served: Served, computers: Callable[..., Computer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Tpm(tmp_path / "tpm") as tpm:
        agent = CompanyComputer(tmp_path / "desk/home", tpm.environment)
        log_on_with_token(served, tpm, computers, agent, monkeypatch)
