"""The words that people read, in Japanese and English, from one catalogue.

`messages.toml` beside this module holds them: each key is a table with a
`ja` and an `en` text, both with the same named placeholders. Screens take
them through `t()` in the templates (`sekisho.web.render`); refusals, notices
and mails are put together here, so that one code is told with the same words
wherever it appears.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache
from importlib import resources
from string import Formatter
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Language = Literal["ja", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("ja", "en")

JAPAN: Final = timezone(timedelta(hours=9), "JST")
"""日本標準時. It has known no summer time since 1951, so no time zone database has to be installed."""

_SHOWN_OF_AN_ID = 2


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal in words: what it is called, what happened, what to do next."""

    code: str
    title: str
    what: str
    next: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What a person is told of something that happened, in the inbox."""

    code: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Mail:
    """The same as a mail: no link, no secret and no full ID stands in it."""

    subject: str
    body: str


def keys() -> frozenset[str]:
    """Every key of the catalogue, as `text` takes it."""
    return frozenset(_catalogue())


def has(key: str) -> bool:
    """Tell whether the catalogue has a text for `key`."""
    return key in _catalogue()


def placeholders(pattern: str) -> frozenset[str]:
    """Return the names that stand in braces in `pattern`; raise ValueError for any other use of braces."""
    names = set()
    for _, name, form, conversion in Formatter().parse(pattern):
        if name is None:
            continue
        if form or conversion or not name.isidentifier():
            raise ValueError(f"not a plain named placeholder: {{{name}}} in {pattern!r}")
        names.add(name)
    return frozenset(names)


def pattern(language: Language, key: str) -> str:
    """Return the text of `key` with its placeholders as they stand; raise KeyError for a key without text."""
    try:
        return _catalogue()[key][language]
    except KeyError:
        raise KeyError(f"no text for {key!r} in {language!r}") from None


def text(language: Language, key: str, /, **values: object) -> str:
    """Return the text of `key` with `values` in its placeholders, as plain text (nothing is escaped).

    A datetime is told as `datetime_text` tells it. A placeholder without a
    value raises KeyError; a value without a placeholder is left out, since
    the parts of a refusal do not all tell everything.
    """
    return pattern(language, key).format(**{name: spoken(language, value) for name, value in values.items()})


def spoken(language: Language, value: object) -> object:
    """Return `value` as a text can carry it: a datetime in words, anything else as it is."""
    return datetime_text(language, value) if isinstance(value, datetime) else value


def date_text(language: Language, at: datetime) -> str:
    """Return the day of `at` (aware) in Japan: 2026年11月24日, 24 November 2026."""
    here = at.astimezone(JAPAN)
    month = pattern(language, f"month.{here.month}")
    return text(language, "time.date", year=here.year, month=month, day=here.day)


def datetime_text(language: Language, at: datetime) -> str:
    """Return the minute of `at` (aware) in Japan: 2026年11月24日 9:05, 24 November 2026, 9:05 JST."""
    here = at.astimezone(JAPAN)
    clock = f"{here.hour}:{here.minute:02}"
    return text(language, "time.datetime", date=date_text(language, at), clock=clock)


def days_left_text(language: Language, days: int) -> str:
    """Return how many whole days are left, as one says it."""
    if days < 0:
        return text(language, "time.days-left.none")
    if days == 0:
        return text(language, "time.days-left.today")
    return text(language, "time.days-left.one" if days == 1 else "time.days-left.many", days=days)


def refused(language: Language, code: str, /, **values: object) -> Refused:
    """Return the words for the refusal `code`; `values` are those that the refusal carries."""
    return Refused(
        code=code,
        title=text(language, f"refusal.{code}.title", **values),
        what=text(language, f"refusal.{code}.what", **values),
        next=text(language, f"refusal.{code}.next", **values),
    )


def told_without_values(code: str) -> bool:
    """Tell whether `code` is a refusal whose words need no values."""
    keys = [f"refusal.{code}.{part}" for part in ("title", "what", "next")]
    return all(has(key) and not placeholders(pattern("ja", key)) for key in keys)


def field_text(language: Language, code: str, label_key: str, /, **values: object) -> str:
    """Return what stands next to a field for `code`, naming the field as its label does."""
    return text(language, f"field.{code}", label=text(language, label_key, **values), **values)


def certificate_state(language: Language, state: str) -> str:
    """Return the state of a user's certificate, as the list of users shows it."""
    return text(language, f"state.{state}")


def notice(language: Language, code: str, /, **values: object) -> Notice:
    """Return the notice `code`: to the person themself, or, with a `user_id` in `values`, about that user."""
    whom = "about-user." if values.get("user_id") is not None else ""
    return Notice(
        code=code,
        title=text(language, f"notice.{code}.{whom}title", **values),
        body=text(language, f"notice.{code}.{whom}body", **values),
    )


def mail(
    language: Language,
    code: str,
    /,
    *,
    service_name: str,
    help_desk_phone: str,
    help_desk_hours: str,
    **values: object,
) -> Mail:
    """Return the notice `code` as a mail. A `user_id` is cut short: a mail never carries a full ID."""
    told = values | ({"user_id": short_id(str(values["user_id"]))} if values.get("user_id") is not None else {})
    words = notice(language, code, **told)
    footer = text(
        language,
        "mail.footer",
        service_name=service_name,
        help_desk_phone=help_desk_phone,
        help_desk_hours=help_desk_hours,
    )
    hint = text(language, "mail.inbox", service_name=service_name)
    return Mail(
        subject=text(language, "mail.subject", service_name=service_name, title=words.title),
        body=f"{words.title}\n\n{words.body}\n\n{hint}\n\n{footer}\n",
    )


def code_mail(
    language: Language,
    code: str,
    /,
    *,
    minutes: int,
    service_name: str,
    help_desk_phone: str,
    help_desk_hours: str,
) -> Mail:
    """Return the mail that carries a code, good for so many minutes. It says nothing else of anybody."""
    named = {"help_desk_phone": help_desk_phone, "help_desk_hours": help_desk_hours}
    footer = text(language, "mail.footer", service_name=service_name, **named)
    title = text(language, "code-mail.title")
    body = text(language, "code-mail.body", code=code, minutes=minutes)
    return Mail(
        subject=text(language, "mail.subject", service_name=service_name, title=title), body=f"{body}\n\n{footer}\n"
    )


def short_id(user_id: str) -> str:
    """Return at most the first two characters of an ID, and never more than half of it."""
    return user_id[: min(_SHOWN_OF_AN_ID, len(user_id) // 2)] + "***"


@cache
def _catalogue() -> Mapping[str, Mapping[str, str]]:
    source = resources.files("sekisho.web").joinpath("messages.toml").read_text("utf-8")
    return read_catalogue(source)


def read_catalogue(source: str) -> dict[str, dict[str, str]]:
    """Return key → language → text from TOML, or raise ValueError naming the first key that is not whole."""
    catalogue = {}
    for key, leaf in _leaves(tomllib.loads(source), ""):
        texts = {name: text for name, text in leaf.items() if isinstance(text, str) and text.strip()}
        if set(texts) != set(LANGUAGES) or len(leaf) != len(LANGUAGES):
            raise ValueError(f"{key}: a text in each of {', '.join(LANGUAGES)} and nothing else is needed")
        if len({placeholders(text) for text in texts.values()}) != 1:
            raise ValueError(f"{key}: the languages do not have the same placeholders")
        catalogue[key] = texts
    return catalogue


def _leaves(table: Mapping[str, object], path: str) -> Iterator[tuple[str, dict[str, object]]]:
    for name, value in table.items():
        key = f"{path}.{name}" if path else name
        if not isinstance(value, dict):
            raise ValueError(f"{key}: not a table")  # noqa: TRY004 - the catalogue's value is wrong, not a caller's type
        if any(not isinstance(part, dict) for part in value.values()):
            yield key, value
        else:
            yield from _leaves(value, key)
