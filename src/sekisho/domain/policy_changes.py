"""How a bank's rules change: proposed by one of its people, approved by another, each change from a moment on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sekisho.domain.errors import ProposalDecided, ProposalOwn, RoleMissing
from sekisho.domain.policy import set_rules, stored_rules, with_rules
from sekisho.domain.service_hours import JAPAN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sekisho.domain.policy import Policy
    from sekisho.domain.request_forms import Hand

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Decision:
    """Rules that were decided, by their stored names, with the moment from which they hold.

    `by` are those who decided: one name for a command, and for a proposal
    who proposed it and who approved. `proposal` is its row, None for a
    command, of which `emergency` tells why two people could not be waited for.
    """

    holds_from: datetime
    rules: Mapping[str, Any]
    by: tuple[str, ...] = ()
    decided_at: datetime = EARLIEST
    proposal: int | None = None
    emergency: str | None = None

    def holds(self, now: datetime) -> bool:
        """Tell whether it is in force. What was decided for at once is, also by a clock that is behind."""
        return self.holds_from <= max(now, self.decided_at)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The policy that a bank began with, and what was decided since, in the order in which it comes into force."""

    first: Policy
    decisions: tuple[Decision, ...] = ()

    def at(self, now: datetime) -> Policy:
        """Return the policy in force. Raises `RuleOutOfBounds` where the rules disagree, which `check` keeps away."""
        rules: dict[str, Any] = {}
        for decision in self.decisions:
            if decision.holds(now):
                rules |= decision.rules
        return with_rules(self.first, rules)

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Return since when the policy at `now` is in force, and until when: the next change that was decided."""
        moments = [one.holds_from for one in self.decisions if one.holds_from > one.decided_at]
        since = max((at for at in moments if at <= now), default=EARLIEST)
        return since, min((at for at in moments if at > now), default=LATEST)

    def coming(self, now: datetime) -> dict[str, Decision]:
        """Return by rule what was decided and holds from later on, the nearest of each."""
        later = [decision for decision in reversed(self.decisions) if not decision.holds(now)]
        return {name: decision for decision in later for name in decision.rules}

    def last(self, now: datetime) -> dict[str, Decision]:
        """Return by rule which decision made it what it is; a rule that nobody changed has none."""
        return {name: one for one in self.decisions if one.holds(now) for name in one.rules}

    def with_decision(self, decision: Decision) -> Timeline:
        """Return it with one decision more: of two for the same moment the one that was made later counts."""
        return replace(self, decisions=tuple(sorted((*self.decisions, decision), key=lambda one: one.holds_from)))

    def check(self, now: datetime) -> None:
        """Raise `RuleOutOfBounds` where, from `now` on, rules would disagree at any time."""
        for moment in {now, *(one.holds_from for one in self.decisions if not one.holds(now))}:
            self.at(moment)


class ProposalState(StrEnum):
    """Where a proposal stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    IN_FORCE = "in-force"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"
    CALLED_OFF = "called-off"


class ProposalStep(StrEnum):
    """What is done to a proposal. One can stop a change; only two can make one."""

    APPROVE = "approve"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    CALL_OFF = "call-off"


ENDS = {
    ProposalStep.REFUSE: ProposalState.REFUSED,
    ProposalStep.WITHDRAW: ProposalState.WITHDRAWN,
    ProposalStep.CALL_OFF: ProposalState.CALLED_OFF,
}


@dataclass(frozen=True, slots=True)
class Approval:
    """Who approved a proposal and when, and the moment from which it holds."""

    by: str
    at: datetime
    holds_from: datetime


@dataclass(frozen=True, slots=True)
class Ending:
    """How a proposal ended without a change: as `ProposalState`, with who ended it, when and why."""

    state: ProposalState
    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change of rules that somebody proposes.

    `rules` are the new values by name, `was` what each was then. `holds_from`
    is the beginning of the day that was named, None for the moment of the
    approval. `proposed_by` is a staff ID, `hand` the person with the
    certificate that they were logged on with.
    """

    id: int
    bank: str
    rules: Mapping[str, Any]
    was: Mapping[str, Any]
    holds_from: datetime | None
    reason: str
    proposed_by: str
    hand: Hand
    proposed_at: datetime
    approval: Approval | None = None
    ending: Ending | None = field(default=None)

    def state(self, now: datetime) -> ProposalState:
        """Return where it stands at `now`."""
        if self.ending is not None:
            return self.ending.state
        if self.approval is None:
            return ProposalState.PROPOSED
        in_force = self.approval.holds_from <= max(now, self.approval.at)
        return ProposalState.IN_FORCE if in_force else ProposalState.APPROVED

    def steps(self, staff: int, now: datetime) -> tuple[ProposalStep, ...]:
        """Return what one of the bank's people can do with it, as far as it is known who they are."""
        state = self.state(now)
        if state is ProposalState.PROPOSED:
            if staff == self.hand.staff:
                return (ProposalStep.WITHDRAW,)
            return (ProposalStep.APPROVE, ProposalStep.REFUSE)
        return (ProposalStep.CALL_OFF,) if state is ProposalState.APPROVED else ()

    def check_step(self, step: ProposalStep, hand: Hand, now: datetime) -> None:
        """Raise why a step is not theirs, or not to be done now: `ProposalDecided`, `ProposalOwn`, `RoleMissing`."""
        wanted = ProposalState.APPROVED if step is ProposalStep.CALL_OFF else ProposalState.PROPOSED
        if self.state(now) is not wanted:
            raise ProposalDecided
        same = hand.staff == self.hand.staff
        if step is ProposalStep.WITHDRAW and not same:
            raise RoleMissing
        if step is ProposalStep.REFUSE and same:
            raise ProposalOwn
        if step is ProposalStep.APPROVE and (
            same or hand.certificate_id == self.hand.certificate_id or hand.granted_by == self.hand.staff
        ):
            raise ProposalOwn


def changed_rules(present: Policy, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return those rules of `wanted` that are not so already, in the form and order in which they are stored.

    Raises `RuleOutOfBounds` for a value that its rule cannot have. Whether
    the rules agree is for `Timeline.check` to tell.
    """
    was, new = stored_rules(present), stored_rules(set_rules(present, wanted))
    return {name: value for name, value in new.items() if was[name] != value}


def day_begins(day: date) -> datetime:
    """Return the moment at which a day begins in Japan."""
    return datetime.combine(day, time(), JAPAN)
