"""Many contracts from a file: what is wrong is told line by line, and a second run does what is left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.unopened import acquire
from tests.support.world import BANK, CONTRACT

from sekisho.cli.contract_file import FileNotUsable, encoding_of, letters, lines_of
from sekisho.domain.person import PersonId
from sekisho.store import contracts
from sekisho.store.audit import Actor
from sekisho.usecases.import_contracts import Done, Import, Line, Outcome, import_contracts, read_line
from sekisho.usecases.register_unopened import register_unopened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.world import World

    from sekisho.usecases.register_unopened import RegisteredContract

HEADER = "contract_id,name,kana,branch,administrator,language\n"
ONE = "20000000001,見本製菓株式会社,ミホンセイカ,001,菓子 太郎,ja\n"
TWO = "20000000002,髙橋商店,,,髙橋 﨑子,en\n"


class PowerCut(Exception):  # noqa: N818 - names what happens
    """The machine stops."""


def line(number: int, contract_id: str, **changed: Any) -> Line | Outcome:
    fields = {"contract_id": contract_id, "name": "見本製菓株式会社", "administrator": "菓子 太郎"}
    return read_line(number, fields | changed)


def run(bank: World, lines: list[Line | Outcome], kept: list[RegisteredContract], **how: Any) -> list[Outcome]:
    return list(import_contracts(Import(bank.ports, BANK, Actor("test"), kept.extend, **how), lines))


def registered(bank: World) -> list[str]:
    rows = bank.rows("SELECT contract_id FROM contracts WHERE contract_id <> :own ORDER BY contract_id", own=CONTRACT)
    return [row.contract_id for row in rows]


def test_contracts_are_registered_with_their_audit_rows_and_wait_for_their_opening(bank: World) -> None:
    kept: list[RegisteredContract] = []
    done = run(bank, [line(2, "20000000001", branch="００１", kana="ミホンセイカ"), line(3, "20000000002")], kept)
    assert [one.done for one in done] == [Done.REGISTERED, Done.REGISTERED]
    with bank.db.read() as tx:
        found = contracts.find(tx, "9990", "20000000001")
    assert found is not None
    assert (found.name, found.branch, found.opened_at) == ("見本製菓株式会社", "001", None)
    rows = bank.rows("SELECT action, detail FROM audit WHERE contract_id = '20000000001' ORDER BY id")
    assert [row.action for row in rows] == ["contract-registered", "administrator-registered", "permit-granted"]
    drawn = kept[0]
    assert not any(pin in str(rows) for pin in (drawn.contract_pin, drawn.registration_pin))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.support.unopened.CONTRACT", "20000000001")
        pins = (drawn.contract_pin, drawn.contract_confirmation_pin)
        assert acquire(bank, PersonId("9990", "20000000001"), pins)


def test_a_second_run_changes_nothing_and_a_contract_that_differs_is_told(bank: World) -> None:
    kept: list[RegisteredContract] = []
    lines = [line(number, f"2000000{number:04}") for number in range(2, 62)]
    run(bank, lines, kept)
    before = bank.rows("SELECT count(*) AS n FROM audit")[0].n
    again = run(bank, [*lines, line(62, "20000000003", name="別の会社")], kept)
    assert [one.done for one in again[:-1]] == [Done.THERE] * 60
    assert (again[-1].done, again[-1].code) == (Done.WRONG, "contract-id-repeated")
    other = run(bank, [line(2, "20000000003", name="別の会社"), line(3, "20000000004", branch="009")], kept)
    assert [(one.done, one.column, one.code) for one in other] == [(Done.WRONG, "contract_id", "contract-id-taken")] * 2
    assert (len(kept), bank.rows("SELECT count(*) AS n FROM audit")[0].n) == (60, before)
    bank.change("UPDATE contracts SET ended_at = registered_at WHERE contract_id = '20000000005'")
    assert run(bank, [line(2, "20000000005")], kept)[0].code == "contract-id-taken", "an ID is never given again"


def test_a_run_that_was_cut_short_is_run_again(bank: World) -> None:
    """Secrets are kept before the commit: every contract that there is has its last ones in the file."""
    lines = [line(number, f"2000000{number:04}") for number in range(2, 62)]
    kept: list[RegisteredContract] = []

    def keep(drawn: Sequence[RegisteredContract]) -> None:
        kept.extend(drawn)
        if len(kept) > 25:
            raise PowerCut

    with pytest.raises(PowerCut):
        list(import_contracts(Import(bank.ports, BANK, Actor("test"), keep), lines))
    assert len(registered(bank)) == 25
    assert len(kept) == 50
    done = run(bank, lines, kept)
    assert [one.done for one in done] == [Done.THERE] * 25 + [Done.REGISTERED] * 35
    last = {one.contract_id: one for one in kept}
    assert set(last) == set(registered(bank))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.support.unopened.CONTRACT", "20000000030")
        second = last["20000000030"]
        assert acquire(bank, PersonId("9990", "20000000030"), (second.contract_pin, second.contract_confirmation_pin))


def test_a_contract_that_somebody_registers_meanwhile_is_told_and_the_others_are_registered(bank: World) -> None:
    def overtake(_drawn: Sequence[RegisteredContract]) -> None:
        register_unopened(
            bank.ports,
            bank=BANK,
            name="先に登録した会社",
            administrator="菓子 太郎",
            language="ja",
            contract_id="20000000002",
            actor=Actor("test"),
        )

    lines = [line(number, f"2000000000{number}") for number in (1, 2, 3)]
    done = list(import_contracts(Import(bank.ports, BANK, Actor("test"), overtake), lines))
    assert [one.done for one in done] == [Done.REGISTERED, Done.WRONG, Done.REGISTERED]
    assert done[1].code == "contract-id-taken"
    assert registered(bank) == ["20000000001", "20000000002", "20000000003"]


def test_one_line_that_is_wrong_keeps_no_other_out_and_a_dry_run_writes_nothing(bank: World) -> None:
    lines = [line(2, "20000000001"), line(3, "123"), line(4, "20000000002", branch="1"), line(5, "20000000003")]
    kept: list[RegisteredContract] = []
    tried = run(bank, lines, kept, dry_run=True)
    assert [one.done for one in tried] == [Done.CAN_BE, Done.WRONG, Done.WRONG, Done.CAN_BE]
    assert (registered(bank), kept) == ([], [])
    done = run(bank, lines, kept)
    assert [one.done for one in done] == [Done.REGISTERED, Done.WRONG, Done.WRONG, Done.REGISTERED]
    assert registered(bank) == ["20000000001", "20000000003"]


@pytest.mark.parametrize(
    ("changed", "column", "code"),
    [
        ({"contract_id": "2000000000"}, "contract_id", "contract-id-form"),
        ({"contract_id": ""}, "contract_id", "contract-id-form"),
        ({"name": " "}, "name", "entry-missing"),
        ({"name": "あ" * 61}, "name", "entry-too-long"),
        ({"name": "a\u202eb"}, "name", "entry-characters"),
        ({"kana": "\x00"}, "kana", "entry-characters"),
        ({"branch": "12"}, "branch", "branch-form"),
        ({"administrator": ""}, "administrator", "entry-missing"),
        ({"language": "fr"}, "language", "language-form"),
    ],
)
def test_what_is_wrong_with_a_line(changed: dict[str, str], column: str, code: str) -> None:
    outcome = read_line(7, {"contract_id": "20000000001", "name": "見本", "administrator": "菓子"} | changed)
    assert isinstance(outcome, Outcome)
    assert (outcome.number, outcome.done, outcome.column, outcome.code) == (7, Done.WRONG, column, code)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_files_are_read_in_the_encodings_that_banks_have(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "contracts.csv"
    quoted = '"20000000003","見本,\r\n二行の会社",,"002","菓子 ""太郎""",\r\n'
    file.write_bytes((HEADER + ONE + TWO + "\n" + quoted).encode(encoding))
    used, ends = encoding_of(file)
    assert (used, ends) == ("cp932" if encoding == "cp932" else "utf-8-sig", 6)
    lines = list(lines_of(file, used))
    assert [getattr(one, "name", None) for one in lines] == ["見本製菓株式会社", "髙橋商店", "見本, 二行の会社"]
    assert [one.number for one in lines] == [2, 3, 5]
    assert isinstance(lines[2], Line)
    assert (lines[2].administrator, lines[2].language) == ('菓子 "太郎"', "ja")


def test_lines_with_too_many_columns_and_quotation_marks_that_never_end(tmp_path: Path) -> None:
    file = tmp_path / "contracts.csv"
    file.write_text(HEADER + ONE.strip() + ",more\n" + ONE + '20000000002,"見本\n' + TWO)
    lines = list(lines_of(file, "utf-8-sig"))
    assert [(one.number, getattr(one, "code", None)) for one in lines] == [
        (2, "line-form"),
        (3, None),
        (4, "line-form"),
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe\x00\x81", "neither UTF-8 nor CP932"),
        (b"", "does not name administrator, contract_id, name"),
        (b"contract_id,name\n", "does not name administrator"),
        (b"contract_id,name,administrator,pin\n", "not known"),
        (b"contract_id,name,administrator,name\n", "one twice"),
    ],
)
def test_files_that_are_none_of_contracts(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "contracts.csv"
    file.write_bytes(content)
    with pytest.raises(FileNotUsable, match=says):
        list(lines_of(file, encoding_of(file)[0]))


def test_the_file_of_secrets_is_its_owners_and_loses_what_a_crash_left_of_a_line(tmp_path: Path) -> None:
    file = tmp_path / "letters.json"
    with letters(file):
        pass
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text('{"contract_id": "1"}\n{"contract_id": "2", "contr')
    with letters(file):
        pass
    assert [json.loads(one) for one in file.read_text().splitlines()] == [{"contract_id": "1"}]
    file.chmod(0o644)
    with pytest.raises(FileNotUsable, match="others can read it"), letters(file):
        pass
    link = tmp_path / "link.json"
    link.symlink_to(file)
    with pytest.raises(OSError, match="symbolic links"), letters(link):
        pass
