"""The harness itself: what it says of browsers and pages is true."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from playwright.sync_api import expect
from tests.browser.support import accessibility
from tests.browser.support.accessibility import (
    assert_accessible,
    assert_reflows,
    assert_tree,
    assert_valid_html,
    html_errors,
    violations,
)
from tests.browser.support.nss import NssDatabase, NssError
from tests.browser.support.site import Authority, Site
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page
    from tests.browser.conftest import Computers, Firefoxes
    from tests.browser.support.chromium import Computer
    from tests.browser.support.firefox import Firefox


class Launch(Protocol):
    """What `computers` and `firefox` have in common."""

    def __call__(self, *, ca: Path | None = ..., language: str = ...) -> Computer | Firefox: ...


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def site(authority: Authority) -> Iterator[Site]:
    with Site(authority) as running:
        yield running


@pytest.fixture(params=["chromium", "firefox"])
def launch(request: pytest.FixtureRequest) -> Launch:
    fixture: Launch = request.getfixturevalue({"chromium": "computers", "firefox": "firefox"}[request.param])
    return fixture


def give(database: NssDatabase, authority: Authority, *common_names: str) -> None:
    for common_name in common_names:
        issued = authority.issue(common_name)
        database.import_pem(issued.certificate, issued.key)


def seen(page: Page, url: str) -> str:
    page.goto(url)
    return page.get_by_role("status").inner_text()


def named(common_name: str) -> dict[str, dict[str, str]]:
    return {"SUBJECT": {"CN": common_name}}


# The certificate store --------------------------------------------------------------------------------


def test_the_database_lists_and_deletes_what_was_imported(tmp_path: Path, authority: Authority) -> None:
    database = NssDatabase(tmp_path / "nss")
    database.trust_ca(authority.certificate)
    give(database, authority, "one", "two", "two")
    held = database.certificates()
    assert sorted(one.common_name for one in held) == ["one", "two", "two"]
    assert len({one.serial for one in held}) == 3

    database.delete(next(one.nickname for one in held if one.common_name == "two"))

    assert [one.common_name for one in NssDatabase(tmp_path / "nss").certificates()] == ["one"]


def test_a_p12_file_needs_its_password(tmp_path: Path, authority: Authority) -> None:
    issued, p12 = authority.issue("one"), tmp_path / "one.p12"
    made: list[str | Path] = ["-in", issued.certificate, "-inkey", issued.key, "-name", "mine", "-out", p12]
    subprocess.run(["openssl", "pkcs12", "-export", *made, "-passout", "pass:right"], check=True, timeout=30)
    database = NssDatabase(tmp_path / "nss")
    with pytest.raises(NssError):
        database.import_p12(p12, "wrong")
    assert database.certificates() == []

    database.import_p12(p12, "right")

    assert [(one.nickname, one.common_name) for one in database.certificates()] == [("mine", "one")]


def test_a_module_can_be_registered(tmp_path: Path) -> None:
    database = NssDatabase(tmp_path / "nss")
    library = next(Path("/usr/lib").glob("*/libnssckbi.so"))
    database.add_module("Public CAs", library)
    assert "Public CAs" in database.modules()


# Chromium ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["one", "two"])
def test_chromium_takes_the_certificate_that_the_policy_names(
    computers: Computers, authority: Authority, site: Site, choice: str
) -> None:
    computer = computers(ca=authority.certificate)
    give(computer.certificates, authority, "one", "two")
    computer.choose({site.url: named(choice)})
    assert seen(computer.page(), site.url) == choice


def test_another_computer_has_no_certificate(computers: Computers, authority: Authority, site: Site) -> None:
    old, new = computers("old", ca=authority.certificate), computers("new", ca=authority.certificate)
    give(old.certificates, authority, "one")
    for computer in (old, new):
        computer.choose({site.url: {}})
    assert seen(old.page(), site.url) == "one"
    assert seen(new.page(), site.url) == "nobody"


def test_a_certificate_imported_while_chromium_runs_is_chosen(
    computers: Computers, authority: Authority, site: Site
) -> None:
    computer = computers(ca=authority.certificate)
    page = computer.page()
    page.goto("about:blank")
    give(computer.certificates, authority, "one")
    computer.choose({site.url: {}})
    assert seen(page, site.url) == "one"


@pytest.mark.parametrize("first", ["one", "nobody"])
def test_chromium_keeps_its_choice_for_a_host_until_a_handshake_is_refused(
    computers: Computers, authority: Authority, site: Site, first: str
) -> None:
    computer = computers(ca=authority.certificate)
    if first != "nobody":
        give(computer.certificates, authority, first)
    computer.choose({site.url: {}})
    page = computer.page()
    assert seen(page, site.url) == first

    # Neither a new certificate nor another policy undoes it, and "no certificate" is a choice as well.
    give(computer.certificates, authority, "two")
    computer.choose({site.url: named("two")})
    assert seen(page, site.url) == first

    # One refused handshake does, in the same process, also in the background. Not every request that fails
    # tells of one: Chromium opens connections in advance, so the first request may still be answered, and
    # with TLS 1.3 one may meet a connection that was refused while idle (ERR_SOCKET_NOT_CONNECTED), which
    # leaves the choice alone. A page sees no difference, so it has to ask more than once.
    failures: list[str | None] = []
    page.on("requestfailed", lambda request: failures.append(request.failure))
    site.refuse(handshakes=True)
    while "net::ERR_BAD_SSL_CLIENT_AUTH_CERT" not in failures:
        assert len(failures) < 20
        page.evaluate("fetch('/').catch(() => null)")
    site.refuse(handshakes=False)
    assert seen(page, site.url) == "two"


def test_choices_are_by_host_and_can_be_withdrawn(computers: Computers, authority: Authority, site: Site) -> None:
    computer = computers(ca=authority.certificate)
    give(computer.certificates, authority, "one", "two")
    other = site.url.replace("localhost", "127.0.0.1")
    computer.choose({site.url: named("one")})
    page = computer.page()
    assert seen(page, site.url) == "one"
    computer.choose({})
    computer.choose({other: named("two")})
    assert seen(page, other) == "two"


def test_the_machine_keeps_its_own_policies(computers: Computers) -> None:
    before = sorted(Path("/etc/chromium").rglob("*"))
    computer = computers()
    computer.choose({"https://localhost": {}})
    computer.page()
    assert sorted(Path("/etc/chromium").rglob("*")) == before


def test_chromium_zooms_and_takes_pictures(computers: Computers, site: Site, authority: Authority) -> None:
    computer = computers(ca=authority.certificate, viewport=(640, 480), scale=2)
    page = computer.page()
    page.goto(site.url)
    assert page.evaluate("[innerWidth, devicePixelRatio]") == [640, 2]
    computer.zoom(2)
    wait_until(lambda: page.evaluate("[innerWidth, devicePixelRatio]") == [320, 4])
    assert computer.screenshot("harness-chromium", page).stat().st_size > 0


# Both browsers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "tag"), [("ja", "ja-JP"), ("en", "en-US")])
def test_both_browsers_ask_in_the_language_of_the_computer(
    launch: Launch, authority: Authority, site: Site, language: str, tag: str
) -> None:
    page = launch(ca=authority.certificate, language=language).page()
    with page.expect_request(site.url + "/") as request:
        page.goto(site.url)
    assert request.value.all_headers()["accept-language"].split(",")[0] == tag
    assert page.evaluate("navigator.language") == tag


def test_firefox_shows_the_certificate_of_its_profile(firefox: Firefoxes, authority: Authority, site: Site) -> None:
    old, new = firefox("old", ca=authority.certificate), firefox("new", ca=authority.certificate)
    give(old.certificates, authority, "one")
    assert seen(old.page(), site.url) == "one"
    assert seen(new.page(), site.url) == "nobody"


FORM = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Form</title></head><body><main><h1>Form</h1>
<form action="/sent"><p><label for="pin">PIN</label> <input id="pin" name="pin"></p>
<p><button>Log on</button></p></form></main></body></html>
"""


def test_both_browsers_fill_and_send_a_form(launch: Launch, authority: Authority, site: Site) -> None:
    computer = launch(ca=authority.certificate)
    site.document = FORM
    page = computer.page()
    page.goto(site.url)
    page.get_by_label("PIN").fill("0123")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/sent\?pin=0123$"))
    expect(page).to_have_title("Form")
    assert computer.screenshot("harness-form", page).stat().st_size > 0


# Pages ------------------------------------------------------------------------------------------------


BAD = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Bad</title></head>
<body><main><h1>Bad</h1><div role="status"></div><input name="pin"><div id="wide">x</div></main></body></html>
"""


def test_violations_are_found_under_a_strict_policy(launch: Launch, authority: Authority, site: Site) -> None:
    page = launch(ca=authority.certificate).page()
    page.goto(site.url)
    assert_accessible(page)
    site.document = BAD
    page.goto(site.url)
    assert [(one.rule, one.targets) for one in violations(page)] == [("label", ("input",))]


def test_what_sticks_out_is_named(launch: Launch, authority: Authority, site: Site) -> None:
    page = launch(ca=authority.certificate).page()
    site.document = BAD
    page.goto(site.url)
    assert_reflows(page)
    page.evaluate("document.getElementById('wide').style.width = '39rem'")
    with pytest.raises(AssertionError, match=r"(?s)320 px.*div#wide"):
        assert_reflows(page)
    # Fits at 640 px, and at 1280 px as long as the text is not enlarged.
    page.evaluate("document.getElementById('wide').style.width = 'calc(100vw - 640px + 20rem)'")
    with pytest.raises(AssertionError, match="1280 px, text at 200%"):
        assert_reflows(page)


def test_trees_are_compared_with_what_is_stored(
    launch: Launch, authority: Authority, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accessibility, "SNAPSHOTS", tmp_path / "snapshots")
    monkeypatch.delenv(accessibility.UPDATE, raising=False)
    page = launch(ca=authority.certificate).page()
    page.goto(site.url)
    with pytest.raises(AssertionError, match="no snapshot"):
        assert_tree(page, "site")
    monkeypatch.setenv(accessibility.UPDATE, "1")
    assert_tree(page, "site", replacing={"nobody": "SOMEBODY"})
    monkeypatch.delenv(accessibility.UPDATE)
    assert_tree(page, "site", replacing={"nobody": "SOMEBODY"})
    tree = (tmp_path / "snapshots/site.yaml").read_text(encoding="utf-8")
    assert tree == '- main:\n  - heading "Test site" [level=1]\n  - status: SOMEBODY\n'
    with pytest.raises(AssertionError):
        assert_tree(page, "site")


def test_html_is_judged_by_a_parser_and_by_the_checker() -> None:
    assert_valid_html(FORM, BAD)
    unclosed, misplaced = FORM.replace("</h1>", ""), FORM.replace('for="pin"', 'for="pine"')
    errors = html_errors(FORM, unclosed, misplaced)
    assert "1: line 4: end-tag-too-early" in errors
    assert [error for error in errors if error.startswith("2: line 3: ") and "“label”" in error]
    assert not [error for error in errors if error.startswith("0: ")]
