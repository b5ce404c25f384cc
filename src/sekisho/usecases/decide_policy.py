"""A proposal to change a bank's rules is decided: approved or refused by another, withdrawn by whoever proposed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sekisho.domain.entries import name_problem, one_line
from sekisho.domain.errors import ProposalOutdated, ProposalUnknown, RoleMissing, RulesNotAllowed
from sekisho.domain.policy import stored_rules
from sekisho.domain.policy_changes import ENDS, Proposal, ProposalState, ProposalStep
from sekisho.domain.request_forms import Hand
from sekisho.domain.staff import Role
from sekisho.store import audit, policies
from sekisho.usecases.change_policy import told_changes
from sekisho.usecases.enter_console import present_staff
from sekisho.usecases.propose_policy import LONGEST_REASON, check_agreement

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.staff import Grant, Staff
    from sekisho.store.audit import Actor
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports

_MOST_DIGITS = 18  # 64 bits


def decide_policy(ports: Ports, *, at_work: AtWork, number: str, step: ProposalStep, reason: str = "") -> ProposalState:
    """Do one step, and return where the proposal stands then. Whoever comes second is told so.

    Raises `ProposalUnknown`, `RoleMissing`, `ProposalDecided`, `ProposalOwn`;
    `RulesNotAllowed` where a reason is missing, or where the rules agree no
    more; and `ProposalOutdated` where a rule was changed since by a command.
    """
    now = ports.now()
    why = None if step is ProposalStep.APPROVE else one_line(reason)

    def decide(tx: Connection) -> ProposalState:
        staff, hand = present_staff(tx, at_work)
        staff.require(Role.KEEPER)
        policies.hold(tx, staff.bank)
        proposal = find_proposal(tx, staff.bank, number)
        grant = _as_keeper(staff)
        hand = Hand(hand.staff, hand.certificate_id, grant.granted_by_id)
        proposal.check_step(step, hand, now)
        if step is ProposalStep.APPROVE:
            return _approve(tx, proposal, hand, grant.id, at_work.actor, now)
        if why is not None and (problem := name_problem(why, LONGEST_REASON)):
            raise RulesNotAllowed(fields={"reason": problem})
        ending = ENDS[step]
        policies.end(tx, proposal, ending, by=hand.staff, now=now, reason=why)
        _write_down(tx, proposal, f"policy-{ending.value}", at_work.actor, now, reason=why)
        return ending

    return ports.db.write(decide)


def find_proposal(tx: Connection, bank: str, number: str) -> Proposal:
    """Return the bank's proposal of that number. Raises `ProposalUnknown`."""
    is_number = number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS
    proposal = policies.find(tx, bank, int(number)) if is_number else None
    if proposal is None:
        raise ProposalUnknown
    return proposal


def _approve(
    tx: Connection, proposal: Proposal, hand: Hand, role_id: int, actor: Actor, now: datetime
) -> ProposalState:
    timeline = policies.timeline(tx, proposal.bank)
    present = stored_rules(timeline.at(now))
    if any(present[name] != value for name, value in proposal.was.items()):
        raise ProposalOutdated
    holds_from = now if proposal.holds_from is None else max(now, proposal.holds_from)
    check_agreement(timeline, proposal.rules, holds_from, now)
    policies.approve(tx, proposal, hand, role_id, now=now, holds_from=holds_from)
    _write_down(tx, proposal, "policy-approved", actor, now, holds_from=holds_from.isoformat())
    return ProposalState.APPROVED if now < holds_from else ProposalState.IN_FORCE


def _write_down(tx: Connection, proposal: Proposal, action: str, actor: Actor, now: datetime, **detail: Any) -> None:
    told = told_changes(proposal.rules, proposal.was)
    audit.add_of_bank(tx, action, actor, at=now, bank=proposal.bank, proposal=proposal.id, **detail, **told)


def _as_keeper(staff: Staff) -> Grant:
    for grant in staff.grants:
        if grant.role is Role.KEEPER:
            return grant
    raise RoleMissing
