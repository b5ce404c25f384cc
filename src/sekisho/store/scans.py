"""Scans of request forms' papers: listed without their bytes, which are read one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, exists, insert, select

from sekisho.domain.request_forms import FormState
from sekisho.domain.scan import ScanKind
from sekisho.store.tables import form_scans as t
from sekisho.store.tables import request_forms, staff

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

# Written out, not bound: only so does an engine see that the small index of these states answers it.
_REFUSED = request_forms.c.state.in_(
    bindparam("states", [FormState.RETURNED.value, FormState.WITHDRAWN.value], expanding=True, literal_execute=True)
)


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan without its bytes; `size` is in bytes, `added_by` a staff ID."""

    id: int
    kind: ScanKind
    size: int
    sha256: bytes
    added_by: str
    added_at: datetime


def add(
    tx: Connection,
    form_id: int,
    kind: ScanKind,
    *,
    size: int,
    sha256: bytes,
    sealed: bytes,
    added_by: int,
    now: datetime,
) -> int:
    """Keep one and return its row."""
    values = {
        "form_id": form_id,
        "kind": kind.value,
        "size": size,
        "sha256": sha256,
        "sealed": sealed,
        "added_by_id": added_by,
        "added_at": now,
    }
    return int(tx.scalars(insert(t).values(values).returning(t.c.id)).one())


def of_form(tx: Connection, form_id: int) -> list[Scan]:
    """Return a form's scans, the oldest first."""
    rows = tx.execute(
        select(t.c.id, t.c.kind, t.c.size, t.c.sha256, t.c.added_at, staff.c.staff_id)
        .join(staff, staff.c.id == t.c.added_by_id)
        .where(t.c.form_id == form_id)
        .order_by(t.c.id)
    )
    return [Scan(row.id, ScanKind(row.kind), row.size, row.sha256, row.staff_id, row.added_at) for row in rows]


def sealed(tx: Connection, form_id: int, scan_id: int) -> tuple[ScanKind, bytes] | None:
    """Return one of a form's scans as it is kept, or None where the form has none of that row."""
    row = tx.execute(select(t.c.kind, t.c.sealed).where(t.c.form_id == form_id, t.c.id == scan_id)).one_or_none()
    return None if row is None else (ScanKind(row.kind), bytes(row.sealed))


def remove_where_no_contract_came(tx: Connection, moved_before: datetime, most: int) -> int:
    """Remove scans of requests for a contract that were returned or withdrawn by a moment; return how many."""
    forms = request_forms.c
    ended = (
        select(forms.id)
        .where(
            forms.contract_id.is_(None),
            _REFUSED,
            forms.moved_at <= moved_before,
            exists(select(t.c.id).where(t.c.form_id == forms.id)),
        )
        .order_by(forms.moved_at)
        .limit(most)
    )
    rows = list(tx.scalars(ended))
    return tx.execute(delete(t).where(t.c.form_id.in_(rows))).rowcount if rows else 0
