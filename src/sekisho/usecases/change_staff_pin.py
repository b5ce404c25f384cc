"""Somebody of the bank replaces their own PIN at the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.errors import EntryDiffers, EntryMissing, PinNotAllowed, RoleMissing
from sekisho.domain.secret import normal_form, pin_problems
from sekisho.store import audit, staff
from sekisho.usecases.enter_console import judge_staff_pin, present_staff, show_staff
from sekisho.usecases.log_on import check_entry

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank
    from sekisho.domain.errors import Refusal
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports


def change_staff_pin(
    ports: Ports, *, bank: Bank, at_work: AtWork, der: bytes | None, present: str, new: str, again: str
) -> None:
    """Replace the PIN. Nobody has a second session that would have to end.

    A wrong present PIN counts as at the door. Raises `EntryMissing`,
    `EntryDiffers`, `PinNotAllowed`, `EntryWrong` and `StaffClosed`.
    """
    now = ports.now()
    if at_work.session is None:  # a program, which has no PIN
        raise RoleMissing
    check_entry(present, "staff_pin")
    chosen = _read_new(bank, at_work.staff.staff_id, new, again)
    with ports.db.read() as tx:
        checked = show_staff(tx, der, bank, now)
    right = ports.pins.verify(checked.verifier, present)
    if right and chosen == normal_form(present):
        raise PinNotAllowed(fields={"new_staff_pin": "pin-recent"})
    verifier = ports.pins.hash(chosen) if right else ""

    def change(tx: Connection) -> Refusal | None:
        present_staff(tx, at_work)
        refusal = judge_staff_pin(tx, show_staff(tx, der, bank, now), checked, bank, at_work.actor, now, right=right)
        if refusal is None:
            staff.set_pin(tx, at_work.staff.id, verifier, now)
            audit.add_of_bank(tx, "staff-pin-changed", at_work.actor, at=now, bank=bank.code)
        return refusal

    # A counted miss is told once it is committed.
    if (refusal := ports.db.write(change)) is not None:
        raise refusal


def _read_new(bank: Bank, staff_id: str, new: str, again: str) -> str:
    """Return the new PIN in normal form, by what can be said of it without knowing any secret."""
    chosen = normal_form(new)
    if not chosen:
        raise EntryMissing(fields={"new_staff_pin": "entry-missing"})
    if chosen != normal_form(again):
        raise EntryDiffers(fields={"new_staff_pin_again": "entry-differs"})
    if broken := pin_problems(chosen, ids=(staff_id,), rules=bank.policy.pin_rules):
        raise PinNotAllowed(fields={"new_staff_pin": f"pin-{broken[0]}"})
    return chosen
