"""Every page, in both languages, in the states that change what stands on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import html5lib  # type: ignore[import-untyped] # publishes no types
import pytest
from jinja2 import UndefinedError
from markupsafe import Markup
from tests.support.world import BANK

from sekisho.domain.customer_card import CardState, CustomerCard
from sekisho.domain.person import PersonId
from sekisho.domain.request_forms import FormKind
from sekisho.domain.secret import PinRules, SecretName
from sekisho.portal.guide import shown_guide
from sekisho.portal.users import STEPS
from sekisho.usecases.provisional_pins import IssuedPins
from sekisho.web import messages
from sekisho.web.form_words import form_title
from sekisho.web.render import Renderer, serial
from sekisho.web.slips import slip_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from sekisho.web.messages import Language

NOW = datetime(2026, 11, 24, 3, 5, tzinfo=UTC)
XHTML = "{http://www.w3.org/1999/xhtml}"

URLS = {
    "public": "https://localhost:8440",
    "administrator": "https://localhost:8441",
    "user": "https://localhost:8442",
}
ADMINISTRATOR = SimpleNamespace(
    kind="administrator",
    contract_id="12345678901",
    contract_name="株式会社せせらぎ商店",
    user_id=None,
    name="山川 一郎",
)
USER = SimpleNamespace(
    kind="user",
    contract_id="12345678901",
    contract_name="株式会社せせらぎ商店",
    user_id="keiri01",
    name="谷口 花子",
)
LONG_ADDRESS = "keiri.tantousha.sakura.kihara@honten.seseragi-shouten.example.co.jp"
ANSWERED = {
    "whose": "both",
    "old": "works",
    "certificate": "valid",
    "locked": "contract-closed",
    "pins": "forgotten-both",
    "card": "lost",
}
LONG_NAME = "株式会社の経理担当 きはら さくら"
RENDERER = Renderer()


def certificate(days_left: int = 213, *, exportable: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        common_name="12345678901keiri019990",
        serial=0x3F2A91C0D5E8B7467A0012C4DE55AB01,
        issued_at=NOW - timedelta(days=365 - days_left),
        not_after=NOW + timedelta(days=days_left),
        days_left=days_left,
        exportable=exportable,
        held="file" if exportable else "os-not-exportable",
    )


def user(state: str, user_id: str = "keiri01", *, lang: Language = "ja", **changed: Any) -> SimpleNamespace:
    values: dict[str, Any] = {
        "user_id": user_id,
        "name": "谷口 花子",
        "state": state,
        "state_text": messages.certificate_state(lang, state),
        "not_after": NOW + timedelta(days=200) if state == "in-force" else None,
        "permit_until": NOW + timedelta(days=14) if state == "permit" else None,
        "last_logon": NOW - timedelta(days=1),
        "exportable": False,
        "certificate": None,
        "permit_days": 13,
        "address": "203.0.113.7",
        "computer": "経理のノートPC" if lang == "ja" else "Notebook",
    }
    return SimpleNamespace(**(values | changed))


def listed(**changed: Any) -> SimpleNamespace:
    values: dict[str, Any] = {"total": 1, "found": 1, "page": 1, "pages": 1, "search": "", "sort": "user_id"} | changed
    return SimpleNamespace(**values, searchable=values["total"] > 10)


def notices(lang: Language) -> list[SimpleNamespace]:
    told = [
        messages.notice(lang, "certificate-reissued", user_id="keiri01", until=NOW + timedelta(days=14)),
        messages.notice(lang, "certificate-issued"),
    ]
    return [
        SimpleNamespace(at=NOW - timedelta(hours=9 * n), title=words.title, body=words.body, unread=n == 0)
        for n, words in enumerate(told)
    ]


def alert(lang: Language, code: str, **values: object) -> messages.Refused:
    return messages.refused(lang, code, **values)


def second_steps(lang: Language) -> dict[str, tuple[str, dict[str, Any]]]:
    administrator: dict[str, Any] = {"person": ADMINISTRATOR, "site": "administrator"}
    step: dict[str, Any] = {"site": "administrator", "others": [SimpleNamespace(step="card", href="/card")]}
    key = SimpleNamespace(id=7, label='<b>Desk</b> & "key"', added_at=NOW - timedelta(days=9), used_at=NOW)
    unused = SimpleNamespace(id=8, label="key", added_at=NOW, used_at=None)
    moments = {CardState.POSTED: NOW, CardState.ORDERED: NOW - timedelta(days=9)}
    posted = CustomerCard(1, "9990", "12345678901", "0" * 20, CardState.POSTED, NOW, NOW, moments=moments)
    everything = {"cards": [posted], "card": True, "offers_totp": True, "offers_passkey": True}
    app = SimpleNamespace(picture=Markup('<svg width="9" height="9"></svg>'), secret="ABCD EFGH", mark="0f" * 16)
    not_digits = {"code": messages.field_text(lang, "entry-not-six-digits", "label.code")}
    return {
        "totp": ("totp.html", step),
        "totp-refused": ("totp.html", step | {"alert": alert(lang, "entry-not-digits"), "errors": not_digits}),
        "passkey": ("passkey.html", step | {"asked": '{"challenge": "AAAA"}'}),
        "second-steps": ("second_steps.html", administrator | everything | {"totp_since": None, "passkeys": []}),
        "second-steps-all": (
            "second_steps.html",
            administrator | everything | {"totp_since": NOW, "passkeys": [key, unused]},
        ),
        "second-steps-none": (
            "second_steps.html",
            administrator
            | {
                "cards": [],
                "card": False,
                "offers_totp": False,
                "offers_passkey": False,
                "totp_since": None,
                "passkeys": [],
            },
        ),
        "totp-add": (
            "totp_add.html",
            administrator | {"app": app},
        ),
        "interim": ("interim.html", step),
        "interim-refused": ("interim.html", step | {"alert": alert(lang, "entry-wrong")}),
        "interim-app": ("interim_app.html", {"site": "administrator", "app": app}),
        "passkey-add": ("passkey_add.html", administrator | {"asked": "{}"}),
        "totp-remove": ("second_step_remove.html", administrator | {"which": "totp", "label": None}),
        "passkey-remove": ("second_step_remove.html", administrator | {"which": "7", "label": "Desk & key"}),
    }


def mail_address(lang: Language, person: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    stands = {"kind": "user", "present": "keiri01@example.com", "confirmed": True, "waiting": None}
    wrong = {"mailed_code": messages.field_text(lang, "entry-wrong", "label.mailed_code")}
    done = SimpleNamespace(code="mail-address-changed", text=messages.text(lang, "done.mail-address-changed"))
    return {
        "mail-address": ("mail_address.html", person | stands),
        "mail-address-none": ("mail_address.html", person | stands | {"present": None, "confirmed": False}),
        "mail-address-unconfirmed": ("mail_address.html", person | stands | {"confirmed": False}),
        "mail-address-code": (
            "mail_address.html",
            person
            | stands
            | {
                "waiting": LONG_ADDRESS,
                "values": {"new_mail_address": LONG_ADDRESS},
                "alert": alert(lang, "mail-address-code-wrong"),
                "errors": wrong,
            },
        ),
        "mail-address-changed": ("mail_address_changed.html", person | {"done": done, "mail_address": LONG_ADDRESS}),
    }


def cases(lang: Language) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return name → template and what it needs besides the common context."""
    ways = SimpleNamespace(tegata=True, browser=True, est=True)
    in_force = user("in-force", lang=lang, certificate=certificate(200, exportable=True), exportable=True)
    permit = user("permit", lang=lang, certificate=certificate(200))
    done = {
        code: SimpleNamespace(code=code, text=messages.text(lang, f"done.{code}"))
        for code in (key.removeprefix("done.") for key in sorted(messages.keys()) if key.startswith("done."))
    }
    pin_missing = messages.field_text(lang, "entry-missing", "label.user.pin")
    named = user("in-force", lang=lang).computer
    logons = [
        SimpleNamespace(at=NOW - timedelta(days=n), address="203.0.113.7", computer=named if n == 1 else None)
        for n in range(1, 4)
    ]
    own = SimpleNamespace(opened_at=NOW, ends_at=NOW + timedelta(hours=8), address="203.0.113.7", computer=None)
    open_sessions = [
        SimpleNamespace(id=7, user_id="keiri01", name=LONG_NAME, opened_at=NOW, address="203.0.113.7", computer=named),
        SimpleNamespace(id=8, user_id="keiri02", name="K", opened_at=NOW, address="2001:db8::7", computer=None),
    ]
    administrator = {"person": ADMINISTRATOR, "site": "administrator"}
    a_user = {"person": USER, "site": "user"}
    status = {
        "last_logons": logons,
        "certificate": certificate(),
        "notices": notices(lang),
        "unread": 2,
        "renewal": None,
    }
    pins = [
        SimpleNamespace(name=name, set_at=NOW - timedelta(days=days), old=days >= 90)
        for name, days in (("pin", 3), ("confirmation_pin", 90))
    ]
    applications = [SimpleNamespace(code="transfer", name={"ja": "振込", "en": "Transfers"}[lang], permitted=True)]
    registered = SimpleNamespace(who=PersonId("9990", "12345678901", "keiri01"), name=USER.name, mail_confirmed=False)
    issued = IssuedPins(
        registered.who,
        USER.name,
        {SecretName.PIN: "abc23def45", SecretName.CONFIRMATION_PIN: "ghj67kmn89"},
        NOW + timedelta(days=14),
        acquires=True,
    )
    problem: dict[str, Any] = {"reference": None, "can_choose_another": True, "can_renew": False, "site": "user"}
    title = form_title(lang, FormKind.CONTRACT_CHANGE)
    forms = [
        SimpleNamespace(number="0000000195", title=title, whom="", state=state, filed_at=NOW, can_withdraw=ours)
        for state, ours in (("filed", True), ("carried-out", False))
    ]
    asked = {
        "kinds": [("contract-change", title)],
        "kind": "contract-change",
        "form_title": title,
        "of_users": False,
        "changes": True,
    }
    return {
        "home": ("home.html", {"forms": [("/forms/contract-end.pdf", title)]}),
        "request-forms": ("request_forms.html", {**administrator, "forms": forms}),
        "request-forms-none": ("request_forms.html", {**administrator, "forms": []}),
        "request-form-kinds": ("request_form_new.html", {**administrator, **asked, "kind": None, "form_title": None}),
        "request-form-change": ("request_form_new.html", {**administrator, **asked}),
        "guide": ("guide.html", shown_guide({}, BANK, URLS, lang)),
        "guide-last-question": ("guide.html", shown_guide(ANSWERED | {"card": ""}, BANK, URLS, lang)),
        "guide-plan": ("guide.html", shown_guide(ANSWERED, BANK, URLS, lang)),
        "acquire-user": ("acquire.html", {"kind": "user", "ways": ways, "bank_code": "9990"}),
        "acquire-administrator": ("acquire.html", {"kind": "administrator", "ways": ways, "bank_code": "9990"}),
        "acquire-ways": (
            "acquire.html",
            {
                "kind": "user",
                "ways": SimpleNamespace(tegata=True, browser=False, est=True),
                "bank_code": "9990",
                "alert": alert(lang, "way-not-offered"),
            },
        ),
        "acquire-none": (
            "acquire.html",
            {"kind": "user", "ways": SimpleNamespace(tegata=False, browser=False, est=False), "bank_code": "9990"},
        ),
        "problem": ("problem.html", problem | {"alert": alert(lang, "certificate-reissued")}),
        "problem-time": (
            "problem.html",
            problem | {"alert": alert(lang, "session-ended-idle"), "can_choose_another": False},
        ),
        "problem-bug": (
            "problem.html",
            {
                "alert": alert(lang, "internal", reference="7f3a01bc"),
                "reference": "7f3a01bc",
                "can_choose_another": False,
                "can_renew": False,
                "csrf": None,
                "shown": "",
            },
        ),
        "problem-grace": ("problem.html", problem | {"alert": alert(lang, "certificate-expired"), "can_renew": True}),
        "renew": (
            "renew.html",
            {
                "kind": "user",
                "site": "user",
                "bank_code": "9990",
                "who": registered.who,
                "certificate": certificate(12),
                "by_browser": True,
            },
        ),
        "renew-other-ways": (
            "renew.html",
            {
                "kind": "administrator",
                "site": "administrator",
                "bank_code": "9990",
                "who": PersonId("9990", "12345678901"),
                "certificate": certificate(12),
                "by_browser": False,
            },
        ),
        "problem-closed": (
            "problem.html",
            problem | {"alert": alert(lang, "contract-closed"), "can_choose_another": False},
        ),
        "pin-administrator": ("pin.html", {"kind": "administrator", "certificate": certificate()} | administrator),
        "pin-user": ("pin.html", {"kind": "user", "certificate": certificate(), "site": "user"}),
        "pin-refused": (
            "pin.html",
            {
                "kind": "user",
                "certificate": certificate(),
                "site": "user",
                "alert": alert(lang, "entry-missing"),
                "errors": {"pin": pin_missing},
            },
        ),
        "card": ("card.html", {"positions": [3, 10, 1, 7], "site": "administrator", "others": []}),
        "card-others": (
            "card.html",
            {
                "positions": [3, 10, 1, 7],
                "site": "administrator",
                "others": [SimpleNamespace(step="totp", href="/totp")],
            },
        ),
        **second_steps(lang),
        "card-refused": (
            "card.html",
            {
                "positions": [3, 10, 1, 7],
                "others": [],
                "site": "administrator",
                "alert": alert(lang, "entry-not-digits"),
                "errors": {"digit_2": messages.field_text(lang, "entry-not-digits", "label.field")},
            },
        ),
        "status-administrator": (
            "status.html",
            status
            | administrator
            | {
                "kind": "administrator",
                "waiting": [
                    SimpleNamespace(
                        text=messages.text(lang, "waiting.permit", user_id="keiri02", until=NOW), href="/contract/users"
                    ),
                    SimpleNamespace(text="…", href=None),
                ],
            },
        ),
        "status-user": (
            "status.html",
            status
            | a_user
            | {"kind": "user", "waiting": [], "certificate": certificate(12, exportable=True), "renewal": "due"},
        ),
        "status-first": (
            "status.html",
            a_user
            | {
                "kind": "user",
                "waiting": [],
                "certificate": certificate(-1),
                "notices": [],
                "unread": 0,
                "last_logons": [],
                "renewal": "done",
            },
        ),
        "pins-administrator": ("pins.html", administrator | {"kind": "administrator", "pins": pins, "first": False}),
        "pins-refused": (
            "pins.html",
            a_user
            | {
                "kind": "user",
                "pins": pins,
                "first": False,
                "alert": alert(lang, "pin-not-allowed"),
                "errors": {
                    "new_pin": messages.field_text(lang, "pin-length", "label.user.new_pin", shortest=6, longest=12)
                },
            },
        ),
        "opening-entries": ("opening.html", administrator | {"step": "entries", "mail_address": ""}),
        "opening-refused": (
            "opening.html",
            administrator
            | {
                "step": "entries",
                "mail_address": "",
                "values": {"mail_address": "kanri"},
                "alert": alert(lang, "details-not-allowed"),
                "errors": {"mail_address": messages.field_text(lang, "mail-address-form", "label.mail_address")},
            },
        ),
        "opening-code": (
            "opening.html",
            administrator
            | {
                "step": "code",
                "mail_address": "kanri@example.com",
                "values": {"mail_address": "kanri@example.com"},
                "alert": alert(lang, "opening-code-wrong"),
                "errors": {"mailed_code": messages.field_text(lang, "entry-wrong", "label.mailed_code")},
            },
        ),
        **mail_address(lang, a_user),
        "pins-first": ("pins.html", a_user | {"kind": "user", "pins": pins, "first": True}),
        "user-new": (
            "user_new.html",
            administrator
            | {
                "applications": applications,
                "values": {"user_id": "keiri 03", "name": LONG_NAME, "mail_address": "k"},
                "alert": alert(lang, "details-not-allowed"),
                "errors": {"user_id": messages.field_text(lang, "user-id-form", "label.user_id")},
            },
        ),
        "user-details": (
            "user_details.html",
            administrator | {"applications": applications, "user": registered, "has_certificate": True},
        ),
        "user-details-confirmed": (
            "user_details.html",
            administrator
            | {
                "applications": [],
                "has_certificate": False,
                "user": SimpleNamespace(**(vars(registered) | {"mail_confirmed": True})),
            },
        ),
        "user-slip": (
            "user_slip.html",
            administrator
            | {
                "done": done["user-registered"],
                "issued": issued,
                "slip": slip_of(issued, lang, public_url=URLS["public"]),
                "pdf": "JVBERg==",
            },
        ),
        "user-slip-without-pdf": (
            "user_slip.html",
            administrator
            | {
                "done": done["user-registered"],
                "issued": issued,
                "slip": slip_of(issued, lang, public_url=URLS["public"]),
                "pdf": None,
            },
        ),
        "user-done": ("user_done.html", administrator | {"done": done["user-changed"], "user": registered}),
        "user-deleted": ("user_done.html", administrator | {"done": done["user-deleted"], "user": None}),
        **{
            f"user-confirm-{step}": (
                "user_confirm.html",
                administrator
                | {
                    "step": step,
                    "action": "/contract/users/confirm",
                    "asks_pin": step == "pins" or STEPS[step].asks_pin,
                    "user": registered,
                    "state": "in-force",
                    "state_text": messages.certificate_state(lang, "in-force"),
                },
            )
            for step in ("pins", *STEPS)
        },
        "pins-changed": ("pins_changed.html", a_user | {"done": done["pins-changed"]}),
        "contract": ("contract.html", administrator),
        "users": (
            "users.html",
            administrator
            | {
                "users": [
                    in_force,
                    user("permit", "keiri02", lang=lang, last_logon=None),
                    user("none", "K", lang=lang, last_logon=None),
                    user("revoked", "soumu03", lang=lang),
                    user("expired", "abcdefghijklmnopqrstuvwxyz0123", lang=lang),
                    user("suspended", "kihara", lang=lang, name=LONG_NAME),
                    user("stopped", "kihara2", lang=lang),
                ],
                "list": listed(total=99, found=30, pages=2, search="k"),
            },
        ),
        "users-refused": (
            "users.html",
            administrator
            | {
                "users": [in_force],
                "list": listed(),
                "alert": alert(lang, "choice-missing"),
                "errors": {"user_id": messages.field_text(lang, "choice-missing", "label.user_id")},
                "values": {"user_id": "keiri01"},
            },
        ),
        "users-none": ("users.html", administrator | {"users": [], "list": listed(total=0, found=0)}),
        "users-none-found": (
            "users.html",
            administrator | {"users": [], "list": listed(total=50, found=0, search="x")},
        ),
        "users-many": (
            "users_many.html",
            administrator
            | {
                "users": [in_force, permit],
                "chosen": ["keiri01"],
                "alert": alert(lang, "choice-missing"),
                "errors": {"chosen": messages.field_text(lang, "choice-missing", "label.chosen")},
            },
        ),
        "users-many-done": (
            "users_many_done.html",
            administrator | {"users": [permit], "done": done["certificates-reissued"]},
        ),
        "sessions-user": ("sessions.html", a_user | {"own": own, "users": None}),
        "sessions-named": (
            "sessions.html",
            a_user
            | {
                "own": SimpleNamespace(**(vars(own) | {"computer": named})),
                "users": None,
                "values": {"computer": named},
                "done": done["computer-named"],
            },
        ),
        "sessions-refused": (
            "sessions.html",
            a_user
            | {
                "own": own,
                "users": None,
                "values": {"computer": "\u202eabc"},
                "alert": alert(lang, "details-not-allowed"),
                "errors": {"computer": messages.field_text(lang, "entry-characters", "label.computer")},
            },
        ),
        "sessions-administrator": (
            "sessions.html",
            administrator
            | {
                "own": own,
                "users": SimpleNamespace(lines=open_sessions, total=22, page=2, pages=2),
                "done": done["session-ended"],
            },
        ),
        "sessions-none": (
            "sessions.html",
            administrator
            | {
                "own": own,
                "users": SimpleNamespace(lines=[], total=0, page=1, pages=1),
                "alert": alert(lang, "session-unknown"),
            },
        ),
        "emergency": ("emergency.html", administrator | {"stops": ("certificate", "contract")}),
        **{
            f"emergency-{what}": ("emergency_confirm.html", administrator | {"what": what})
            for what in ("certificate", "contract")
        },
        "user-change": ("user_change.html", administrator | {"user": in_force, "steps": list(STEPS)}),
        "user-change-refused": (
            "user_change.html",
            administrator
            | {
                "user": user("none", lang=lang),
                "steps": [],
                "alert": alert(lang, "entry-wrong"),
                "values": {"action": "reissue"},
                "errors": {
                    "action": messages.field_text(lang, "choice-missing", "label.action"),
                    "confirmation_pin": pin_missing,
                },
            },
        ),
        "user-changed-reissue": (
            "user_changed.html",
            administrator
            | {
                "user": permit,
                "action": "reissue",
                "done": done["certificate-reissued"],
                "permit_until": NOW + timedelta(days=14),
                "permit_days": 13,
            },
        ),
        "user-changed-revoke": (
            "user_changed.html",
            administrator
            | {
                "user": user("revoked", lang=lang),
                "action": "revoke",
                "done": done["certificate-revoked"],
                "permit_until": None,
                "permit_days": None,
            },
        ),
        "user-changed-keep": (
            "user_changed.html",
            administrator
            | {
                "user": in_force,
                "action": "keep",
                "done": done["unchanged"],
                "permit_until": None,
                "permit_days": None,
            },
        ),
        "inbox": ("inbox.html", a_user | {"notices": notices(lang)}),
        "inbox-at-night": ("inbox.html", a_user | {"notices": notices(lang), "closed_until": NOW}),
        "inbox-empty": ("inbox.html", a_user | {"notices": []}),
        "logged-off": ("logged_off.html", {"site": "user"}),
        "not-open": ("not_open.html", {"site": "console", "alert": alert(lang, "not-open-yet")}),
    }


def common(lang: Language) -> dict[str, Any]:
    in_japanese = lang == "ja"
    return {
        "bank": SimpleNamespace(
            code="9990",
            name="みほん信用金庫" if in_japanese else "Mihon Shinkin Bank",
            service_name="みほんビジネスバンキング" if in_japanese else "Mihon Business Banking",
            help_desk_phone="0120-000-000",
            help_desk_hours="平日 9:00~17:00" if in_japanese else "Weekdays 9:00-17:00",
        ),
        "site": "public",
        "urls": URLS,
        "path": "/",
        "csrf": "a" * 64,
        "shown": "b" * 64,
        "person": None,
        "closed_until": None,
        "alert": None,
        "done": None,
        "errors": {},
        "values": {},
        "pin_rules": PinRules(),
    }


def render(name: str, lang: Language) -> str:
    template, needed = cases(lang)[name]
    return RENDERER.page(template, lang, **(common(lang) | needed))


@cache
def shown(name: str, lang: Language = "ja") -> Element:
    return parse(render(name, lang))


def parse(page: str) -> Element:
    """Parse as a browser would, but raise at the first thing a browser would have to mend."""
    document: Element = html5lib.HTMLParser(strict=True).parse(page)
    return document


def elements(document: Element, name: str) -> list[Element]:
    return list(document.iter(XHTML + name))


def words(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


every_page = pytest.mark.parametrize("name", sorted(cases("ja")))
both_languages = pytest.mark.parametrize("lang", messages.LANGUAGES)


@every_page
@both_languages
def test_every_page_is_html_without_a_mistake(name: str, lang: Language) -> None:
    document = shown(name, lang)

    assert document.attrib["lang"] == lang
    assert [words(h1) for h1 in elements(document, "h1")] != [""]
    assert len(elements(document, "h1")) == 1
    assert words(elements(document, "title")[0])


@every_page
@both_languages
def test_ids_are_unique_and_what_points_to_them_finds_them(name: str, lang: Language) -> None:
    document = shown(name, lang)

    ids = [element.attrib["id"] for element in document.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    for element in document.iter():
        for pointer in ("for", "aria-labelledby", "aria-describedby"):
            for target in element.attrib.get(pointer, "").split():
                assert target in ids


@every_page
def test_nothing_is_inline_that_the_content_security_policy_forbids(name: str) -> None:
    for element in shown(name).iter():
        assert "style" not in element.attrib
        assert not any(attribute.startswith("on") for attribute in element.attrib)
        if element.tag == XHTML + "script":
            assert element.attrib["src"].startswith("/static/")
            assert not words(element)
        assert element.tag != XHTML + "style"


@every_page
def test_every_form_that_posts_carries_the_token(name: str) -> None:
    for form in elements(shown(name), "form"):
        tokens = [field for field in elements(form, "input") if field.attrib.get("name") == "csrf"]
        if form.attrib["method"] == "post" and "data-save" not in form.attrib:
            assert [token.attrib["value"] for token in tokens] == ["a" * 64]
        else:
            assert tokens == []


@every_page
@both_languages
def test_every_field_has_a_label(name: str, lang: Language) -> None:
    document = shown(name, lang)

    labelled = {label.attrib["for"] for label in elements(document, "label") if "for" in label.attrib}
    inside = {id(field) for label in elements(document, "label") for field in elements(label, "input")}
    for field in elements(document, "input"):
        if field.attrib.get("type") != "hidden":
            assert field.attrib.get("id") in labelled or id(field) in inside


@every_page
def test_pages_in_english_have_no_japanese_words(name: str) -> None:
    text = words(shown(name, "en"))
    for name_of_one in ("日本語", ADMINISTRATOR.contract_name, ADMINISTRATOR.name, USER.name, LONG_NAME):
        text = text.replace(name_of_one, "")
    assert not any("\u3040" <= letter <= "\u9fff" for letter in text)


def test_every_template_stands_among_the_pages_that_are_tested() -> None:
    folder = resources.files("sekisho.portal") / "templates"
    templates = {entry.name for entry in folder.iterdir()} - {"base.html", "parts.html", "acquire_parts.html"}

    assert templates == {template for template, _ in cases("ja").values()}


def test_what_is_on_the_bank_page_is_found_by_role_and_name() -> None:
    document = shown("home")

    links = [(words(link), link.attrib["href"]) for link in elements(document, "a")]
    assert ("管理者ログオン", "https://localhost:8441/") in links
    assert ("利用者ログオン", "https://localhost:8442/") in links
    assert [href for name, href in links if name == "電子証明書取得"] == ["/acquire/administrator", "/acquire/user"]
    headings = [words(heading) for heading in elements(document, "h2")]
    assert {"電子証明書方式", "管理者ログオン", "利用者ログオン"} <= set(headings)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("pin-administrator", ["ご契約先暗証番号"]),
        ("pin-user", ["利用者暗証番号"]),
        ("card", ["3番目の数字", "10番目の数字", "1番目の数字", "7番目の数字"]),
        (
            "acquire-user",
            [
                "契約者ID(利用者番号)",
                "利用者ID",
                "利用者暗証番号",
                "利用者確認暗証番号",
                "メールで届いた確認コード",
                "ファイルのパスワード",
                "ファイルのパスワード(確認)",
            ],
        ),
        (
            "acquire-administrator",
            [
                "契約者ID(利用者番号)",
                "ご契約先暗証番号",
                "ご契約先確認暗証番号",
                "ファイルのパスワード",
                "ファイルのパスワード(確認)",
            ],
        ),
        (
            "pins-refused",
            [
                "現在の利用者暗証番号",
                "現在の利用者確認暗証番号",
                "新しい利用者暗証番号",
                "新しい利用者暗証番号(確認)",
                "新しい利用者確認暗証番号",
                "新しい利用者確認暗証番号(確認)",
            ],
        ),
        (
            "opening-entries",
            [
                "登録用暗証番号",
                "新しいご契約先暗証番号",
                "新しいご契約先暗証番号(確認)",
                "新しいご契約先確認暗証番号",
                "新しいご契約先確認暗証番号(確認)",
                "メールアドレス",
            ],
        ),
        ("opening-code", ["メールで届いた確認コード", "メールアドレス"]),
        ("mail-address", ["新しいメールアドレス", "利用者確認暗証番号"]),
        ("mail-address-code", ["メールで届いた確認コード", "新しいメールアドレス", "利用者確認暗証番号"]),
        ("users-refused", ["keiri01"]),
        ("user-change", ["継続", "再発行", "失効", "ご契約先確認暗証番号"]),
    ],
)
def test_fields_are_labelled_as_in_the_journeys(name: str, labels: list[str]) -> None:
    assert [words(label) for label in elements(shown(name), "label")] == labels


@pytest.mark.parametrize(
    ("name", "buttons"),
    [
        ("pin-user", ["ログオン", "別の電子証明書を選ぶ"]),
        ("card", ["OK"]),
        ("problem", ["別の電子証明書を選ぶ"]),
        ("problem-closed", []),
        ("users-refused", ["ログオフ", "変更"]),
        ("user-change", ["ログオフ", "OK"]),
    ],
)
def test_buttons_are_named_as_in_the_journeys(name: str, buttons: list[str]) -> None:
    assert [words(button) for button in elements(shown(name), "button")] == buttons


@pytest.mark.parametrize(
    ("name", "role", "code"),
    [
        ("problem", "alert", "certificate-reissued"),
        ("pin-refused", "alert", "entry-missing"),
        ("not-open", "alert", "not-open-yet"),
        ("acquire-ways", "alert", "way-not-offered"),
        ("acquire-user", "alert", ""),
        ("user-changed-reissue", "status", "certificate-reissued"),
    ],
)
def test_the_outcome_has_its_role_and_its_code(name: str, role: str, code: str) -> None:
    document = shown(name)

    outcomes = [e for e in document.iter() if e.attrib.get("role") == role and "data-code" in e.attrib]
    assert outcomes[0].attrib["data-code"] == code
    assert outcomes[0].attrib.get("tabindex") == ("-1" if role == "alert" else None)
    assert len(outcomes) == 1


def test_what_is_wrong_with_a_field_stands_with_it() -> None:
    document = shown("pin-refused")

    field = next(field for field in elements(document, "input") if field.attrib.get("name") == "pin")
    assert field.attrib["aria-invalid"] == "true"
    note = next(e for e in document.iter() if e.attrib.get("id") == field.attrib["aria-describedby"])
    assert "利用者暗証番号を入力してください。" in words(note)
    assert words(elements(document, "title")[0]).startswith("エラー")


def test_what_people_typed_is_escaped() -> None:
    name = "<script>alert(1)</script>\"'"
    person = SimpleNamespace(**(vars(ADMINISTRATOR) | {"name": name, "contract_name": name}))
    page = RENDERER.page("contract.html", "ja", **(common("ja") | {"person": person, "site": "administrator"}))

    assert "<script>alert" not in page
    assert words(parse(page)).count(name) == 2


def test_what_a_handler_forgot_is_an_error() -> None:
    given = common("ja")
    del given["csrf"]

    with pytest.raises(UndefinedError, match="csrf"):
        RENDERER.page("pin.html", "ja", kind="user", certificate=certificate(), **given)


def test_the_language_links_keep_the_page() -> None:
    given = common("ja") | {"path": "/contract/users/change?user_id=keiri01"}
    document = parse(RENDERER.page("logged_off.html", "ja", **given))

    links = [link for link in elements(document, "a") if link.attrib.get("hreflang") == "en"]
    assert links[0].attrib["href"] == "/contract/users/change?user_id=keiri01&lang=en"


@pytest.mark.parametrize(
    ("number", "shown"), [(0x1, "0001"), (0x12345, "0001 2345"), ("3f2a91c0", "3f2a 91c0"), (0xABCD, "abcd")]
)
def test_serial_numbers_are_shown_in_groups_of_four(number: int | str, shown: str) -> None:
    assert serial(number) == shown
