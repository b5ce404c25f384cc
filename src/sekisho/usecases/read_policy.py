"""The bank's people read its rules: what is in force, what comes, who decided it, what is proposed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sekisho.domain.policy import stored_rules
from sekisho.store import policies
from sekisho.usecases.decide_policy import find_proposal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sekisho.domain.policy_changes import Decision, Proposal
    from sekisho.domain.staff import Staff
    from sekisho.usecases.ports import Ports

_MOST = 20


@dataclass(frozen=True, slots=True)
class RulesOfBank:
    """Every rule that a bank sets, by its name.

    `last` is what made it what it is, where anybody changed it, `coming` what
    was approved and holds from later on. `proposals` are the latest first,
    those that wait among them, and `older` tells where to go on.
    """

    present: Mapping[str, Any]
    last: Mapping[str, Decision]
    coming: Mapping[str, Decision]
    waiting: Sequence[Proposal]
    proposals: Sequence[Proposal]
    older: int | None


def read_rules(ports: Ports, *, staff: Staff, before: int | None = None) -> RulesOfBank:
    """Return the rules of the bank, and the proposals from before one of them on."""
    now = ports.now()
    with ports.db.read() as tx:
        timeline = policies.timeline(tx, staff.bank)
        waiting = policies.waiting(tx, staff.bank)
        found = policies.listed(tx, staff.bank, before=before, most=_MOST + 1)
    return RulesOfBank(
        present=stored_rules(timeline.at(now)),
        last=timeline.last(now),
        coming=timeline.coming(now),
        waiting=waiting,
        proposals=found[:_MOST],
        older=found[_MOST - 1].id if len(found) > _MOST else None,
    )


def read_proposal(ports: Ports, *, staff: Staff, number: str) -> tuple[Proposal, Mapping[str, Any]]:
    """Return one proposal, with every rule as it is in force now. Raises `ProposalUnknown`."""
    now = ports.now()
    with ports.db.read() as tx:
        proposal = find_proposal(tx, staff.bank, number)
        return proposal, stored_rules(policies.timeline(tx, staff.bank).at(now))
