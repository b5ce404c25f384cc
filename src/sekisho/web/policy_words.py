"""A bank's rules in words: their groups, what each is set to, what it may be set to, and what is fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sekisho.domain import card
from sekisho.domain.policy import RULES, SECOND_STEPS, SERVICE_HOURS
from sekisho.domain.secret import PROVISIONAL_LENGTH
from sekisho.domain.service_hours import DAYS, read_hours
from sekisho.usecases.mailed_code import CODE_LIFE
from sekisho.usecases.mailed_code import DIGITS as CODE_DIGITS
from sekisho.usecases.manage_second_steps import MOST_PASSKEYS
from sekisho.vault.totp import DIGITS as TOTP_DIGITS
from sekisho.web import messages
from sekisho.web.turnstile import WAITING_AT_MOST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sekisho.domain.policy import Policy

# Rules that have to agree with one another stand in one group, so that one proposal can change them together.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "pins": ("misses_before_closed", "pin_shortest", "pin_longest", "pins_remembered", "pin_age_days"),
    "logon": (SECOND_STEPS, "session_idle_minutes", "session_life_hours", "last_logons_shown"),
    "certificates": (
        "certificate_life_days",
        "acquisition_window_days",
        "permit_reminder_days",
        "renewal_window_days",
        "reminders_days",
        "grace_days",
        "overlap_days",
        "renewal_without_pin",
    ),
    "acquisition": ("way_tegata", "way_est", "way_browser", "key_p384", "key_rsa", "key_rsa_bits"),
    "service": ("users_of_contract", SERVICE_HOURS, "retention_years"),
}
NUMBERS = {rule.name: rule for rule in RULES}
_UNITS = {
    "misses_before_closed": "times",
    "users_of_contract": "people",
    "last_logons_shown": "times",
    "retention_years": "years",
    "pin_shortest": "characters",
    "pin_longest": "characters",
    "pins_remembered": "pins",
    "key_rsa_bits": "bits",
    "reminders_days": "days-before",
    "permit_reminder_days": "days-before",
    "renewal_window_days": "days-before",
}
_STEPS = {"card": "second-steps.card", "totp": "second-steps.totp", "passkey": "second-steps.passkeys"}
_FIXED: Mapping[str, Mapping[str, object]] = {
    "ids": {},
    "pins": {},
    "provisional": {
        "length": PROVISIONAL_LENGTH,
        "digits": CODE_DIGITS,
        "minutes": int(CODE_LIFE.total_seconds()) // 60,
    },
    "card": {"positions": card.POSITIONS, "asked": card.ASKED},
    "totp": {"digits": TOTP_DIGITS, "passkeys": MOST_PASSKEYS},
    "session": {},
    "keys": {},
    "no-certificate": {"most": WAITING_AT_MOST},
    "four-eyes": {},
    "mail": {},
}


def rule_name(lang: messages.Language, name: str) -> str:
    """Return a rule's name in words."""
    return messages.text(lang, f"policy.rule.{name}.name")


def rule_why(lang: messages.Language, name: str) -> str:
    """Return what a rule is for."""
    return messages.text(lang, f"policy.rule.{name}.why")


def value_text(lang: messages.Language, name: str, value: Any) -> str:
    """Return what a rule is set to, from how it is stored."""
    if isinstance(value, bool):
        return messages.text(lang, "policy.on" if value else "policy.off")
    if name == SERVICE_HOURS:
        return _hours(lang, str(value))
    between = messages.text(lang, "policy.list")
    if name == SECOND_STEPS:
        return between.join(messages.text(lang, _STEPS[step]) for step in value)
    numbers = value if isinstance(value, list) else [value]
    return _with_unit(lang, name, between.join(map(str, numbers)), one=numbers == [1])


def bounds_text(lang: messages.Language, name: str) -> str:
    """Return what a rule may be set to."""
    if name in NUMBERS:
        rule = NUMBERS[name]
        return messages.text(
            lang, "policy.bounds", least=rule.least, most=_with_unit(lang, name, str(rule.most), one=False)
        )
    known = {SERVICE_HOURS: "policy.hours-bounds", SECOND_STEPS: "policy.steps-bounds"}
    return messages.text(lang, known.get(name, "policy.on-or-off"))


def entry_hint(lang: messages.Language, name: str, present: Any) -> str:
    """Return what stands beside the field for a rule: what it is for, how it is entered, what it is now and may be."""
    why, shown = rule_why(lang, name), value_text(lang, name, present)
    if name == SECOND_STEPS or isinstance(present, bool):
        return messages.text(lang, "policy.hint", why=why, present=shown)
    if name == SERVICE_HOURS:
        how = messages.text(lang, "policy.hours-hint")
        return messages.text(lang, "policy.hint", why=_joined(lang, why, how), present=shown)
    if NUMBERS[name].several:
        why = _joined(lang, why, messages.text(lang, "policy.several-hint"))
    return messages.text(lang, "policy.hint-bounds", why=why, present=shown, bounds=bounds_text(lang, name))


def fixed_rules(lang: messages.Language) -> list[tuple[str, str]]:
    """Return what no bank can change: pairs of a name and a value."""
    return [
        (
            messages.text(lang, f"policy.fixed-rule.{name}.name"),
            messages.text(lang, f"policy.fixed-rule.{name}.value", **values),
        )
        for name, values in _FIXED.items()
    ]


def installed_rules(lang: messages.Language, policy: Policy) -> list[tuple[str, str]]:
    """Return what the settings of the installation say: pairs of a name and a value."""
    values: dict[str, Any] = {"crl_shards": policy.crl_shards, "ocsp_nonce": policy.ocsp_nonce}
    return [
        (
            messages.text(lang, f"policy.fixed-rule.{name}.name"),
            value_text(lang, name, value) if isinstance(value, bool) else str(value),
        )
        for name, value in values.items()
    ]


def _joined(lang: messages.Language, *sentences: str) -> str:
    return ("" if lang == "ja" else " ").join(sentences)


def _with_unit(lang: messages.Language, name: str, numbers: str, *, one: bool) -> str:
    unit = _UNITS.get(name) or name.rsplit("_", 1)[1]
    return messages.text(lang, f"policy.unit.{unit}.{'one' if one else 'many'}", n=numbers)


def _hours(lang: messages.Language, text: str) -> str:
    hours = read_hours(text)
    if hours is None:
        return messages.text(lang, "policy.always")
    together: dict[str, list[str]] = {}
    for day, span in zip(DAYS, hours.spans, strict=True):
        shown = messages.text(lang, "policy.closed") if span is None else span.text
        together.setdefault(shown, []).append(messages.text(lang, f"policy.day-name.{day}"))
    days_of = messages.text(lang, "policy.days")
    return messages.text(lang, "policy.spans").join(f"{days_of.join(days)} {span}" for span, days in together.items())
