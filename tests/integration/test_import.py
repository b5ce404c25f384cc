"""Many contracts from a file: what is wrong is told line by line, and a second run does what is left."""

from __future__ import annotations

import codecs
import json
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.unopened import acquire
from tests.support.world import BANK, CONTRACT

from sekisho.cli.contract_file import FileNotUsable, encoding_of, letters, lines_of
from sekisho.domain.person import PersonId
from sekisho.domain.secret import SecretName
from sekisho.store import contracts, secrets
from sekisho.store.audit import Actor
from sekisho.usecases.harden_verifiers import harden_verifiers
from sekisho.usecases.import_contracts import Done, Import, Line, Outcome, import_contracts, read_line
from sekisho.usecases.register_unopened import register_unopened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection
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


def test_drawn_pins_open_at_once_and_are_hardened_behind_without_being_known(bank: World) -> None:
    """Quick verifiers go, wherever they stand by then; what they prove stays."""
    kept: list[RegisteredContract] = []
    run(bank, [line(number, f"2000000000{number}") for number in (1, 2, 3)], kept)
    verifiers = "SELECT person_id, name, verifier FROM secrets WHERE verifier LIKE '~%' ORDER BY person_id, name"
    before = bank.rows(verifiers)
    assert [row.name for row in before] == ["confirmation-pin", "pin", "registration-pin"] * 3
    assert not any(pin in row.verifier for row in before for one in kept for pin in (one.contract_pin,))
    # One of them has been replaced meanwhile, and stands among the past ones.
    with_past = before[1]
    bank.db.write(lambda tx: _replace(tx, with_past.person_id, bank.clock[0]))
    assert harden_verifiers(bank.ports, bank="9990") == 9
    assert harden_verifiers(bank.ports, bank="9990") == 0
    assert not bank.rows(verifiers)
    past = bank.rows("SELECT verifier FROM past_pins WHERE person_id = :one", one=with_past.person_id)
    assert [row.verifier[0] for row in past] == ["="]
    assert bank.ports.pins.verify(past[0].verifier, kept[0].contract_pin)
    audited = bank.rows("SELECT bank, detail FROM audit WHERE action = 'verifiers-hardened'")
    assert [(row.bank, "9" in str(row.detail)) for row in audited] == [("9990", True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.support.unopened.CONTRACT", "20000000002")
        assert acquire(bank, PersonId("9990", "20000000002"), (kept[1].contract_pin, kept[1].contract_confirmation_pin))


def test_an_import_makes_no_argon2_hash(bank: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three for each contract were all of its time."""

    def hashed(*_args: Any, **_named: Any) -> str:
        raise AssertionError("argon2")

    monkeypatch.setattr("argon2.PasswordHasher.hash", hashed)
    assert [one.done for one in run(bank, [line(2, "20000000001")], [])] == [Done.REGISTERED]


def test_a_pin_that_is_set_anew_while_it_is_hardened_stays_the_new_one(bank: World) -> None:
    run(bank, [line(2, "20000000001")], [])
    of = "SELECT person_id FROM secrets WHERE verifier LIKE '~%' AND name = 'pin'"
    (person,) = bank.rows(of)

    class Overtaken(type(bank.ports.pins)):  # type: ignore[misc] # the class of the world's pins
        def harden(self, quick: str) -> str:
            bank.db.write(lambda tx: secrets.put(tx, person.person_id, SecretName.PIN, "$new", bank.clock[0]))
            hardened: str = super().harden(quick)
            return hardened

    assert harden_verifiers(replace(bank.ports, pins=Overtaken(b"p" * 32)), bank="9990") == 2
    kept = bank.rows("SELECT verifier FROM secrets WHERE person_id = :one AND name = 'pin'", one=person.person_id)
    assert [row.verifier for row in kept] == ["$new"]


def _replace(tx: Connection, person_id: int, now: datetime) -> None:
    present = secrets.of(tx, person_id, [SecretName.PIN])[SecretName.PIN]
    secrets.replace_pin(tx, present, "$another", now, remembered=3)


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


def test_a_line_of_100_mb_is_told_with_its_number_and_never_held(tmp_path: Path) -> None:
    file = tmp_path / "contracts.csv"
    with file.open("wb") as out:
        out.write((HEADER + ONE + "20000000003,").encode())
        for _ in range(100):
            out.write(b"x" * 1_000_000)
        out.write(b"\n" + TWO.encode())
    tracemalloc.start()
    try:
        encoding, ends = encoding_of(file)
        lines = list(lines_of(file, encoding))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ends == 4
    assert [(one.number, getattr(one, "code", None)) for one in lines] == [(2, None), (3, "line-too-long"), (4, None)]
    assert most < 16_000_000, "the decoder's megabyte and little more"


def test_a_long_line_within_quotation_marks_takes_its_row_along_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "contracts.csv"
    file.write_text(HEADER + '20000000003,"見本\n' + "x" * 70_000 + '\n商事",,,菓子,\n' + TWO)
    lines = list(lines_of(file, "utf-8-sig"))
    assert [(one.number, getattr(one, "code", None)) for one in lines] == [(2, "line-too-long"), (5, None)]


@pytest.mark.parametrize("never_ends", ['"\n' + '","\n' * 200_000, '"' + "x\n" * 1_000_000])
def test_a_row_that_never_ends_is_not_held(tmp_path: Path, never_ends: str) -> None:
    file = tmp_path / "contracts.csv"
    file.write_text(HEADER + ONE + never_ends)
    lines = list(lines_of(file, "utf-8-sig"))
    assert [(one.number, getattr(one, "code", None)) for one in lines] == [(2, None), (3, "line-form")]


def test_an_id_that_stands_twice_is_found_in_whatever_form(bank: World) -> None:
    twice = [line(2, "20000000001"), line(3, "２０００００００００１"), line(4, "200-0000-0001")]
    assert [one.code for one in run(bank, twice, [])] == [None, "contract-id-repeated", "contract-id-repeated"]


def test_names_with_signs_of_legal_forms_are_names() -> None:
    assert all(isinstance(line(2, "20000000001", name=name), Line) for name in ("㈱見本", "見本㈲", "㋐商会"))


def test_text_in_iso_2022_jp_is_no_name(tmp_path: Path) -> None:
    """Its bytes are ASCII, so it would pass for UTF-8."""
    file = tmp_path / "contracts.csv"
    file.write_bytes((HEADER + ONE).encode("iso2022_jp"))
    (found,) = lines_of(file, encoding_of(file)[0])
    assert isinstance(found, Outcome)
    assert (found.column, found.code) == ("name", "entry-characters")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe\x00\x81", "UTF-16"),
        ((HEADER + ONE).encode("utf-16"), "UTF-16"),
        (HEADER.encode() + ONE.encode() + b"\xff\xff\n", r"neither UTF-8 \(see line 3\) nor CP932 \(see line 2\)"),
        (codecs.BOM_UTF8 + HEADER.encode() + ONE.encode("cp932"), "line 2 is none"),
        ((HEADER + ONE).encode("euc_jp"), "may be EUC-JP"),
        (b"x" * 300_000, "does not name"),
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


def test_a_file_of_secrets_that_another_run_writes_to_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "letters.json"
    with letters(file):
        # The other run is within a line.
        file.write_text('{"contract_id": "1"}\n{"contract_id": "2", "contr')
        with pytest.raises(FileNotUsable, match="another import is writing to it"), letters(file):
            pass
        assert file.read_text().endswith('"contr')
    with letters(file):
        assert file.read_text() == '{"contract_id": "1"}\n'
