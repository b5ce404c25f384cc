"""The sites over real TLS, without a browser: what every page and form has to do."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.est_client import enroll, new_key, run
from tests.support.person import Page, Person
from tests.support.served import Served, free_port_base

from sekisho.domain.request_forms import FormKind
from sekisho.portal.forms import form_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("pages") / "data", free_port_base())
    served.start()
    yield served
    served.stop()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path / "data", free_port_base())
    one.start()
    yield one
    one.stop()


@pytest.fixture
def people() -> Iterator[Any]:
    """Make persons, and close their connections at the end."""
    made: list[Person] = []

    def person(served: Served, site: str, holder: dict[str, Any] | None = None, lang: str = "ja") -> Person:
        made.append(Person(served, site, holder, lang))
        return made[-1]

    yield person
    for one in made:
        one.close()


def test_the_banks_page_is_japanese_first_and_english_on_wish(demo: Served, people: Any) -> None:
    visitor = people(demo, "public", lang="fr, en;q=0.1, ja;q=0.9")
    assert "みほんビジネスバンキング" in visitor.get("/").heading
    assert "Mihon Business Banking" in visitor.get("/", lang="en").heading
    assert "Mihon Business Banking" in visitor.get("/").heading, "the choice is remembered"
    assert "Mihon Business Banking" in people(demo, "public", lang="en-GB").get("/").heading


@pytest.mark.parametrize("site", ["public", "administrator", "user", "console", "app"])
def test_every_answer_carries_the_security_headers(demo: Served, people: Any, site: str) -> None:
    visitor = people(demo, site, lang="ja")
    for path in ("/", "/no/such/page", "/static/base.css"):
        headers = visitor.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert int(headers["strict-transport-security"].split("=")[1].split(";")[0]) >= 31536000
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


@pytest.mark.parametrize("site", ["app"])
def test_a_site_that_waits_says_so(demo: Served, people: Any, site: str) -> None:
    page = people(demo, site).get("/")
    assert (page.status, page.outcome) == (503, "not-open-yet")


def test_pages_that_do_not_exist(demo: Served, people: Any) -> None:
    visitor = people(demo, "public")
    assert visitor.get("/no/such/page").outcome == "page-unknown"
    assert visitor.send(visitor.get("/"), "/").outcome == "method-not-allowed"


def test_a_user_logs_on_and_off(demo: Served, people: Any) -> None:
    user = people(demo, "user", demo.user("keiri01"))
    status = user.log_on_user()
    assert (status.path, status.heading) == ("/status", "利用者ステータス")
    left = user.send(status, "/logoff")
    assert left.path == "/logged-off"
    assert user.get("/status").outcome == "session-missing"


def test_an_administrator_logs_on_with_the_card_and_sees_the_users(demo: Served, people: Any) -> None:
    administrator = people(demo, "administrator", demo.info["administrator"])
    status = administrator.log_on_administrator()
    assert (status.path, status.heading) == ("/status", "ご契約先ステータス")
    assert administrator.get("/contract").heading == "ご契約先管理情報変更"
    users = administrator.get("/contract/users")
    assert users.heading == "利用者情報選択"
    assert "keiri01" in users.text
    assert "keiri02" in users.text


def test_before_the_card_nothing_else_opens(demo: Served, people: Any) -> None:
    administrator = people(demo, "administrator", demo.info["administrator"])
    administrator.send(administrator.get("/"), "/", pin=demo.info["contract"]["contract_pin"])
    for path in ("/status", "/contract", "/contract/users", "/inbox"):
        assert administrator.get(path).path == "/card"


@pytest.mark.parametrize(
    ("site", "holder", "code"),
    [
        ("user", None, "certificate-missing"),
        ("administrator", None, "certificate-missing"),
        ("user", "administrator", "certificate-wrong-kind"),
        ("administrator", "keiri01", "certificate-wrong-kind"),
    ],
)
def test_a_certificate_that_does_not_count_has_its_own_page(
    demo: Served, people: Any, site: str, holder: str | None, code: str
) -> None:
    who = {None: None, "administrator": demo.info["administrator"], "keiri01": demo.user("keiri01")}[holder]
    for path in ("/", "/status", "/inbox"):
        page = people(demo, site, who).get(path)
        assert (page.status, page.outcome) == (403, code)
        assert page.heading


def test_a_certificate_of_an_unknown_ca_has_its_own_page(demo: Served, people: Any, tmp_path: Path) -> None:
    """The handshake lets it through: a browser's own error would tell nobody what to do."""
    foreign = {"certificate": str(tmp_path / "foreign.pem"), "key": str(tmp_path / "foreign.key.pem")}
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"),
        *("-subj", f"/CN={demo.info['contract']['contract_id']}keiri019990"),
        *("-keyout", foreign["key"], "-out", foreign["certificate"]),
    )
    page = people(demo, "user", foreign).get("/")
    assert (page.status, page.outcome) == (403, "certificate-unknown")


def test_a_wrong_pin_is_told_without_a_hint(demo: Served, people: Any) -> None:
    user = people(demo, "user", demo.user("keiri01"))
    page = user.log_on_user("wrong111")
    assert (page.path, page.outcome) == ("/", "entry-wrong")
    assert "wrong111" not in page.text
    assert user.log_on_user().path == "/status"


def test_an_empty_pin_is_told_next_to_its_field(demo: Served, people: Any) -> None:
    user = people(demo, "user", demo.user("keiri01"))
    page = user.send(user.get("/"), "/", pin=" ")
    assert page.outcome == "entry-missing"
    assert 'id="pin-error"' in page.text
    assert "利用者暗証番号を入力してください" in page.text


@pytest.mark.parametrize("changed", [{"csrf": ""}, {"csrf": "0" * 64}])
def test_a_form_from_elsewhere_does_nothing(demo: Served, people: Any, changed: dict[str, str]) -> None:
    user = people(demo, "user", demo.user("keiri01"))
    page = user.send(user.get("/"), "/", pin=demo.user("keiri01")["user_pin"], **changed)
    assert page.outcome == "form-expired"
    assert user.get("/status").outcome == "session-missing"


@pytest.mark.parametrize("headers", [{"origin": "https://elsewhere.example"}, {"sec-fetch-site": "cross-site"}])
def test_a_form_that_another_site_sends_does_nothing(demo: Served, people: Any, headers: dict[str, str]) -> None:
    user = people(demo, "user", demo.user("keiri01"))
    form = user.get("/")
    user.http.headers.update(headers)
    assert user.send(form, "/", pin=demo.user("keiri01")["user_pin"]).outcome == "form-expired"


def test_cookies_are_for_their_site_alone(demo: Served, people: Any) -> None:
    user = people(demo, "user", demo.user("keiri01"))
    form = user.get("/")
    raw = user.http.post("/", data={**form.hidden, "pin": demo.user("keiri01")["user_pin"]}, follow_redirects=False)
    assert raw.status_code == 303
    cookie = next(value for value in raw.headers.get_list("set-cookie") if value.startswith("__Host-sekisho-user="))
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"secure", "httponly", "path=/", "samesite=lax"} <= attributes
    assert not any(part.startswith(("domain", "max-age", "expires")) for part in attributes)


def test_whatever_changes_something_is_a_post_that_redirects(demo: Served, people: Any) -> None:
    contract = demo.info["contract"]
    administrator = people(demo, "administrator", demo.info["administrator"])
    for path in ("/logoff", "/choose-another"):
        assert administrator.get(path).outcome == "method-not-allowed"
    administrator.get("/")  # the browser's own cookie
    administrator.http.follow_redirects = False

    def sent_on(page: Any, path: str, **fields: str) -> str:
        answer = administrator.http.post(path, data={**page.hidden, **fields})
        assert (answer.status_code, answer.text) == (303, "")
        return str(answer.headers["location"])

    assert sent_on(administrator.get("/"), "/", pin="wrong111") == "/?refused=entry-wrong"
    assert sent_on(administrator.get("/"), "/", pin=contract["contract_pin"]) == "/card"
    card = administrator.get("/card")
    assert sent_on(card, "/card").startswith("/card?refused=entry-not-digits&wrong=digit_1")
    positions = re.findall(r">(\d+)番目の数字<", card.text)
    digits = {f"digit_{n}": contract["card"][position] for n, position in enumerate(positions, 1)}
    assert sent_on(card, "/card", **digits) == "/status"
    form = administrator.get("/contract/users/change", user_id="keiri01")
    changed = sent_on(form, "/contract/users/change", action="keep")
    assert changed == "/contract/users/changed?user_id=keiri01&action=keep"
    assert sent_on(administrator.get("/status"), "/logoff") == "/logged-off"


def test_a_stolen_cookie_opens_nothing_without_its_certificate(demo: Served, people: Any) -> None:
    user = people(demo, "user", demo.user("keiri01"))
    user.log_on_user()
    thief = people(demo, "user", None)
    thief.http.cookies.update(user.http.cookies)
    assert thief.get("/status").outcome == "certificate-missing"


def test_the_form_is_bounded(demo: Served, people: Any) -> None:
    user = people(demo, "user", demo.user("keiri01"))
    page = user.send(user.get("/"), "/", pin="x" * 100_000)
    assert (page.status, page.outcome) == (413, "request-too-large")
    form = {"content-type": "application/x-www-form-urlencoded"}
    many = user._page(user.http.post("/", content="a=1&" * 1000, headers=form))
    assert many.outcome == "form-expired"


def test_a_reissue_refuses_the_old_certificate_from_that_second_on(served: Served, people: Any, tmp_path: Path) -> None:
    user = people(served, "user", served.user("keiri01"))
    user.log_on_user()
    administrator = people(served, "administrator", served.info["administrator"])
    administrator.log_on_administrator()
    form = administrator.get("/contract/users/change", user_id="keiri01")
    assert form.heading == "利用者情報変更"
    changed = administrator.send(
        form,
        "/contract/users/change",
        action="reissue",
        confirmation_pin=served.info["contract"]["contract_confirmation_pin"],
    )
    assert (changed.path, changed.outcome) == ("/contract/users/changed", "certificate-reissued")
    for path in ("/status", "/"):
        assert user.get(path).outcome == "certificate-reissued"
    key = new_key(tmp_path, "new", "RSA")
    answer = enroll(served, key, served.user("keiri01"))
    assert answer.status == 200
    key.save(answer)
    moved = {**served.user("keiri01"), "certificate": str(key.certificate), "key": str(key.key)}
    assert people(served, "user", moved).log_on_user().path == "/status"


def test_bad_choices_are_told_in_the_words_of_the_screen(demo: Served, people: Any) -> None:
    administrator = people(demo, "administrator", demo.info["administrator"])
    administrator.log_on_administrator()
    assert administrator.get("/contract/users/change").outcome == "choice-missing"
    assert administrator.get("/contract/users/change", user_id="nobody").outcome == "user-unknown"
    form = administrator.get("/contract/users/change", user_id="keiri01")
    assert administrator.send(form, "/contract/users/change", action="").outcome == "choice-missing"
    missing = administrator.send(form, "/contract/users/change", action="revoke", confirmation_pin="")
    assert missing.outcome == "entry-missing"
    assert 'value="revoke" aria-describedby="revoke-means" checked' in missing.text, "what was chosen stays"
    kept = administrator.send(form, "/contract/users/change", action="keep")
    assert kept.outcome == "unchanged"


def test_seven_wrong_pins_close_the_door_and_the_page_says_so(served: Served, people: Any) -> None:
    user = people(served, "user", served.user("keiri01"))
    outcomes = [user.log_on_user("wrong111").outcome for _ in range(6)]
    assert outcomes == ["entry-wrong"] * 6
    assert user.log_on_user("wrong111").outcome == "user-suspended"
    assert user.get("/").outcome == "user-suspended"
    assert enroll(served, new_key(served.data_dir.parent, "k"), served.user("keiri01")).code == "not-accepted"


def test_pins_are_changed_on_screen(served: Served, people: Any) -> None:
    user = people(served, "user", served.user("keiri01"))
    user.log_on_user()
    form = user.get("/pins")
    present = {
        "present_pin": served.user("keiri01")["user_pin"],
        "present_confirmation_pin": served.user("keiri01")["user_confirmation_pin"],
    }
    refused = user.send(form, "/pins", **present, new_pin="kurz1", new_pin_again="kurz1")
    assert refused.outcome == "pin-not-allowed"
    assert "新しい利用者暗証番号は6文字から12文字で入力してください" in refused.text
    assert "kurz1" not in refused.text
    changed = user.send(form, "/pins", **present, new_pin="shinki12", new_pin_again="shinki12")
    assert (changed.path, changed.outcome) == ("/pins/changed", "pins-changed")
    assert user.log_on_user().outcome == "entry-wrong"
    assert user.log_on_user("shinki12").path == "/status"
    assert "shinki12" not in served.log()
    served.set_clock_ahead(hours=1)
    user.log_on_user("shinki12")
    assert user.get("/pins/changed").path == "/pins", "told once"


@pytest.mark.parametrize("site", ["user", "administrator"])
def test_a_mail_address_is_changed_on_screen(demo: Served, people: Any, site: str) -> None:
    holder = demo.user("keiri01") if site == "user" else demo.info["administrator"]
    person = people(demo, site, holder)
    status = person.log_on_user() if site == "user" else person.log_on_administrator()
    assert 'href="/mail-address"' in status.text
    contract = demo.info["contract"]
    pin = holder["user_confirmation_pin"] if site == "user" else contract["contract_confirmation_pin"]
    new, other = f"shin-{site}@example.co.jp", f"betsu-{site}@example.co.jp"
    form = person.get("/mail-address")
    assert form.heading == "メールアドレス変更"
    assert f"{'keiri01' if site == 'user' else 'kanri'}@example.com" in form.text

    wrong = person.send(form, "/mail-address", new_mail_address=new, confirmation_pin="wrong111")
    assert (wrong.status, wrong.outcome, wrong.path) == (403, "entry-wrong", "/mail-address")
    assert f'value="{new}"' in wrong.text, "what was typed stays"
    bad = person.send(form, "/mail-address", new_mail_address="shin", confirmation_pin=pin)
    assert (bad.status, bad.outcome) == (400, "details-not-allowed")
    assert "新しいメールアドレスの形式が正しくありません" in bad.text
    assert pin not in bad.text
    early = person.send(form, "/mail-address", step="code", mailed_code="12345678")
    assert (early.status, early.outcome) == (403, "mail-address-code-wrong")

    asked = person.send(form, "/mail-address", new_mail_address=new, confirmation_pin=pin)
    assert (asked.path, asked.outcome) == ("/mail-address", None)
    assert f"{new} に届いた確認コード" in asked.text
    first = demo.mailed_code()
    # The old form of another tab: the newer request counts.
    asked = person.send(form, "/mail-address", new_mail_address=other, confirmation_pin=pin)
    assert f"{other} に届いた確認コード" in asked.text
    refused = person.send(form, "/mail-address", step="code", mailed_code=first)
    assert (refused.status, refused.outcome) == (403, "mail-address-code-wrong")
    assert f"{other} に届いた確認コード" in refused.text
    elsewhere = people(demo, site, holder)
    foreign = elsewhere.send(elsewhere.get("/"), "/mail-address", step="code", mailed_code=demo.mailed_code())
    assert foreign.outcome == "session-missing"

    code = demo.mailed_code()
    for _ in range(2):
        changed = person.send(form, "/mail-address", step="code", mailed_code=code)
        assert (changed.path, changed.outcome) == ("/mail-address/changed", "mail-address-changed")
        assert f"これからのお知らせは {other} へ" in changed.text
    assert "メールアドレスを変更しました" in person.get("/inbox").text
    assert other in person.get("/mail-address").text
    log = demo.log()
    assert not any(secret in log for secret in (first, code, new, other))


def register(administrator: Person, user_id: str, **changed: str) -> Page:
    form = administrator.get("/contract/users/new")
    fields = {"user_id": user_id, "name": "経理担当 3", "mail_address": f"{user_id}@example.com", **changed}
    pin = administrator.served.info["contract"]["contract_confirmation_pin"]
    return administrator.send(form, "/contract/users/new", confirmation_pin=pin, **fields)


def test_a_registered_user_acquires_by_est_with_the_mailed_code(served: Served, people: Any, tmp_path: Path) -> None:
    administrator = people(served, "administrator", served.info["administrator"])
    administrator.log_on_administrator()
    # A name with letters that the slip's font lacks.
    slip = register(administrator, "keiri03", name="张敏 Łukasz")
    assert (slip.status, slip.path, slip.outcome) == (200, "/contract/users/new", "user-registered")
    assert slip.headers["cache-control"] == "no-store"
    pins = re.findall(r"secret\">([a-z0-9]{10})<", slip.text)
    pdf = base64.b64decode(re.findall(r"base64,([A-Za-z0-9+/=]+)\"", slip.text)[0])
    assert pdf.startswith(b"%PDF-")
    keiri03 = {"user_id": "keiri03", "user_pin": pins[0], "user_confirmation_pin": pins[1]}
    key = new_key(tmp_path, "keiri03")
    assert enroll(served, key, keiri03).code == "mailed-code-needed"
    with_code = {**keiri03, "user_confirmation_pin": f"{pins[1]}:00000000"}
    assert enroll(served, key, with_code).code == "mailed-code-wrong"
    with_code = {**keiri03, "user_confirmation_pin": f"{pins[1]}:{served.mailed_code()}"}
    answer = enroll(served, key, with_code)
    assert answer.status == 200, answer.code
    key.save(answer)
    user = people(served, "user", {**keiri03, "certificate": str(key.certificate), "key": str(key.key)})
    assert user.log_on_user().path == "/pins"
    for path in ("/status", "/inbox", "/pins/changed"):
        assert user.get(path).path == "/pins"
    log = served.log()
    assert not any(secret in log for secret in (*pins, served.mailed_code()))


def test_an_unopened_contract_has_one_page_until_it_is_open(demo: Served, people: Any, tmp_path: Path) -> None:
    contract = demo.info["unopened_contract"]
    key = new_key(tmp_path, "unopened")
    answer = enroll(demo, key, {"contract": contract})
    assert answer.status == 200, answer.code
    key.save(answer)
    holder = {"contract": contract, "certificate": str(key.certificate), "key": str(key.key)}
    administrator = people(demo, "administrator", holder)
    form = administrator.log_on_administrator()
    assert (form.path, form.heading) == ("/opening", "開通確認")
    for path in ("/status", "/inbox", "/pins", "/mail-address", "/contract", "/contract/second-steps", "/emergency"):
        assert administrator.get(path).path == "/opening"
    new = {"new_pin": "atarasi1", "new_confirmation_pin": "atarasi2"}
    fields = {**new, **{f"{name}_again": pin for name, pin in new.items()}}
    fields["registration_pin"] = contract["registration_pin"]
    refused = administrator.send(form, "/opening", **fields, mail_address="kanri@kogyo")
    assert (refused.status, refused.outcome) == (400, "details-not-allowed")
    assert 'value="kanri@kogyo"' in refused.text
    assert not any(secret in refused.text for secret in fields.values())
    on_form = {**fields, "new_pin": contract["contract_pin"], "new_pin_again": contract["contract_pin"]}
    refused = administrator.send(form, "/opening", **on_form, mail_address="kanri@kogyo.example.com")
    assert refused.outcome == "pin-not-allowed"
    assert "新しいご契約先暗証番号: 申込書で届け出た暗証番号" in refused.text
    assert "kanri@kogyo.example.com" in refused.text
    code_page = administrator.send(form, "/opening", **fields, mail_address="kanri@kogyo.example.com")
    assert (code_page.path, code_page.outcome) == ("/opening", None)
    assert "kanri@kogyo.example.com に届いた確認コード" in code_page.text
    assert administrator.get("/status").path == "/opening", "the code is still to come"
    code, csrf = demo.mailed_code(), {"csrf": form.hidden["csrf"]}
    repeated = administrator.send(form, "/opening", **fields, mail_address="kanri@kogyo.example.com")
    assert (repeated.path, repeated.outcome) == ("/opening", "opening-step-done")
    no_form = administrator.send(form, "/opening", step="code", csrf="", mailed_code=code)
    assert no_form.outcome == "form-expired"
    again = administrator.send(form, "/opening", **csrf, step="mail", mail_address="kanri")
    assert (again.status, again.outcome) == (400, "details-not-allowed")
    missing = administrator.send(form, "/opening", **csrf, step="code", mailed_code="")
    assert (missing.status, missing.outcome) == (400, "entry-missing")
    wrong = administrator.send(form, "/opening", **csrf, step="code", mailed_code="1")
    assert (wrong.status, wrong.outcome) == (403, "opening-code-wrong")
    opened = administrator.send(form, "/opening", **csrf, step="code", mailed_code=code)
    assert (opened.path, opened.outcome) == ("/status", "contract-opened")
    repeated = administrator.send(form, "/opening", **csrf, step="code", mailed_code=code)
    assert (repeated.path, repeated.outcome) == ("/status", "contract-opened")
    assert administrator.get("/status").outcome is None, "told once"
    assert administrator.get("/opening").path == "/status"
    assert administrator.get("/contract/users").path == "/contract/users"
    other = people(demo, "administrator", holder)
    assert other.log_on_administrator("atarasi1").path == "/status"
    log = demo.log()
    assert not any(secret in log for secret in (*fields.values(), contract["contract_pin"], code))


def test_what_was_typed_stays_and_stands_in_no_address(demo: Served, people: Any) -> None:
    administrator = people(demo, "administrator", demo.info["administrator"])
    administrator.log_on_administrator()
    page = register(administrator, "keiri 04", name="経理 <b>四郎</b>", application_transfer="on")
    assert (page.status, page.path, page.outcome) == (400, "/contract/users/new", "details-not-allowed")
    assert "経理 &lt;b&gt;四郎&lt;/b&gt;" in page.text
    assert 'name="application_transfer" checked' in page.text
    assert "利用者IDは半角の英字と数字で" in page.text
    assert demo.info["contract"]["contract_confirmation_pin"] not in page.text
    assert register(administrator, "KEIRI01").outcome == "user-id-taken"


def test_expired_idle_and_not_yet_valid(served: Served, people: Any) -> None:
    user = people(served, "user", served.user("keiri01"))
    user.log_on_user()
    served.set_clock_ahead(minutes=16)
    assert user.get("/status").outcome == "session-ended-idle"
    served.set_clock_ahead(days=-1)
    assert people(served, "user", served.user("keiri01")).get("/").outcome == "certificate-not-yet-valid"
    served.set_clock_ahead(days=366)
    assert people(served, "user", served.user("keiri01")).get("/").outcome == "certificate-expired"


def test_the_operator_revokes_beside_a_running_server(served: Served, people: Any) -> None:
    user = people(served, "user", served.user("keiri01"))
    user.log_on_user()
    listed = served.sekisho("certificates", "list", "--json").stdout.splitlines()
    serial = next(line for line in listed if "keiri01" in line).split('"serial": "')[1][:32]
    held = served.sekisho("certificates", "revoke", serial, "--reason", "certificateHold", "--json")
    assert '"state": "suspended"' in held.stdout, held.stderr
    assert user.get("/status").outcome == "certificate-suspended"
    lifted = served.sekisho("certificates", "lift", serial, "--json")
    assert '"state": "in-force"' in lifted.stdout, lifted.stderr
    assert user.get("/status").outcome == "session-ended-certificate"
    done = served.sekisho("certificates", "revoke", serial, "--reason", "keyCompromise")
    assert done.returncode == 0, done.stderr
    assert user.get("/status").outcome == "certificate-revoked"
    too_late = served.sekisho("certificates", "lift", serial)
    assert too_late.returncode == 10
    assert "certificate-revoked" in too_late.stderr


def test_mails_carry_no_link_no_secret_and_no_full_id(served: Served) -> None:
    import email
    from email.policy import default
    from pathlib import Path

    outbox = Path(served.info["outbox"])
    mails: list[Path] = []
    for _ in range(200):
        mails = sorted(outbox.glob("*.eml"))
        if len(mails) >= 3:
            break
        served.sekisho("certificates", "list")
    texts = [email.message_from_bytes(mail.read_bytes(), policy=default).as_string() for mail in mails]
    bodies = [email.message_from_bytes(m.read_bytes(), policy=default).get_content() for m in mails]
    assert len(texts) >= 3
    secrets = [served.info["contract"]["contract_id"], served.user("keiri01")["user_pin"], "keiri01"]
    for body in bodies:
        assert "http" not in body
        assert not any(secret in body for secret in secrets)
        assert "0120-000-000" in body


def test_blank_request_forms_are_printed_by_anybody_and_may_be_kept(demo: Served, people: Any) -> None:
    visitor = people(demo, "public").http
    for kind in FormKind:
        first = visitor.get(form_path(kind))
        assert (first.status_code, first.headers["content-type"]) == (200, "application/pdf")
        assert first.content.startswith(b"%PDF-")
        assert first.headers["cache-control"] == "public, max-age=3600"
        assert "set-cookie" not in first.headers
        again = visitor.get(form_path(kind), headers={"if-none-match": f'"other", W/{first.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert visitor.get(form_path(kind), headers={"if-none-match": '"other"'}).content == first.content
    for path in ("/forms/salary.pdf", "/forms/.pdf", "/forms/", "/forms/pin-reset", "/forms/PIN-RESET.pdf"):
        assert people(demo, "public").get(path).outcome == "page-unknown"
