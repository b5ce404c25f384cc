"""An operator changes what a bank has set for itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sekisho.domain.policy import RULES, SERVICE_HOURS, SWITCHES, with_rules, written_hours
from sekisho.domain.second_step import SecondStep
from sekisho.store import audit, banks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from sekisho.domain.policy import Policy
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """What is to be different; None leaves a rule as it is.

    `rules` are those of `with_rules`, by their names.
    """

    second_steps: frozenset[SecondStep] | None = None
    way_tegata: bool | None = None
    way_est: bool | None = None
    way_browser: bool | None = None
    rules: Mapping[str, int | Sequence[int] | str] = field(default_factory=dict)


def stored_rules(policy: Policy) -> dict[str, Any]:
    """Return every rule that a bank sets for itself, by its name."""
    numbers = {rule.name: rule.write(policy) for rule in RULES}
    return {
        **numbers,
        SERVICE_HOURS: written_hours(policy),
        **{name: getattr(policy, name) for name in SWITCHES},
        "second_steps": [step.value for step in SecondStep if step in policy.second_steps],
        "way_tegata": policy.way_tegata,
        "way_est": policy.way_est,
        "way_browser": policy.way_browser,
    }


def change_policy(ports: Ports, *, bank: str, change: PolicyChange, actor: Actor) -> Policy:
    """Change it, with one audit row that names each rule as it was and as it is; return the policy.

    What is set already is no change and leaves no row. Raises
    `RuleOutOfBounds`, and then nothing is changed.
    """
    now = ports.now()
    chosen = ("second_steps", "way_tegata", "way_est", "way_browser")
    wanted = {name: getattr(change, name) for name in chosen if getattr(change, name) is not None}

    def apply(tx: Connection) -> Policy:
        present = banks.hold_policy(tx, bank)
        policy = with_rules(replace(present, **wanted), change.rules)
        was, new = stored_rules(present), stored_rules(policy)
        changed = {name: value for name, value in new.items() if was[name] != value}
        if changed:
            banks.set_policy(tx, bank, policy)
            told: dict[str, Any] = {name: f"{_shown(was[name])} > {_shown(value)}" for name, value in changed.items()}
            audit.add(tx, "policy-changed", actor, at=now, **told)
        return policy

    return ports.db.write(apply)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
