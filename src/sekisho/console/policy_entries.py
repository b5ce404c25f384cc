"""What is typed into the form that proposes a change of the bank's rules."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import TYPE_CHECKING, Any

from sekisho.domain.policy import SECOND_STEPS, SERVICE_HOURS
from sekisho.domain.second_step import OF_THE_BANK
from sekisho.domain.secret import normal_form
from sekisho.domain.service_hours import ALWAYS
from sekisho.usecases.propose_policy import Wish
from sekisho.web import messages
from sekisho.web.policy_words import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST_NUMBER = 6
_DAY = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")


def seen_field(name: str) -> str:
    """Return the name of the hidden field that tells what a rule was when the form was shown."""
    return f"seen.{name}"


def entries_of(rules: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Return the fields of the form for rules as they are stored."""
    fields: dict[str, str] = {}
    for name in names:
        value = rules[name]
        fields[seen_field(name)] = json.dumps(value)
        if name == SECOND_STEPS:
            fields |= {f"{name}.{step}": "on" for step in value}
        elif isinstance(value, bool):
            fields[name] = "on" if value else "off"
        else:
            fields[name] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return fields


def read_wish(form: Mapping[str, str], names: Sequence[str]) -> Wish:
    """Read the form for these rules; what cannot be read is noted in the wish."""
    rules: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name in names:
        try:
            rules[name] = _read(name, form)
        except ValueError:
            wrong[name] = "number"
        except KeyError:
            wrong[name] = "choice"
    day = None
    try:
        day = _read_day(form.get("day", ""))
    except ValueError:
        wrong["day"] = "day-form"
    seen = {name: value for name in names if (value := _seen(form.get(seen_field(name), ""))) is not None}
    return Wish(rules, seen, form.get("reason", ""), day, wrong)


def entries_anew(form: Mapping[str, str], present: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Return the fields of the form over rules that have changed since: what somebody means to change stays as typed.

    The rest is as it is now, and so is what they are shown.
    """
    wish = read_wish(form, names)
    fields = dict(form)
    for name in names:
        fresh = entries_of(present, [name])
        if name in wish.wrong or wish.rules[name] != wish.seen.get(name):
            fields[seen_field(name)] = fresh[seen_field(name)]
        else:
            fields = {field: typed for field, typed in fields.items() if field.split(".")[0] != name} | fresh
    return fields


def _read(name: str, form: Mapping[str, str]) -> Any:
    if name == SECOND_STEPS:
        return [step.value for step in OF_THE_BANK if form.get(f"{name}.{step.value}")]
    typed = normal_form(form.get(name, "")).strip()
    if name == SERVICE_HOURS:
        always = {messages.text(lang, "policy.always").lower() for lang in messages.LANGUAGES}
        return ALWAYS if typed.lower() in always else typed
    if name not in NUMBERS:
        return {"on": True, "off": False}[typed]
    if NUMBERS[name].several:
        return [_number(part) for part in re.split(r"[,、\s]+", typed.strip("、, "))]
    return _number(typed)


def _number(typed: str) -> int:
    if not (typed.isascii() and typed.isdigit() and len(typed) <= _LONGEST_NUMBER):
        raise ValueError(typed)
    return int(typed)


def _read_day(typed: str) -> date | None:
    day = normal_form(typed).strip()
    if not day:
        return None
    match = _DAY.fullmatch(day)
    if match is None:
        raise ValueError(day)
    return date(*(int(part) for part in match.groups()))


def _seen(field: str) -> Any:
    try:
        return json.loads(field)
    except ValueError:
        return None
