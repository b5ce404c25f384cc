"""What was approved is carried out, in one transaction with the form's last step and the notice of it (J11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.certificate import Ending, Reason
from sekisho.domain.errors import FormWithoutEffect
from sekisho.domain.person import PersonId
from sekisho.domain.request_forms import FormKind, RequestForm, Step
from sekisho.domain.secret import SecretName
from sekisho.domain.session import SessionEnd
from sekisho.store import audit, certificates, contracts, notices, passkeys, people, request_forms, secrets, sessions
from sekisho.usecases.cards import DrawnCard, draw_card, end_cards, replace_lost
from sekisho.usecases.change_user import end_all, reissue_of, tell_both
from sekisho.usecases.emergency_stop import hold_everyone, stop_at_branch
from sekisho.usecases.file_opening import carry_out_opening
from sekisho.usecases.interim_step import draw_interim, give_interim
from sekisho.usecases.journal_endings import journal_at_once
from sekisho.usecases.lift_certificate import lift_suspension
from sekisho.usecases.move_form import find_form, hold_form, tell, write_down
from sekisho.usecases.provisional_pins import DrawnPins, IssuedPins, draw_pins, reset_of
from sekisho.usecases.tell_users import LET_IN, tell_users

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.domain.policy import Policy
    from sekisho.store.audit import Actor
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class _Work:
    """What an effect needs: the form, the person whom it concerns, held by `tx`, and new PINs where it sets any."""

    tx: Connection
    form: RequestForm
    person: Person
    actor: Actor
    now: datetime
    policy: Policy
    drawn: DrawnPins | None
    card: DrawnCard | None = None


def carry_out_form(ports: Ports, *, bank: Bank, at_work: AtWork, number: str) -> IssuedPins | None:
    """Carry out an approved form, tell the customer, and return new provisional PINs where it gave any.

    Raises `FormUnknown`, `RoleMissing`, `FormMoved`, `ContractIdTaken`, and
    `FormWithoutEffect` where it would change nothing: then it stays approved,
    to be returned.
    """
    now = ports.now()
    with ports.db.read() as tx:
        seen = find_form(tx, at_work.staff, number)
        opens = _opens(tx, seen)
    if seen.kind is FormKind.CONTRACT_OPENING:
        return carry_out_opening(ports, bank=bank, at_work=at_work, number=number)
    drawn = _draw(ports, seen, opens=opens)
    card = draw_card(ports, _whose(seen), now) if seen.kind is FormKind.CARD_REISSUE else None

    def carry_out(tx: Connection) -> IssuedPins | None:
        form, _, hand = hold_form(tx, at_work, number, Step.CARRY_OUT)
        state = form.check_step(Step.CARRY_OUT, hand)
        person = _hold(tx, form)
        work = _Work(tx, form, person, at_work.actor, now, bank.policy, drawn, card)
        issued = _EFFECTS[form.kind](work)
        request_forms.move(tx, form, state, now=now)
        write_down(tx, form, "form-carried-out", at_work.actor, now)
        tell(tx, form, "form-carried-out", now)
        return issued

    issued = ports.db.write(carry_out)
    journal_at_once(ports, bank=bank.code)
    return issued


def _whose(form: RequestForm) -> PersonId:
    if form.contract_id is None:
        raise FormWithoutEffect
    return PersonId(form.bank, form.contract_id, form.user_id)


def _hold(tx: Connection, form: RequestForm) -> Person:
    """Hold the person whom the form concerns. Raises `FormWithoutEffect` where there is nobody any more."""
    who = _whose(form)
    person = people.find(tx, who)
    if person is None:
        raise FormWithoutEffect
    people.lock(tx, [person.id])
    # Read by statements of their own, once nobody else decides: the contract may have ended while this one waited.
    contract, present = contracts.find(tx, who.bank, who.contract_id), people.find(tx, who)
    if contract is None or contract.ended_at is not None or present is None:
        raise FormWithoutEffect
    return present


def _opens(tx: Connection, form: RequestForm) -> bool:
    """Tell whether a form concerns the administrator of a contract that is not open yet."""
    if form.contract_id is None or form.user_id is not None:
        return False
    contract = contracts.find(tx, form.bank, form.contract_id)
    return contract is not None and contract.opened_at is None


def _draw(ports: Ports, form: RequestForm, *, opens: bool) -> DrawnPins | None:
    """Draw the secrets that a form gives, where it gives any."""
    if form.kind is FormKind.INTERIM_STEP:
        return draw_interim(ports)
    if form.kind is FormKind.PIN_RESET or "new_administrator" in form.detail:
        return draw_pins(ports, _whose(form), opens=opens)
    return None


def _reissue(work: _Work) -> None:
    # What is stopped acquires nothing: that is lifted first, on a form of its own.
    if work.person.contract_stopped_at is not None or work.person.stopped_at is not None:
        raise FormWithoutEffect
    reissue_of(work.tx, work.person, work.actor, now=work.now, until=work.now + work.policy.acquisition_window)


def _revoke(work: _Work) -> None:
    if not end_all(work.tx, work.person, Ending.REVOKED, Reason.PRIVILEGE_WITHDRAWN, work.actor, work.now):
        raise FormWithoutEffect
    tell_both(work.tx, work.person, "certificate-revoked", work.now)


def _lift_lockout(work: _Work) -> None:
    """Open the door, where it was shut when the form was filed: nobody has asked for a later lockout to be lifted."""
    if not people.reopen(work.tx, work.person.id, shut_by=work.form.filed_at):
        raise FormWithoutEffect
    secrets.clear_misses(work.tx, [work.person.id], list(SecretName))
    _note(work, "lockout-lifted")
    notices.add(work.tx, work.person.id, "lockout-lifted", work.now)
    tell_users(work.tx, work.person.who, LET_IN, work.now)


def _reset_pins(work: _Work) -> IssuedPins:
    if work.drawn is None:
        raise RuntimeError("PINs are to be set, and none were drawn")
    return reset_of(work.tx, work.person, work.drawn, work.actor, now=work.now, policy=work.policy)


def _give_interim(work: _Work) -> IssuedPins:
    if work.drawn is None:
        raise RuntimeError("a code is to be set, and none was drawn")
    until = work.now + work.policy.acquisition_window
    return give_interim(work.tx, work.person, work.drawn, work.actor, now=work.now, until=until)


def _reissue_card(work: _Work) -> None:
    """End the card that is in use or in the post, its table and the administrator's sessions, and order another."""
    if work.card is None:
        raise RuntimeError("a card is to be ordered, and none was drawn")
    replace_lost(work.tx, work.person, work.card, work.actor, work.now)


def _stop(work: _Work) -> None:
    stop_at_branch(work.tx, work.person, work.actor, work.now)


def _lift_stop(work: _Work) -> None:
    """Lift the stop of the contract or of a user, and of the person's own certificate, as the form's filing found them.

    What was stopped after that, perhaps by a customer on the telephone, stays so.
    """
    lifted = [people.lift_stop(work.tx, work.person.id, stopped_by=work.form.filed_at)]
    lifted += [
        lift_suspension(work.tx, certificate, actor=work.actor, now=work.now, suspended_by=work.form.filed_at)
        for certificate in certificates.not_ended(work.tx, work.person.id)
    ]
    if not any(lifted):
        raise FormWithoutEffect
    _note(work, "emergency-stop-lifted")
    tell_both(work.tx, work.person, "emergency-stop-lifted", work.now)
    if work.person.who.user_id is None and lifted[0]:
        tell_users(work.tx, work.person.who, LET_IN, work.now)


def _change(work: _Work) -> IssuedPins | None:
    detail = work.form.detail
    if "company" in detail:
        people.rename_contract(work.tx, work.person.who, name=detail["company"], kana=detail.get("kana"))
    _note(work, "contract-changed", **dict.fromkeys(sorted(detail), 1))
    notices.add(work.tx, work.person.id, "contract-changed", work.now, mail_to=work.person.mail_address)
    return _replace_administrator(work) if "new_administrator" in detail else None


def _replace_administrator(work: _Work) -> IssuedPins:
    """End everything that the administrator before had or knew; the new one gets a permit and provisional PINs."""
    tx, person = work.tx, work.person
    end_all(tx, person, Ending.REVOKED, Reason.AFFILIATION_CHANGED, work.actor, work.now)
    for name in (SecretName.TOTP, SecretName.NEW_TOTP, SecretName.INTERIM):
        secrets.remove(tx, person.id, name)
    passkeys.remove_all(tx, person.id)
    detail = work.form.detail
    people.replace_administrator(tx, person.id, name=detail["new_administrator"], mail_address=detail["mail_address"])
    reissue_of(tx, person, work.actor, now=work.now, until=work.now + work.policy.acquisition_window)
    return _reset_pins(_Work(tx, work.form, people.get(tx, person.id), work.actor, work.now, work.policy, work.drawn))


def _end(work: _Work) -> None:
    tx, person = work.tx, work.person
    everyone = hold_everyone(tx, person.who)
    for one in everyone:
        end_all(tx, one, Ending.REVOKED, Reason.CESSATION_OF_OPERATION, work.actor, work.now)
    people.stop(tx, person.id, work.now)
    sessions.end_of_people(tx, [one.id for one in everyone], SessionEnd.CLOSED, work.now)
    end_cards(tx, person, work.actor, work.now)
    people.end_contract(tx, person.who, work.now)
    _note(work, "contract-ended")
    notices.add(tx, person.id, "contract-ended", work.now)
    tell_users(tx, person.who, "contract-ended", work.now)


def _note(work: _Work, action: str, **detail: int) -> None:
    audit.add(work.tx, action, work.actor, at=work.now, who=work.person.who, person_id=work.person.id, **detail)


_EFFECTS: Mapping[FormKind, Callable[[_Work], IssuedPins | None]] = {
    FormKind.CERTIFICATE_REISSUE: _reissue,
    FormKind.CERTIFICATE_REVOCATION: _revoke,
    FormKind.CARD_REISSUE: _reissue_card,
    FormKind.LOCKOUT_LIFT: _lift_lockout,
    FormKind.PIN_RESET: _reset_pins,
    FormKind.INTERIM_STEP: _give_interim,
    FormKind.EMERGENCY_STOP: _stop,
    FormKind.EMERGENCY_STOP_LIFT: _lift_stop,
    FormKind.CONTRACT_CHANGE: _change,
    FormKind.CONTRACT_END: _end,
}
OF_CONTRACTS = frozenset(_EFFECTS)
