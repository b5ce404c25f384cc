"""Rules and proposals in the words of the screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.policy import Policy, stored_rules
from sekisho.web import messages
from sekisho.web.policy_words import GROUPS, bounds_text, rule_name, rule_why, value_text

if TYPE_CHECKING:
    from datetime import datetime

    from sekisho.domain.policy_changes import Decision, Proposal
    from sekisho.usecases.read_policy import RulesOfBank

_STAFF = "staff:"


@dataclass(frozen=True, slots=True)
class ShownDecision:
    """What made a rule what it is, or will: since when, what it is then, and who decided."""

    at: datetime
    value: str
    who: str
    proposal: int | None
    emergency: str | None


@dataclass(frozen=True, slots=True)
class ShownRule:
    """One rule."""

    name: str
    label: str
    why: str
    present: str
    default: str
    allowed: str
    last: ShownDecision | None
    coming: ShownDecision | None


@dataclass(frozen=True, slots=True)
class ShownGroup:
    """Rules that are proposed together."""

    name: str
    rules: list[ShownRule]


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One rule of a proposal: what it was then, and what it is to be."""

    name: str
    label: str
    was: str
    value: str


@dataclass(frozen=True, slots=True)
class ShownProposal:
    """A proposal. `holds_from` is the day that was named, and since its approval the moment itself."""

    number: int
    state: str
    changes: list[ShownChange]
    reason: str
    proposed_by: str
    proposed_at: datetime
    holds_from: datetime | None
    approved_by: str | None
    approved_at: datetime | None
    ended_by: str | None
    ended_at: datetime | None
    ended_reason: str | None


def shown_groups(lang: messages.Language, found: RulesOfBank) -> list[ShownGroup]:
    """Return every rule that the bank sets, in groups."""
    usual = stored_rules(Policy())

    def rule(name: str) -> ShownRule:
        last, coming = found.last.get(name), found.coming.get(name)
        return ShownRule(
            name=name,
            label=rule_name(lang, name),
            why=rule_why(lang, name),
            present=value_text(lang, name, found.present[name]),
            default=value_text(lang, name, usual[name]),
            allowed=bounds_text(lang, name),
            last=None if last is None else _decision(lang, name, last),
            coming=None if coming is None else _decision(lang, name, coming),
        )

    return [ShownGroup(group, [rule(name) for name in names]) for group, names in GROUPS.items()]


def shown_proposal(lang: messages.Language, proposal: Proposal, now: datetime) -> ShownProposal:
    """Return a proposal, its rules in the order in which they are stored."""
    approval, ending = proposal.approval, proposal.ending
    names = [name for name in stored_rules(Policy()) if name in proposal.rules]
    return ShownProposal(
        number=proposal.id,
        state=proposal.state(now).value,
        changes=[
            ShownChange(
                name,
                rule_name(lang, name),
                value_text(lang, name, proposal.was[name]),
                value_text(lang, name, proposal.rules[name]),
            )
            for name in names
        ],
        reason=proposal.reason,
        proposed_by=proposal.proposed_by,
        proposed_at=proposal.proposed_at,
        holds_from=proposal.holds_from if approval is None else approval.holds_from,
        approved_by=None if approval is None else approval.by,
        approved_at=None if approval is None else approval.at,
        ended_by=None if ending is None else ending.by,
        ended_at=None if ending is None else ending.at,
        ended_reason=None if ending is None else ending.reason,
    )


def _decision(lang: messages.Language, name: str, decision: Decision) -> ShownDecision:
    people = [one.removeprefix(_STAFF) for one in decision.by]
    if decision.proposal is None:
        who = messages.text(lang, "policy.by-command", who=people[0])
    else:
        who = messages.text(lang, "policy.by-two", proposer=people[0], approver=people[1])
    value = value_text(lang, name, decision.rules[name])
    return ShownDecision(decision.holds_from, value, who, decision.proposal, decision.emergency)
