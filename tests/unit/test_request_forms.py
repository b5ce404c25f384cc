"""What may be done to a request form, and by whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.domain.errors import FormMoved, FourEyes
from sekisho.domain.person import PersonId
from sekisho.domain.request_forms import (
    ENDED,
    FormKind,
    FormState,
    Hand,
    RequestForm,
    Step,
    number_of,
    roles_for,
    row_of,
)
from sekisho.domain.staff import Role

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ANNA, BEN = Hand(1, 11), Hand(2, 12)
FORM = RequestForm(
    id=1,
    bank="9990",
    kind=FormKind.LOCKOUT_LIFT,
    state=FormState.RECEIVED,
    branch="001",
    contract_id="12345678901",
    user_id=None,
    detail={},
    filed_at=NOW,
    entered=ANNA,
)
ONLINE = replace(FORM, state=FormState.FILED, entered=None, filed_online_by=PersonId("9990", "12345678901"))


def test_the_way_of_paper() -> None:
    assert FORM.next_steps() == (Step.CHECK_SEAL, Step.RETURN, Step.WITHDRAW)
    assert FORM.check_step(Step.CHECK_SEAL, ANNA) is FormState.SEAL_CHECKED
    checked = replace(FORM, state=FormState.SEAL_CHECKED, seal_checked=ANNA)
    assert checked.check_step(Step.APPROVE, BEN) is FormState.APPROVED
    approved = replace(checked, state=FormState.APPROVED)
    assert approved.next_steps() == (Step.CARRY_OUT, Step.RETURN), "what was approved is not withdrawn any more"
    assert approved.check_step(Step.CARRY_OUT, ANNA) is FormState.CARRIED_OUT


def test_the_way_from_the_screen_has_no_seal() -> None:
    assert ONLINE.next_steps()[0] is Step.RECEIVE
    received = replace(ONLINE, state=FormState.RECEIVED, entered=ANNA)
    assert received.next_steps()[0] is Step.APPROVE
    with pytest.raises(FormMoved):
        received.check_step(Step.CHECK_SEAL, ANNA)


@pytest.mark.parametrize(
    "hand", [ANNA, Hand(ANNA.staff, 99), Hand(99, ANNA.certificate_id), Hand(3, 13), Hand(2, 12, granted_by=ANNA.staff)]
)
def test_who_had_it_in_hand_does_not_approve(hand: Hand) -> None:
    form = replace(FORM, state=FormState.SEAL_CHECKED, seal_checked=Hand(3, 13))
    with pytest.raises(FourEyes):
        form.check_step(Step.APPROVE, hand)


@pytest.mark.parametrize("state", list(FormState))
def test_every_other_step_is_refused(state: FormState) -> None:
    form = replace(FORM, state=state)
    for step in set(Step) - set(form.next_steps()):
        with pytest.raises(FormMoved):
            form.check_step(step, BEN)
    assert (form.next_steps() == ()) == (state in ENDED)


def test_each_step_has_its_roles() -> None:
    assert roles_for(Step.APPROVE) == {Role.APPROVER}
    assert all(Role.AUDITOR not in roles_for(step) for step in Step)
    assert Role.APPROVER not in roles_for(Step.RECEIVE)


def test_it_is_overdue_until_it_ends() -> None:
    assert not FORM.overdue(NOW + timedelta(days=5, seconds=-1))
    assert FORM.overdue(NOW + timedelta(days=5))
    assert not replace(FORM, state=FormState.RETURNED).overdue(NOW + timedelta(days=50))


@given(st.integers(min_value=1, max_value=2**53))
def test_a_number_leads_to_its_form(row: int) -> None:
    assert row_of(number_of(row)) == row


@given(st.integers(min_value=1, max_value=10**8 - 1), st.integers(min_value=0, max_value=9), st.integers(0, 9))
def test_one_wrong_digit_leads_nowhere(row: int, place: int, digit: int) -> None:
    number = number_of(row)
    assert len(number) == 10
    other = number[:place] + str(digit) + number[place + 1 :]
    assert row_of(other) == (row if other == number else None)


@pytest.mark.parametrize("text", ["", "1", "００００００００１９", "0000000019x", "-000000001", "9" * 40])
def test_what_is_no_number_leads_nowhere(text: str) -> None:
    assert row_of(text) is None
