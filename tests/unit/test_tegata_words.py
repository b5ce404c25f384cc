"""Tegata's catalogue and tables: both languages, every code, nothing left over, and docs that say the same."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import tegata
from tegata import errors, exit_codes, words

SOURCE = Path(tegata.__file__).parent
DOCS = SOURCE.parents[1] / "docs/reference"


def patterns_in_source() -> set[str]:
    """Return every string of the source that may be a key; a part that is put in at run time stands as *."""
    found = set()
    for module in SOURCE.rglob("*.py"):
        source = module.read_text("utf-8")
        for literal in re.finditer(r'f?"([a-z{][a-z_{}.\[\]-]*)"', source):
            found.add(re.sub(r"\{[^{}]*\}", "*", literal[1]))
        found |= {f"gui.{key}" for key in re.findall(r'(?:_t|_entitle)\("([a-z.-]+)"', source)}
        found |= {f"help.{key}" for key in re.findall(r'_help\(f?"([a-z.-]+)"', source)}
        found |= {f"help.option.{key}" for key in re.findall(r'_option\("--[a-z-]+", "([a-z-]+)"', source)}
        found |= {f"gui.{key}" for key in re.findall(r'_add\(form, "([a-z-]+)"', source)}
        found |= {f"doctor.{code}.*" for code in re.findall(r'(?:Finding\(|: |else )"([a-z-]+)"', source)}
        found |= {f"step.{step}" for step in re.findall(r'report\("([a-z-]+)"', source)}
        found |= {f"state.{state}" for state in re.findall(r'return "([a-z-]+)"', source)}
    return found


def test_every_text_is_used() -> None:
    patterns = patterns_in_source() | {"trouble.*", "held.*", "gui.user.*", "gui.administrator.*", "ask.user.*"}
    patterns |= {"ask.administrator.*", "usage.remove"}
    left_over = {key for key in words.catalogue() if not any(fnmatchcase(key, one) for one in patterns)}
    assert left_over == set()


def test_every_code_has_words_and_an_exit_code_and_no_other_does() -> None:
    assert set(exit_codes.OF_CODE) == errors.all_codes()
    told = {key.split(".")[1] for key in words.catalogue() if key.startswith("trouble.")}
    assert told == errors.all_codes()
    for code in errors.all_codes():
        assert {f"trouble.{code}.what", f"trouble.{code}.next"} <= set(words.catalogue())


def test_a_code_belongs_to_one_kind_of_trouble() -> None:
    with pytest.raises(ValueError, match="no code"):
        errors.StoreTrouble("server-not-reachable")
    codes = [code for kind in errors.Trouble.__subclasses__() for code in kind.codes]
    assert len(codes) == len(set(codes))


def test_a_half_key_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "words.toml").write_text('[a]\nb.ja = "あ {x}"\nb.en = "a"\n', "utf-8")
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    with pytest.raises(ValueError, match=r"a\.b"):
        words.catalogue.__wrapped__()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "ja_JP.UTF-8"}, "ja"),
        ({"LANG": "C.UTF-8"}, "ja"),
        ({"LANG": "en_US", "LC_ALL": "ja_JP"}, "ja"),
        ({}, "ja"),
    ],
)
def test_the_language_is_the_environments(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert words.language() == expected
    assert words.language("en") == "en"


def test_the_words_of_the_journeys_stand_there_to_the_letter() -> None:
    japanese = {text["ja"] for text in words.catalogue().values()}
    assert {
        "電子証明書取得",
        "電子証明書発行処理中",
        "電子証明書のインストールが完了しました",
        "このウィンドウを閉じる",
        "契約者ID(利用者番号)",
        "利用者ID",
        "利用者暗証番号",
        "利用者確認暗証番号",
    } <= japanese


def test_the_published_table_shows_every_exit_code() -> None:
    table = (DOCS / "tegata-exit-codes.md").read_text("utf-8")
    published = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    own = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert published == own
    for code, exit_code in exit_codes.OF_CODE.items():
        row = re.search(rf"^\| {exit_code} \|.*$", table, re.MULTILINE)
        assert row is not None
        assert f"`{code}`" in row[0]


def test_the_licence_is_the_projects() -> None:
    """The archive of Tegata's sources stands alone, so it has a copy."""
    assert (SOURCE / "LICENSE").read_bytes() == (SOURCE.parents[1] / "LICENSE").read_bytes()
