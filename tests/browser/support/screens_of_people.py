"""What people do about their PINs, their users and their certificates, screen by screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.browser.support.walk import follow

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.browser.support.walk import Walk

WRONG = "wrong111"
FILE_PASSWORD = "correct-horse-battery"


def fill(page: Page, **fields: str) -> None:
    """Type into fields by their names."""
    for name, value in fields.items():
        page.locator(f"[name={name}]").fill(value)


def press_keys(page: Page, keys: str) -> None:
    """Press keys of the on-screen keyboard."""
    for key in keys:
        page.locator(".key", has_text=key).locator(f"text=/^{key}$/").click()


def see_pins(walk: Walk, page: Page, user: dict[str, Any]) -> None:
    """Change a logged-on user's PIN, after everything that can be wrong with a new one."""
    see, present = walk.judge.see, {"present_pin": user["user_pin"]}
    present["present_confirmation_pin"] = user["user_confirmation_pin"]
    walk.go(page, "user", "/status")
    follow(page, "a[href='/pins']")
    see(page, "user-pins")
    walk.press(page)
    see(page, "user-pins-missing", code="entry-missing")
    fill(page, **present, new_pin="shinki12", new_pin_again="shinki21")
    walk.press(page)
    see(page, "user-pins-differ", code="entry-differs")
    fill(page, **present, new_pin="shinki", new_pin_again="shinki")
    walk.press(page)
    see(page, "user-pins-not-allowed", code="pin-not-allowed")
    fill(page, **present | {"present_pin": WRONG}, new_pin="shinki12", new_pin_again="shinki12")
    walk.press(page)
    see(page, "user-pins-wrong", code="entry-wrong")
    walk.go(page, "user", "/pins")
    page.locator("[name=new_pin]").focus()
    page.locator(".keyboard > .button").click()
    press_keys(page, "shinki")
    see(page, "user-pins-keyboard")
    press_keys(page, "12")
    fill(page, **present)
    assert page.locator("[name=new_pin]").input_value() == "shinki12"
    page.locator("[name=new_pin_again]").fill("shinki12")
    walk.press(page)
    see(page, "user-pins-changed", code="pins-changed")
    user["user_pin"] = "shinki12"
    walk.go(page, "user", "/status")


def see_mail_address(walk: Walk, page: Page, user: dict[str, Any]) -> None:
    """Change a logged-on user's mail address, after everything that can be wrong."""
    see, pin, new = walk.judge.see, user["user_confirmation_pin"], "keiri01@honten.example.co.jp"
    follow(page, "nav a[href='/mail-address']")
    see(page, "user-mail-address")
    walk.press(page)
    see(page, "user-mail-address-missing", code="details-not-allowed")
    fill(page, new_mail_address=new, confirmation_pin=WRONG)
    walk.press(page)
    see(page, "user-mail-address-wrong", code="entry-wrong")
    assert page.locator("[name=new_mail_address]").input_value() == new
    fill(page, confirmation_pin=pin)
    walk.press(page)
    see(page, "user-mail-address-code")
    fill(page, mailed_code="00000000")
    walk.press(page)
    see(page, "user-mail-address-code-wrong", code="mail-address-code-wrong")
    fill(page, mailed_code=walk.mailed_code())
    walk.press(page)
    see(page, "user-mail-address-changed", code="mail-address-changed")
    walk.go(page, "user", "/mail-address")
    see(page, "user-mail-address-confirmed")
    walk.go(page, "user", "/status")


def see_mail_address_of_the_administrator(walk: Walk, page: Page) -> None:
    walk.go(page, "administrator", "/mail-address")
    walk.judge.see(page, "administrator-mail-address")


def see_users_registered(walk: Walk, page: Page) -> None:
    """Register a user, let them acquire with the mailed code, log on and choose PINs; then change and delete them."""
    see, contract = walk.judge.see, walk.served.info["contract"]
    confirmation = {"confirmation_pin": contract["contract_confirmation_pin"]}
    walk.go(page, "administrator", "/contract/users")
    follow(page, "a[href='/contract/users/new']")
    see(page, "user-new")
    fill(page, user_id="keiri 03", name="経理担当 3", mail_address="keiri03", **confirmation)
    walk.press(page)
    see(page, "user-new-not-allowed", code="details-not-allowed")
    fill(page, user_id="KEIRI01", mail_address="keiri03@example.com", **confirmation)
    walk.press(page)
    see(page, "user-new-taken", code="user-id-taken")
    fill(page, user_id="keiri03", **confirmation)
    page.locator("[name=application_transfer]").check()
    walk.press(page)
    see(page, "user-slip", code="user-registered")
    pin, confirmation_pin = page.locator(".secret").all_inner_texts()
    with page.expect_download() as download:
        page.locator("a[download]").click()
    assert download.value.path().read_bytes().startswith(b"%PDF-")
    issued = {"user_id": "keiri03", "user_pin": pin, "user_confirmation_pin": confirmation_pin}
    holder = see_acquisition_with_a_code(walk, issued)
    see_provisional_pins_replaced(walk, issued, holder)
    see_user_changed(walk, page, confirmation)


def see_acquisition_with_a_code(walk: Walk, issued: dict[str, Any]) -> dict[str, Any]:
    see, page = walk.judge.see, walk.page()
    walk.go(page, "public", "/acquire/user")
    walk.fill_acquisition(page, issued)
    page.locator("[data-step=code]").wait_for()
    see(page, "acquire-user-code", code="mailed-code-needed")
    page.locator("form[data-code-form] button.main").click()
    see(page, "acquire-user-code-missing", code="mailed-code-needed")
    fill(page, mailed_code="00000000")
    page.locator("form[data-code-form] button.main").click()
    page.locator("[role=alert][data-code=mailed-code-wrong]").wait_for()
    see(page, "acquire-user-code-wrong", code="mailed-code-wrong")
    fill(page, mailed_code=walk.mailed_code())
    page.locator("form[data-code-form] button.main").click()
    page.locator("[data-step=save]").wait_for()
    for name in ("file_password", "file_password_again"):
        fill(page, **{name: FILE_PASSWORD})
    page.locator("form[data-save] button[type=submit]").click()
    page.locator("[data-part=link]").wait_for()
    with page.expect_download() as download:
        page.locator("[data-part=link]").click()
    file = walk.folder / f"keiri03-{walk.judge.lang}.p12"
    download.value.save_as(file)
    return {**issued, "certificate": None, "key": None, "p12": str(file), "p12_password": FILE_PASSWORD}


def see_provisional_pins_replaced(walk: Walk, issued: dict[str, Any], holder: dict[str, Any]) -> None:
    see, page = walk.judge.see, walk.page(holder)
    walk.log_on_user(page, issued)
    see(page, "user-pins-first")
    walk.go(page, "user", "/inbox")
    assert page.url.endswith("/pins")
    fill(page, present_pin=issued["user_pin"], present_confirmation_pin=issued["user_confirmation_pin"])
    for name, pin in (("new_pin", "watashi1"), ("new_confirmation_pin", "watashi2")):
        fill(page, **{name: pin, f"{name}_again": pin})
    walk.press(page)
    see(page, "user-pins-first-replaced", code="pins-changed")


def see_user_changed(walk: Walk, page: Page, confirmation: dict[str, str]) -> None:
    see = walk.judge.see
    walk.go(page, "administrator", "/contract/users/details?user_id=keiri03")
    see(page, "user-details")
    fill(page, mail_address="kanri@example.com", **confirmation)
    walk.press(page)
    see(page, "user-details-confirmed", code="mail-address-confirmed")
    fill(page, mail_address="keiri03@example.com", name="経理担当 三", **confirmation)
    walk.press(page)
    see(page, "user-details-done", code="user-changed")
    walk.go(page, "administrator", "/contract/users/pins?user_id=keiri03")
    see(page, "user-pins-reset")
    fill(page, **confirmation)
    walk.press(page)
    see(page, "user-pins-reset-slip", code="pins-reset")
    walk.go(page, "administrator", "/contract/users/confirm?user_id=keiri03&step=delete")
    see(page, "user-delete")
    fill(page, confirmation_pin=WRONG)
    walk.press(page)
    see(page, "user-delete-wrong", code="entry-wrong")
    fill(page, **confirmation)
    walk.press(page)
    see(page, "user-deleted", code="user-deleted")


def see_many_users(walk: Walk, page: Page) -> None:
    """Reissue for two users at once; the list as it is with many users."""
    see, contract = walk.judge.see, walk.served.info["contract"]
    for n in range(10, 20):
        walk.register(page, f"soumu{n}")
    walk.go(page, "administrator", "/contract/users?q=soumu1&sort=name")
    see(page, "users-found")
    walk.go(page, "administrator", "/contract/users?q=nobody")
    see(page, "users-none-found")
    walk.go(page, "administrator", "/contract/users/many")
    see(page, "users-many")
    walk.press(page)
    see(page, "users-many-none-chosen", code="choice-missing")
    for user_id in ("soumu10", "soumu11"):
        page.locator(f"[name=chosen_{user_id}]").check()
    page.locator("[value=reissue]").check()
    fill(page, confirmation_pin=contract["contract_confirmation_pin"])
    walk.press(page)
    see(page, "users-many-done", code="certificates-reissued")
    see_steps(walk, page, {"confirmation_pin": contract["contract_confirmation_pin"]})


def see_steps(walk: Walk, page: Page, confirmation: dict[str, str]) -> None:
    """Withdraw one's permit twice and stop another; lifting is seen where misses have suspended somebody."""
    see = walk.judge.see
    walk.go(page, "administrator", "/contract/users/confirm?user_id=soumu10&step=withdraw")
    see(page, "user-withdraw")
    fill(page, **confirmation)
    walk.press(page)
    see(page, "user-withdrawn", code="permit-withdrawn")
    walk.go(page, "administrator", "/contract/users/confirm?user_id=soumu10&step=withdraw")
    fill(page, **confirmation)
    walk.press(page)
    see(page, "user-withdraw-none", code="permit-none-to-withdraw")
    walk.go(page, "administrator", "/contract/users/confirm?user_id=soumu10&step=lift")
    fill(page, **confirmation)
    walk.press(page)
    see(page, "user-lift-none", code="user-not-suspended")
    walk.go(page, "administrator", "/contract/users/confirm?user_id=soumu11&step=stop")
    see(page, "user-stop")
    walk.press(page)
    see(page, "user-stopped", code="user-stopped")
    walk.go(page, "administrator", "/contract/users/change?user_id=soumu11")
    see(page, "user-change-stopped")


def see_renewal(walk: Walk, page: Page, user: dict[str, Any]) -> None:
    """Renew in the page; the file is saved like one that was acquired."""
    see = walk.judge.see
    follow(page, "a[href='/renew']")
    page.locator("form[data-acquire]").wait_for()
    see(page, "user-renew")
    fill(page, pin=WRONG)
    page.locator("form[data-acquire] button.main").click()
    page.locator("[role=alert][data-code=entry-wrong]").wait_for()
    see(page, "user-renew-wrong", code="entry-wrong")
    fill(page, pin=user["user_pin"])
    page.locator("form[data-acquire] button.main").click()
    page.locator("[data-step=save]").wait_for()
    see(page, "user-renew-save")
    walk.go(page, "user", "/status")
    see(page, "user-status-renewed")


def see_lifted(walk: Walk, page: Page, user_id: str) -> None:
    """Let a user in again whom misses have suspended."""
    see, contract = walk.judge.see, walk.served.info["contract"]
    walk.go(page, "administrator", f"/contract/users/confirm?user_id={user_id}&step=lift")
    see(page, "user-lift")
    fill(page, confirmation_pin=contract["contract_confirmation_pin"])
    walk.press(page)
    see(page, "user-lifted", code="user-lifted")


def see_emergency_stops(walk: Walk, user_page: Page, administrator_page: Page) -> None:
    """Stop a user's certificate and then the contract; both are logged on, and nobody is afterwards."""
    see = walk.judge.see
    walk.go(user_page, "user", "/emergency")
    see(user_page, "user-emergency")
    follow(user_page, "a[href='/emergency/certificate']")
    see(user_page, "user-emergency-certificate")
    walk.press(user_page)
    see(user_page, "certificate-suspended-emergency", code="certificate-suspended")
    walk.go(administrator_page, "administrator", "/emergency")
    see(administrator_page, "administrator-emergency")
    follow(administrator_page, "a[href='/emergency/contract']")
    see(administrator_page, "administrator-emergency-contract")
    walk.press(administrator_page)
    see(administrator_page, "emergency-stopped", code="emergency-stopped")


def see_pins_of_the_administrator(walk: Walk, page: Page) -> None:
    walk.go(page, "administrator", "/pins")
    walk.judge.see(page, "administrator-pins")


def see_request_forms(walk: Walk, page: Page) -> None:
    """See the administrator file a request form on screen, and withdraw it."""
    see = walk.judge.see
    walk.go(page, "administrator", "/contract/forms")
    see(page, "request-forms-none")
    follow(page, "a[href='/contract/forms/new']")
    see(page, "request-form-kinds")
    page.locator("[value=certificate-reissue]").check()
    walk.press(page)
    see(page, "request-form-new")
    page.locator("[name=user_id]").fill("nobody")
    page.locator("[name=confirmation_pin]").fill(walk.served.info["contract"]["contract_confirmation_pin"])
    walk.press(page)
    see(page, "request-form-user-unknown", code="details-not-allowed")
    walk.go(page, "administrator", "/contract/forms/new?kind=contract-change")
    see(page, "request-form-change")
    page.locator("[name=company]").fill("見本商事株式会社")
    page.locator("[name=confirmation_pin]").fill(walk.served.info["contract"]["contract_confirmation_pin"])
    walk.press(page)
    see(page, "request-forms", code="form-filed")
    follow(page, "main button")
    see(page, "request-forms-withdrawn", code="form-withdrawn")


def see_own_session(walk: Walk, page: Page) -> None:
    """Name the computer, in vain at first."""
    see = walk.judge.see
    walk.go(page, "user", "/status")
    follow(page, "a[href='/sessions']")
    see(page, "user-sessions")
    fill(page, computer="経理\u202eノート")
    walk.press(page)
    see(page, "user-sessions-not-allowed", code="details-not-allowed")
    fill(page, computer="経理のノートPC")
    walk.press(page)
    see(page, "user-sessions-named", code="computer-named")


def see_session_ended(walk: Walk, user_page: Page, user: dict[str, Any]) -> None:
    """Have the administrator end a user's session twice; the user is told, and logs on again."""
    see, page = walk.judge.see, walk.page(walk.served.info["administrator"])
    walk.log_on_administrator(page)
    walk.go(page, "administrator", "/sessions")
    see(page, "administrator-sessions")
    session = page.locator("[name=session]").first.input_value()
    follow(page, "form[action='/sessions/end'] button")
    see(page, "administrator-session-ended", code="session-ended")
    page.locator("form[action='/sessions/computer']").evaluate(
        """(form, session) => {
          const field = document.createElement("input");
          [form.action, field.type, field.name, field.value] = ["/sessions/end", "hidden", "session", session];
          form.append(field);
        }""",
        session,
    )
    walk.press(page)
    see(page, "administrator-session-unknown", code="session-unknown")
    walk.go(user_page, "user", "/status")
    see(user_page, "session-ended-by-administrator", code="session-ended-by-administrator")
    walk.log_on_user(user_page, user)
