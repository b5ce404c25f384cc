"""J1 to J4 in Debian's Chromium: the browser itself takes the certificates from its own store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.browser import journey
from tests.support.est_client import enroll, new_key
from tests.support.served import Served, free_port_base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.support.chromium import Computer


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path / "data", free_port_base())
    one.start()
    yield one
    one.stop()


def test_a_user_moves_to_a_new_computer(served: Served, computers: Callable[..., Computer], tmp_path: Path) -> None:
    info, keiri01 = served.info, served.user("keiri01")
    ca = Path(info["tls_ca"])
    office, old, new = (computers(name, ca=ca) for name in ("office", "old", "new"))
    office.certificates.import_p12(Path(info["administrator"]["p12"]), info["administrator"]["p12_password"])
    office.choose({info["urls"]["administrator"]: {}})
    old.certificates.import_p12(Path(keiri01["p12"]), keiri01["p12_password"])
    old.choose({info["urls"]["user"]: {}})

    users_page = old.page()
    journey.log_on_user(users_page, served, keiri01)
    journey.see_heading(users_page, "利用者ステータス")

    page = office.page()
    journey.to_logon(page, served, "管理者ログオン")
    office.screenshot("administrator-pin", page)
    journey.enter_contract_pin(page, served)
    journey.see_heading(page, "確認用パスワード")
    office.screenshot("administrator-card", page)
    journey.answer_card(page, served)
    journey.see_heading(page, "ご契約先ステータス")
    office.screenshot("administrator-status", page)
    journey.choose_user(page, "keiri01")
    journey.see_heading(page, "利用者情報変更")
    office.screenshot("user-change", page)
    journey.change_certificate(page, served, "再発行")
    journey.see_outcome(page, "certificate-reissued")
    office.screenshot("user-changed", page)

    users_page.reload()
    # The open session ended, and the page says why.
    journey.see_outcome(users_page, "certificate-reissued")
    old.screenshot("certificate-reissued", users_page)
    users_page.goto(info["urls"]["user"] + "/")
    journey.see_outcome(users_page, "certificate-reissued")

    key = new_key(tmp_path, "new-computer")
    answer = enroll(served, key, keiri01)
    assert answer.status == 200
    key.save(answer)
    new.certificates.import_p12(key.p12, "a file password")
    new.choose({info["urls"]["user"]: {}})
    moved = new.page()
    journey.log_on_user(moved, served, keiri01)
    journey.see_heading(moved, "利用者ステータス")
    new.screenshot("user-status", moved)
    users_page.reload()
    journey.see_outcome(users_page, "certificate-reissued")


def test_without_a_certificate_there_is_no_logon(served: Served, computers: Callable[..., Computer]) -> None:
    """An empty store brings up no picker: the browser goes on without a certificate."""
    other = computers("other", ca=Path(served.info["tls_ca"]))
    page = other.page()
    for link in ("利用者ログオン", "管理者ログオン"):
        journey.to_logon(page, served, link)
        journey.see_outcome(page, "certificate-missing")
    other.screenshot("certificate-missing", page)


def test_acquisition_through_the_page(served: Served, computers: Callable[..., Computer], tmp_path: Path) -> None:
    info, keiri02 = served.info, served.user("keiri02")
    new = computers("new", ca=Path(info["tls_ca"]))
    page = new.page()
    broken: list[str] = []
    page.on("console", lambda message: broken.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: broken.append(str(error)))
    journey.fill_acquisition(page, served, {**keiri02, "user_pin": "wrong111"})
    page.locator("[role=alert][data-code=not-accepted]").wait_for()
    assert page.get_by_label("利用者ID", exact=True).input_value() == "keiri02", "what was typed stays"
    assert page.get_by_label("利用者暗証番号", exact=True).input_value() == "", "secrets do not"
    broken.clear()  # the browser itself reports the 403 in the console
    journey.fill_acquisition(page, served, keiri02)
    page.get_by_label("パスワード", exact=False).first.wait_for()
    new.screenshot("acquire-save", page)
    page.reload()
    file_password = "correct-horse-battery"
    for field in page.locator("form[data-save] input[type=password]").all():
        field.fill(file_password)
    page.locator("form[data-save] button[type=submit]").click()
    with page.expect_download() as download:
        page.locator("[data-part=link]").click()
    p12 = tmp_path / download.value.suggested_filename
    download.value.save_as(p12)
    page.locator("[data-action=saved]").click()
    page.get_by_text("電子証明書のインストールが完了しました", exact=True).wait_for()
    new.screenshot("acquire-done", page)
    assert broken == []
    new.certificates.import_p12(p12, file_password)
    new.choose({info["urls"]["user"]: {}})
    journey.log_on_user(page, served, keiri02)
    journey.see_heading(page, "利用者ステータス")
    assert page.get_by_text("エクスポート可能").first.is_visible()
