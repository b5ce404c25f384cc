"""A passkey in Debian's Chromium, with the browser's own virtual device behind it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.browser import journey
from tests.support.served import Served, free_port_base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import CDPSession, Page
    from tests.browser.support.chromium import Computer

STEPS = "/contract/second-steps"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path / "data", free_port_base())
    one.start()
    yield one
    one.stop()


def plug_in(page: Page) -> tuple[CDPSession, str]:
    """Give the browser a device that knows its user."""
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    added = devices.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    return devices, str(added["authenticatorId"])


def test_an_administrator_adds_a_passkey_and_logs_on_with_it(
    served: Served, computers: Callable[..., Computer]
) -> None:
    info = served.info
    office = computers("office", ca=Path(info["tls_ca"]))
    office.certificates.import_p12(Path(info["administrator"]["p12"]), info["administrator"]["p12_password"])
    office.choose({info["urls"]["administrator"]: {}})
    page = office.page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    journey.log_on_administrator(page, served)
    journey.see_heading(page, "ご契約先ステータス")
    devices, device = plug_in(page)
    page.goto(info["urls"]["administrator"] + STEPS)
    page.get_by_role("link", name="パスキーを追加", exact=True).click()

    page.get_by_role("button", name="パスキーを登録", exact=True).click()
    journey.see_outcome(page, "entry-missing")
    assert not devices.send("WebAuthn.getCredentials", {"authenticatorId": device})["credentials"], "nothing is asked"
    page.get_by_label("パスキーの名前", exact=True).fill("机の鍵")
    page.get_by_label("ご契約先確認暗証番号", exact=True).fill(info["contract"]["contract_confirmation_pin"])
    page.get_by_role("button", name="パスキーを登録", exact=True).click()
    journey.see_outcome(page, "second-step-added")
    expect(page.get_by_text("机の鍵", exact=True)).to_be_visible()

    page.get_by_role("button", name="ログオフ", exact=True).click()
    journey.to_logon(page, served, "管理者ログオン")
    journey.enter_contract_pin(page, served)
    journey.see_heading(page, "パスキーによる確認")
    devices.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
    page.get_by_role("button", name="パスキーで確認", exact=True).click()
    expect(page.get_by_text("パスキーを確認できませんでした")).to_be_visible()
    devices.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": True})
    page.get_by_role("button", name="パスキーで確認", exact=True).click()
    journey.see_heading(page, "ご契約先ステータス")

    page.goto(info["urls"]["administrator"] + "/inbox")
    expect(page.get_by_text("ログオンの確認にパスキーを追加しました")).to_be_visible()
    page.goto(info["urls"]["administrator"] + STEPS)
    page.get_by_role("link", name="パスキー「机の鍵」を削除", exact=True).click()
    page.get_by_label("ご契約先確認暗証番号", exact=True).fill(info["contract"]["contract_confirmation_pin"])
    page.get_by_role("button", name="削除", exact=True).click()
    journey.see_outcome(page, "second-step-removed")
    page.get_by_role("button", name="ログオフ", exact=True).click()
    journey.log_on_administrator(page, served)
    journey.see_heading(page, "ご契約先ステータス")
    assert broken == []
