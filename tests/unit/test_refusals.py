"""Every refusal has its code, its HTTP status, its exit code and its words, and no table has more than that."""

from __future__ import annotations

import importlib
import pkgutil
import re
from datetime import UTC, datetime
from typing import Any

import pytest

import sekisho
from sekisho.cli import exit_codes
from sekisho.domain.errors import Refusal
from sekisho.est.routes import refused
from sekisho.web import messages, problems

SITE_ONLY = {"internal"}  # a bug, which is no refusal


def every_refusal() -> set[type[Refusal]]:
    for module in pkgutil.walk_packages(sekisho.__path__, "sekisho."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: set[type[Refusal]] = set()
    ahead = [Refusal]
    while ahead:
        for kind in ahead.pop().__subclasses__():
            found.add(kind)
            ahead.append(kind)
    return found


CODES = {kind.code for kind in every_refusal()}


def test_the_tables_are_total_and_have_nothing_over() -> None:
    assert set(problems.STATUS) == CODES | SITE_ONLY
    assert set(exit_codes.OF_REFUSAL) == set(problems.STATUS)


@pytest.mark.parametrize("code", sorted(CODES | SITE_ONLY))
def test_a_code_has_words_in_both_languages(code: str) -> None:
    for language in messages.LANGUAGES:
        for part in ("title", "what", "next"):
            assert messages.pattern(language, f"refusal.{code}.{part}")


def test_no_words_are_left_over() -> None:
    worded = {match[1] for key in sorted(messages.keys()) if (match := re.fullmatch(r"refusal\.([a-z-]+)\.title", key))}
    assert worded == CODES | SITE_ONLY


def test_codes_are_documented() -> None:
    from pathlib import Path

    reference = (Path(__file__).parents[2] / "docs/reference/refusals.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `([a-z-]+)`", reference, re.MULTILINE))
    assert documented == CODES | SITE_ONLY


@pytest.mark.parametrize("kind", sorted(every_refusal(), key=repr))
@pytest.mark.parametrize("lang", messages.LANGUAGES)
def test_what_passes_by_itself_tells_programs_and_people_when_to_ask_again(
    kind: type[Refusal], lang: messages.Language
) -> None:
    passing = {"ca-away", "mail-away", "out-of-hours", "service-unavailable", "too-many-requests"}
    some_day: dict[str, Any] = dict.fromkeys(
        ("since", "until", "opens", "problems"), datetime(2026, 11, 24, tzinfo=UTC)
    )
    refusal = kind(**some_day, seconds=5)
    answer = refused(refusal, lang)
    assert ("retry-after" in answer.headers) == (kind.code in passing)
    if kind.code in {"service-unavailable", "too-many-requests"}:
        assert {"ja": "1分ほど待ってから、同じ操作を", "en": "wait about a minute and do the same again"}[
            lang
        ] in bytes(answer.body).decode()
