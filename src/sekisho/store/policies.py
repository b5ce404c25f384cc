"""What was decided about a bank's rules: proposals with their approvals, commands, and what follows from them.

Triggers keep four eyes: nothing that a colleague did not approve counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, text, update

from sekisho.domain.policy_changes import Approval, Decision, Ending, Proposal, ProposalState, Timeline
from sekisho.domain.request_forms import Hand
from sekisho.domain.staff import Role
from sekisho.store import banks as bank_store
from sekisho.store.tables import banks, policy_approvals, policy_commands, staff, staff_certificates, staff_roles
from sekisho.store.tables import policy_proposals as t

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

_PROPOSER, _APPROVER, _ENDER = staff.alias("proposer"), staff.alias("approver"), staff.alias("ender")


def version(tx: Connection, bank: str) -> int:
    """Return how often something was decided about the bank's rules: the same number, the same timeline."""
    return int(tx.scalars(select(banks.c.policy_version).where(banks.c.code == bank)).one())


def hold(tx: Connection, bank: str) -> None:
    """Keep others from deciding about the bank's rules until `tx` has ended; SQLite has one writer and needs no lock.

    Rows that only name the bank can be added meanwhile.
    """
    if tx.dialect.name == "postgresql":
        tx.execute(select(banks.c.code).where(banks.c.code == bank).with_for_update(key_share=True))


def timeline(tx: Connection, bank: str) -> Timeline:
    """Return the policy that the bank began with and all that was decided since."""
    of = policy_commands.c
    commands = tx.execute(select(policy_commands).where(of.bank == bank).order_by(of.id))
    decisions = [Decision(row.set_at, row.rules, (row.set_by,), row.set_at, None, row.emergency) for row in commands]
    approved = _select().where(t.c.bank == bank, t.c.ended_at.is_(None), policy_approvals.c.approved_at.is_not(None))
    for row in tx.execute(approved.order_by(t.c.id)):
        by = (f"staff:{row.proposer}", f"staff:{row.approver}")
        decisions.append(Decision(row.approved_from, row.rules, by, row.approved_at, row.id))
    decisions.sort(key=lambda one: (one.holds_from, one.decided_at))
    return Timeline(bank_store.first_policy(tx, bank), tuple(decisions))


def add_command(
    tx: Connection,
    bank: str,
    *,
    rules: Mapping[str, Any],
    was: Mapping[str, Any],
    by: str,
    now: datetime,
    emergency: str | None,
) -> None:
    """Write down that a command changed rules. Whoever asks holds them."""
    tx.execute(
        insert(policy_commands).values(
            bank=bank, rules=dict(rules), was=dict(was), set_by=by, set_at=now, emergency=emergency
        )
    )
    _count(tx, bank)


def propose(
    tx: Connection,
    bank: str,
    *,
    rules: Mapping[str, Any],
    was: Mapping[str, Any],
    holds_from: datetime | None,
    reason: str,
    hand: Hand,
    now: datetime,
) -> int:
    """Write a proposal down and return its row. Whoever asks holds the bank's rules."""
    row = tx.execute(
        insert(t)
        .values(
            bank=bank,
            rules=dict(rules),
            was=dict(was),
            holds_from=holds_from,
            reason=reason,
            proposed_by_id=hand.staff,
            proposed_with_id=hand.certificate_id,
            proposed_at=now,
        )
        .returning(t.c.id)
    ).one()
    proposal_id: int = row.id
    return proposal_id


def find(tx: Connection, bank: str, proposal_id: int) -> Proposal | None:
    """Return the bank's proposal of that row, or None."""
    row = tx.execute(_select().where(t.c.bank == bank, t.c.id == proposal_id)).one_or_none()
    return None if row is None else _proposal(row)


def listed(tx: Connection, bank: str, *, before: int | None = None, most: int) -> list[Proposal]:
    """Return the bank's proposals, the newest first, from before a row on."""
    query = _select().where(t.c.bank == bank).order_by(t.c.id.desc()).limit(most)
    if before is not None:
        query = query.where(t.c.id < before)
    return [_proposal(row) for row in tx.execute(query)]


def waiting(tx: Connection, bank: str) -> list[Proposal]:
    """Return what nobody has decided yet, the oldest first."""
    undecided = _select().where(t.c.bank == bank, t.c.ended_at.is_(None), policy_approvals.c.approved_at.is_(None))
    return [_proposal(row) for row in tx.execute(undecided.order_by(t.c.id))]


def approve(
    tx: Connection, proposal: Proposal, hand: Hand, role_id: int, *, now: datetime, holds_from: datetime
) -> None:
    """Write down who approves, in which role, and from when the rules hold. Whoever asks holds them."""
    tx.execute(
        insert(policy_approvals).values(
            proposal_id=proposal.id,
            approved_by_id=hand.staff,
            approved_with_id=hand.certificate_id,
            role_id=role_id,
            approved_at=now,
            holds_from=holds_from,
        )
    )
    _count(tx, proposal.bank)


def end(
    tx: Connection, proposal: Proposal, ending: ProposalState, *, by: int, now: datetime, reason: str | None
) -> None:
    """Write down that nothing comes of a proposal. Whoever asks holds the bank's rules."""
    tx.execute(
        update(t)
        .where(t.c.id == proposal.id)
        .values(ended=ending.value, ended_by_id=by, ended_at=now, ended_reason=reason)
    )
    _count(tx, proposal.bank)


def may_command(tx: Connection) -> bool:
    """Tell whether whoever uses this connection may write a command down: in PostgreSQL the tables' owner."""
    if tx.dialect.name != "postgresql":
        return True
    return bool(tx.scalar(text("SELECT has_table_privilege('policy_commands', 'INSERT')")))


def keepers(tx: Connection, bank: str, now: datetime) -> int:
    """Return how many people could change the bank's rules together now: not shut out, with a certificate in force."""
    certificate = staff_certificates.c
    certified = select(certificate.id).where(
        certificate.holder_id == staff.c.id,
        certificate.ended_at.is_(None),
        certificate.not_before <= now,
        certificate.not_after > now,
    )
    held = (
        select(staff.c.id)
        .join(staff_roles, staff_roles.c.holder_id == staff.c.id)
        .where(
            staff.c.bank == bank,
            staff.c.ended_at.is_(None),
            staff.c.closed_at.is_(None),
            staff_roles.c.role == Role.KEEPER.value,
            staff_roles.c.withdrawn_at.is_(None),
            certified.exists(),
        )
    )
    return len(set(tx.scalars(held)))


def _count(tx: Connection, bank: str) -> None:
    """Let every process see that something was decided."""
    tx.execute(update(banks).where(banks.c.code == bank).values(policy_version=banks.c.policy_version + 1))


def _select() -> Select[Any]:
    approval = policy_approvals.c
    return (
        select(
            t,
            approval.approved_at,
            approval.holds_from.label("approved_from"),
            _PROPOSER.c.staff_id.label("proposer"),
            _APPROVER.c.staff_id.label("approver"),
            _ENDER.c.staff_id.label("ender"),
        )
        .join(_PROPOSER, _PROPOSER.c.id == t.c.proposed_by_id)
        .outerjoin(policy_approvals, approval.proposal_id == t.c.id)
        .outerjoin(_APPROVER, _APPROVER.c.id == approval.approved_by_id)
        .outerjoin(_ENDER, _ENDER.c.id == t.c.ended_by_id)
    )


def _proposal(row: Row[Any]) -> Proposal:
    approved = None if row.approved_at is None else Approval(row.approver, row.approved_at, row.approved_from)
    ended = None
    if row.ended_at is not None:
        ended = Ending(ProposalState(row.ended), row.ender, row.ended_at, row.ended_reason or "")
    return Proposal(
        id=row.id,
        bank=row.bank,
        rules=row.rules,
        was=row.was,
        holds_from=row.holds_from,
        reason=row.reason,
        proposed_by=row.proposer,
        hand=Hand(row.proposed_by_id, row.proposed_with_id),
        proposed_at=row.proposed_at,
        approval=approved,
        ending=ended,
    )
