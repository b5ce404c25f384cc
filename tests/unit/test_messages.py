"""The catalogue: both languages, the same placeholders, no text missing and none left over."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import sekisho
from sekisho.domain.certificate import Ending
from sekisho.domain.errors import Refusal
from sekisho.domain.person import Kind
from sekisho.domain.request_forms import FormState
from sekisho.web import messages, refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sekisho.web.messages import Language

AT = datetime(2026, 11, 24, 15, 5, tzinfo=UTC)
KEYS = sorted(messages.keys())
SOURCE = Path(sekisho.__file__).parent
FILLED = {"since": AT, "until": AT, "opens": AT, "reference": "7f3a01bc", "user_id": "keiri01"}

both_languages = pytest.mark.parametrize("lang", messages.LANGUAGES)


def keys_in_templates() -> Iterator[tuple[str, str]]:
    """Yield template and key; a part that is put in at run time stands as *."""
    folders = [resources.files(room) / "templates" for room in ("sekisho.portal", "sekisho.console")]
    for template in (file for folder in folders for file in folder.iterdir()):
        for call in re.finditer(r"\bt\(((?:[^()]|\([^()]*\))*)\)", template.read_text("utf-8")):
            for key in keys_of(call[1]):
                yield template.name, key


def keys_of(argument: str) -> Iterator[str]:
    """Read the first argument of t(): a string, strings joined by ~, or one string or another."""
    first = re.match(r'\s*(?:[^,"\']|"[^"]*"|\'[^\']*\')*', argument)
    assert first is not None
    for choice in re.split(r"\bif\b.*?\belse\b", first[0]):
        parts = [part.strip() for part in choice.split("~")]
        yield "".join(part[1:-1] if part[:1] in {"'", '"'} else "*" for part in parts)


def keys_in_python() -> Iterator[str]:
    """Yield every string of the source that may be a key; a part that is put in at run time stands as *."""
    for module in SOURCE.rglob("*.py"):
        for literal in re.finditer(r'f?"([a-z][a-z_-]*\.[^"\s]+)"', module.read_text("utf-8")):
            yield re.sub(r"\{[^{}]*\}", "*", literal[1])


def refusal_codes() -> set[str]:
    codes, classes = {"internal"}, [Refusal]
    while classes:
        for refusal in classes.pop().__subclasses__():
            codes.add(refusal.code)
            classes.append(refusal)
    assert refusals.RequestRefused.code in codes
    return codes


def test_every_text_stands_in_both_languages_with_the_same_placeholders() -> None:
    for key in KEYS:
        japanese, english = (messages.pattern(language, key) for language in messages.LANGUAGES)
        assert japanese.strip()
        assert english.strip()
        assert messages.placeholders(japanese) == messages.placeholders(english)


def test_every_key_that_a_template_names_has_a_text() -> None:
    found = list(keys_in_templates())

    assert len(found) > 100
    for template, key in found:
        assert any(fnmatchcase(known, key) for known in KEYS), f"{template}: {key}"


def test_every_text_is_used() -> None:
    used = {key for _, key in keys_in_templates()} | set(keys_in_python())

    left_over = {key for key in KEYS if not any(fnmatchcase(key, pattern) for pattern in used)}
    assert left_over == set()


@both_languages
@pytest.mark.parametrize("code", sorted(refusal_codes()))
def test_every_refusal_is_told_in_words(code: str, lang: Language) -> None:
    told = messages.refused(lang, code, **FILLED)

    assert told.code == code
    assert all((told.title, told.what, told.next))
    assert "{" not in told.title + told.what + told.next


def test_no_refusal_is_told_that_does_not_exist() -> None:
    told = {key.split(".")[1] for key in KEYS if key.startswith("refusal.")}

    assert told == refusal_codes()


@pytest.mark.parametrize("code", sorted(refusal_codes()))
def test_the_title_of_a_refusal_needs_no_value(code: str) -> None:
    assert messages.placeholders(messages.pattern("ja", f"refusal.{code}.title")) == frozenset()


def test_what_is_not_accepted_is_told_in_the_words_of_the_journey() -> None:
    assert messages.refused("ja", "not-accepted").title == "入力内容が正しくないか、ご利用できない状態です"


@both_languages
@pytest.mark.parametrize("code", ["entry-wrong", "not-accepted"])
def test_what_was_wrong_is_not_told(code: str, lang: Language) -> None:
    told = messages.refused(lang, code)

    for word in ("暗証番号", "PIN", "利用者ID", "user ID", "契約者ID", "contract ID", "残り", "left"):
        assert word not in told.title + told.what + told.next


def test_the_words_of_the_glossary_are_kept() -> None:
    for key in KEYS:
        assert not re.search("ログイン|ログアウト|アカウント|パスコード", messages.pattern("ja", key)), key
        english = messages.pattern("en", key)
        assert not re.search(r"\b(login|log in|account|member|ticket|re-issue)\b", english, re.IGNORECASE), key


@both_languages
def test_a_moment_is_told_in_japanese_time(lang: Language) -> None:
    # 15:05 in UTC is five past midnight of the next day in Japan.
    assert messages.date_text(lang, AT) == {"ja": "2026年11月25日", "en": "25 November 2026"}[lang]
    assert messages.datetime_text(lang, AT) == {"ja": "2026年11月25日 0:05", "en": "25 November 2026, 0:05 JST"}[lang]


@pytest.mark.parametrize(
    ("days", "ja", "en"),
    [
        (213, "あと213日", "213 days left"),
        (1, "あと1日", "1 day left"),
        (0, "残り24時間未満", "Less than 24 hours left"),
        (-1, "終了しました", "Ended"),
    ],
)
def test_days_left_are_told_as_one_says_it(days: int, ja: str, en: str) -> None:
    assert messages.days_left_text("ja", days) == ja
    assert messages.days_left_text("en", days) == en


def test_a_placeholder_without_a_value_is_an_error_and_a_value_too_many_is_not() -> None:
    with pytest.raises(KeyError, match="until"):
        messages.text("ja", "refusal.permit-expired.what")
    assert messages.text("en", "refusal.permit-expired.what", until=AT, more=1) == (
        "It could be acquired until 25 November 2026, 0:05 JST."
    )


def test_a_key_without_a_text_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"no\.such\.key"):
        messages.text("ja", "no.such.key")
    assert not messages.has("no.such.key")
    assert messages.has("common.skip")


@both_languages
@pytest.mark.parametrize(
    "code",
    [
        "certificate-reissued",
        "permit-granted",
        "certificate-issued",
        "logon-new-certificate",
        "user-suspended",
        "certificate-revoked",
    ],
)
def test_a_notice_speaks_to_the_person_or_about_the_user(code: str, lang: Language) -> None:
    to_user = messages.notice(lang, code, until=AT)
    about_user = messages.notice(lang, code, until=AT, user_id="keiri01")

    assert "keiri01" not in to_user.title + to_user.body
    assert "keiri01" in about_user.title
    assert messages.notice(lang, code, until=AT, user_id=None) == to_user


def codes_of_notices() -> Iterator[str]:
    """Yield the code of each notice that the source adds by name."""
    for module in SOURCE.rglob("*.py"):
        for call in ast.walk(ast.parse(module.read_text("utf-8"))):
            match call:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name("notices"), attr="add" | "add_all"), args=[_, _, code, *_]
                ):
                    if isinstance(code, ast.Constant):
                        yield str(code.value)
                case ast.Call(func=ast.Name("tell_both" | "tell" | "_tell"), args=[_, _, ast.Constant(code), *_]):
                    yield str(code)


def test_every_notice_has_words() -> None:
    codes = {*codes_of_notices(), "permit-ended", "pins-guessed"}
    assert len(codes) > 8
    assert {code for code in codes if not messages.has(f"notice.{code}.title")} == set()


def audited() -> Iterator[str]:
    """Yield each action that the source writes down by name, about a contract or the bank."""
    for module in SOURCE.rglob("*.py"):
        for call in ast.walk(ast.parse(module.read_text("utf-8"))):
            match call:
                case (
                    ast.Call(
                        func=ast.Attribute(value=ast.Name("audit"), attr="add" | "add_of_bank"),
                        args=[_, ast.Constant(action), *_],
                    )
                    | ast.Call(func=ast.Attribute(value=ast.Name("audit"), attr="row"), args=[ast.Constant(action), *_])
                ):
                    yield str(action)


def test_every_action_in_the_audit_trail_has_words() -> None:
    actions = {*audited(), *(f"certificate-{ending.value}" for ending in Ending)}
    actions |= {f"form-{state.value}" for state in FormState} | {f"{kind.value}-registered" for kind in Kind}
    assert len(actions) > 40
    assert {action for action in actions if not messages.has(f"audit.{action}")} == set()


@both_languages
def test_a_mail_carries_no_full_id_and_no_link(lang: Language) -> None:
    codes = {key.split(".")[1] for key in KEYS if key.startswith("notice.")}
    for code in codes - {
        "card-posted",
        "contract-changed",
        "contract-closed",
        "contract-ended",
        "contract-opened",
        "interim-step-given",
        "issuing-ca-revoked",
        "issuing-ca-revoked-users",
        "lockout-lifted",
        "pins-guessed",
        "renewal-due",
        "users-let-in",
        "users-shut-out",
        *(code for code in codes if code.startswith(("form-", "second-step-"))),
    }:
        mail = messages.mail(
            lang,
            code,
            service_name="みほんビジネスバンキング",
            help_desk_phone="0120-000-000",
            help_desk_hours="9:00-17:00",
            user_id="keiri01",
            until=AT,
        )
        assert "keiri01" not in mail.subject + mail.body
        assert "ke***" in mail.subject
        assert not re.search(r"https?:|www\.", mail.body)
        assert "みほんビジネスバンキング" in mail.subject
        assert "0120-000-000" in mail.body
        assert "9:00-17:00" in mail.body
        assert "\n" not in mail.subject


@pytest.mark.parametrize(("user_id", "shown"), [("keiri01", "ke***"), ("abc", "a***"), ("K", "***"), ("k1", "k***")])
def test_an_id_is_cut_short(user_id: str, shown: str) -> None:
    assert messages.short_id(user_id) == shown


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ('[a]\nb.ja = "一"', "a.b"),
        ('[a]\nb.ja = "一"\nb.en = ""', "a.b"),
        ('[a]\nb.ja = "一"\nb.en = "one"\nb.fr = "un"', "a.b"),
        ('[a]\nb.ja = "{x}"\nb.en = "{y}"', "a.b"),
        ('[a]\nb = "一"', "a"),
        ('[a]\nb.ja = "{x!r}"\nb.en = "{x}"', "named placeholder"),
        ('[a]\nb.ja = "{0}"\nb.en = "{0}"', "named placeholder"),
        ('[a]\nb.ja = "{x.y}"\nb.en = "{x.y}"', "named placeholder"),
        ('a = "一"', "a: not a table"),
    ],
)
def test_a_catalogue_that_is_not_whole_is_refused(source: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=re.escape(wrong)):
        messages.read_catalogue(source)


def test_a_whole_catalogue_is_read() -> None:
    source = '[a]\nb.ja = "{x}の"\nb.en = "of {x}"\n[a.c.d]\nja = "四"\nen = "four"'

    assert messages.read_catalogue(source) == {
        "a.b": {"ja": "{x}の", "en": "of {x}"},
        "a.c.d": {"ja": "四", "en": "four"},
    }
