"""Request forms on paper, as programs by others read them: A4, one page, fonts inside, the number as a QR code."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.support.paper import Paper
from tests.support.world import BANK, KEIRI01

from sekisho.domain.entries import LONGEST_NAME
from sekisho.domain.form_fields import FIELDS
from sekisho.domain.request_forms import FormKind, FormState, RequestForm, number_of
from sekisho.domain.secret import SecretName
from sekisho.usecases.provisional_pins import IssuedPins
from sekisho.web.card_paper import sample_pdf
from sekisho.web.form_words import form_title
from sekisho.web.request_papers import Prefilled, prefilled_of, render
from sekisho.web.slips import slip_link, slip_of, slip_pdf

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.web.slips import Slip

BLANK = Prefilled(BANK)
NUMBER = number_of(4711)
FILLED = Prefilled(
    BANK,
    number=NUMBER,
    filed_at=datetime(2026, 11, 24, 15, 5, tzinfo=UTC),
    branch="001",
    contract_id="10000000001",
    contract_name="株式会社見本工業",
    user_id="keiri01",
)
HOSTILE = '#panic("x") #include "/etc/passwd" = 見出し *太* _x_ $1/0$ @x <l> `r` \\u{41} ]})"; // /* ~ --'

every_kind = pytest.mark.parametrize("kind", FormKind)


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    return tmp_path / "form.pdf"


@every_kind
def test_a_blank_form_is_one_page_of_a4_that_needs_nothing_from_elsewhere(kind: FormKind, paper: Path) -> None:
    pdf = render(kind, BLANK)
    read = Paper(paper, pdf)

    facts = read.facts()
    assert facts["Pages"] == "1"
    assert facts["Page size"].endswith("(A4)")
    assert facts["Tagged"] == "yes"
    assert facts["Title"] == form_title("ja", kind)
    assert not {"CreationDate", "ModDate"} & facts.keys()
    assert all(font[-5:-2] == ["yes", "yes", "yes"] for font in read.fonts()), "embedded, a subset, with Unicode"
    text = read.text()
    for word in (form_title("ja", kind), "届出印", "受付", "印鑑照合", "検印", "実行", "依頼日"):
        assert word in text
    assert "".join(f"{BANK.service_name['ja']} {BANK.help_desk_phone}".split())[-12:] in text
    assert read.codes() == []
    assert render(kind, BLANK) == pdf


@every_kind
def test_a_prefilled_form_says_what_is_known_and_carries_its_number(kind: FormKind, paper: Path) -> None:
    read = Paper(paper, render(kind, FILLED))

    assert read.facts()["Pages"] == "1"
    assert read.codes() == [NUMBER]
    text = read.text()
    for value in (NUMBER, FILLED.contract_id, FILLED.contract_name, "2026年11月25日", "001店"):
        assert value in text
    assert ("keiri01" in text) == any(field.name == "user_id" for field in FIELDS[kind])


@every_kind
def test_what_was_typed_is_never_read_as_markup(kind: FormKind, paper: Path) -> None:
    details = {field.name: HOSTILE for field in FIELDS[kind] if not field.choices}
    read = Paper(paper, render(kind, replace(FILLED, contract_name=HOSTILE[:LONGEST_NAME], detail=details)))

    text = read.text()
    assert "".join(HOSTILE[:LONGEST_NAME].split()) in text
    assert text.count("".join(HOSTILE.split())) == len(details)
    assert read.facts()["Title"] == form_title("ja", kind)


def test_the_longest_name_and_long_words_stay_on_the_page(paper: Path) -> None:
    long = replace(FILLED, contract_name="Q" * LONGEST_NAME, user_id="m" * 30, detail={"circumstances": "あ" * 200})
    read = Paper(paper, render(FormKind.EMERGENCY_STOP, long))

    assert read.facts()["Pages"] == "1"
    assert read.text().replace("\u200b", "").count("Q") == LONGEST_NAME
    assert read.text().count("あ") >= 200


def test_what_is_known_is_ticked(paper: Path) -> None:
    chosen = replace(FILLED, user_id="", detail={"whose": "administrator", "reason": "new-computer other"})

    assert Paper(paper, render(FormKind.CERTIFICATE_REISSUE, BLANK)).text().count("✓") == 0
    assert Paper(paper, render(FormKind.CERTIFICATE_REISSUE, FILLED)).text().count("✓利用者") == 1
    text = Paper(paper, render(FormKind.CERTIFICATE_REISSUE, chosen)).text()
    assert text.count("✓") == 3
    for ticked in ("✓管理者", "✓パソコンの変更", "✓その他"):
        assert ticked in text


def test_another_process_at_another_time_makes_the_same_bytes(tmp_path: Path) -> None:
    source = (
        "import sys; from tests.support.world import BANK; from sekisho.domain.request_forms import FormKind; "
        "from sekisho.web.request_papers import Prefilled, render; "
        "sys.stdout.buffer.write(render(FormKind.PIN_RESET, Prefilled(BANK)))"
    )
    there = os.environ | {"SOURCE_DATE_EPOCH": "1", "TZ": "Asia/Tokyo", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, env=there, timeout=120)

    assert run.stdout == render(FormKind.PIN_RESET, BLANK)


def form(kind: FormKind, user_id: str | None = None, **detail: str) -> RequestForm:
    at = datetime(2026, 11, 24, 15, 5, tzinfo=UTC)
    return RequestForm(47, "9990", kind, FormState.RECEIVED, None, "10000000001", user_id, detail, at)


def test_a_form_that_is_under_way_is_printed_as_it_stands(paper: Path) -> None:
    changed = form(FormKind.CONTRACT_CHANGE, company="新見本工業", kana="シンミホン", mail_address="a@example.com")
    read = Paper(paper, render(changed.kind, prefilled_of(changed, BANK, "株式会社見本工業")))
    assert read.codes() == [changed.number]
    text = read.text()
    for shown in ("株式会社見本工業", "会社名:新見本工業", "シンミホン", "a@example.com", "✓会社名", "✓メールアドレス"):
        assert shown in text
    assert "✓管理者" not in text


@pytest.mark.parametrize(
    ("kind", "user_id", "ticked"),
    [
        (FormKind.CERTIFICATE_REISSUE, None, "✓管理者"),
        (FormKind.CERTIFICATE_REVOCATION, "keiri01", "✓利用者"),
        (FormKind.EMERGENCY_STOP, None, "✓ご契約全体"),
        (FormKind.EMERGENCY_STOP_LIFT, "keiri01", "✓利用者"),
    ],
)
def test_whom_a_form_concerns_is_ticked(paper: Path, kind: FormKind, user_id: str | None, ticked: str) -> None:
    text = Paper(paper, render(kind, prefilled_of(form(kind, user_id), BANK))).text()
    assert ticked in text
    assert text.count("✓") == 1


def test_the_sample_of_a_card_is_nobodys_and_has_everything_that_a_card_has(paper: Path) -> None:
    read = Paper(paper, sample_pdf(BANK))
    facts = read.facts()
    assert (facts["Pages"], facts["Tagged"], facts["Title"]) == ("1", "yes", "お客様カードの見本")
    assert all(font[-5:-2] == ["yes", "yes", "yes"] for font in read.fonts())
    text = read.text()
    for word in (
        "見本",
        BANK.service_name["ja"],
        "お客様カード",
        "00000000000",
        "確認用パスワード",
        BANK.help_desk_phone,
    ):
        assert word in text
    assert "123457418567891029630" in text


def slip(name: str) -> Slip:
    pins = {SecretName.PIN: "abc23def45", SecretName.CONFIRMATION_PIN: "ghj67kmn89"}
    issued = IssuedPins(KEIRI01, name, pins, datetime(2026, 12, 8, 3, tzinfo=UTC), acquires=True)
    return slip_of(issued, "ja", public_url="https://bank.example")


@pytest.mark.parametrize("name", ["张敏", "Łukasz Żak", "한지민"])
def test_a_name_with_letters_that_the_font_lacks_is_printed_with_boxes(paper: Path, name: str) -> None:
    read = Paper(paper, slip_pdf(slip(name), BANK, "ja"))
    assert (read.facts()["Pages"], read.facts()["Tagged"]) == ("1", "yes")
    for pin in ("abc23def45", "ghj67kmn89"):
        assert pin in read.text()
    read = Paper(paper, render(FormKind.PIN_RESET, replace(FILLED, contract_name=name)))
    assert (read.facts()["Tagged"], read.codes()) == ("yes", [NUMBER])


def test_what_the_font_has_keeps_the_standard(paper: Path) -> None:
    assert b"pdfuaid" in slip_pdf(slip("髙﨑 𠮷子"), BANK, "ja")
    assert b"pdfuaid" not in slip_pdf(slip("张敏"), BANK, "ja")


def test_a_slip_that_cannot_be_set_hides_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: object, **_named: object) -> None:
        raise OSError("no fonts")

    assert slip_link(slip("見本"), BANK, "ja")
    monkeypatch.setattr("typst.Compiler", broken)
    assert slip_link(slip("見本"), BANK, "ja") is None
    assert "without its PDF" in caplog.text
    assert "abc23def45" not in caplog.text
