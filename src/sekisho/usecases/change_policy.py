"""An operator of the machine changes what a bank has set for itself; where two people do that, in an emergency only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sekisho.domain.errors import PolicyByTwo
from sekisho.domain.policy import SECOND_STEPS, WAYS, stored_rules, written
from sekisho.domain.policy_changes import Decision, changed_rules
from sekisho.domain.second_step import OF_THE_BANK, SecondStep
from sekisho.store import audit, policies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from sekisho.domain.policy import Policy
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports

_TWO = 2


class CommandNotAllowed(Exception):  # noqa: N818 - names what is the case
    """This process has no right to change a bank's rules alone."""


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """What is to be different; None leaves a rule as it is.

    `rules` are the others of `with_rules`, by their names.
    """

    second_steps: frozenset[SecondStep] | None = None
    way_tegata: bool | None = None
    way_est: bool | None = None
    way_browser: bool | None = None
    rules: Mapping[str, int | Sequence[int] | str] = field(default_factory=dict)

    @property
    def wanted(self) -> dict[str, Any]:
        """Every rule that is to be different, by its name and as it is stored."""
        wanted: dict[str, Any] = {name: on for name in WAYS if (on := getattr(self, name)) is not None}
        if self.second_steps is not None:
            wanted[SECOND_STEPS] = [step.value for step in OF_THE_BANK if step in self.second_steps]
        return {**self.rules, **wanted}


@dataclass(frozen=True, slots=True)
class Changed:
    """The policy as it is now, and rules that were just set and change again: what was approved for later stays."""

    policy: Policy
    coming: Mapping[str, Decision]


def change_policy(
    ports: Ports, *, bank: str, change: PolicyChange, actor: Actor, emergency: str | None = None
) -> Changed:
    """Change it at once, with one audit row that names each rule as it was and as it is.

    What is set already is no change and leaves no row. Raises
    `RuleOutOfBounds`, and then nothing is changed; and `PolicyByTwo` where
    two people of the bank can change the rules and `emergency` does not say
    why they were not waited for. Raises `CommandNotAllowed` in the sites' role.
    """
    now = ports.now()

    def apply(tx: Connection) -> Changed:
        policies.hold(tx, bank)
        before = policies.timeline(tx, bank)
        present = before.at(now)
        rules = changed_rules(present, change.wanted)
        if not rules:
            return Changed(present, {})
        if emergency is None and policies.keepers(tx, bank, now) >= _TWO:
            raise PolicyByTwo
        if not policies.may_command(tx):
            raise CommandNotAllowed("run sekisho policy set as the role that owns the tables")
        after = before.with_decision(Decision(now, rules, decided_at=now))
        after.check(now)
        was = {name: stored_rules(present)[name] for name in rules}
        policies.add_command(tx, bank, rules=rules, was=was, by=actor.name, now=now, emergency=emergency)
        told = told_changes(rules, was) | ({} if emergency is None else {"emergency": emergency})
        audit.add_of_bank(tx, "policy-changed", actor, at=now, bank=bank, **told)
        coming = after.coming(now)
        return Changed(after.at(now), {name: coming[name] for name in rules if name in coming})

    return ports.db.write(apply)


def told_changes(rules: Mapping[str, Any], was: Mapping[str, Any]) -> dict[str, Any]:
    """Return each rule as the audit log tells it: what it was and what it is to be."""
    return {name: f"{written(was[name])} > {written(value)}" for name, value in rules.items()}
