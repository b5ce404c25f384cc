"""「別の電子証明書を選ぶ」, in one browser process that is never restarted (J1).

Headless Chromium has no picker, so the managed policy stands for the person's hand: it is changed before
the button is pressed, and shown not to be enough without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect
from tests.browser import journey
from tests.support.est_client import Key, curl, enroll, new_key
from tests.support.served import Served, free_port_base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page
    from tests.browser.support.chromium import Computer

FILE_PASSWORD = "a file password"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path / "data", free_port_base())
    one.start()
    yield one
    one.stop()


def common_name(served: Served, user_id: str = "") -> str:
    return f"{served.info['contract']['contract_id']}{user_id}{served.info['bank']['code']}"


def only(served: Served, user_id: str) -> dict[str, Any]:
    """Return the choice that only one user's certificate fits."""
    return {served.info["urls"]["user"]: {"SUBJECT": {"CN": common_name(served, user_id)}}}


def see_certificate_of(page: Page, served: Served, user_id: str) -> None:
    expect(page.get_by_text(common_name(served, user_id), exact=True)).to_be_visible()


def choose_another(page: Page) -> None:
    """Press the button and wait until the page has gone on."""
    with page.expect_navigation():
        page.get_by_role("button", name="別の電子証明書を選ぶ", exact=True).click()


def acquire(served: Served, folder: Path, user_id: str) -> Key:
    key = new_key(folder, f"key-of-{user_id}")
    answer = enroll(served, key, served.user(user_id))
    assert answer.status == 200
    key.save(answer)
    return key


def test_the_wrong_one_then_the_right_one(served: Served, computers: Callable[..., Computer], tmp_path: Path) -> None:
    keiri01, keiri02 = served.user("keiri01"), served.user("keiri02")
    shared = computers("shared", ca=Path(served.info["tls_ca"]))
    shared.certificates.import_p12(Path(keiri01["p12"]), keiri01["p12_password"])
    shared.certificates.import_p12(acquire(served, tmp_path, "keiri02").p12, FILE_PASSWORD)
    shared.choose(only(served, "keiri01"))
    page = shared.page()
    journey.to_logon(page, served, "利用者ログオン")
    see_certificate_of(page, served, "keiri01")

    shared.choose(only(served, "keiri02"))
    page.reload()
    see_certificate_of(page, served, "keiri01")  # the browser holds on to its choice
    choose_another(page)
    see_certificate_of(page, served, "keiri02")
    journey.enter_user_pin(page, keiri02)
    journey.see_heading(page, "利用者ステータス")

    shared.choose(only(served, "keiri01"))
    page.get_by_role("button", name="ログオフ").click()
    journey.to_logon(page, served, "利用者ログオン")
    for user_id in ("keiri01", "keiri02", "keiri01"):
        shared.choose(only(served, user_id))
        choose_another(page)
        see_certificate_of(page, served, user_id)
    journey.enter_user_pin(page, keiri01)
    journey.see_heading(page, "利用者ステータス")


def test_away_from_a_certificate_that_was_reissued(
    served: Served, computers: Callable[..., Computer], tmp_path: Path
) -> None:
    """The page that refuses the old certificate has the button; the new one is on the same computer by then."""
    info, keiri01 = served.info, served.user("keiri01")
    one = computers("one", ca=Path(info["tls_ca"]))
    one.certificates.import_p12(Path(info["administrator"]["p12"]), info["administrator"]["p12_password"])
    one.certificates.import_p12(Path(keiri01["p12"]), keiri01["p12_password"])
    # No filter: the handshake asks for the certificates of one issuing CA, so each site is offered its own kind.
    one.choose({info["urls"]["administrator"]: {}, info["urls"]["user"]: {}})
    page = one.page()
    journey.log_on_user(page, served, keiri01)
    journey.see_heading(page, "利用者ステータス")
    journey.log_on_administrator(page, served)
    journey.see_heading(page, "ご契約先ステータス")
    journey.choose_user(page, "keiri01")
    journey.change_certificate(page, served, "再発行")
    journey.see_outcome(page, "certificate-reissued")

    page.goto(info["urls"]["user"] + "/status")
    journey.see_outcome(page, "certificate-reissued")
    key = acquire(served, tmp_path, "keiri01")
    for stored in one.certificates.certificates():
        if "keiri01" in stored.common_name:
            one.certificates.delete(stored.nickname)
    one.certificates.import_p12(key.p12, FILE_PASSWORD)
    page.reload()
    journey.see_outcome(page, "certificate-reissued")  # the browser still holds the old one
    choose_another(page)
    journey.see_heading(page, "利用者ログオン")
    journey.enter_user_pin(page, keiri01)
    journey.see_heading(page, "利用者ステータス")
    page.goto(info["urls"]["administrator"] + "/status")
    journey.see_heading(page, "ご契約先ステータス")  # the administrator beside it was not disturbed


@pytest.fixture
def nearly_over(tmp_path: Path) -> Iterator[Served]:
    """Serve a bank whose certificates were acquired 340 days ago: a browser has no clock that a test moves."""
    one = Served(tmp_path / "data", free_port_base())
    one.set_clock_ahead(days=-340)
    one.start()
    one.set_clock_ahead(days=0)
    yield one
    one.stop()


def test_after_a_renewal(nearly_over: Served, computers: Callable[..., Computer], tmp_path: Path) -> None:
    served = nearly_over
    info, keiri01 = served.info, served.user("keiri01")
    one = computers("one", ca=Path(info["tls_ca"]))
    one.certificates.import_p12(Path(keiri01["p12"]), keiri01["p12_password"])
    one.choose({info["urls"]["user"]: {}})
    page = one.page()
    journey.log_on_user(page, served, keiri01)
    journey.see_heading(page, "利用者ステータス")

    key = new_key(tmp_path, "renewed")
    answer = curl(
        served,
        f"{info['urls']['user']}/.well-known/est/{info['bank']['code']}/simplereenroll",
        *("--cert", keiri01["certificate"], "--key", keiri01["key"]),
        *("-u", f"{info['contract']['contract_id']}/keiri01:{keiri01['user_pin']}"),
        body=key.csr(),
    )
    assert answer.status == 200
    key.save(answer)
    page.reload()
    journey.see_heading(page, "利用者ステータス")  # both count until the new one's first completed logon
    for stored in one.certificates.certificates():
        one.certificates.delete(stored.nickname)
    one.certificates.import_p12(key.p12, FILE_PASSWORD)
    page.goto(info["urls"]["user"] + "/")
    choose_another(page)
    journey.see_heading(page, "利用者ログオン")
    journey.enter_user_pin(page, keiri01)
    journey.see_heading(page, "利用者ステータス")

    old = computers("old", ca=Path(info["tls_ca"]))
    old.certificates.import_p12(Path(keiri01["p12"]), keiri01["p12_password"])
    old.choose({info["urls"]["user"]: {}})
    elsewhere = old.page()
    journey.to_logon(elsewhere, served, "利用者ログオン")
    journey.see_outcome(elsewhere, "certificate-superseded")
