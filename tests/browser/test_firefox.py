"""J1, J2 and J4 in Debian's Firefox ESR, and the pages that it shows on the way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.browser import journey
from tests.browser.support.accessibility import assert_accessible, assert_reflows
from tests.support.est_client import enroll, new_key
from tests.support.served import Served, free_port_base

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page
    from tests.browser.conftest import Firefoxes
    from tests.browser.support.firefox import Firefox

FILE_PASSWORD = "a file password"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path / "data", free_port_base())
    one.start()
    yield one
    one.stop()


def computer_of(firefox: Firefoxes, served: Served, name: str, *holders: dict[str, Any]) -> Firefox:
    made = firefox(name, ca=Path(served.info["tls_ca"]))
    for holder in holders:
        made.certificates.import_p12(Path(holder["p12"]), holder["p12_password"])
    return made


def judge(page: Page, heading: str) -> None:
    journey.see_heading(page, heading)
    assert_accessible(page)
    assert_reflows(page)


def test_an_administrator_and_a_user_share_a_computer_and_the_user_moves(
    served: Served, firefox: Firefoxes, tmp_path: Path
) -> None:
    """Each site gets its own kind: the handshake names the one issuing CA whose certificates fit."""
    keiri01 = served.user("keiri01")
    shared = computer_of(firefox, served, "shared", served.info["administrator"], keiri01)
    page = shared.page()
    page.goto(served.info["urls"]["public"] + "/")
    judge(page, "みほんビジネスバンキング")
    page.goto(served.info["urls"]["public"] + "/acquire/user")
    page.locator("form[data-acquire]").wait_for()
    judge(page, "電子証明書取得")

    journey.to_logon(page, served, "利用者ログオン")
    judge(page, "利用者ログオン")
    journey.enter_user_pin(page, keiri01)
    judge(page, "利用者ステータス")

    journey.to_logon(page, served, "管理者ログオン")
    judge(page, "管理者ログオン")
    journey.enter_contract_pin(page, served)
    judge(page, "確認用パスワード")
    journey.answer_card(page, served)
    judge(page, "ご契約先ステータス")
    page.get_by_role("link", name="ご契約先管理情報変更").click()
    judge(page, "ご契約先管理情報変更")
    page.get_by_role("link", name="利用者情報登録／変更").click()
    judge(page, "利用者情報選択")
    page.get_by_role("radio", name="keiri01").check()
    page.get_by_role("button", name="変更", exact=True).click()
    judge(page, "利用者情報変更")
    journey.change_certificate(page, served, "再発行")
    journey.see_outcome(page, "certificate-reissued")
    judge(page, "利用者情報変更の結果")

    page.goto(served.info["urls"]["user"] + "/status")
    journey.see_outcome(page, "certificate-reissued")
    judge(page, "再発行されたため、この電子証明書は使えません")
    page.goto(served.info["urls"]["administrator"] + "/status")
    journey.see_heading(page, "ご契約先ステータス")  # the administrator beside it was not disturbed

    key = new_key(tmp_path, "new-computer")
    answer = enroll(served, key, keiri01)
    assert answer.status == 200
    key.save(answer)
    new = computer_of(firefox, served, "new", {"p12": key.p12, "p12_password": FILE_PASSWORD})
    moved = new.page()
    journey.log_on_user(moved, served, keiri01)
    journey.see_heading(moved, "利用者ステータス")


def test_without_a_certificate_there_is_no_logon(served: Served, firefox: Firefoxes) -> None:
    page = firefox("other", ca=Path(served.info["tls_ca"])).page()
    for link in ("利用者ログオン", "管理者ログオン"):
        journey.to_logon(page, served, link)
        journey.see_outcome(page, "certificate-missing")
    judge(page, "電子証明書を確認できませんでした")


def test_another_certificate_in_the_same_window(served: Served, firefox: Firefoxes, tmp_path: Path) -> None:
    """The page that refuses the old certificate has the button; the new one is on the same computer by then.

    Headless Firefox takes the first certificate that fits, so the new one has to be the only one left.
    """
    keiri01 = served.user("keiri01")
    one = computer_of(firefox, served, "one", keiri01)
    page = one.page()
    journey.log_on_user(page, served, keiri01)
    journey.see_heading(page, "利用者ステータス")
    administrator = computer_of(firefox, served, "office", served.info["administrator"]).page()
    journey.log_on_administrator(administrator, served)
    journey.choose_user(administrator, "keiri01")
    journey.change_certificate(administrator, served, "再発行")
    journey.see_outcome(administrator, "certificate-reissued")
    page.reload()
    journey.see_outcome(page, "certificate-reissued")

    key = new_key(tmp_path, "renewed")
    answer = enroll(served, key, keiri01)
    assert answer.status == 200
    key.save(answer)
    for stored in one.certificates.certificates():
        one.certificates.delete(stored.nickname)
    one.certificates.import_p12(key.p12, FILE_PASSWORD)
    with page.expect_navigation():
        page.get_by_role("button", name="別の電子証明書を選ぶ", exact=True).click()
    journey.see_heading(page, "利用者ログオン")
    journey.enter_user_pin(page, keiri01)
    journey.see_heading(page, "利用者ステータス")
