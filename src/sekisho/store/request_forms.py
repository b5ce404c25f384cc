"""Request forms and their approvals. Triggers keep four eyes: no row says approved that nobody else approved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, case, func, insert, literal, select, update

from sekisho.domain.person import PersonId
from sekisho.domain.request_forms import ENDED, FormKind, FormState, Hand, RequestForm
from sekisho.store.tables import form_approvals, people
from sekisho.store.tables import request_forms as t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

    from sekisho.domain.staff import Staff

# Written out, not bound: only so does SQLite see that the small index of these states answers it.
_WAITING = t.c.state.not_in(
    bindparam("ended", [state.value for state in sorted(ENDED)], expanding=True, literal_execute=True)
)


def file(
    tx: Connection,
    kind: FormKind,
    *,
    bank: str,
    branch: str | None,
    contract_id: str | None,
    user_id: str | None,
    detail: Mapping[str, str],
    now: datetime,
    entered: Hand | None = None,
    filed_by_id: int | None = None,
) -> int:
    """File a form and return its row: received by `entered` at the counter, or filed on screen by a person."""
    row = tx.execute(
        insert(t)
        .values(
            bank=bank,
            kind=kind.value,
            state=(FormState.FILED if entered is None else FormState.RECEIVED).value,
            branch=branch,
            contract_id=contract_id,
            user_id=user_id,
            detail=dict(detail),
            filed_at=now,
            moved_at=now,
            filed_by_id=filed_by_id,
            entered_by_id=None if entered is None else entered.staff,
            entered_with_id=None if entered is None else entered.certificate_id,
        )
        .returning(t.c.id)
    ).one()
    form_id: int = row.id
    return form_id


def lock(tx: Connection, form_id: int) -> None:
    """Keep others from moving it until the end of `tx`; SQLite has one writer and needs no lock."""
    if tx.dialect.name == "postgresql":
        tx.execute(select(t.c.id).where(t.c.id == form_id).with_for_update())


def find(tx: Connection, form_id: int) -> RequestForm | None:
    """Return the form of that row, or None."""
    row = tx.execute(_select().where(t.c.id == form_id)).one_or_none()
    return None if row is None else _form(row)


def of_contract(tx: Connection, bank: str, contract_id: str, *, most: int) -> list[RequestForm]:
    """Return a contract's forms, the newest first."""
    query = _select().where(t.c.bank == bank, t.c.contract_id == contract_id).order_by(t.c.id.desc()).limit(most)
    return [_form(row) for row in tx.execute(query)]


def waiting(tx: Connection, staff: Staff, *, after: int = 0, most: int) -> list[RequestForm]:
    """Return what has not ended and is theirs to see, the oldest first, from after a row on."""
    query = _select().where(_WAITING, t.c.bank == staff.bank, t.c.id > after).order_by(t.c.id).limit(most)
    if staff.branch is not None:
        query = query.where(t.c.branch == staff.branch)
    return [_form(row) for row in tx.execute(query)]


def ages(tx: Connection, staff: Staff, before: Sequence[datetime]) -> list[tuple[FormState, int, int]]:
    """Count what has not ended and is theirs to see: state, how many moments of `before` it was filed by, how many."""
    age = sum((case((t.c.filed_at <= moment, 1), else_=0) for moment in before), literal(0)).label("age")
    query = select(t.c.state, age, func.count().label("number")).where(_WAITING, t.c.bank == staff.bank)
    if staff.branch is not None:
        query = query.where(t.c.branch == staff.branch)
    return [(FormState(row.state), row.age, row.number) for row in tx.execute(query.group_by(t.c.state, age))]


def move(
    tx: Connection,
    form: RequestForm,
    state: FormState,
    *,
    now: datetime,
    entered: Hand | None = None,
    seal_checked: Hand | None = None,
    reason: str | None = None,
    contract_id: str | None = None,
) -> None:
    """Move a form on. Whoever asks holds it."""
    values: dict[str, Any] = {"state": state.value, "moved_at": now}
    if entered is not None:
        values |= {"entered_by_id": entered.staff, "entered_with_id": entered.certificate_id}
    if seal_checked is not None:
        values |= {"seal_checked_by_id": seal_checked.staff, "seal_checked_with_id": seal_checked.certificate_id}
    if reason is not None:
        values["reason"] = reason
    if contract_id is not None:
        values["contract_id"] = contract_id
    tx.execute(update(t).where(t.c.id == form.id).values(values))


def approve(tx: Connection, form: RequestForm, hand: Hand, role_id: int, now: datetime) -> None:
    """Write down who approves, in which role."""
    tx.execute(
        insert(form_approvals).values(
            form_id=form.id,
            approved_by_id=hand.staff,
            approved_with_id=hand.certificate_id,
            role_id=role_id,
            approved_at=now,
        )
    )


def _select() -> Select[Any]:
    return select(t, people.c.contract_id.label("filed_contract"), people.c.user_id.label("filed_user")).outerjoin(
        people, people.c.id == t.c.filed_by_id
    )


def _form(row: Row[Any]) -> RequestForm:
    online = None if row.filed_by_id is None else PersonId(row.bank, row.filed_contract, row.filed_user)
    return RequestForm(
        id=row.id,
        bank=row.bank,
        kind=FormKind(row.kind),
        state=FormState(row.state),
        branch=row.branch,
        contract_id=row.contract_id,
        user_id=row.user_id,
        detail=row.detail,
        filed_at=row.filed_at,
        filed_online_by=online,
        entered=_hand(row.entered_by_id, row.entered_with_id),
        seal_checked=_hand(row.seal_checked_by_id, row.seal_checked_with_id),
        moved_at=row.moved_at,
        reason=row.reason,
    )


def _hand(staff: int | None, certificate_id: int | None) -> Hand | None:
    return None if staff is None or certificate_id is None else Hand(staff, certificate_id)
