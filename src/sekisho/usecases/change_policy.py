"""An operator changes what a bank has set for itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sekisho.domain.second_step import SecondStep
from sekisho.store import audit, banks

if TYPE_CHECKING:
    from datetime import timedelta

    from sqlalchemy import Connection

    from sekisho.domain.policy import Policy
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """What is to be different; None leaves a rule as it is."""

    grace: timedelta | None = None
    second_steps: frozenset[SecondStep] | None = None
    way_tegata: bool | None = None
    way_est: bool | None = None
    way_browser: bool | None = None


def stored_rules(policy: Policy) -> dict[str, str | int | bool]:
    """Return the rules that are stored for each bank, by the names of their columns."""
    return {
        "grace_days": policy.grace.days,
        "second_steps": ",".join(step for step in SecondStep if step in policy.second_steps),
        "way_tegata": policy.way_tegata,
        "way_est": policy.way_est,
        "way_browser": policy.way_browser,
    }


def change_policy(ports: Ports, *, bank: str, change: PolicyChange, actor: Actor) -> Policy:
    """Change it, with one audit row that names each rule as it was and as it is; return the policy.

    What is set already is no change and leaves no row.
    """
    now = ports.now()
    wanted = {
        name: getattr(change, name) for name in PolicyChange.__dataclass_fields__ if getattr(change, name) is not None
    }

    def apply(tx: Connection) -> Policy:
        present = banks.hold_policy(tx, bank)
        policy = replace(present, **wanted)
        was, new = stored_rules(present), stored_rules(policy)
        changed = {name: value for name, value in new.items() if was[name] != value}
        if changed:
            banks.set_rules(tx, bank, changed)
            told: dict[str, Any] = {name: f"{_shown(was[name])} > {_shown(value)}" for name, value in changed.items()}
            audit.add(tx, "policy-changed", actor, at=now, **told)
        return policy

    return ports.db.write(apply)


def _shown(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
