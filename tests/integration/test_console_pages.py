"""The console over real TLS, without a browser."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.est_client import run
from tests.support.person import Page, Person
from tests.support.scans import JPEG, PDF, png
from tests.support.served import Served, free_port_base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("console") / "data", free_port_base())
    served.start()
    yield served
    served.stop()


@pytest.fixture
def at_console(demo: Served) -> Iterator[Callable[..., Person]]:
    """Make somebody at the console, by role or with what they hold, and close their connections at the end."""
    made: list[Person] = []

    def person(who: str | dict[str, Any] | None, lang: str = "ja") -> Person:
        made.append(Person(demo, "console", demo.staff(who) if isinstance(who, str) else who, lang))
        return made[-1]

    yield person
    for one in made:
        one.close()


def staff(demo: Served, *arguments: str) -> dict[str, Any]:
    done = demo.sekisho("staff", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def added(demo: Served, folder: Path, staff_id: str, *arguments: str) -> dict[str, Any]:
    """Add somebody by the command and unpack their file as a browser would."""
    file = folder / f"{staff_id}.p12"
    told = staff(demo, "add", staff_id, "--name", "見本", "--p12", str(file), *arguments)
    return told | unpacked(told, folder)


def unpacked(told: dict[str, Any], folder: Path) -> dict[str, str]:
    password = f"pass:{told['p12_password']}"
    certificate, key = folder / "unpacked.pem", folder / "unpacked.key.pem"
    run("openssl", "pkcs12", "-in", told["p12"], "-passin", password, "-clcerts", "-nokeys", "-out", str(certificate))
    run("openssl", "pkcs12", "-in", told["p12"], "-passin", password, "-nocerts", "-nodes", "-out", str(key))
    return {"certificate": str(certificate), "key": str(key)}


def search(person: Person, **query: str) -> list[str]:
    page = person.get("/contracts", **query)
    assert page.status == 200, page.outcome
    return re.findall(r'href="/contracts/(\d{11})"', page.text)


def test_each_role_logs_on_and_off(demo: Served, at_console: Any) -> None:
    assert [one["role"] for one in demo.info["staff"]] == ["clerk", "approver", "operator", "auditor"]
    for role, words in (("clerk", "係"), ("approver", "検印者"), ("operator", "センター担当"), ("auditor", "監査")):
        person = at_console(role)
        home: Page = person.log_on_staff()
        assert (home.status, home.path, home.heading) == (200, "/contracts", "ご契約先の検索")
        assert words in home.text
        assert person.send(home, "/logoff").path == "/logged-off"
        assert person.get("/contracts").outcome == "session-missing"


def test_the_session_is_the_consoles_own(demo: Served, at_console: Any) -> None:
    clerk = at_console("clerk")
    clerk.log_on_staff()
    assert "__Host-sekisho-console" in clerk.http.cookies
    other = at_console("approver")
    other.http.cookies = clerk.http.cookies
    assert other.get("/contracts").outcome == "session-certificate-differs"


def test_nobody_comes_in_without_a_certificate_of_the_staffs(demo: Served, at_console: Any) -> None:
    for holder, code in (
        (None, "certificate-missing"),
        (demo.info["administrator"], "certificate-unknown"),
        (demo.user("keiri01"), "certificate-unknown"),
    ):
        page = at_console(holder).get("/")
        assert (page.status, page.outcome) == (403, code)
        assert at_console(holder).get("/contracts").outcome == code
    staffed = Person(demo, "administrator", demo.staff("clerk"))
    assert staffed.get("/").outcome == "certificate-unknown"
    staffed.close()


def test_a_wrong_pin_says_no_more_than_that(demo: Served, at_console: Any) -> None:
    clerk = at_console("clerk", lang="en")
    page = clerk.log_on_staff("wrong111")
    assert (page.path, page.outcome) == ("/", "entry-wrong")
    assert "wrong111" not in page.text
    empty = clerk.log_on_staff(" ")
    assert empty.outcome == "entry-missing"
    assert "PIN: please fill this in." in empty.text


def test_a_form_of_another_session_does_nothing(demo: Served, at_console: Any) -> None:
    clerk = at_console("clerk")
    page = clerk.get("/")
    page.text = re.sub(r'name="csrf" value="[^"]*"', 'name="csrf" value="0"', page.text)
    assert clerk.send(page, "/", staff_pin=demo.staff("clerk")["pin"]).outcome == "form-expired"


def test_a_contract_is_searched_and_read(demo: Served, at_console: Any) -> None:
    contract_id = demo.info["contract"]["contract_id"]
    clerk = at_console("clerk")
    clerk.log_on_staff()
    for typed in ("見本商事", "ﾐﾎﾝｼｮｳ", "みほんしょうじ", contract_id):
        assert search(clerk, q=typed) == [contract_id]
    assert len(search(clerk)) == 2
    assert search(clerk, q="ない会社") == []
    page = clerk.get(f"/contracts/{contract_id}")
    assert page.heading == "見本商事株式会社"
    for shown in (
        "001 店",
        "keiri01",
        "keiri02",
        "管理者と利用者",
        "電子証明書の一覧",
        "操作の記録",
    ):
        assert shown in page.text
    pages, older = 1, page
    while "ご契約先の登録" not in older.text:
        (before,) = re.findall(r'href="\?before=(\d+)#audit-heading"', older.text)
        older = clerk.get(f"/contracts/{contract_id}", before=before)
        pages += 1
        assert pages < 20, "the audit trail goes back to its beginning"
    # The links to the other language keep the place, so only that to older rows counts.
    assert not re.search(r"before=\d+#audit-heading", older.text)
    again = clerk.get(f"/contracts/{contract_id}", lang="en")
    assert "Contract looked at" in again.text
    assert "staff:kakari01" in again.text
    assert "Audit trail" in again.text
    assert clerk.get("/contracts/99999999999").outcome == "contract-unknown"


def reads(demo: Served, contract_id: str) -> int:
    rows = demo.sekisho("audit", "list", "--contract", contract_id, "--json").stdout.splitlines()
    return sum(json.loads(line)["action"] == "contract-read" for line in rows)


def test_the_guide_opens_with_what_the_contract_answers(demo: Served, at_console: Any) -> None:
    contract_id = demo.info["contract"]["contract_id"]
    clerk = at_console("clerk")
    clerk.log_on_staff()
    page = clerk.get(f"/contracts/{contract_id}")
    links = re.findall(rf'href="(/contracts/{contract_id}/guide[^"]*)"', page.text)
    assert links == [f"/contracts/{contract_id}/guide{query}" for query in ("", "?user_id=keiri01", "?user_id=keiri02")]
    before = reads(demo, contract_id)
    answer = clerk.http.get(links[1], follow_redirects=False)
    assert answer.status_code == 303
    guide = f"{demo.info['urls']['public']}/guide?certificate=valid&locked=no&whose=user&lang=ja"
    assert answer.headers["location"] == guide
    assert reads(demo, contract_id) == before + 1
    shown = clerk.get(links[1])
    assert (shown.status, shown.path, shown.heading) == (200, "/guide", "パソコンを変更するとき")
    assert "以前のパソコンは今も使えますか。" in shown.text
    assert contract_id not in shown.text
    assert "keiri01" not in shown.text
    assert clerk.get(f"/contracts/{contract_id}/guide", user_id="keiri09").outcome == "user-unknown"
    assert clerk.get("/contracts/99999999999/guide").outcome == "contract-unknown"
    assert at_console("approver").get(links[0]).outcome == "session-missing"


def test_an_auditor_reads_and_what_they_read_is_on_record(demo: Served, at_console: Any) -> None:
    auditor = at_console("auditor")
    auditor.log_on_staff()
    contract_id = demo.info["unopened_contract"]["contract_id"]
    assert auditor.get(f"/contracts/{contract_id}").heading == "見本工業株式会社"
    rows = demo.sekisho("audit", "list", "--contract", contract_id, "--json").stdout.splitlines()
    assert any(
        (row := json.loads(line))["action"] == "contract-read" and row["actor"] == "staff:kansa01" for line in rows
    )


def test_staff_by_command_take_effect_beside_a_running_server(demo: Served, at_console: Any, tmp_path: Path) -> None:
    told = added(demo, tmp_path, "kakari09", "--role", "clerk", "--branch", "009", "--by", "center01")
    file = Path(told["p12"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [(role["role"], role["granted_by"]) for role in told["roles"]] == [("clerk", "staff:center01")]
    clerk = at_console(told)
    assert clerk.log_on_staff().status == 200
    assert search(clerk) == []
    assert "店番" not in clerk.get("/contracts").text, "a branch has no choice"
    listed = demo.sekisho("staff", "list", "--json").stdout
    assert told["pin"] not in listed
    assert "kakari09" in listed
    staff(demo, "withdraw", "kakari09", "clerk")
    page = clerk.get("/contracts")
    assert (page.status, page.outcome) == (403, "role-missing")
    assert "approver" in str(staff(demo, "grant", "kakari09", "approver"))
    assert clerk.get("/contracts").status == 200
    renewed = staff(demo, "renew", "kakari09", "--p12", str(tmp_path / "new.p12"))
    assert clerk.get("/contracts").outcome == "certificate-revoked"
    assert renewed["pin"] != told["pin"]
    assert staff(demo, "end", "kakari09")["state"] == "ended"


def test_the_command_refuses_and_leaves_nothing(demo: Served, tmp_path: Path) -> None:
    file = tmp_path / "taken.p12"
    add = ("staff", "add", "KAKARI01", "--name", "見本", "--role", "clerk", "--p12", str(file))
    taken = demo.sekisho(*add)
    assert (taken.returncode, taken.stderr) == (10, "sekisho: This staff ID is taken (staff-id-taken)\n")
    assert not file.exists()
    file.write_text("mine")
    there = demo.sekisho("staff", "add", "kakari10", "--name", "見本", "--role", "clerk", "--p12", str(file))
    assert there.returncode == 21
    assert file.read_text() == "mine"
    assert "kakari10" not in demo.sekisho("staff", "list").stdout
    assert demo.sekisho("staff", "grant", "nobody", "clerk").returncode == 11
    assert demo.sekisho("staff", "grant", "kansa01", "clerk").returncode == 10


@pytest.fixture
def counter(at_console: Any) -> tuple[Person, Person]:
    """Make a clerk and an approver, both logged on."""
    clerk, approver = at_console("clerk"), at_console("approver")
    clerk.log_on_staff()
    approver.log_on_staff()
    return clerk, approver


def test_a_form_goes_its_whole_way(demo: Served, counter: tuple[Person, Person]) -> None:
    clerk, approver = counter
    contract_id = demo.info["contract"]["contract_id"]
    new = f"/contracts/{contract_id}/forms"
    assert "受け付ける" in clerk.get(f"/contracts/{contract_id}").text
    assert "電子証明書再発行依頼書" in clerk.get(new).text
    page = clerk.get(new, kind="certificate-reissue")
    assert page.heading == "電子証明書再発行依頼書"
    unknown = clerk.send(page, new, user_id="nobody")
    assert (unknown.status, unknown.outcome) == (400, "details-not-allowed")
    assert 'value="nobody"' in unknown.text
    received = clerk.send(unknown, new, user_id="keiri02")
    assert received.outcome == "form-received"
    path = received.path
    assert f'href="{path}/paper.pdf"' in received.text
    paper = clerk.http.get(f"{path}/paper.pdf")
    assert (paper.status_code, paper.headers["content-type"]) == (200, "application/pdf")
    assert (paper.content[:5], paper.headers["cache-control"]) == (b"%PDF-", "no-store")
    assert clerk.get("/forms/4711/paper.pdf").outcome == "form-unknown"
    assert clerk.send(received, path, step="check-seal").outcome == "form-seal-checked"
    waiting = approver.get("/forms")
    assert path.removeprefix("/forms/") in waiting.text
    form = approver.get(path)
    assert "検印する" in form.text
    own = clerk.get(path)
    assert "検印する" in own.text
    assert "今の役割では行えません" in own.text
    assert clerk.send(own, path, step="approve").outcome == "role-missing"
    assert approver.send(form, path, step="approve").outcome == "form-approved"
    assert approver.send(form, path, step="approve").outcome == "form-moved", "a second press changes nothing"
    done = clerk.send(clerk.get(path), path, step="carry-out")
    assert done.outcome == "form-carried-out"
    assert "この依頼書の手続きは終わりました" in done.text
    assert path.removeprefix("/forms/") not in approver.get("/forms").text


def test_provisional_pins_stand_in_one_answer(demo: Served, counter: tuple[Person, Person]) -> None:
    clerk, approver = counter
    new = f"/contracts/{demo.info['unopened_contract']['contract_id']}/forms"
    form = clerk.send(clerk.get(new, kind="pin-reset"), new)
    path = form.path
    clerk.send(form, path, step="check-seal")
    approver.send(approver.get(path), path, step="approve")
    slip = clerk.send(clerk.get(path), path, step="carry-out")
    assert (slip.heading, slip.outcome) == ("ご契約の暗証番号のお知らせ", "form-carried-out")
    assert slip.headers["cache-control"] == "no-store"
    pins = re.findall(r'class="serial secret">([a-z0-9]{10})<', slip.text)
    assert len(pins) == 3, "the contract is not open yet"
    assert "登録用暗証番号" in slip.text
    assert "管理者ログオン" in slip.text
    later = clerk.get(path).text + clerk.get(new.removesuffix("/forms")).text
    assert not any(pin in later for pin in pins)


def test_a_form_is_found_by_its_number_and_returned(demo: Served, counter: tuple[Person, Person]) -> None:
    clerk, approver = counter
    new = f"/contracts/{demo.info['contract']['contract_id']}/forms"
    form = clerk.send(clerk.get(new, kind="lockout-lift"), new)
    number = form.path.removeprefix("/forms/")
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in number)
    assert clerk.get("/forms", number=f" {wide[:5]} {wide[5:]}").path == form.path
    assert clerk.get("/forms", number="12345").outcome == "form-unknown"
    assert clerk.get("/forms/0000000000").status == 404
    empty = clerk.send(form, form.path, step="return", reason=" ")
    assert (empty.path, empty.outcome) == (form.path, "details-not-allowed")
    assert "理由を入力してください" in empty.text
    assert (
        approver.send(approver.get(form.path), form.path, step="return", reason="印影が違う").outcome == "form-returned"
    )
    assert "印影が違う" in clerk.get(form.path).text
    assert clerk.send(form, form.path, step="nothing").outcome == "choice-missing"


def test_a_scan_is_added_and_comes_out_as_a_download(demo: Served, counter: tuple[Person, Person]) -> None:
    clerk, approver = counter
    new = f"/contracts/{demo.info['contract']['contract_id']}/forms"
    form = clerk.send(clerk.get(new, kind="lockout-lift"), new)

    def upload(by: Person, content: bytes, name: str = "a.pdf", **fields: str) -> Page:
        answer = by.http.post(
            f"{form.path}/scans",
            data=by.get(form.path).hidden | fields,
            files={"scan": (name, content, "application/pdf")},
        )
        return Page(answer.status_code, answer.url.path, answer.text, answer.headers)

    assert upload(clerk, PDF).outcome == "scan-added"
    # What the browser says of a file counts for nothing, its content does.
    assert upload(clerk, b"<html><script>", "a.pdf").outcome == "scan-not-accepted"
    assert upload(clerk, png(), "../../x.html").outcome == "scan-added"
    large = upload(clerk, PDF[:-6] + b" " * (5 << 20) + b"%%EOF")
    assert large.outcome == "scan-not-accepted"
    assert "5MBまで" in large.text
    assert upload(clerk, PDF[:-6] + b" " * (11 << 20) + b"%%EOF").status == 413
    assert upload(clerk, JPEG, csrf="x").outcome == "form-expired"
    assert upload(approver, JPEG).status == 403
    links = re.findall(rf'href="({form.path}/scans/\d+)"', clerk.get(form.path).text)
    assert len(links) == 2
    for link, content, kind in zip(links, (PDF, png()), ("pdf", "png"), strict=True):
        answer = approver.http.get(link)
        assert answer.content == content
        disposition = answer.headers["content-disposition"]
        assert disposition.startswith("attachment;")
        assert disposition.endswith(f'.{kind}"')
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert "no-store" in answer.headers["cache-control"]
    assert approver.get(f"{form.path}/scans/999999").status == 404


def test_nobody_without_a_certificate_sends_megabytes(demo: Served, at_console: Any) -> None:
    stranger = at_console(None)
    answer = stranger.http.post("/forms/1/scans", files={"scan": ("a.pdf", b"0" * (1 << 20), "application/pdf")})
    assert answer.status_code == 413


def test_an_administrator_files_on_screen(demo: Served, counter: tuple[Person, Person]) -> None:
    clerk, approver = counter
    administrator = Person(demo, "administrator", demo.info["administrator"])
    try:
        administrator.log_on_administrator()
        assert 'href="/contract/forms"' in administrator.get("/contract").text
        assert "解約依頼書" in administrator.get("/contract/forms/new").text
        page = administrator.get("/contract/forms/new", kind="contract-change")
        wrong = administrator.send(page, "/contract/forms/new", company="新見本", confirmation_pin="wrong111")
        assert (wrong.status, wrong.outcome) == (403, "entry-wrong")
        assert 'value="新見本"' in wrong.text
        assert "wrong111" not in wrong.text
        pin = demo.info["contract"]["contract_confirmation_pin"]
        fields = {"company": "見本商事株式会社", "kana": "ミホンショウジ", "confirmation_pin": pin}
        filed = administrator.send(page, "/contract/forms/new", **fields)
        assert (filed.path, filed.outcome) == ("/contract/forms", "form-filed")
        assert "受付待ち" in filed.text
        (number,) = re.findall(r'name="number" value="(\d+)"', filed.text)
        path = f"/forms/{number}"
        received = clerk.send(clerk.get(path), path, step="receive")
        assert "管理者が画面から届け出" in received.text
        assert administrator.send(filed, "/contract/forms/withdraw", number=number).outcome == "form-moved"
        approver.send(approver.get(path), path, step="approve")
        assert clerk.send(clerk.get(path), path, step="carry-out").outcome == "form-carried-out"
        assert "実行済み" in administrator.get("/contract/forms").text
        again = administrator.send(page, "/contract/forms/new", company="取下げ", confirmation_pin=pin)
        (second,) = re.findall(r'name="number" value="(\d+)"', again.text)
        assert administrator.send(again, "/contract/forms/withdraw", number=second).outcome == "form-withdrawn"
    finally:
        administrator.close()
    pdf = clerk.http.get(f"{path}/paper.pdf")
    assert (pdf.headers["content-type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
    assert pdf.headers["cache-control"] == "no-store"
    assert clerk.get("/forms/0000000000/paper.pdf").outcome == "form-unknown"


def test_who_watches_moves_nothing(demo: Served, at_console: Any, counter: tuple[Person, Person]) -> None:
    clerk, _ = counter
    contract = f"/contracts/{demo.info['contract']['contract_id']}"
    form = clerk.send(clerk.get(f"{contract}/forms", kind="contract-end"), f"{contract}/forms")
    auditor = at_console("auditor")
    auditor.log_on_staff()
    page = auditor.get(form.path)
    assert page.heading == "解約依頼書"
    assert "<button" not in page.text.split('id="content"')[1]
    for step in ("check-seal", "approve", "return", "withdraw", "carry-out"):
        assert auditor.send(page, form.path, step=step, reason="x").outcome == "role-missing"
    assert auditor.get(f"{contract}/forms").outcome == "role-missing"
    page.text = re.sub(r'name="csrf" value="[^"]*"', 'name="csrf" value="0"', clerk.get(form.path).text)
    assert clerk.send(page, form.path, step="check-seal").outcome == "form-expired"


def test_others_find_the_certificates_good(demo: Served) -> None:
    ca = demo.data_dir / "staff-ca" / "ca.pem"
    for one in demo.info["staff"]:
        said = run("openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", str(ca), one["certificate"])
        assert "OK" in str(said)
