"""Whatever is sent with whatever form of the secure sites, in whatever order: no bug is met, and nothing is echoed raw.

The forms are found by walking the pages from the status screen on, so a new
page is tried as well. Requests go to the applications themselves; the
certificate stands in the scope as the edge puts it there.
"""

from __future__ import annotations

import re
from functools import partial
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.world import ADMINISTRATOR, BANK, CARD, KEIRI01, PINS, World, world

from sekisho.edge.choice import ChoiceBook
from sekisho.portal.administrator import administrator_app
from sekisho.portal.user import user_app
from sekisho.web.client_cert import EXTENSION
from sekisho.web.csrf import FormTokens
from sekisho.web.render import Renderer
from sekisho.web.site import Site
from sekisho.web.turnstile import Turnstile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.from_thread import BlockingPortal
    from starlette.types import ASGIApp, Receive, Scope, Send

    from sekisho.domain.person import PersonId

HOST = "https://localhost"
MARK = "<b>&\"'"
NASTY = st.sampled_from(
    [
        "",
        " ",
        "　",
        "０１２３",
        "ｋｅｉｒｉ０１",
        "けいり",
        "\x00",
        "a\r\nb: c",
        "\u202eabc",
        "\u200b",
        "😀",
        "\ud7ff\uffff",
        "x" * 65,
        "x" * 5000,
        "-1",
        "9" * 400,
        "%00",
        "../../etc/passwd",
        "keiri01'--",
        MARK,
        "keiri01",
        "keiri02",
        "certificate",
        "reissue",
        "revoke",
    ]
)


class _Forms(HTMLParser):
    """The links and the forms of a page: (method, action, names and values of the fields)."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.forms: list[tuple[str, str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "a" and named.get("href", "").startswith("/"):
            self.links.add(named["href"])
        elif tag == "form":
            self.forms.append((named.get("method", "get"), named.get("action") or named.get("data-endpoint", ""), {}))
        elif tag in {"input", "select", "textarea"} and self.forms and named.get("name"):
            self.forms[-1][2].setdefault(named["name"], named.get("value", ""))


class Browser:
    """Asks an application without a network, one thing after another; cookies stay."""

    def __init__(self, portal: BlockingPortal, app: ASGIApp) -> None:
        self._portal = portal
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = {"origin": HOST, "accept-language": "ja"}
        self._client = httpx.AsyncClient(transport=transport, base_url=HOST, headers=headers, follow_redirects=True)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self._portal.call(partial(self._client.get, path, **options))

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self._portal.call(partial(self._client.post, path, **options))


class Visitor:
    """Somebody with a certificate at one site's application."""

    def __init__(self, bank: World, who: PersonId, portal: BlockingPortal) -> None:
        self.bank, self.who = bank, who
        self.found: list[tuple[str, str, dict[str, str]]] = []
        certificate = bank.acquire(who)
        kind = who.kind
        forms, turnstile = FormTokens(b"f" * 32), Turnstile(site_at_once=2)
        urls = {"public": "https://public", "administrator": HOST, "user": HOST}
        site = Site(kind.value, BANK, kind, urls, bank.ports, Renderer(), forms, turnstile, ChoiceBook())
        make = user_app if who.user_id else administrator_app
        self.http = Browser(portal, with_certificate(make(site, chains={}, est=[]), certificate.der))

    def open_doors(self) -> None:
        """Undo what earlier tries have closed, as the branch would."""
        self.bank.change(
            "UPDATE people SET closed_at = NULL, stopped_at = NULL",
            "UPDATE secrets SET misses = 0",
            "UPDATE certificates SET suspended_at = NULL WHERE ended_at IS NULL",
        )

    def log_on(self) -> str:
        """Log on and return the token that forms carry then."""
        page = self.http.get("/")
        page = self.send(page, "/", pin=PINS[self.who][0])
        if self.who.user_id is None:
            positions = re.findall(r">(\d+)番目の数字<", page.text)
            page = self.send(page, "/card", **{f"digit_{n}": CARD[p] for n, p in enumerate(positions, 1)})
        assert page.url.path == "/status", page.text
        token: str = re.findall(r'name="csrf" value="([0-9a-f]+)"', page.text)[0]
        return token

    def send(self, page: httpx.Response, path: str, **fields: str) -> httpx.Response:
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)
        return self.http.post(path, data={"csrf": found[1] if found else "", **fields})

    def forms(self) -> list[tuple[str, str, dict[str, str]]]:
        """Walk all pages that links lead to."""
        ahead, seen = ["/status"], set()
        found: dict[tuple[str, str], tuple[str, str, dict[str, str]]] = {}
        while ahead:
            path = ahead.pop()
            seen.add(path)
            answer = self.http.get(path)
            assert answer.status_code != 500, path
            page = _Forms()
            page.feed(answer.text)
            # In Japanese throughout: the card's labels are read.
            ahead += sorted(link for link in page.links - seen if "lang=" not in link)
            ahead += [
                f"{action}?user_id=keiri02"
                for method, action, _ in page.forms
                if method == "get" and action.endswith("change") and f"{action}?user_id=keiri02" not in seen
            ]
            for method, action, fields in page.forms:
                found.setdefault((method, action), (method, action, fields))
        return list(found.values())


def with_certificate(app: ASGIApp, der: bytes) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["extensions"] = {**scope.get("extensions", {}), EXTENSION: der}
        await app(scope, receive, send)

    return answer


@pytest.fixture(scope="module", params=[ADMINISTRATOR, KEIRI01], ids=["administrator", "user"])
def visitor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with world(tmp_path_factory.mktemp("bad")) as bank, start_blocking_portal() as portal:
        one = Visitor(bank, request.param, portal)
        one.log_on()
        one.found = sorted(one.forms(), key=lambda form: form[:2])
        yield one


def test_the_walk_finds_the_forms(visitor: Visitor) -> None:
    actions = {action for _, action, _ in visitor.found}
    expected = {"/pins", "/logoff", "/emergency/certificate"}
    if visitor.who.user_id is None:
        expected |= {"/contract/users/new", "/contract/users/change", "/contract/users/many", "/emergency/contract"}
        expected |= {"/contract/users/details?user_id=keiri02", "/contract/users/confirm", "/contract/users/pins"}
    assert expected <= actions


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_no_form_meets_a_bug(visitor: Visitor, data: st.DataObject) -> None:
    visitor.open_doors()
    token = visitor.log_on()
    for _ in range(data.draw(st.integers(1, 4), label="forms sent one after another, on pages that may be old")):
        method, action, fields = data.draw(st.sampled_from(visitor.found), label="form")
        typed: dict[str, Any] = {
            name: data.draw(st.one_of(st.just(value), NASTY), label=name) for name, value in fields.items()
        }
        if data.draw(st.booleans(), label="the token of today"):
            typed["csrf"] = token
        if data.draw(st.booleans(), label="a field more"):
            typed[data.draw(NASTY, label="name") or "x"] = "x"
        send = visitor.http.get if method == "get" else visitor.http.post
        answer = send(action, **{"params" if method == "get" else "data": typed})
        assert answer.status_code not in {500, 501}, (action, typed)
        assert MARK not in answer.text
        if re.search(r'data-code="internal"', answer.text):
            raise AssertionError((action, typed))
