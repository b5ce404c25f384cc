"""The auditor at the console: reads everything of the bank, and changes nothing."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from starlette.routing import Route
from tests.support.person import Person
from tests.support.served import Served, free_port_base
from tests.support.serving import NO_WORKER

from sekisho.console.app import console_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# What an auditor may send: the logon and the logoff, their own PIN, and what lets a browser choose another certificate.
OWN = {"/", "/logoff", "/choose-another", "/pin"}
KNOWN = {"number": "0000000197", "serial": "0" * 32, "group": "pins"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("auditor") / "data", free_port_base(), env={NO_WORKER: "1"})
    served.start()
    yield served
    served.stop()


@pytest.fixture
def at_console(demo: Served) -> Iterator[Callable[..., Person]]:
    """Log somebody on at the console, by role, and close their connections at the end."""
    made: list[Person] = []

    def person(role: str, lang: str = "ja") -> Person:
        made.append(Person(demo, "console", demo.staff(role), lang))
        assert made[-1].log_on_staff().status == 200
        return made[-1]

    yield person
    for one in made:
        one.close()


def posted(auditor: Person) -> set[str]:
    """Return the path of each route that takes anything but GET, those of the API as its description names them."""
    routes = console_app(_site()).routes
    pages = {one.path for one in routes if isinstance(one, Route) and (one.methods or set()) - {"GET", "HEAD"}}
    described = auditor.http.get("/api/v1/openapi.json").json()["paths"]
    return pages | {f"/api/v1{path}" for path, methods in described.items() if methods.keys() - {"get"}}


def test_every_request_that_changes_something_refuses_the_auditor(demo: Served, at_console: Any) -> None:
    auditor = at_console("auditor")
    paths = posted(auditor)
    assert len(paths) > len(OWN) + 3
    assert paths >= OWN
    page = auditor.get("/forms")
    before = actions(demo)
    for path in sorted(paths - OWN):
        filled = path.format(contract_id=demo.info["contract"]["contract_id"], **KNOWN)
        assert "{" not in filled, path
        for body in ({"data": page.hidden}, {"json": {}, "headers": {"idempotency-key": "audit-0001"}}):
            answer = auditor.http.post(filled, **body)
            if path.startswith("/api/"):
                # What is no body of the API's at all is refused before anybody is asked for their role.
                assert (answer.status_code, answer.json()["code"]) in {(403, "role-missing"), (422, "request-invalid")}
            else:
                told = auditor._page(answer)
                assert (told.status, told.outcome) == (403, "role-missing"), path
    assert actions(demo) == before


def _site() -> Any:
    """Return what stands for a site where only its routes are asked for."""
    from types import SimpleNamespace

    return SimpleNamespace(name="console")


def actions(demo: Served) -> list[str]:
    """Return what the audit trail tells, what was only read left out."""
    listed = demo.sekisho("audit", "list", "--json").stdout.splitlines()
    told = [json.loads(line)["action"] for line in listed]
    return [action for action in told if not action.endswith("-read")]


def test_the_auditor_searches_who_looked_at_what(demo: Served, at_console: Any) -> None:
    contract = demo.info["contract"]["contract_id"]
    clerk, auditor = at_console("clerk"), at_console("auditor")
    assert clerk.get(f"/contracts/{contract}").status == 200
    empty = auditor.get("/audit")
    assert (empty.status, empty.heading) == (200, "監査証跡")
    assert "<tbody" not in empty.text
    assert "該当する記録はありません" not in empty.text
    found = auditor.get("/audit", staff="KAKARI01", action="contract-read", contract_id=contract, since="", until="")
    assert "staff:kakari01" in found.text
    assert "ご契約先の画面を閲覧" in found.text
    assert 'value="KAKARI01"' in found.text
    none = auditor.get("/audit", staff="nobody")
    assert "該当する記録はありません" in none.text
    assert "staff=nobody" in auditor.get("/audit", action="audit-read").text
    wrong = auditor.get("/audit", since="2026-13-01")
    assert (wrong.status, wrong.outcome) == (400, "details-not-allowed")
    assert "開始日を 2026-11-29 のように入力してください。" in wrong.text
    assert auditor.get("/audit", since="2999-01-01").status == 200
    assert auditor.get("/audit", since="1970-01-01", until="2999-12-31").status == 200
    for name in ("since", "until"):
        for year in ("0001-01-01", "1969-12-31", "3000-01-01", "9999-12-31"):
            for path in ("/audit", "/audit/export.zip"):
                far = auditor.get(path, **{name: year})
                assert (far.status, far.outcome) == (400, "details-not-allowed"), (path, name, year)
    assert auditor.get("/audit", before="x" * 30, staff="\x00", contract_id="=1+1").status == 200


def test_pages_lead_on(demo: Served, at_console: Any) -> None:
    auditor = at_console("auditor")
    for _ in range(51):
        auditor.get("/audit", staff="nobody")
    first = auditor.get("/audit", action="audit-read")
    onwards = re.search(r'href="(/audit\?[^"]*before=\d+)" rel="next"', first.text)
    assert onwards is not None
    second = auditor._page(auditor.http.get(unescape(onwards[1])))
    assert (second.status, 'rel="next"' in second.text) == (200, False)
    assert "<tbody" in second.text


@pytest.mark.parametrize("role", ["clerk", "approver", "operator"])
def test_nobody_else_sees_the_trail_or_is_shown_the_way(at_console: Any, role: str) -> None:
    other = at_console(role)
    assert "/audit" not in other.get("/forms").text
    for path in ("/audit", "/audit/export.zip"):
        page = other.get(path)
        assert (page.status, page.outcome) == (403, "role-missing")


def test_the_auditor_exports(demo: Served, at_console: Any, tmp_path: Path) -> None:
    auditor = at_console("auditor")
    answer = auditor.http.get("/audit/export.zip", params={"since": "2000-01-01", "until": "", "staff": "ignored"})
    assert answer.headers["content-type"] == "application/zip"
    assert re.fullmatch(
        r'attachment; filename="sekisho-audit-9990-\d{8}-\d{6}\.zip"', answer.headers["content-disposition"]
    )
    assert answer.headers["cache-control"] == "no-store"
    file = tmp_path / "audit.zip"
    file.write_bytes(answer.content)
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["audit-0001.csv", "audit-0001.jsonl", "manifest.json"]
        assert json.loads(archive.read("manifest.json"))["made_by"] == "staff:kansa01"
    assert demo.sekisho("audit", "verify-export", str(file)).returncode == 0
    assert actions(demo)[-2:] == ["audit-exported", "audit-export-finished"]
    wrong = auditor.get("/audit/export.zip", until="tomorrow")
    assert (wrong.status, wrong.outcome) == (400, "details-not-allowed")
    foreign = auditor.http.get("/audit/export.zip", headers={"sec-fetch-site": "cross-site"})
    assert (foreign.status_code, auditor._page(foreign).outcome) == (403, "form-expired")


@pytest.mark.parametrize("role", ["clerk", "approver", "operator", "auditor"])
def test_everybody_has_the_overview_of_what_is_theirs(demo: Served, at_console: Any, role: str) -> None:
    demo.sekisho("worker", "--once")
    colleague = at_console(role)
    page = colleague.get("/overview")
    assert (page.status, page.heading) == (200, "状況")
    branch = re.search(r"(\d{3}) 店のご契約先について", page.text)
    assert ("全店のご契約先について" in page.text) is (branch is None)
    names = re.findall(r'href="/overview/([a-z]+)\.csv', page.text)
    assert sorted(names) == ["acquisitions", "doors", "ends", "forms", "lockouts", "logons", "permits"]
    for name in names:
        answer = colleague.http.get(f"/overview/{name}.csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        head, *rows = csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
        assert all(len(row) == len(head) for row in rows)
    permits = colleague.http.get("/overview/permits.csv").content.decode("utf-8-sig")
    assert sum(int(number) for _, number, *_ in list(csv.reader(io.StringIO(permits, newline="")))[1:]) > 0
    assert colleague.get("/overview/nothing.csv").outcome == "page-unknown"


def test_the_hours_of_another_day(at_console: Any) -> None:
    auditor = at_console("auditor", "en")
    today = auditor.get("/overview")
    before = re.search(r'href="(/overview\?day=[0-9-]+)#hours-heading" rel="prev"', today.text)
    assert before is not None
    assert 'rel="next"' not in today.text
    assert 'rel="next"' in auditor.http.get(before[1]).text
    for nonsense in ("2999-01-01", "x", "2026-02-31", "1000-01-01"):
        page = auditor.get("/overview", day=nonsense)
        assert page.status == 200
        assert 'rel="next"' not in page.text
