"""Request forms: the whole way of each, four eyes in the program and in the database, and what carrying out does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError
from tests.support.counter import Counter
from tests.support.overtaking import overtaken
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, CONTRACT, KEIRI01, PINS, World, new_csr

from sekisho.domain.errors import (
    CertificateReissued,
    CertificateRevoked,
    CertificateSuspended,
    ChoiceMissing,
    ContractClosed,
    ContractUnknown,
    DetailsNotAllowed,
    EmergencyStopped,
    EntryWrong,
    FormMoved,
    FormUnknown,
    FormWithoutEffect,
    FourEyes,
    NotAccepted,
    Refusal,
    RoleMissing,
    SessionRefused,
)
from sekisho.domain.request_forms import FormKind, FormState, Step, row_of
from sekisho.domain.secret import SecretName
from sekisho.domain.staff import Role
from sekisho.domain.telephone import Stop
from sekisho.store import audit
from sekisho.store.audit import Actor
from sekisho.store.tables import form_approvals, request_forms
from sekisho.usecases.confirm import Confirmation
from sekisho.usecases.emergency_stop import Demand
from sekisho.usecases.file_form import ON_SCREEN, file_at_counter, file_on_screen
from sekisho.usecases.find_contracts import find_contracts, read_contract
from sekisho.usecases.grant_role import end_staff, withdraw_role
from sekisho.usecases.move_form import move_form
from sekisho.usecases.own_forms import own_forms, withdraw_own_form
from sekisho.usecases.read_forms import read_form, waiting_forms
from sekisho.usecases.read_status import read_status
from sekisho.usecases.stop_by_telephone import stop_by_telephone

if TYPE_CHECKING:
    from sqlalchemy import Executable
    from tests.support.staff import Colleague

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.usecases.enter_console import AtWork


_ADMINISTRATORS_KEY = new_csr()


@pytest.fixture
def counter(bank: World) -> Counter:
    return Counter(bank)


def actions(bank: World) -> list[str]:
    return [row.action for row in bank.rows("SELECT action FROM audit ORDER BY id")]


def told(bank: World) -> list[tuple[str, str | None]]:
    rows = bank.rows("SELECT n.code, p.user_id FROM notices n JOIN people p ON p.id = n.person_id ORDER BY n.id")
    return [(row.code, row.user_id) for row in rows]


def users_told(code: str) -> list[tuple[str, str | None]]:
    """Return what every user of the contract is told, and nobody else."""
    return [(code, "keiri01"), (code, "keiri02")]


def of_administrator(bank: World) -> list[tuple[str, str]]:
    """Return which forms the administrator's status screen tells of, and how they stand."""
    certificate = bank.acquire(ADMINISTRATOR, _ADMINISTRATORS_KEY)
    current = bank.resume(certificate, bank.log_on(certificate))
    return [(form.number, form.state.value) for form in read_status(bank.ports, bank=BANK, logged_on=current).forms]


def test_the_status_screen_tells_what_the_branch_has_in_hand_and_what_it_returned_lately(
    bank: World, counter: Counter
) -> None:
    assert of_administrator(bank) == []
    first, second = counter.file(FormKind.CONTRACT_CHANGE, company="新見本"), counter.file(FormKind.PIN_RESET)
    assert of_administrator(bank) == [(second, "received"), (first, "received")]
    counter.move(first, Step.RETURN, reason="押印がない")
    counter.move(second, Step.WITHDRAW, reason="取り下げ")
    assert of_administrator(bank) == [(first, "returned")]
    bank.later(days=15)
    assert of_administrator(bank) == []


def test_the_whole_way_of_one_form(bank: World, counter: Counter) -> None:
    old = bank.acquire(ADMINISTRATOR)
    number = counter.file(FormKind.CERTIFICATE_REISSUE)
    assert counter.state(number) == "received"
    assert counter.move(number, Step.CHECK_SEAL) is FormState.SEAL_CHECKED
    assert counter.move(number, Step.APPROVE, counter.at_approver) is FormState.APPROVED
    bank.log_on(old)  # nothing has happened yet
    assert counter.carry_out(number) is None
    with pytest.raises(CertificateReissued):
        bank.log_on(old)
    bank.log_on(bank.acquire(ADMINISTRATOR))
    assert [one for one in actions(bank) if one.startswith("form-")] == [
        "form-received",
        "form-seal-checked",
        "form-approved",
        "form-carried-out",
    ]
    codes = [code for code, user_id in told(bank) if user_id is None]
    assert codes.count("certificate-reissued") == 1, "an administrator is told once"
    assert codes.index("form-received") < codes.index("certificate-reissued") < codes.index("form-carried-out")
    whole = read_form(bank.ports, at_work=counter.at_approver, number=number)
    assert [row["action"] for row in whole.done][-1] == "form-carried-out"
    assert whole.form.next_steps() == ()
    assert actions(bank)[-1] == "form-read"


def test_a_form_of_a_busy_contract_keeps_its_history(bank: World, counter: Counter) -> None:
    number, other = counter.file(FormKind.PIN_RESET), counter.file(FormKind.PIN_RESET)
    counter.move(number, Step.CHECK_SEAL)
    counter.move(other, Step.CHECK_SEAL)
    bank.later(days=2)
    counter.at_clerk, counter.at_approver = counter.clerk.at_work(), counter.approver.at_work()
    row = audit.row("logged-on", Actor("test"), at=bank.clock[0], who=ADMINISTRATOR)
    bank.db.write(lambda tx: audit.add_all(tx, [row] * 1500))
    for _ in range(3):
        read_form(bank.ports, at_work=counter.at_clerk, number=number)
    counter.move(number, Step.APPROVE, counter.at_approver)
    done = read_form(bank.ports, at_work=counter.at_clerk, number=number).done
    assert [one["action"] for one in done] == ["form-received", "form-seal-checked", "form-approved"]
    assert {one["detail"]["form"] for one in done} == {number}


def test_nobody_approves_what_they_had_in_hand(bank: World, counter: Counter) -> None:
    both = counter.office.add("ryoho01", Role.CLERK, Role.APPROVER).at_work()
    entered = counter.file_by(both, FormKind.PIN_RESET)
    counter.move(entered, Step.CHECK_SEAL)
    with pytest.raises(FourEyes):
        counter.move(entered, Step.APPROVE, both)
    compared = counter.file(FormKind.PIN_RESET)
    counter.move(compared, Step.CHECK_SEAL, both)
    with pytest.raises(FourEyes):
        counter.move(compared, Step.APPROVE, both)
    assert counter.move(compared, Step.APPROVE, counter.at_approver) is FormState.APPROVED
    with pytest.raises(RoleMissing):
        counter.move(entered, Step.APPROVE, counter.at_clerk)
    assert counter.state(entered) == "seal-checked"
    assert not bank.rows("SELECT 1 FROM form_approvals WHERE form_id = :id", id=row_of(entered))


def test_nobody_approves_in_a_role_that_the_one_who_entered_it_granted(counter: Counter) -> None:
    made = counter.office.add("kenin02", Role.APPROVER, by="kakari01").at_work()
    number = counter.file(FormKind.PIN_RESET)
    counter.move(number, Step.CHECK_SEAL)
    with pytest.raises(FourEyes):
        counter.move(number, Step.APPROVE, made)
    assert counter.move(number, Step.APPROVE, counter.at_approver) is FormState.APPROVED


def role_of(bank: World, colleague: Colleague) -> int:
    query = "SELECT id FROM staff_roles WHERE holder_id = :holder AND role = 'approver'"
    return int(bank.rows(query, holder=colleague.staff.id)[0].id)


def refuses(bank: World, statement: Executable) -> bool:
    """Tell whether one of the forms' triggers refuses a statement."""
    try:
        bank.db.write(lambda tx: tx.execute(statement))
    except IntegrityError as refused:
        return "form_" in str(refused.orig)
    return False


def test_the_database_keeps_four_eyes_whatever_the_program_does(bank: World, counter: Counter) -> None:
    both = counter.office.add("ryoho01", Role.CLERK, Role.APPROVER)
    made = counter.office.add("kenin02", Role.APPROVER, by="ryoho01")
    at_both = both.at_work()
    number = counter.file_by(at_both, FormKind.PIN_RESET)
    counter.move(number, Step.CHECK_SEAL, at_both)
    form = row_of(number)
    now = bank.ports.now()

    def approve(by: Colleague, at: AtWork, role: int) -> Any:
        return insert(form_approvals).values(
            form_id=form, approved_by_id=by.staff.id, approved_with_id=at.certificate_id, role_id=role, approved_at=now
        )

    at_made, at_approver = made.at_work(), counter.at_approver
    here = request_forms.c.id == form
    refused = {
        "whoever entered it": approve(both, at_both, role_of(bank, both)),
        "with the certificate of whoever entered it": approve(made, at_both, role_of(bank, made)),
        "in a role that they granted": approve(made, at_made, role_of(bank, made)),
        "in a role of somebody else": approve(made, at_made, role_of(bank, both)),
        "with a certificate of somebody else": approve(counter.approver, at_made, role_of(bank, counter.approver)),
        "approved by nobody": update(request_forms).where(here).values(state="approved"),
        "carried out, approved by nobody": update(request_forms).where(here).values(state="carried-out"),
        "entered by somebody else": update(request_forms).where(here).values(entered_by_id=counter.clerk.staff.id),
        "compared by somebody else": update(request_forms).where(here).values(seal_checked_by_id=made.staff.id),
        "another kind": update(request_forms).where(here).values(kind="contract-end"),
    }
    assert [what for what, statement in refused.items() if not refuses(bank, statement)] == []
    bank.db.write(lambda tx: tx.execute(approve(counter.approver, at_approver, role_of(bank, counter.approver))))
    for statement in (
        update(form_approvals).values(approved_by_id=made.staff.id),
        form_approvals.delete(),
        insert(request_forms).values(
            bank="9990", kind="pin-reset", state="approved", detail={}, filed_at=now, moved_at=now
        ),
    ):
        assert refuses(bank, statement)


def test_two_approvers_at_once_give_one_approval(bank: World, counter: Counter) -> None:
    others = [counter.office.add(f"kenin1{n}", Role.APPROVER).at_work() for n in range(4)]
    number = counter.file(FormKind.PIN_RESET)
    counter.move(number, Step.CHECK_SEAL)

    def approve(at_work: AtWork) -> object:
        try:
            return counter.move(number, Step.APPROVE, at_work)
        except Refusal as refusal:
            return type(refusal)

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(approve, others))
    assert sorted(map(str, outcomes)) == sorted(map(str, [FormState.APPROVED, FormMoved, FormMoved, FormMoved]))
    assert actions(bank).count("form-approved") == 1


def test_it_is_carried_out_once(bank: World, counter: Counter) -> None:
    bank.acquire(ADMINISTRATOR)
    number = counter.approved(FormKind.PIN_RESET)

    def carry_out(_: int) -> object:
        try:
            return counter.carry_out(number)
        except Refusal as refusal:
            return type(refusal)

    with ThreadPoolExecutor(3) as threads:
        outcomes = list(threads.map(carry_out, range(3)))
    assert outcomes.count(FormMoved) == 2
    assert actions(bank).count("pins-reset") == 1


def test_returned_and_withdrawn_with_a_reason(bank: World, counter: Counter) -> None:
    returned, withdrawn = counter.approved(FormKind.LOCKOUT_LIFT), counter.file(FormKind.LOCKOUT_LIFT)
    for reason in ("", "x" * 201, "\u202e"):
        with pytest.raises(DetailsNotAllowed):
            counter.move(returned, Step.RETURN, reason=reason)
    assert counter.move(returned, Step.RETURN, counter.at_approver, reason="印影が薄い") is FormState.RETURNED
    assert counter.move(withdrawn, Step.WITHDRAW, reason="お客様のお申し出") is FormState.WITHDRAWN
    for number in (returned, withdrawn):
        for step in (Step.CHECK_SEAL, Step.RETURN, Step.WITHDRAW):
            with pytest.raises(FormMoved):
                counter.move(number, step, reason="x")
        with pytest.raises(FormMoved):
            counter.carry_out(number)
    assert {"form-returned", "form-withdrawn"} <= {code for code, _ in told(bank)}
    assert read_form(bank.ports, at_work=counter.at_clerk, number=returned).form.reason == "印影が薄い"
    assert not waiting_forms(bank.ports, staff=counter.at_clerk.staff).forms


def test_a_lockout_is_lifted(bank: World, counter: Counter) -> None:
    certificate = bank.acquire(ADMINISTRATOR)
    with pytest.raises(FormWithoutEffect):
        counter.through(FormKind.LOCKOUT_LIFT)
    for _ in range(6):
        with pytest.raises(EntryWrong):
            bank.log_on(certificate, "wrong111")
    with pytest.raises(ContractClosed):
        bank.log_on(certificate, "wrong111")
    number = counter.approved(FormKind.LOCKOUT_LIFT)
    with pytest.raises(ContractClosed):
        bank.log_on(certificate)
    assert [one for one in told(bank) if one[0] == "users-shut-out"] == users_told("users-shut-out")
    counter.carry_out(number)
    assert [one for one in told(bank) if one[0] == "users-let-in"] == users_told("users-let-in")
    with pytest.raises(EntryWrong):
        bank.log_on(certificate, "wrong111")
    bank.log_on(certificate)


def test_only_who_is_let_in_is_told_so(bank: World, counter: Counter) -> None:
    certificate = bank.acquire(ADMINISTRATOR)
    counter.through(FormKind.EMERGENCY_STOP, "keiri02")
    for _ in range(6):
        with pytest.raises(EntryWrong):
            bank.log_on(certificate, "wrong111")
    with pytest.raises(ContractClosed):
        bank.log_on(certificate, "wrong111")
    counter.through(FormKind.EMERGENCY_STOP)
    counter.through(FormKind.LOCKOUT_LIFT)
    assert "users-let-in" not in dict(told(bank)), "the contract is stopped still"
    counter.through(FormKind.EMERGENCY_STOP_LIFT)
    assert [one for one in told(bank) if one[0] == "users-let-in"] == [("users-let-in", "keiri01")]


def test_an_administrator_gets_provisional_pins(bank: World, counter: Counter) -> None:
    certificate = bank.acquire(ADMINISTRATOR)
    token = bank.log_on(certificate)
    issued = counter.through(FormKind.PIN_RESET)
    assert issued is not None
    assert issued.who == ADMINISTRATOR
    with pytest.raises(SessionRefused):
        bank.resume(certificate, token)
    with pytest.raises(EntryWrong):
        bank.log_on(certificate)
    opened = bank.log_on(certificate, issued.pins[SecretName.PIN])
    assert bank.resume(certificate, opened).pins_to_replace
    stored = str(bank.rows("SELECT * FROM audit")) + str(bank.rows("SELECT * FROM notices"))
    assert not any(pin in stored for pin in issued.pins.values())


def test_a_stop_and_its_lift(bank: World, counter: Counter) -> None:
    certificate, users = bank.acquire(ADMINISTRATOR), bank.acquire(KEIRI01)
    counter.through(FormKind.EMERGENCY_STOP, "keiri01")
    with pytest.raises(EmergencyStopped):
        bank.log_on(users)
    bank.log_on(certificate)
    with pytest.raises(FormWithoutEffect):
        counter.through(FormKind.EMERGENCY_STOP, "keiri01")
    with pytest.raises(FormWithoutEffect):
        counter.through(FormKind.CERTIFICATE_REISSUE, "keiri01")
    counter.through(FormKind.EMERGENCY_STOP_LIFT, "KEIRI01")
    bank.log_on(users)
    counter.through(FormKind.EMERGENCY_STOP)
    for one in (certificate, users):
        with pytest.raises(EmergencyStopped):
            bank.log_on(one)
    counter.through(FormKind.EMERGENCY_STOP_LIFT)
    bank.log_on(certificate)
    bank.log_on(users)
    both = [one for one in told(bank) if one[0].startswith("users-")]
    assert both == users_told("users-shut-out") + users_told("users-let-in"), "one user's stop is nobody else's affair"
    with pytest.raises(FormWithoutEffect):
        counter.through(FormKind.EMERGENCY_STOP_LIFT)


def shut_out(bank: World, certificate: IssuedCertificate) -> None:
    """Have the administrator locked out by wrong PINs."""
    for _ in range(7):
        with pytest.raises((EntryWrong, ContractClosed)):
            bank.log_on(certificate, "wrong111")


def test_a_lift_does_not_reach_a_lockout_that_came_after_it_was_filed(bank: World, counter: Counter) -> None:
    certificate = bank.acquire(ADMINISTRATOR)
    shut_out(bank, certificate)
    first, second = counter.approved(FormKind.LOCKOUT_LIFT), counter.approved(FormKind.LOCKOUT_LIFT)
    bank.later(minutes=1)
    counter.carry_out(first)
    shut_out(bank, certificate)
    with pytest.raises(FormWithoutEffect):
        counter.carry_out(second)
    with pytest.raises(ContractClosed):
        bank.log_on(certificate)
    counter.through(FormKind.LOCKOUT_LIFT)
    bank.log_on(certificate)


def test_a_lift_does_not_reach_a_stop_that_came_after_it_was_filed(bank: World, counter: Counter) -> None:
    certificate = bank.acquire(KEIRI01)
    stop, suspend = Stop.USER, Stop.CERTIFICATE
    for what, refusal in ((stop, EmergencyStopped), (suspend, CertificateSuspended)):
        stop_on_telephone(counter, what)
        first, second = (counter.approved(FormKind.EMERGENCY_STOP_LIFT, "keiri01") for _ in range(2))
        bank.later(minutes=1)
        counter.carry_out(first)
        bank.log_on(certificate)
        stop_on_telephone(counter, what)
        with pytest.raises(FormWithoutEffect):
            counter.carry_out(second)
        with pytest.raises(refusal):
            bank.log_on(certificate)
        counter.through(FormKind.EMERGENCY_STOP_LIFT, "keiri01")
        bank.log_on(certificate)


def stop_on_telephone(counter: Counter, what: Stop) -> None:
    answers = dict.fromkeys(("administrator_name", "number_of_users", "last_logon", "branch_and_opening"), "right")
    typed = {"call_back": "03-1234-5678", "what": what.value, "user_id": "keiri01", **answers}
    stop_by_telephone(counter.bank.ports, at_work=counter.at_clerk, contract_id=CONTRACT, typed=typed)


def test_a_certificate_is_revoked(bank: World, counter: Counter) -> None:
    certificate, other = bank.acquire(KEIRI01), bank.acquire(ADMINISTRATOR)
    counter.through(FormKind.CERTIFICATE_REVOCATION, "keiri01")
    with pytest.raises(CertificateRevoked):
        bank.log_on(certificate)
    bank.log_on(other)
    with pytest.raises(FormWithoutEffect):
        counter.through(FormKind.CERTIFICATE_REVOCATION, "keiri01")


def test_another_administrator_and_another_name(bank: World, counter: Counter) -> None:
    certificate = bank.acquire(ADMINISTRATOR)
    issued = counter.through(
        FormKind.CONTRACT_CHANGE,
        company="株式会社新見本",
        kana="シンミホン",
        new_administrator="後任 花子",
        mail_address="ｈａｎａｋｏ@example.co.jp",
    )
    assert issued is not None
    assert issued.name == "後任 花子"
    assert issued.acquires
    with pytest.raises(CertificateRevoked):
        bank.log_on(certificate)
    with pytest.raises(NotAccepted):
        bank.acquire(ADMINISTRATOR)  # with the PINs of the one before
    whole = read_contract(bank.ports, at_work=counter.at_clerk, contract_id=CONTRACT)
    assert whole.contract.name == "株式会社新見本"
    assert (whole.people[0].person.name, whole.people[0].person.mail_address) == ("後任 花子", "hanako@example.co.jp")
    assert not whole.people[0].person.mail_confirmed
    staff = counter.at_clerk.staff
    for typed, found in (("しんみほん", 1), ("新見本", 1), ("見本", 0)):
        assert len(find_contracts(bank.ports, staff=staff, looked_for=typed).contracts) == found, typed


def test_a_contract_ends_for_good(bank: World, counter: Counter) -> None:
    certificates = [bank.acquire(ADMINISTRATOR), bank.acquire(KEIRI01)]
    waiting = counter.approved(FormKind.CERTIFICATE_REISSUE)
    counter.through(FormKind.CONTRACT_END)
    assert [one for one in told(bank) if one[0] == "contract-ended"] == [
        ("contract-ended", None),
        *users_told("contract-ended"),
    ]
    for one in certificates:
        with pytest.raises(CertificateRevoked):
            bank.log_on(one)
    with pytest.raises(NotAccepted):
        bank.acquire(KEIRI01)
    with pytest.raises(FormWithoutEffect):
        counter.carry_out(waiting)
    assert counter.state(waiting) == "approved", "and can be returned"
    with pytest.raises(FormWithoutEffect):
        counter.file(FormKind.EMERGENCY_STOP_LIFT)
    whole = read_contract(bank.ports, at_work=counter.at_clerk, contract_id=CONTRACT)
    assert whole.contract.ended_at is not None
    assert [form.number for form in whole.forms][-1] == waiting


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE contracts SET ended_at = registered_at",
        "UPDATE people SET deleted_at = registered_at WHERE user_key = 'keiri01'",
    ],
)
def test_a_form_that_waited_for_an_end_is_not_carried_out_after_it(bank: World, counter: Counter, change: str) -> None:
    number = counter.approved(FormKind.CERTIFICATE_REISSUE, "keiri01")
    with pytest.raises(FormWithoutEffect):
        overtaken(bank, [change], lambda: counter.carry_out(number))
    assert counter.state(number) == "approved"


@pytest.mark.parametrize(
    ("kind", "user_id", "detail", "wrong"),
    [
        (FormKind.CERTIFICATE_REISSUE, "nobody", {}, {"user_id": "user-unknown"}),
        (FormKind.CONTRACT_END, "keiri01", {}, {"user_id": "form-without-user"}),
        (FormKind.CONTRACT_CHANGE, "", {}, {"company": "form-change-missing"}),
        (FormKind.CONTRACT_CHANGE, "", {"kana": "ミホン"}, {"company": "entry-missing"}),
        (FormKind.CONTRACT_CHANGE, "", {"new_administrator": "花子"}, {"mail_address": "entry-missing"}),
        (FormKind.CONTRACT_CHANGE, "", {"mail_address": "a@example.jp"}, {"new_administrator": "entry-missing"}),
        (FormKind.CONTRACT_CHANGE, "", {"company": "\u202e" + "x"}, {"company": "entry-characters"}),
    ],
)
def test_what_is_wrong_is_told_beside_the_field(
    bank: World, counter: Counter, kind: FormKind, user_id: str, detail: dict[str, str], wrong: dict[str, str]
) -> None:
    with pytest.raises(DetailsNotAllowed) as told_why:
        counter.file(kind, user_id, **detail)
    assert told_why.value.fields == wrong
    assert not bank.rows("SELECT 1 FROM request_forms")


def demand_of(bank: World) -> tuple[Confirmation, Demand]:
    """Log the administrator on and return what files and what withdraws."""
    certificate = bank.acquire(ADMINISTRATOR)
    current = bank.resume(certificate, bank.log_on(certificate))
    at = (current.session, current.certificate.id)
    return Confirmation(*at, PINS[ADMINISTRATOR][1], ADDRESS), Demand(*at, ADDRESS)


def test_an_administrator_files_on_screen_and_no_seal_is_checked(bank: World, counter: Counter) -> None:
    confirmation, demand = demand_of(bank)

    def file(kind: FormKind, confirmed: Confirmation = confirmation) -> str:
        return file_on_screen(
            bank.ports, bank=bank.bank, confirmation=confirmed, kind=kind.value, user_id="", detail={}
        )

    with pytest.raises(EntryWrong):
        file(FormKind.CONTRACT_END, replace(confirmation, confirmation_pin="wrong111"))
    for kind in set(FormKind) - set(ON_SCREEN):
        with pytest.raises(ChoiceMissing):
            file(kind)
    number = file(FormKind.CERTIFICATE_REISSUE)
    with pytest.raises(FormMoved):
        counter.move(number, Step.APPROVE, counter.at_approver)
    assert counter.move(number, Step.RECEIVE) is FormState.RECEIVED
    with pytest.raises(FormMoved):
        counter.move(number, Step.CHECK_SEAL)
    with pytest.raises(FormMoved):
        withdraw_own_form(bank.ports, bank=bank.bank, demand=demand, number=number)
    counter.move(number, Step.APPROVE, counter.at_approver)
    withdrawn = file(FormKind.CONTRACT_END)
    withdraw_own_form(bank.ports, bank=bank.bank, demand=demand, number=withdrawn)
    shown = [(form.number, form.state) for form in own_forms(bank.ports, administrator=ADMINISTRATOR)]
    assert shown == [(withdrawn, FormState.WITHDRAWN), (number, FormState.APPROVED)]
    for unknown in ("", "0000000000", counter.file_by(counter.at_clerk, FormKind.PIN_RESET)[:-1] + "x"):
        with pytest.raises(FormUnknown):
            withdraw_own_form(bank.ports, bank=bank.bank, demand=demand, number=unknown)
    with pytest.raises(FormMoved):
        withdraw_own_form(bank.ports, bank=bank.bank, demand=demand, number=withdrawn)
    counter.carry_out(number)


def test_what_is_not_theirs_is_unknown(bank: World, counter: Counter) -> None:
    number = counter.file(FormKind.PIN_RESET)
    branch = counter.office.add("kakari02", Role.CLERK, branch="009").at_work()
    for shown in (number, "0000000000", "", "x", "９９"):
        with pytest.raises(FormUnknown):
            move_form(bank.ports, at_work=branch, number=shown, step=Step.CHECK_SEAL)
    with pytest.raises(ContractUnknown):
        counter.file_by(branch, FormKind.PIN_RESET)
    assert not waiting_forms(bank.ports, staff=branch.staff).forms
    assert [form.number for form in waiting_forms(bank.ports, staff=counter.at_clerk.staff).forms] == [number]
    with pytest.raises(ChoiceMissing):
        file_at_counter(
            bank.ports, at_work=counter.at_clerk, contract_id=CONTRACT, kind="pay-rise", user_id="", detail={}
        )


def test_who_leaves_or_loses_a_role_in_the_middle_moves_nothing_more(bank: World, counter: Counter) -> None:
    number = counter.file(FormKind.PIN_RESET)
    withdraw_role(bank.ports, bank=bank.bank, staff_id="kenin01", role=Role.APPROVER, actor=counter.at_clerk.actor)
    counter.move(number, Step.CHECK_SEAL)
    with pytest.raises(RoleMissing):
        counter.move(number, Step.APPROVE, counter.at_approver)
    end_staff(bank.ports, bank=bank.bank, staff_id="kakari01", actor=counter.at_approver.actor)
    with pytest.raises(SessionRefused):
        counter.move(number, Step.WITHDRAW, counter.at_clerk, reason="x")
    other = counter.office.add("kakari09", Role.CLERK).at_work()
    assert counter.move(number, Step.WITHDRAW, other, reason="x") is FormState.WITHDRAWN
