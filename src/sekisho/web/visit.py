"""One request as a handler sees it, and the pages it answers with."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.responses import HTMLResponse, RedirectResponse

from sekisho.domain.errors import EntryMissing, FormExpired
from sekisho.usecases.service_hours import opens_next
from sekisho.web import cookies, messages

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from starlette.responses import Response

    from sekisho.domain.contract import Person
    from sekisho.domain.errors import Refusal
    from sekisho.domain.person import Kind
    from sekisho.web.site import Site

_SESSION_TOKEN = 32


@dataclass(frozen=True, slots=True)
class _Alert:
    code: str
    title: str
    what: str
    next: str


@dataclass(frozen=True, slots=True)
class _Done:
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class _Visitor:
    """Who is logged on, as base.html shows it."""

    kind: str
    contract_id: str
    contract_name: str
    user_id: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One request: everything that a handler may look at, read and bounded beforehand.

    `form` and `query` map each field's name to its last value. `der` is the
    certificate that the handshake proved. `browser` binds forms to this
    browser; `browser_known` tells whether its cookie came with the request.
    `files` maps the names of a form's files to their bytes.
    `lang_chosen` tells whether the visitor chose `lang`, or only the browser.
    """

    site: Site
    method: str
    path: str
    query: Mapping[str, str]
    form: Mapping[str, str]
    headers: Mapping[str, str]
    lang: messages.Language
    lang_chosen: bool
    address: str
    der: bytes | None
    token: bytes | None
    browser: bytes
    browser_known: bool
    body: bytes = b""
    files: Mapping[str, bytes] = field(default_factory=dict)
    path_values: Mapping[str, str] = field(default_factory=dict)

    def check_form(self) -> None:
        """Refuse a form that another site, browser or session made: nothing was done then."""
        self.check_source()
        known = self.browser if self.browser_known else None
        if not self.site.forms.fits(self.form.get("csrf", ""), self.site.name, known, self.token):
            raise FormExpired

    def check_source(self) -> None:
        """Refuse what a page of another site made the browser send; programs say nothing of where it comes from."""
        if self.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            raise FormExpired
        origin = self.headers.get("origin")
        if origin is not None and origin != self.site.urls[self.site.name]:
            raise FormExpired

    def entry(self, name: str) -> str:
        """Return what was typed into a field. Raises `EntryMissing` where the field is empty."""
        typed = self.form.get(name, "")
        if not typed.strip():
            raise EntryMissing(fields={name: "entry-missing"})
        return typed

    def page(
        self,
        template: str,
        *,
        person: Person | None = None,
        refusal: Refusal | None = None,
        done: str | None = None,
        status: int = 200,
        errors: Mapping[str, str] | None = None,
        **context: Any,
    ) -> Response:
        """Return a page in the visitor's language, with what was refused or done on top of it.

        `errors` are what stands next to the fields, where that is not for `field_words` to say.
        """
        shown = self.refused() if refusal is None else (refusal.code, refusal.values, refusal.fields)
        if errors is None:
            errors = {} if shown is None else self.field_words(shown[2])
        html = self.site.renderer.page(
            template,
            self.lang,
            **{
                "bank": _bank(self),
                "site": self.site.name,
                "urls": self.site.urls,
                "path": self._path_here(),
                "csrf": self.site.forms.make(self.site.name, self.browser, self.token),
                "shown": "" if self.der is None else hashlib.sha256(self.der).hexdigest(),
                "person": None if person is None else _visitor(person),
                "alert": None if shown is None else self.words(shown[0], **shown[1]),
                "errors": errors,
                "closed_until": self._closed_until(),
                "done": None if done is None else _Done(done, messages.text(self.lang, f"done.{done}")),
                "values": {},
                **context,
            },
        )
        return HTMLResponse(html, status)

    def words(self, code: str, **values: object) -> _Alert:
        """Return what a refusal says in the visitor's language."""
        told = messages.refused(self.lang, code, **values)
        return _Alert(told.code, told.title, told.what, told.next)

    def go(self, path: str, **query: str) -> Response:
        """Answer a form that was carried out: the browser asks for the page that shows the outcome."""
        return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303)

    def back(self, path: str, refusal: Refusal, **query: str) -> Response:
        """Answer a form that was refused: the page is asked for again and shows why, next to its fields."""
        wrong = ",".join(f"{name}:{code}" for name, code in refusal.fields.items())
        return self.go(path, **query, refused=refusal.code, **({"wrong": wrong} if wrong else {}))

    def refused(self) -> tuple[str, dict[str, object], dict[str, str]] | None:
        """Return what `back` wrote into the address. Only codes of the catalogue are shown, whoever wrote them."""
        code = self.query.get("refused")
        if code is None or not messages.told_without_values(code):
            return None
        wrong = dict(pair.split(":", 1) for pair in self.query.get("wrong", "").split(",") if ":" in pair)
        known = {name: why for name, why in wrong.items() if messages.has(f"field.{why}")}
        return code, {}, known

    def field_words(self, fields: Mapping[str, str], kind: Kind | None = None) -> dict[str, str]:
        """Return what stands next to each field that is to be entered again, named as the screen of `kind` names it."""
        kind = kind or self.site.kind
        told = {}
        for name, code in fields.items():
            keys = [f"label.{kind}.{name}", f"label.{name}", "label.field"]
            label = next(key for key in keys if messages.has(key))
            told[name] = messages.field_text(self.lang, code, label, **asdict(self.site.bank.policy.pin_rules))
        return told

    def _closed_until(self) -> datetime | None:
        """Return when the service opens again, where it is closed to customers now."""
        if self.site.bank.policy.service_hours is None or self.site.name == "console":
            return None
        return opens_next(self.site.bank.policy, self.site.ports.now())

    def _path_here(self) -> str:
        """Return this page's address for the language links, without what was only said once."""
        kept = {name: value for name, value in self.query.items() if name not in {"lang", "refused", "wrong"}}
        return f"{self.path}?{urlencode(kept)}" if kept else self.path


def read_session_token(value: str | None) -> bytes | None:
    """Return the session's token from its cookie, or None."""
    return cookies.read_token(value, _SESSION_TOKEN)


def _visitor(person: Person) -> _Visitor:
    who = person.who
    return _Visitor(who.kind.value, who.contract_id, person.contract_name, who.user_id, person.name)


@dataclass(frozen=True, slots=True)
class _Bank:
    code: str
    name: str
    service_name: str
    help_desk_phone: str
    help_desk_hours: str


def _bank(visit: Visit) -> _Bank:
    bank = visit.site.bank
    return _Bank(
        code=bank.code,
        name=bank.name[visit.lang],
        service_name=bank.service_name[visit.lang],
        help_desk_phone=bank.help_desk_phone,
        help_desk_hours=bank.help_desk_hours[visit.lang],
    )
