"""`/api/v1` over real TLS: what the bank's own systems ask, and what they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from requests.adapters import HTTPAdapter
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.integration.test_console_pages import added
from tests.support.person import Person
from tests.support.served import Served, free_port_base

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTRACT = "20000000001"
# What a contract has and what a form may ask for stands in no description.
_NOT_TOLD = [positive_data_acceptance]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("api") / "data", free_port_base())
    served.start()
    yield served
    served.stop()


@pytest.fixture(scope="module")
def holder(demo: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Add a program of the bank's, with its certificate."""
    return added(demo, tmp_path_factory.mktemp("system"), "CoreBanking", "--role", "system")


@pytest.fixture(scope="module")
def system(demo: Served, holder: dict[str, Any]) -> Iterator[httpx.Client]:
    client = client_of(demo, holder)
    yield client
    client.close()


@pytest.fixture
def at_console(demo: Served) -> Iterator[Callable[..., Person]]:
    """Make somebody at the console, by role or with what they hold, and close their connections at the end."""
    made: list[Person] = []

    def person(who: str | dict[str, Any]) -> Person:
        made.append(Person(demo, "console", demo.staff(who) if isinstance(who, str) else who))
        return made[-1]

    yield person
    for one in made:
        one.close()


def client_of(demo: Served, holder: dict[str, Any] | None, lang: str = "en") -> httpx.Client:
    return httpx.Client(
        base_url=f"{demo.info['urls']['console']}/api/v1",
        verify=demo.context(holder),
        headers={"accept-language": lang},
        timeout=60,
    )


def named(key: str) -> dict[str, str]:
    return {"idempotency-key": key}


def new(contract_id: str = CONTRACT, **other: Any) -> dict[str, Any]:
    return {"contract_id": contract_id, "name": "見本物産株式会社", "administrator": "見本 太郎", **other}


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["type"] == f"urn:sekisho:refusal:{told['code']}"
    assert told["title"]
    assert told["detail"]
    return answer.status_code, told["code"]


def test_a_contract_is_registered_once_and_the_same_request_gets_the_same_secrets(
    demo: Served, system: httpx.Client
) -> None:
    asked = {"contracts": [new(kana="ミホンブッサン", branch="101"), new("2000000000", name="")]}
    (tried, _) = system.post("/contracts", json=asked | {"dry_run": True}, headers=named("try-0001")).json()[
        "contracts"
    ]
    assert (tried["done"], tried["opening"]) == ("can-be-registered", None)
    assert problem(system.get(f"/contracts/{CONTRACT}")) == (404, "contract-unknown")
    first = system.post("/contracts", json=asked, headers=named("open-0001"))
    assert first.status_code == 200, demo.log()[-3000:]
    good, wrong = first.json()["contracts"]
    assert (good["contract_id"], good["done"]) == (CONTRACT, "registered")
    assert len(good["opening"]["card"]) == 10
    assert (wrong["done"], wrong["field"], wrong["code"], wrong["opening"]) == (
        "wrong", "contract_id", "contract-id-form", None,
    )  # fmt: skip
    again = system.post("/contracts", json=asked, headers=named("open-0001")).json()["contracts"]
    assert again[0] == good | {"done": "there-already"}
    other = system.post("/contracts", json=asked, headers=named("open-0002")).json()["contracts"]
    assert (other[0]["done"], other[0]["opening"]) == ("there-already", None), "the secrets are the first request's"
    assert problem(system.post("/contracts", json=asked | {"dry_run": False, "contracts": [new("20000000002")]},
                               headers=named("open-0001"))) == (409, "idempotency-key-reused")  # fmt: skip
    opening = good["opening"]
    for secret in (opening["contract_pin"], opening["registration_pin"], "".join(opening["card"].values())):
        assert secret not in demo.log()
    found = system.get("/contracts", params={"search": "みほんぶっさん"}).json()
    assert [one["contract_id"] for one in found["contracts"]] == [CONTRACT]
    people = system.get(f"/contracts/{CONTRACT}/people").json()["people"]
    assert [(one["user_id"], one["door"]) for one in people] == [(None, "contract-not-open")]
    assert people[0]["permit"]["spent_at"] is None


def test_what_a_contracts_people_have_is_read(demo: Served, system: httpx.Client) -> None:
    contract_id = demo.info["contract"]["contract_id"]
    people = {one["user_id"]: one for one in system.get(f"/contracts/{contract_id}/people").json()["people"]}
    assert people[None]["door"] == "open"
    certificates = system.get(f"/contracts/{contract_id}/certificates").json()["certificates"]
    newest = people[None]["certificate"]
    assert newest in certificates
    assert len(newest["serial"]) == 32


def test_a_permit_is_withdrawn_and_a_certificate_suspended_at_once(demo: Served, system: httpx.Client) -> None:
    contract_id = demo.info["contract"]["contract_id"]
    of = f"/contracts/{contract_id}"
    waiting = [one for one in system.get(f"{of}/permits").json()["permits"] if one["state"] == "granted"]
    assert "keiri02" in {one["user_id"] for one in waiting}
    taken = system.post(f"{of}/permits/withdraw", json={"user_id": "keiri02"}, headers=named("take-0001"))
    assert (taken.json()["state"], taken.json()["user_id"]) == ("withdrawn", "keiri02")
    again = system.post(f"{of}/permits/withdraw", json={"user_id": "keiri02"}, headers=named("take-0001"))
    assert again.json() == taken.json()
    assert problem(system.post(f"{of}/permits/withdraw", json={"user_id": "keiri02"}, headers=named("take-0002"))) == (
        409, "permit-none-to-withdraw",
    )  # fmt: skip
    (card,) = system.get(f"{of}/cards").json()["cards"]
    assert (card["state"], len(card["number"])) == ("in-use", 20)
    people = {one["user_id"]: one for one in system.get(f"{of}/people").json()["people"]}
    serial = people["keiri01"]["certificate"]["serial"]
    before = system.get(f"/certificates/{serial.upper()}").json()
    assert before == people["keiri01"]["certificate"]
    suspended = system.post(f"/certificates/{serial}/suspend", headers=named("stop-0001"))
    assert suspended.status_code == 200, suspended.text
    assert suspended.json()["suspended_at"] is not None
    assert system.get(f"/certificates/{serial}").json() == suspended.json()
    assert problem(system.get("/certificates/0")) == (404, "serial-unknown")
    assert problem(system.get("/certificates/none")) == (400, "details-not-allowed")
    assert problem(system.post(f"/certificates/{serial}/suspend")) == (400, "idempotency-key-missing")


def test_a_form_is_filed_once_and_moved_on_by_people(demo: Served, system: httpx.Client) -> None:
    contract_id = demo.info["contract"]["contract_id"]
    asked = {"contract_id": contract_id, "kind": "certificate-reissue", "user_id": "keiri01"}
    filed = system.post("/forms", json=asked, headers=named("form-0001"))
    assert filed.status_code == 201, filed.text
    number = filed.json()["number"]
    assert system.post("/forms", json=asked, headers=named("form-0001")).json() == {"number": number}
    assert problem(system.post("/forms", json=asked | {"user_id": ""}, headers=named("form-0001"))) == (
        409, "idempotency-key-reused",
    )  # fmt: skip
    form = system.get(f"/forms/{number}").json()
    assert (form["state"], form["user_id"], form["overdue"]) == ("received", "keiri01", False)
    assert number in [one["number"] for one in system.get("/forms").json()["forms"]]
    refused = system.post("/forms", json=asked | {"user_id": "nobody"}, headers=named("form-0002"))
    assert problem(refused) == (400, "details-not-allowed")
    assert refused.json()["fields"] == {"user_id": "user-unknown"}
    assert problem(system.get("/forms/4711")) == (404, "form-unknown")
    assert problem(system.post("/forms", json=asked | {"kind": "no-kind"}, headers=named("form-0003"))) == (
        400, "choice-missing",
    )  # fmt: skip


def test_events_are_told_in_their_order_once_no_earlier_one_can_come(demo: Served, system: httpx.Client) -> None:
    demo.set_clock_ahead(minutes=2)
    try:
        told = system.get("/events", params={"most": 1000}).json()
        system.get(f"/contracts/{demo.info['contract']['contract_id']}/people")
        assert system.get("/events", params={"most": 1000}).json() == told, "what was done this minute is not told yet"
        ids = [one["id"] for one in told["events"]]
        assert ids == sorted(ids)
        assert told["next"] == ids[-1]
        assert "contract-registered" in {one["action"] for one in told["events"]}
        assert system.get("/events", params={"after": told["next"]}).json() == {"events": [], "next": told["next"]}
        page = system.get("/events", params={"most": 2}).json()
        assert [one["id"] for one in page["events"]] == ids[:2]
    finally:
        demo.set_clock_ahead(minutes=0)


def test_who_is_no_system_is_told_so(demo: Served, system: httpx.Client, at_console: Any) -> None:
    for who, code in ((None, "certificate-missing"), (demo.info["administrator"], "certificate-unknown")):
        with client_of(demo, who) as client:
            assert problem(client.get("/contracts")) == (403, code)
    clerk: Person = at_console("clerk")
    assert problem(clerk.http.get("/api/v1/contracts")) == (403, "session-missing")
    clerk.log_on_staff()
    read = clerk.http.get("/api/v1/contracts")
    assert read.status_code == 200, "people read with their session"
    refused = clerk.http.post("/api/v1/forms", json={"contract_id": CONTRACT, "kind": "x"}, headers=named("form-0009"))
    assert problem(refused) == (403, "role-missing")
    assert problem(clerk.http.get("/api/v1/events")) == (403, "role-missing")


def test_a_system_logs_on_nowhere_and_is_out_once_it_was_ended(demo: Served, at_console: Any, tmp_path: Path) -> None:
    holder = added(demo, tmp_path, "OldSystem", "--role", "system")
    assert at_console(holder).get("/").outcome == "role-missing"
    assert demo.sekisho("staff", "grant", "OldSystem", "clerk").returncode == 10, "roles-conflict"
    with client_of(demo, holder) as client:
        assert client.get("/contracts").status_code == 200
        assert demo.sekisho("staff", "end", "OldSystem").returncode == 0
        assert problem(client.get("/contracts")) == (403, "certificate-revoked")


def test_what_is_not_as_described_is_told_with_its_place_and_without_what_stood_there(system: httpx.Client) -> None:
    answer = system.post("/forms", json={"contract_id": 5, "secret": "taisei1a"}, headers=named("form-0010"))
    assert problem(answer) == (400, "details-not-allowed")
    assert answer.json()["fields"] == dict.fromkeys(
        ["body.contract_id", "body.kind", "body.secret"], "not-as-described"
    )
    assert "taisei1a" not in answer.text
    assert problem(system.post("/forms", json={}, headers={})) == (400, "idempotency-key-missing")
    assert problem(system.post("/contracts", content=b"{" * 70_000, headers=named("open-0100"))) == (
        413, "request-too-large",
    )  # fmt: skip
    assert problem(system.get("/nothing")) == (404, "page-unknown")
    wrong = system.delete("/contracts")
    assert problem(wrong) == (405, "method-not-allowed")
    assert "GET" in wrong.headers["allow"]
    in_japanese = system.get("/forms/4711", headers={"accept-language": "ja"}).json()
    assert in_japanese["title"] == "該当する依頼書はありません"


class _Certificate(HTTPAdapter):
    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)


def test_everything_the_description_allows_is_answered_as_it_says(demo: Served, holder: dict[str, Any]) -> None:
    """Schemathesis makes requests from the description, good and bad ones, and reads each answer against it."""
    address = f"{demo.info['urls']['console']}/api/v1"
    session = requests.Session()
    session.mount("https://", _Certificate(demo.context(holder)))
    described = session.get(f"{address}/openapi.json").json()
    schema: Any = schemathesis.openapi.from_dict(described)
    tried: set[str] = set()
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            tried.add(f"{case.method} {case.path}")
            case.call_and_validate(base_url=address, session=session, excluded_checks=_NOT_TOLD)

        check()
    assert tried == {f"{method.upper()} {path}" for path, of in described["paths"].items() for method in of}
    assert "bug" not in demo.log()
