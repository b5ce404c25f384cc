"""What a bank may set for itself, with the defaults of docs/reference/policy.md."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sekisho.domain.certified_keys import KeyRules
from sekisho.domain.issuing_ca import FIRST_CAS, IssuingCa
from sekisho.domain.second_step import OF_THE_BANK, SecondStep
from sekisho.domain.secret import PinRules
from sekisho.domain.service_hours import ALWAYS, ServiceHours, read_hours

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sekisho.domain.person import Kind


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one bank. Durations are `timedelta`, counts plain numbers."""

    misses_before_closed: int = 7
    users_of_contract: int = 99
    certificate_life: timedelta = timedelta(days=365)
    acquisition_window: timedelta = timedelta(days=14)
    renewal_window: timedelta = timedelta(days=30)
    overlap: timedelta = timedelta(days=7)
    reminders: tuple[timedelta, ...] = (timedelta(days=30), timedelta(days=10), timedelta(days=3))
    permit_reminder: timedelta = timedelta(days=3)
    session_idle: timedelta = timedelta(minutes=15)
    session_life: timedelta = timedelta(hours=8)
    last_logons_shown: int = 3
    pin_age: timedelta = timedelta(days=90)
    grace: timedelta = timedelta(0)
    second_steps: frozenset[SecondStep] = frozenset(OF_THE_BANK)
    way_tegata: bool = True
    way_est: bool = True
    way_browser: bool = False
    crl_shards: int = 8
    ocsp_nonce: bool = True
    issuing_cas: tuple[IssuingCa, ...] = FIRST_CAS
    service_hours: ServiceHours | None = None
    renewal_without_pin: bool = False
    retention_years: int = 7
    pin_shortest: int = 6
    pin_longest: int = 12
    pins_remembered: int = 3
    key_p384: bool = True
    key_rsa: bool = True
    key_rsa_bits: int = 2048

    @property
    def pin_rules(self) -> PinRules:
        """How a new PIN has to be."""
        return PinRules(self.pin_shortest, self.pin_longest, self.pins_remembered)

    @property
    def key_rules(self) -> KeyRules:
        """Which keys are certified."""
        return KeyRules(p384=self.key_p384, rsa=self.key_rsa, rsa_bits=self.key_rsa_bits)

    def generation_for(self, kind: Kind) -> int:
        """Return the generation of the issuing CA that signs what is ordered now: the newest."""
        return max(ca.generation for ca in self.issuing_cas if ca.kind is kind)


SERVICE_HOURS = "service_hours"
SECOND_STEPS = "second_steps"
# The rules that are on or off and stand among the stored ones.
SWITCHES = ("renewal_without_pin", "key_p384", "key_rsa")
WAYS = ("way_tegata", "way_est", "way_browser")
LONGEST_CERTIFICATE_LIFE = timedelta(days=398)
LONGEST_ACQUISITION_WINDOW = timedelta(days=80)
_DAY, _HOUR, _MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that is a number: the field of `Policy`, its bounds, and the unit of a duration; None for a count.

    `several` is a rule of several numbers, the largest first.
    """

    field: str
    least: int
    most: int
    unit: timedelta | None = None
    several: bool = False

    @property
    def name(self) -> str:
        """The rule's name with its unit, as it is stored and set."""
        units = {_DAY: "_days", _HOUR: "_hours", _MINUTE: "_minutes", None: ""}
        return self.field + units[self.unit]

    def read(self, stored: int | Sequence[int]) -> object:
        """Return the value of the field. Raises `RuleOutOfBounds`."""
        numbers = [stored] if isinstance(stored, int) else list(stored)
        if not all(self.least <= number <= self.most for number in numbers) or not numbers:
            raise RuleOutOfBounds(self.name, f"must lie between {self.least} and {self.most}", "bounds")
        values = [number if self.unit is None else number * self.unit for number in numbers]
        return tuple(sorted(set(values), reverse=True)) if self.several else values[0]

    def write(self, policy: Policy) -> int | list[int]:
        """Return the rule of a policy as it is stored."""
        value = getattr(policy, self.field)
        values = [one if self.unit is None else one // self.unit for one in (value if self.several else [value])]
        return values if self.several else values[0]


class RuleOutOfBounds(ValueError):  # noqa: N818 - names what is the case
    """A rule was to be set to what it must not be; `rule` names it, the text says why, `code` which words say it."""

    def __init__(self, rule: str, why: str, code: str) -> None:
        super().__init__(f"{rule} {why}")
        self.rule = rule
        self.code = code


RULES = (
    Rule("misses_before_closed", 3, 10),
    Rule("users_of_contract", 1, 99),
    Rule("certificate_life", 30, LONGEST_CERTIFICATE_LIFE.days, _DAY),
    Rule("acquisition_window", 1, LONGEST_ACQUISITION_WINDOW.days, _DAY),
    Rule("renewal_window", 7, 90, _DAY),
    Rule("overlap", 1, 7, _DAY),
    Rule("grace", 0, 300, _DAY),
    Rule("reminders", 1, 90, _DAY, several=True),
    Rule("permit_reminder", 1, 30, _DAY),
    Rule("session_idle", 1, 60, _MINUTE),
    Rule("session_life", 1, 24, _HOUR),
    Rule("last_logons_shown", 1, 10),
    Rule("pin_age", 30, 365, _DAY),
    Rule("retention_years", 7, 30),
    # A PIN that the system draws has ten characters and fits whatever a bank sets.
    Rule("pin_shortest", 6, 10),
    Rule("pin_longest", 10, 32),
    Rule("pins_remembered", 3, 10),
    Rule("key_rsa_bits", 2048, 4096),
)


def with_rules(policy: Policy, stored: Mapping[str, Any]) -> Policy:
    """Return the policy with rules by their names set anew, each as `stored_rules` writes it.

    Raises `RuleOutOfBounds`, for rules that disagree with one another as well.
    """
    new = set_rules(policy, stored)
    if new.renewal_window >= new.certificate_life:
        raise RuleOutOfBounds("renewal_window_days", "must be shorter than the life of a certificate", "window")
    if max(new.reminders) > new.renewal_window:
        raise RuleOutOfBounds("reminders_days", "must not begin before the renewal window", "reminders")
    if new.session_idle > new.session_life:
        raise RuleOutOfBounds("session_idle_minutes", "must not be longer than a session", "idle")
    return new


def set_rules(policy: Policy, stored: Mapping[str, Any]) -> Policy:
    """Return the policy with rules set anew, whether they agree with one another or not. Raises `RuleOutOfBounds`."""
    changed: dict[str, Any] = {rule.field: rule.read(stored[rule.name]) for rule in RULES if rule.name in stored}
    changed |= {name: bool(stored[name]) for name in (*SWITCHES, *WAYS) if name in stored}
    if SECOND_STEPS in stored:
        changed[SECOND_STEPS] = frozenset(map(SecondStep, stored[SECOND_STEPS]))
        if not changed[SECOND_STEPS]:
            raise RuleOutOfBounds(SECOND_STEPS, "must be at least one", "steps")
    if SERVICE_HOURS in stored:
        try:
            changed[SERVICE_HOURS] = read_hours(str(stored[SERVICE_HOURS]))
        except ValueError as wrong:
            raise RuleOutOfBounds(SERVICE_HOURS, str(wrong), "hours") from wrong
    return replace(policy, **changed)


def as_installed(policy: Policy, installed: Policy) -> Policy:
    """Return the policy with what no bank decides: what the settings and the keys of the installation say."""
    return replace(
        policy,
        crl_shards=installed.crl_shards,
        ocsp_nonce=installed.ocsp_nonce,
        issuing_cas=installed.issuing_cas,
    )


def stored_rules(policy: Policy) -> dict[str, Any]:
    """Return every rule that a bank sets for itself, by its name: a number, numbers, on or off, names, or hours."""
    return {
        **{rule.name: rule.write(policy) for rule in RULES},
        SERVICE_HOURS: written_hours(policy),
        **{name: getattr(policy, name) for name in SWITCHES},
        SECOND_STEPS: [step.value for step in OF_THE_BANK if step in policy.second_steps],
        **{name: getattr(policy, name) for name in WAYS},
    }


def written_hours(policy: Policy) -> str:
    """Return a policy's service hours as they are stored."""
    return ALWAYS if policy.service_hours is None else policy.service_hours.text


def written(value: object) -> str:
    """Return what a rule is set to, as the audit log and the command line tell it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
