"""Request forms 依頼書: what a customer asks the branch for on paper or on screen, and who moves it on (J11).

filed → received → seal-checked → approved → carried-out, and on the way returned or withdrawn. What the
administrator files on screen is filed behind their certificate and PINs, so no seal is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from sekisho.domain.errors import FormMoved, FourEyes
from sekisho.domain.staff import Role

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sekisho.domain.person import PersonId

OVERDUE_AFTER = timedelta(days=5)
_DIGITS = 8
_CHECKED_BY = 97


class FormKind(StrEnum):
    """What is asked for; the value is the form's name in URLs (`/forms/<name>.pdf`)."""

    CERTIFICATE_REISSUE = "certificate-reissue"
    CERTIFICATE_REVOCATION = "certificate-revocation"
    CARD_REISSUE = "card-reissue"
    INTERIM_STEP = "interim-step"
    LOCKOUT_LIFT = "lockout-lift"
    PIN_RESET = "pin-reset"
    EMERGENCY_STOP = "emergency-stop"
    EMERGENCY_STOP_LIFT = "emergency-stop-lift"
    CONTRACT_OPENING = "contract-opening"
    CONTRACT_CHANGE = "contract-change"
    CONTRACT_END = "contract-end"


class FormState(StrEnum):
    """Where a form stands."""

    FILED = "filed"
    RECEIVED = "received"
    SEAL_CHECKED = "seal-checked"
    APPROVED = "approved"
    CARRIED_OUT = "carried-out"
    RETURNED = "returned"
    WITHDRAWN = "withdrawn"


class Step(StrEnum):
    """What is done to a form."""

    RECEIVE = "receive"
    CHECK_SEAL = "check-seal"
    APPROVE = "approve"
    CARRY_OUT = "carry-out"
    RETURN = "return"
    WITHDRAW = "withdraw"


# What concerns a user where one is named, and the administrator or the whole contract where none is.
OF_USERS = frozenset(
    {
        FormKind.CERTIFICATE_REISSUE,
        FormKind.CERTIFICATE_REVOCATION,
        FormKind.EMERGENCY_STOP,
        FormKind.EMERGENCY_STOP_LIFT,
    }
)
# What a change of the contract can name; whatever is left out stays. Another administrator needs a mail address.
CHANGED_FIELDS = ("company", "kana", "new_administrator", "mail_address")


@dataclass(frozen=True, slots=True)
class _Move:
    leads_to: FormState
    roles: frozenset[Role]


_ENTERING = frozenset({Role.CLERK, Role.OPERATOR})
_APPROVING = frozenset({Role.APPROVER})
ENDED = frozenset({FormState.CARRIED_OUT, FormState.RETURNED, FormState.WITHDRAWN})
_MOVES: Mapping[Step, _Move] = {
    Step.RECEIVE: _Move(FormState.RECEIVED, _ENTERING | {Role.SYSTEM}),
    Step.CHECK_SEAL: _Move(FormState.SEAL_CHECKED, _ENTERING),
    Step.APPROVE: _Move(FormState.APPROVED, _APPROVING),
    Step.CARRY_OUT: _Move(FormState.CARRIED_OUT, _ENTERING | _APPROVING),
    Step.RETURN: _Move(FormState.RETURNED, _ENTERING | _APPROVING),
    Step.WITHDRAW: _Move(FormState.WITHDRAWN, _ENTERING),
}


@dataclass(frozen=True, slots=True)
class Hand:
    """One of the bank's people who moved a form, with the certificate that they were logged on with.

    `granted_by` is who made them an approver, where that was one of the bank's people.
    """

    staff: int
    certificate_id: int
    granted_by: int | None = None


@dataclass(frozen=True, slots=True)
class RequestForm:
    """A form as it stands.

    `contract_id` is that of the contract, for an opening the one that carrying
    it out gave. `user_id` names the user whom it concerns, None for the
    administrator or the contract. `detail` is what is asked for besides, by
    the name of the field. `entered` received it, `seal_checked` compared the
    seal (None on screen); whoever approves is neither.
    """

    id: int
    bank: str
    kind: FormKind
    state: FormState
    branch: str | None
    contract_id: str | None
    user_id: str | None
    detail: Mapping[str, str]
    filed_at: datetime
    filed_online_by: PersonId | None = None
    entered: Hand | None = None
    seal_checked: Hand | None = None
    moved_at: datetime | None = None
    reason: str | None = None

    @property
    def number(self) -> str:
        """The form's number, which stands on its paper."""
        return number_of(self.id)

    @property
    def recorded_under(self) -> str | None:
        """The contract ID under which its audit rows stand: for an opening the one that the contract is to have."""
        return self.contract_id or self.detail.get("contract_id")

    def next_steps(self) -> tuple[Step, ...]:
        """Return what can be done to it now, the way on first."""
        ways_on = {
            FormState.FILED: Step.RECEIVE,
            FormState.RECEIVED: Step.APPROVE if self.filed_online_by else Step.CHECK_SEAL,
            FormState.SEAL_CHECKED: Step.APPROVE,
            FormState.APPROVED: Step.CARRY_OUT,
        }
        if self.state in ENDED:
            return ()
        steps = [ways_on[self.state], Step.RETURN]
        return (*steps, Step.WITHDRAW) if self.state is not FormState.APPROVED else tuple(steps)

    def check_step(self, step: Step, hand: Hand) -> FormState:
        """Return the state that a step leads to. Raises `FormMoved` where it is not to be done now, and `FourEyes`."""
        if step not in self.next_steps():
            raise FormMoved
        if step is Step.APPROVE:
            before = [one for one in (self.entered, self.seal_checked) if one is not None]
            if any(
                one.staff in {hand.staff, hand.granted_by} or one.certificate_id == hand.certificate_id
                for one in before
            ):
                raise FourEyes
        return _MOVES[step].leads_to

    def overdue(self, now: datetime) -> bool:
        """Tell whether it has waited for longer than it should."""
        return self.state not in ENDED and now - self.filed_at >= OVERDUE_AFTER


def roles_for(step: Step) -> frozenset[Role]:
    """Return who may do a step: any one of these roles."""
    return _MOVES[step].roles


def number_of(row: int) -> str:
    """Return the number of a form: its row in eight digits or more, and two that check them (ISO 7064, MOD 97-10)."""
    return f"{row:0{_DIGITS}d}{_CHECKED_BY + 1 - row * 100 % _CHECKED_BY:02d}"


def row_of(number: str) -> int | None:
    """Return the row of a form's number, or None where that is no number of a form."""
    if not (number.isascii() and number.isdigit() and _DIGITS + 2 <= len(number) <= 18):  # noqa: PLR2004 - 64 bits
        return None
    row = int(number[:-2])
    return row if number_of(row) == number else None
