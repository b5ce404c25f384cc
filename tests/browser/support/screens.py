"""Every page that a person can reach, in both languages: WCAG, HTML, small screens, a screen reader's tree.

Chromium shows here whatever certificate a page is to be seen with, also those that it would never offer by
itself since the handshake does not ask for them; so the certificates are Playwright's, and what the browser
does with its own store is shown in the other modules. One walk sees a page once, in the state that the
steps before have brought about. A new page or a new refusal that no walk meets makes the test fail.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.browser.support.screens_of_guide import see_guide
from tests.browser.support.screens_of_opening import see_opening
from tests.browser.support.screens_of_people import (
    see_emergency_stops,
    see_lifted,
    see_mail_address,
    see_mail_address_of_the_administrator,
    see_many_users,
    see_own_session,
    see_pins,
    see_pins_of_the_administrator,
    see_renewal,
    see_request_forms,
    see_session_ended,
    see_users_registered,
)
from tests.browser.support.screens_of_second_steps import see_second_steps
from tests.browser.support.walk import Walk, follow, send_form, told, walking
from tests.support.est_client import run
from tests.support.world import BANK, KEIRI01, new_csr, world
from tests.support.world import new_key as new_private_key

from sekisho.web import problems

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page, Playwright, Route
    from tests.support.served import Served

FILE_PASSWORD = "correct-horse-battery"
WRONG = "wrong111"

# Published codes that no page of the walk tells, and why.
NOT_ON_A_PAGE = {
    "ca-away": "the CA is started anew before anybody could look; told by the acquisition page as any refusal",
    "card-maker-not-usable": "told at the console, which shows no button then",
    "cards-none-to-print": "told at the console",
    "card-missing": "needs a card that is lost; told like entry-wrong, on the same page",
    "card-moved": "told by the command that posts cards",
    "certificate-not-in-force": "the family of the certificate's refusals; each of them has a code of its own",
    "certificate-not-confirmed": "told like any certificate that does not count, on the same page",
    "contract-id-taken": "told by the command that registers a contract",
    "contract-unknown": "told at the console, whose pages are seen in a walk of their own",
    "csr-not-accepted": "the page's script makes no such request",
    "entry-too-long": "told like entry-missing, on the same pages",
    "mail-address-missing": "every user is registered with an address; the clerk's may lack one",
    "mail-away": "made by the acquisition page's script as any refusal",
    "pins-to-replace": "no certificate near its end has provisional PINs here",
    "provisional-pin-ended": "told like entry-wrong, on the same page",
    "users-full": "needs 99 users; told like user-id-taken, on the same page",
    "policy-by-two": "told by the command that changes a bank's rules",
    "proposal-decided": "told at the console, and so are the others about its rules",
    "proposal-outdated": "told at the console",
    "proposal-own": "told at the console",
    "proposal-unknown": "told at the console",
    "rules-not-allowed": "told at the console",
    "rules-unchanged": "told at the console",
    "identity-not-confirmed": "told at the console",
    "scan-not-accepted": "told at the console",
    "form-moved": "told like form-without-effect, on the same page of the console",
    "form-unknown": "told at the console",
    "form-without-effect": "told at the console",
    "four-eyes": "told like form-without-effect, on the same page of the console",
    "idempotency-key-missing": "an answer to the bank's systems",
    "serial-unknown": "an answer to the bank's systems",
    "idempotency-key-reused": "an answer to the bank's systems",
    "issuing-ca-revoked": "told by the acquisition page as any refusal",
    "key-not-accepted": "the page's script makes no such key",
    "key-reused": "the page's script makes a new key and asks again",
    "key-weak": "the page's script makes no such key",
    "mailed-codes-used-up": "needs ten mails; told like mail-address-code-wrong, or by the acquisition page as any",
    "out-of-hours": "needs a bank that closes at night; its pages are read in tests/integration/test_service_hours.py",
    "operation-not-offered": "an answer to programs that speak EST",
    "permit-missing": "everybody whom the demo registers was granted a permit",
    "renewal-needs-pin": "an answer to programs that speak EST",
    "renewal-not-open": "told by the renewal page's script as any refusal; no link leads there so early",
    "role-granted": "an answer to the command",
    "role-missing": "every page of the console is open to every role",
    "role-not-granted": "an answer to the command",
    "roles-conflict": "an answer to the command",
    "signing-refused": "comes of a bug of the CA's; told by the acquisition page as any refusal",
    "service-unavailable": "the family of the service's refusals; each of them has a code of its own",
    "staff-closed": "told at the console",
    "staff-id-taken": "an answer to the command",
    "staff-unknown": "an answer to the command",
    "too-many-requests": "needs a crowd; made from the same template as the others",
    "way-not-offered": "the page without that way sends nothing",
}


def see_public_pages(walk: Walk) -> None:
    page, see = walk.page(), walk.judge.see
    walk.go(page, "public")
    see(page, "home")
    walk.go(page, "public", "/no/such/page")
    see(page, "page-unknown", code="page-unknown")
    send_form(page, "/")
    see(page, "method-not-allowed", code="method-not-allowed")
    send_form(page, "/acquire/user", 100_000)
    see(page, "request-too-large", code="request-too-large")
    walk.go(page, "app")
    see(page, "not-open-app", code="not-open-yet")
    walk.served.break_database()
    walk.go(page, "user")
    walk.served.break_database(broken=False)
    see(page, "bug", code="internal")


def see_acquisition_asked_for(walk: Walk) -> Page:
    """Return the page once keiri02 has tried in vain in every way."""
    page, see, keiri02 = walk.page(), walk.judge.see, walk.served.user("keiri02")
    walk.go(page, "public", "/acquire/user")
    page.locator("form[data-acquire]").wait_for()
    see(page, "acquire-user")
    page.locator("form[data-acquire] button.main").click()
    see(page, "acquire-user-missing")
    walk.fill_acquisition(page, keiri02, WRONG)
    told(page, "not-accepted")
    see(page, "acquire-user-refused", code="not-accepted")

    held: list[Route] = []
    page.route("**/acquire/user", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks the handler
    walk.fill_acquisition(page, keiri02)
    page.locator("[data-step=working]").wait_for()
    while not held:
        page.wait_for_timeout(20)
    see(page, "acquire-user-working")
    held[0].abort()
    told(page, "no-answer")
    see(page, "acquire-user-no-answer", code="no-answer")
    page.unroute("**/acquire/user")
    foreign = {"certificate": "MAA=", "chain": [], "common_name": "x", "file_name": "x", "not_after": "2027-01-01"}
    answer = {"status": 200, "content_type": "application/json", "body": json.dumps(foreign)}
    page.route("**/acquire/user", lambda route: route.fulfill(**answer))
    walk.fill_acquisition(page, keiri02)
    told(page, "page-failed")
    see(page, "acquire-user-failed", code="page-failed")
    page.unroute("**/acquire/user")
    page.reload()
    page.locator("[data-step=resume]").wait_for()
    see(page, "acquire-user-resume")
    return page


def see_acquisition_carried_out(walk: Walk, page: Page) -> dict[str, Any]:
    """Return keiri02 with the file that the page made."""
    see, keiri02 = walk.judge.see, walk.served.user("keiri02")
    walk.fill_acquisition(page, keiri02)
    page.locator("[data-step=save]").wait_for()
    see(page, "acquire-user-save")
    page.locator("[name=file_password]").fill("short")
    page.locator("form[data-save] button.main").click()
    see(page, "acquire-user-password-refused")
    page.locator("[data-action=generate]").click()
    see(page, "acquire-user-password-made")
    for name in ("file_password", "file_password_again"):
        page.locator(f"[name={name}]").fill(FILE_PASSWORD)
    page.locator("form[data-save] button[type=submit]").click()
    page.locator("[data-part=link]").wait_for()
    see(page, "acquire-user-file")
    with page.expect_download() as download:
        page.locator("[data-part=link]").click()
    file = walk.folder / f"keiri02-{walk.judge.lang}.p12"
    download.value.save_as(file)
    see(page, "acquire-user-saved")
    page.locator("[data-action=saved]").click()
    page.locator("[data-step=done]").wait_for()
    see(page, "acquire-user-done", code="certificate-acquired")
    page.locator("[data-action=close]").click()
    page.locator("[data-part=close-by-hand]").wait_for()
    see(page, "acquire-user-close-by-hand", code="certificate-acquired")
    page.reload()
    walk.fill_acquisition(page, keiri02)
    told(page, "permit-spent")
    see(page, "acquire-user-spent", code="permit-spent")
    return {**keiri02, "certificate": None, "key": None, "p12": str(file), "p12_password": FILE_PASSWORD}


def see_acquisition_otherwise(walk: Walk) -> None:
    page, see = walk.page(), walk.judge.see
    walk.go(page, "public", "/acquire/administrator")
    page.locator("form[data-acquire]").wait_for()
    see(page, "acquire-administrator")
    walk.fill_acquisition(page, None)
    told(page, "permit-spent")
    see(page, "acquire-administrator-spent", code="permit-spent")
    page = walk.page(java_script_enabled=False)
    walk.go(page, "public", "/acquire/user")
    page.locator("noscript").wait_for(state="attached")
    walk.judge.see(page, "acquire-no-script", scripts=False)
    page = walk.page()
    page.add_init_script("Object.defineProperty(window, 'indexedDB', {get() { throw new Error('not allowed') }})")
    walk.go(page, "public", "/acquire/user")
    told(page, "no-key-store")
    see(page, "acquire-no-key-store", code="no-key-store")


def see_certificates_that_do_not_count(walk: Walk) -> None:
    see, keiri01 = walk.judge.see, walk.served.user("keiri01")
    page = walk.page()
    for site in ("user", "administrator"):
        walk.go(page, site)
        see(page, f"certificate-missing-{site}", code="certificate-missing")
    walk.go(page, "user", "/logged-off")
    for site, holder in (("user", walk.served.info["administrator"]), ("administrator", keiri01)):
        page = walk.page(holder)
        walk.go(page, site)
        see(page, f"certificate-wrong-kind-{site}", code="certificate-wrong-kind")
    page = walk.page(foreign_certificate(walk))
    walk.go(page, "user")
    see(page, "certificate-unknown", code="certificate-unknown")
    page = walk.page(neighbours_certificate(walk))
    walk.go(page, "user")
    see(page, "certificate-other-bank", code="certificate-other-bank")
    walk.served.set_clock_ahead(days=-1)
    page = walk.page(keiri01)
    walk.go(page, "user")
    see(page, "certificate-not-yet-valid", code="certificate-not-yet-valid")
    walk.served.set_clock_ahead(days=0)


def foreign_certificate(walk: Walk) -> dict[str, Any]:
    """Make a certificate of a CA that nobody knows."""
    holder = {"certificate": str(walk.folder / "foreign.pem"), "key": str(walk.folder / "foreign.key.pem")}
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"),
        *("-subj", f"/CN={walk.served.info['contract']['contract_id']}keiri019990"),
        *("-keyout", holder["key"], "-out", holder["certificate"]),
    )
    return holder


def neighbours_certificate(walk: Walk) -> dict[str, Any]:
    """Have a second bank of the same installation issue a certificate."""
    key = new_private_key()
    with world(walk.served.data_dir, bank=replace(BANK, code="9991")) as neighbour:
        issued = neighbour.acquire(KEIRI01, new_csr(key))
    certificate, private = walk.folder / "neighbour.pem", walk.folder / "neighbour.key.pem"
    certificate.write_bytes(run("openssl", "x509", "-inform", "DER", stdin=issued.der))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return {"certificate": str(certificate), "key": str(private)}


def see_logon_of_the_administrator(walk: Walk) -> Page:
    """Return the page of the administrator, who is logged on."""
    see, contract = walk.judge.see, walk.served.info["contract"]
    page = walk.page(walk.served.info["administrator"])
    walk.go(page, "administrator", "/status")
    see(page, "session-missing-administrator", code="session-missing")
    walk.go(page, "administrator")
    see(page, "administrator-pin")
    walk.press(page)
    see(page, "administrator-pin-missing", code="entry-missing")
    walk.enter_pin(page, "administrator", WRONG)
    see(page, "administrator-pin-wrong", code="entry-wrong")
    walk.enter_pin(page, "administrator", contract["contract_pin"])
    see(page, "administrator-card")
    page.locator("#digit_1").fill("x")
    walk.press(page)
    see(page, "administrator-card-not-digits", code="entry-not-digits")
    walk.answer_card(page)
    see(page, "administrator-status-first")
    return page


def see_menus(walk: Walk, page: Page) -> None:
    see = walk.judge.see
    follow(page, "a[href='/contract']")
    see(page, "contract")
    follow(page, "a[href='/contract/users']")
    see(page, "users")
    walk.press(page)
    see(page, "users-none-chosen", code="choice-missing")
    walk.go(page, "administrator", "/contract/users/change?user_id=nobody")
    see(page, "users-unknown", code="user-unknown")
    walk.go(page, "administrator", "/contract/users/change?user_id=keiri01")
    see(page, "user-change")
    walk.change(page, "keiri01", "reissue", "")
    see(page, "user-change-pin-missing", code="entry-missing")
    walk.change(page, "keiri01", "reissue", WRONG)
    see(page, "user-change-pin-wrong", code="entry-wrong")
    walk.change(page, "keiri01", "keep")
    see(page, "user-changed-keep", code="unchanged")


def see_changes(walk: Walk, page: Page, users_page: Page) -> dict[str, Any]:
    """Reissue and revoke keiri01's certificate; return keiri01 with the one that is in force at the end."""
    see, keiri01 = walk.judge.see, walk.served.user("keiri01")
    walk.change(page, "keiri01", "reissue")
    see(page, "user-changed-reissue", code="certificate-reissued")
    users_page.reload()
    see(users_page, "certificate-reissued", code="certificate-reissued")
    moved = walk.enroll("moved", keiri01)
    moved_page = walk.page_with_cookies_of(users_page, moved)
    walk.go(moved_page, "user", "/status")
    see(moved_page, "session-ended-certificate", code="session-ended-certificate")
    walk.change(page, "keiri01", "revoke")
    see(page, "user-changed-revoke", code="certificate-revoked")
    moved_page.reload()
    see(moved_page, "certificate-revoked", code="certificate-revoked")
    walk.change(page, "keiri01", "revoke")
    see(page, "user-change-none-to-revoke", code="certificate-none-to-revoke")
    walk.go(page, "administrator", "/contract/users")
    see(page, "users-later")
    walk.change(page, "keiri01", "reissue")
    walk.change(page, "keiri01", "revoke")
    visitor = walk.page()
    walk.go(visitor, "public", "/acquire/user")
    walk.fill_acquisition(visitor, keiri01)
    told(visitor, "permit-withdrawn")
    see(visitor, "acquire-user-withdrawn", code="permit-withdrawn")
    walk.change(page, "keiri01", "reissue")
    return walk.enroll("moved-again", keiri01)


def see_way_out_of_the_administrator(walk: Walk, page: Page) -> None:
    see = walk.judge.see
    walk.go(page, "administrator", "/status")
    see(page, "administrator-status")
    walk.go(page, "administrator", "/inbox")
    see(page, "administrator-inbox")
    page.locator(".person [name=csrf]").evaluate("field => { field.value = '' }")
    follow(page, ".person button")
    see(page, "form-expired", code="form-expired")
    other = walk.page(walk.served.info["administrator"])
    walk.log_on_administrator(other)
    walk.go(page, "administrator", "/status")
    see(page, "session-ended-elsewhere", code="session-ended-elsewhere")
    follow(other, ".person button")
    see(other, "administrator-logged-off")


def see_pages_of_a_user(walk: Walk) -> Page:
    """Return the page of keiri01, who is logged on."""
    see, keiri01 = walk.judge.see, walk.served.user("keiri01")
    page = walk.page(keiri01)
    walk.go(page, "user")
    see(page, "user-pin")
    walk.press(page)
    see(page, "user-pin-missing", code="entry-missing")
    walk.enter_pin(page, "user", WRONG)
    see(page, "user-pin-wrong", code="entry-wrong")
    page.locator(".entry [name=csrf]").evaluate("field => { field.value = '' }")
    page.locator("[name=pin]").fill(keiri01["user_pin"])
    walk.press(page)
    see(page, "user-pin-form-expired", code="form-expired")
    walk.log_on_user(page, keiri01)
    see(page, "user-status-first")
    follow(page, "a[href='/inbox']")
    see(page, "user-inbox")
    follow(page, ".person button")
    see(page, "user-logged-off")
    walk.log_on_user(page, keiri01)
    see(page, "user-status")
    return page


def see_sessions_end(walk: Walk, keiri02: dict[str, Any], users_page: Page) -> None:
    see = walk.judge.see
    page = walk.page_with_cookies_of(users_page, keiri02)
    walk.go(page, "user", "/status")
    see(page, "session-certificate-differs", code="session-certificate-differs")
    walk.log_on_user(page, keiri02)
    see(page, "user-status-exportable")
    for minutes in range(0, 8 * 60, 14):
        walk.served.set_clock_ahead(minutes=minutes)
        assert page.context.request.get(walk.urls["user"] + "/status").status == 200
    walk.served.set_clock_ahead(hours=8, minutes=1)
    walk.go(page, "user", "/status")
    see(page, "session-ended-age", code="session-ended-age")
    walk.served.set_clock_ahead(hours=9)
    walk.log_on_user(page, keiri02)
    walk.served.set_clock_ahead(hours=10)
    walk.go(page, "user", "/status")
    see(page, "session-ended-idle", code="session-ended-idle")


def see_a_certificate_grow_old(walk: Walk, keiri01: dict[str, Any]) -> None:
    see = walk.judge.see
    walk.served.set_clock_ahead(days=340)
    page = walk.page(keiri01)
    walk.log_on_user(page, keiri01)
    see(page, "user-status-ending")
    see_renewal(walk, page, keiri01)
    renewed = walk.renew("renewed", keiri01)
    walk.log_on_user(walk.page(renewed), renewed)
    walk.go(page, "user")
    see(page, "certificate-superseded", code="certificate-superseded")
    walk.served.set_clock_ahead(days=366 + 340)
    page = walk.page(renewed)
    walk.go(page, "user")
    see(page, "certificate-expired", code="certificate-expired")
    walk.served.set_clock_ahead(days=0)


def see_doors_close(walk: Walk, keiri02: dict[str, Any]) -> None:
    see = walk.judge.see
    administrator = walk.page(walk.served.info["administrator"])
    walk.log_on_administrator(administrator)
    walk.change(administrator, "keiri01", "reissue")
    page = walk.page(keiri02)
    for _ in range(7):
        walk.enter_pin(page, "user", WRONG)
    see(page, "user-suspended", code="user-suspended")
    walk.go(administrator, "administrator", "/contract/users")
    see(administrator, "users-suspended")
    see_many_users(walk, administrator)
    see_lifted(walk, administrator, "keiri02")
    walk.served.set_clock_ahead(days=15)
    visitor = walk.page()
    walk.go(visitor, "public", "/acquire/user")
    walk.fill_acquisition(visitor, walk.served.user("keiri01"))
    told(visitor, "permit-expired")
    see(visitor, "acquire-user-expired", code="permit-expired")
    walk.served.set_clock_ahead(days=0)
    for _ in range(7):
        walk.enter_pin(administrator, "administrator", WRONG)
    see(administrator, "contract-closed", code="contract-closed")


def see_emergency(walk: Walk, keiri02: dict[str, Any]) -> None:
    """Somebody at the branch has lifted the lockout; then everything is stopped."""
    with closing(sqlite3.connect(walk.served.data_dir / "sekisho.db")) as database, database:
        database.execute("UPDATE people SET closed_at = NULL")
        database.execute("UPDATE secrets SET misses = 0")
    administrator, user = walk.page(walk.served.info["administrator"]), walk.page(keiri02)
    walk.log_on_administrator(administrator)
    walk.log_on_user(user, keiri02)
    see_emergency_stops(walk, user, administrator)


def see_acquisition_where_the_browser_is_not_a_way(walk: Walk) -> None:
    """Tegata and EST alone is what banks start with; the demo is started with the browser's way on."""
    walk.served.stop()
    set_policy(walk.served, "way_browser = 0")
    walk.served.start()
    page = walk.page()
    walk.go(page, "public", "/acquire/user")
    walk.judge.see(page, "acquire-other-ways")
    walk.served.stop()
    set_policy(walk.served, "way_tegata = 0, way_est = 0")
    walk.served.start()
    walk.go(page, "public", "/acquire/administrator")
    walk.judge.see(page, "acquire-no-way")


def see_an_issuing_ca_revoked(walk: Walk, keiri02: dict[str, Any]) -> None:
    """Two people revoke the users' issuing CA; then no certificate of it counts, a suspended one neither."""
    typed = ["Sato Hanako", "Suzuki Ichiro", *["yes"] * 6]
    done = walk.served.sekisho(
        *("ca", "revoke", "user", "--reason", "cACompromise", "--out", str(walk.folder / f"records-{walk.judge.lang}")),
        typed="".join(f"{line}\n" for line in typed),
    )
    assert done.returncode == 0, done.stderr
    page = walk.page(keiri02)
    walk.go(page, "user")
    walk.judge.see(page, "certificate-issuer-revoked", code="certificate-issuer-revoked")


def set_policy(served: Served, change: str) -> None:
    """Change the bank's policy under a running server, which follows a command from its next start only."""
    with closing(sqlite3.connect(served.data_dir / "sekisho.db")) as database, database:
        database.execute(f"UPDATE banks SET {change} WHERE code = '9990'")  # noqa: S608 - the test's own words


def see_every_page(lang: str, playwright: Playwright, tmp_path: Path, artifacts: Path) -> None:
    """Walk through all pages in one language, and judge each of them."""
    with walking(lang, playwright, tmp_path, artifacts) as walk:
        see_public_pages(walk)
        see_guide(walk)
        administrator = see_logon_of_the_administrator(walk)
        see_menus(walk, administrator)
        see_request_forms(walk, administrator)
        see_pins_of_the_administrator(walk, administrator)
        see_mail_address_of_the_administrator(walk, administrator)
        see_users_registered(walk, administrator)
        keiri02 = see_acquisition_carried_out(walk, see_acquisition_asked_for(walk))
        see_acquisition_otherwise(walk)
        see_certificates_that_do_not_count(walk)
        user = see_pages_of_a_user(walk)
        see_pins(walk, user, walk.served.user("keiri01"))
        see_mail_address(walk, user, walk.served.user("keiri01"))
        keiri01 = see_changes(walk, administrator, user)
        see_way_out_of_the_administrator(walk, administrator)
        see_second_steps(walk)
        see_opening(walk, keiri01)
        user = walk.page(keiri01)
        walk.log_on_user(user, keiri01)
        see_own_session(walk, user)
        see_session_ended(walk, user, keiri01)
        see_sessions_end(walk, keiri02, user)
        see_a_certificate_grow_old(walk, keiri01)
        see_doors_close(walk, keiri02)
        see_emergency(walk, keiri02)
        see_acquisition_where_the_browser_is_not_a_way(walk)
        see_an_issuing_ca_revoked(walk, keiri02)
    walk.judge.assert_every_template_was_seen()
    published = set(problems.STATUS)
    assert published - walk.judge.codes == set(NOT_ON_A_PAGE), "a refusal that no page of the walk tells, or no longer"
