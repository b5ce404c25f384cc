"""Whatever is sent with whatever form, in whatever order and from two tabs: no bug is met, nothing is echoed raw.

The forms are found by walking the pages from the status screen on, so a new
page is tried as well. Requests go to the applications themselves; the
certificate stands in the scope as the edge puts it there.
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.tabs import HOST, Browser, computer
from tests.support.world import ADMINISTRATOR, BANK, KEIRI01, PINS, World, csr_der, new_key, world

from sekisho.domain.issuing_ca import FIRST_CAS
from sekisho.edge.choice import ChoiceBook
from sekisho.portal.public import public_app
from sekisho.store import audit
from sekisho.web import problems
from sekisho.web.csrf import FormTokens
from sekisho.web.render import Renderer
from sekisho.web.site import Site
from sekisho.web.turnstile import Turnstile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.from_thread import BlockingPortal

    from sekisho.domain.person import PersonId

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


class Visitor:
    """Somebody with a certificate at one site's application."""

    def __init__(self, bank: World, who: PersonId, portal: BlockingPortal) -> None:
        self.bank, self.who = bank, who
        self.found: list[tuple[str, str, dict[str, str]]] = []
        self.http = computer(bank, bank.acquire(who), portal)

    def open_doors(self) -> None:
        """Undo what earlier tries have closed, as the branch would."""
        self.bank.change(
            "UPDATE people SET closed_at = NULL, stopped_at = NULL",
            "UPDATE secrets SET misses = 0",
            "UPDATE certificates SET suspended_at = NULL WHERE ended_at IS NULL",
        )

    def log_on(self) -> str:
        """Log on and return the token that forms carry then."""
        page = self.http.log_on(PINS[self.who][0])
        assert page.path == "/status", page.text
        token: str = re.findall(r'name="csrf" value="([0-9a-f]+)"', page.text)[0]
        return token

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


@pytest.fixture(scope="module", params=[ADMINISTRATOR, KEIRI01], ids=["administrator", "user"])
def visitor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with world(tmp_path_factory.mktemp("bad")) as bank, start_blocking_portal() as portal:
        one = Visitor(bank, request.param, portal)
        one.log_on()
        one.found = sorted(one.forms(), key=lambda form: form[:2])
        yield one


def test_the_walk_finds_the_forms(visitor: Visitor) -> None:
    actions = {action for _, action, _ in visitor.found}
    expected = {"/pins", "/mail-address", "/logoff", "/sessions/computer", "/emergency/certificate"}
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


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_two_tabs_with_forms_of_one_session_meet_clear_answers(visitor: Visitor, data: st.DataObject) -> None:
    """The same forms stand open in two tabs, are filled in rightly or not, sent from both, again and in any order."""
    visitor.open_doors()
    token = visitor.log_on()
    opened = data.draw(st.lists(st.sampled_from(visitor.found), min_size=2, max_size=3), label="forms in two tabs")
    right = {"confirmation_pin": PINS[visitor.who][1], "pin": PINS[visitor.who][0], "csrf": token}
    sent = data.draw(st.permutations([*opened, *opened]), label="in which order they are sent")
    for method, action, fields in sent:
        typed = {name: right.get(name, value) for name, value in fields.items()}
        send = visitor.http.get if method == "get" else visitor.http.post
        answer = send(action, **{"params" if method == "get" else "data": typed})
        assert answer.status_code < 500, (action, typed)
        assert len(re.findall("<h1", answer.text)) == 1, (action, "a page of words, and no other")
        assert 'data-code="internal"' not in answer.text, (action, typed)


def test_a_page_of_an_older_logon_does_nothing(visitor: Visitor) -> None:
    """A tab that was left open since before the last logon: its forms are refused, and change nothing."""
    visitor.open_doors()
    old = visitor.log_on()
    visitor.log_on()
    before = actions(visitor.bank)
    for method, action, fields in visitor.found:
        if method == "post" and action != "/logoff":
            answer = visitor.http.post(action, data={**fields, "csrf": old})
            assert 'data-code="form-expired"' in answer.text, action
    assert actions(visitor.bank) == before


def test_one_form_sent_from_two_tabs_is_carried_out_once(visitor: Visitor) -> None:
    """What ends something is told once; the second tab learns how it stands."""
    visitor.open_doors()
    if visitor.who.user_id is not None:
        return
    token = visitor.log_on()
    confirmed = {"csrf": token, "confirmation_pin": PINS[ADMINISTRATOR][1]}
    new = {"user_id": "futatabi", "name": "二人", "mail_address": "futatabi@example.com", **confirmed}
    first, second = (visitor.http.post("/contract/users/new", data=new) for _ in range(2))
    assert 'data-code="user-registered"' in first.text
    assert 'data-code="user-id-taken"' in second.text
    form = {"user_id": "futatabi", "action": "revoke", **confirmed}
    first, second = (visitor.http.post("/contract/users/change", data=form) for _ in range(2))
    assert 'data-code="certificate-revoked"' in first.text
    assert 'data-code="certificate-none-to-revoke"' in second.text


def actions(bank: World) -> list[str]:
    with bank.db.read() as tx:
        return [row["action"] for row in audit.listed(tx, most=100_000)]


class Stranger:
    """Somebody without a certificate at the public site."""

    def __init__(self, bank: World, portal: BlockingPortal) -> None:
        urls = {"public": HOST, "administrator": "https://administrator", "user": "https://user"}
        forms, turnstile = FormTokens(b"f" * 32), Turnstile(site_at_once=2)
        open_to_browsers = replace(BANK, policy=replace(BANK.policy, way_browser=True))
        site = Site(
            "public", lambda: open_to_browsers, None, urls, bank.ports, Renderer(), forms, turnstile, ChoiceBook()
        )
        self.bank = bank
        self.http = Browser(portal, public_app(site, chains=dict.fromkeys(FIRST_CAS, ()), est=[]))

    def token(self) -> str:
        page = self.http.get("/acquire/user")
        token: str = re.findall(r'name="csrf" value="([0-9a-f]+)"', page.text)[0]
        return token


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    with world(tmp_path_factory.mktemp("stranger")) as bank, start_blocking_portal() as portal:
        yield Stranger(bank, portal)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_nothing_that_is_sent_to_the_public_site_meets_a_bug(stranger: Stranger, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["user", "administrator"]), label="kind")
    right = {
        "contract_id": KEIRI01.contract_id,
        "user_id": "keiri01",
        "pin": PINS[KEIRI01][0],
        "confirmation_pin": PINS[KEIRI01][1],
        "csr": "MAA=",
        "mailed_code": "",
    }
    typed = {
        name: data.draw(st.one_of(st.just(value), NASTY), label=name)
        for name, value in right.items()
        if data.draw(st.integers(0, 5), label=f"with {name}")
    }
    if data.draw(st.booleans(), label="with the form's token"):
        typed["csrf"] = stranger.token()
    before = actions(stranger.bank).count("certificate-issued")
    answer = stranger.http.post(f"/acquire/{kind}", data=typed)
    told = answer.json()
    assert 400 <= answer.status_code < 500, (typed, told)
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert told["code"] in problems.STATUS
    assert told["code"] != "internal"
    assert MARK not in answer.text
    assert actions(stranger.bank).count("certificate-issued") == before


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(["/", "/acquire/user", "/acquire/administrator", "/no/such"]), name=NASTY, value=NASTY)
def test_no_address_of_the_public_site_meets_a_bug(stranger: Stranger, path: str, name: str, value: str) -> None:
    for query in ({name: value}, {"lang": value}, {"refused": value, "wrong": f"{name}:{value}"}):
        answer = stranger.http.get(path, params=query)
        assert answer.status_code == (404 if path == "/no/such" else 200), query
        assert MARK not in answer.text


def test_the_same_acquisition_from_two_tabs_gives_one_certificate(stranger: Stranger) -> None:
    """With one key in both it is the same certificate, with another the second is told that the permit is spent."""
    token, csr = stranger.token(), base64.b64encode(csr_der(new_key())).decode()
    right = {
        "csrf": token,
        "contract_id": KEIRI01.contract_id,
        "user_id": "keiri01",
        "pin": PINS[KEIRI01][0],
        "confirmation_pin": PINS[KEIRI01][1],
        "csr": csr,
    }
    first, second = (stranger.http.post("/acquire/user", data=right) for _ in range(2))
    assert first.json()["certificate"] == second.json()["certificate"]
    other = stranger.http.post("/acquire/user", data={**right, "csr": base64.b64encode(csr_der(new_key())).decode()})
    assert (other.status_code, other.json()["code"]) == (409, "permit-spent")
