"""Whatever people wait for finds its rows by an index, however many there are."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, select, update
from tests.support.desk import DETAILS, acquire, last_code, replace_pins
from tests.support.keepers import Keepers
from tests.support.plans import collected, whole_reads
from tests.support.revoking import revoke_ca
from tests.support.scans import PDF
from tests.support.staff import OPERATOR, Office
from tests.support.unopened import Unopened
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, CONTRACT, KEIRI01, KEIRI02, PINS, World, world

from sekisho.background import publish
from sekisho.bench import synthetic
from sekisho.domain.customer_card import CardState
from sekisho.domain.errors import (
    EntryWrong,
    MailAddressCodeWrong,
    MailedCodeNeeded,
    MailedCodeWrong,
    NotAccepted,
    NothingToWithdraw,
    OpeningCodeWrong,
)
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.domain.person import Kind
from sekisho.domain.policy_changes import ProposalStep
from sekisho.domain.request_forms import Step
from sekisho.domain.secret import SecretName
from sekisho.domain.staff import Role
from sekisho.store import audit_search, card_makers, cards, removal, tables
from sekisho.store.audit import Actor
from sekisho.store.tables import metadata
from sekisho.usecases.add_staff import renew_staff
from sekisho.usecases.cards import own_cards, post_cards
from sekisho.usecases.carry_out_form import carry_out_form
from sekisho.usecases.change_details import change_details
from sekisho.usecases.change_mail_address import ask_new_address, read_address_change, take_new_address
from sekisho.usecases.change_pins import PinEntries, change_pins
from sekisho.usecases.change_user import Change, permit_reissue, revoke_of_user
from sekisho.usecases.clean_up import clean_up
from sekisho.usecases.confirm import Confirmation
from sekisho.usecases.delete_user import delete_user
from sekisho.usecases.emergency_stop import Demand
from sekisho.usecases.end_overlaps import end_overlaps
from sekisho.usecases.end_session import end_session_of_user
from sekisho.usecases.enter_console import leave_console, meet_system
from sekisho.usecases.expire_permits import expire_permits
from sekisho.usecases.export_audit import begin_export
from sekisho.usecases.file_form import file_at_counter
from sekisho.usecases.file_opening import file_opening
from sekisho.usecases.find_contracts import find_contracts, read_contract
from sekisho.usecases.follow_policy import BankInForce
from sekisho.usecases.form_scans import add_scan, read_scan
from sekisho.usecases.grant_role import end_staff, grant_role, withdraw_role
from sekisho.usecases.harden_verifiers import harden_verifiers
from sekisho.usecases.keep_tallies import add_up, count_waiting, remove_old_tallies
from sekisho.usecases.log_off import log_off
from sekisho.usecases.meet_visitor import meet_visitor
from sekisho.usecases.move_form import move_form
from sekisho.usecases.name_computer import name_computer
from sekisho.usecases.own_forms import own_forms
from sekisho.usecases.provisional_pins import reset_pins
from sekisho.usecases.publish_crl import publish_crls
from sekisho.usecases.read_crl import read_crl, read_crl_bytes
from sekisho.usecases.read_forms import read_form, waiting_forms
from sekisho.usecases.read_held import read_cards, read_certificate, read_permits
from sekisho.usecases.read_overview import read_overview
from sekisho.usecases.read_policy import read_proposal, read_rules
from sekisho.usecases.read_sessions import read_own_session, read_sessions_of_users, was_ended
from sekisho.usecases.read_status import read_inbox, read_pins, read_status
from sekisho.usecases.read_users import read_user, read_users
from sekisho.usecases.register_user import register_user
from sekisho.usecases.remove_contracts import kept_for
from sekisho.usecases.resume_orders import resume_orders
from sekisho.usecases.search_audit import Wanted, search_audit
from sekisho.usecases.send_reminders import remind_of_permits, remind_of_renewal
from sekisho.usecases.serve_systems import read_asked, read_events, register_contracts
from sekisho.usecases.shut_for_system import suspend_for_system, withdraw_for_system
from sekisho.usecases.tell_of_revoked_ca import tell_of_revoked_ca
from sekisho.web.mails import code_mail, send_mails

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.resume_session import LoggedOn

SOME, MILLION, FORMS = 20_000, 1_000_000, 5_000
_END_SOME = (
    "INSERT INTO crl_entries (certificate_id, bank, kind, serial, not_after, changed_at, entry) "
    "SELECT id, '9990', kind, serial, not_after, issued_at, fingerprint FROM certificates "
    "WHERE id >= {first} AND id < {after} AND ended_at IS NULL"
)
# An installation on SQLite never runs ANALYZE by itself, one on PostgreSQL is looked at by autovacuum.
STATES = ["postgresql", "sqlite", "sqlite, never analyzed"]


@pytest.fixture(
    scope="module",
    params=[
        *((state, SOME) for state in STATES),
        *(pytest.param((state, MILLION), marks=pytest.mark.soak) for state in STATES),
    ],
    ids=lambda param: f"{param[0]}, {param[1]}",
)
def crowded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Open a bank among so many others' certificates."""
    state, count = request.param
    with world(tmp_path_factory.mktemp("crowded"), state.partition(",")[0]) as bank:
        synthetic.fill(
            bank.db,
            count,
            bank=BANK.code,
            verifiers={"pin": "x" * 97, "confirmation-pin": "y" * 97},
            der=os.urandom(800),
            spki=os.urandom(91),
            now=bank.clock[0],
            say=lambda _line: None,
            first=1001,
        )
        # As if everything had been revoked: these too are found by an index, however many there are.
        # In parts, since no statement of a site may take as long as a million rows do.
        for first in range(1001, 1001 + count, SOME):
            bank.change(_END_SOME.format(first=first, after=first + SOME))
        synthetic.settle(bank.db)
        give_passkeys(bank)
        give_staff(bank)
        give_cards(bank)
        give_forms(bank)
        give_tallies(bank)
        if "never" in state:
            bank.change("DELETE FROM sqlite_stat1")
            bank.db.close()
        yield bank


def give_cards(bank: World) -> None:
    """Give each of the first contracts a card in use, and a lost one that it replaced."""
    contracts = tables.contracts.c

    def give(tx: Any) -> None:
        ids = tx.scalars(
            select(contracts.contract_id).where(contracts.contract_id != CONTRACT).order_by(contracts.contract_id)
        ).fetchmany(SOME)
        given = [
            {"contract_id": one, "state": state, "number": f"{state[0]}{one}", "bank": BANK.code}
            for one in ids
            for state in ("replaced", "in-use")
        ]
        tx.execute(insert(tables.cards), [{**one, "moved_at": bank.clock[0]} for one in given])

    bank.db.write(give)
    bank.change("ANALYZE cards")


def give_passkeys(bank: World) -> None:
    """Give everybody among the first a passkey, as a bank whose administrators all have one."""

    def give(tx: Any) -> None:
        people = list(tx.scalars(select(tables.people.c.id).order_by(tables.people.c.id).limit(SOME)))
        key = {"label": "key", "credential": os.urandom(150), "sign_count": 0, "added_at": bank.clock[0]}
        rows = [{"person_id": i, "credential_id": os.urandom(32), **key} for i in people]
        tx.execute(insert(tables.passkeys), rows)

    bank.db.write(give)
    bank.change("ANALYZE passkeys")


def give_staff(bank: World) -> None:
    """Add as many of the bank's own people as no bank has, each with a role, a certificate and a session."""
    now = bank.clock[0]
    numbers = range(1, SOME + 1)

    def give(tx: Any) -> None:
        tx.execute(
            insert(tables.staff),
            [
                {
                    "id": n, "bank": BANK.code, "staff_id": f"s{n}", "staff_key": f"s{n}", "name": "x", "branch": "777",
                    "registered_at": now, "verifier": "x", "pin_set_at": now,
                }
                for n in numbers
            ],
        )  # fmt: skip
        role = {"role": "clerk", "granted_by": "operator:x", "granted_at": now}
        tx.execute(insert(tables.staff_roles), [{"id": n, "holder_id": n, **role} for n in numbers])

    def equip(tx: Any) -> None:
        dates = {"not_before": now, "not_after": now, "issued_at": now, "der": b"x"}
        tx.execute(
            insert(tables.staff_certificates),
            [{"id": n, "holder_id": n, "serial": n, "fingerprint": n.to_bytes(32, "big"), **dates} for n in numbers],
        )
        times = {"address": ADDRESS, "opened_at": now, "seen_at": now, "ended_at": now, "end": "logoff"}
        tx.execute(
            insert(tables.staff_sessions),
            [
                {"id": n, "holder_id": n, "certificate_id": n, "token_sha256": n.to_bytes(32, "big"), **times}
                for n in numbers
            ],
        )

    def answer_systems(tx: Any) -> None:
        answer = {"ref": "", "request_sha256": b"x", "answer": "x", "answered_at": now}
        answers = [{"system_id": n, "key_sha256": n.to_bytes(32, "big"), **answer} for n in numbers]
        tx.execute(insert(tables.system_answers), answers)

    # One after the other: no transaction of a site may last long, on a busy machine either.
    for work in (give, equip, answer_systems):
        bank.db.write(work)
    names = ("staff", "staff_roles", "staff_certificates", "staff_sessions")
    if bank.db.writing.dialect.name == "postgresql":
        bank.change(*(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {SOME})" for name in names))
    bank.change(*(f"ANALYZE {name}" for name in (*names, "system_answers")))


def give_tallies(bank: World) -> None:
    """Let many hours have been counted, as in a bank with hundreds of branches."""
    hours = [bank.clock[0] - n * timedelta(hours=1) for n in range(SOME // 100)]
    rows = [
        {"what": what, "bank": BANK.code, "begins_at": hour, "branch": f"{branch:03}", "number": 1}
        for what in ("logons", "ends")
        for hour in hours
        for branch in range(100)
    ]
    bank.db.write(lambda tx: tx.execute(insert(tables.tallies), rows))
    bank.change("ANALYZE tallies")


def give_forms(bank: World) -> None:
    """Let many request forms have come to their ends, of many contracts; some at once, since triggers look at each."""
    with bank.db.read() as tx:
        contracts = list(tx.scalars(select(tables.contracts.c.contract_id).limit(FORMS)))
    roles = tables.staff_roles
    bank.db.write(lambda tx: tx.execute(update(roles).where(roles.c.id <= FORMS).values(role="approver")))
    for first in range(1, FORMS + 1, FORMS // 10):
        numbers = range(first, first + FORMS // 10)
        bank.db.write(partial(end_forms, numbers=numbers, contracts=contracts, now=bank.clock[0]))
    if bank.db.writing.dialect.name == "postgresql":
        bank.change(f"SELECT setval(pg_get_serial_sequence('request_forms', 'id'), {FORMS})")
    bank.change("ANALYZE request_forms", "ANALYZE form_approvals", "ANALYZE form_scans")


def end_forms(tx: Any, *, numbers: range, contracts: list[str], now: datetime) -> None:
    forms, approvals = tables.request_forms, tables.form_approvals
    tx.execute(
        insert(forms),
        [
            {
                "id": n, "bank": BANK.code, "kind": "pin-reset", "state": "received", "branch": "777",
                "contract_id": contracts[n % len(contracts)], "detail": {}, "filed_at": now,
                "moved_at": now, "entered_by_id": n, "entered_with_id": n,
            }
            for n in numbers
        ],
    )  # fmt: skip
    others = [(n, n % FORMS + 1) for n in numbers]
    tx.execute(
        insert(approvals),
        [
            {"form_id": n, "approved_by_id": m, "approved_with_id": m, "role_id": m, "approved_at": now}
            for n, m in others
        ],
    )
    tx.execute(update(forms).where(forms.c.id.between(numbers[0], numbers[-1])).values(state="carried-out"))
    scan = {"kind": "pdf", "size": 1, "sha256": b"x" * 32, "sealed": b"x", "added_at": now}
    tx.execute(insert(tables.form_scans), [{"form_id": n, "added_by_id": n, **scan} for n in numbers for _ in "ab"])


def change(current: LoggedOn, user_id: str) -> Change:
    return Change(current.session, current.certificate.id, user_id, PINS[ADMINISTRATOR][1], ADDRESS)


def change_pin(bank: World, current: LoggedOn, new: str) -> None:
    both = (SecretName.PIN, SecretName.CONFIRMATION_PIN)
    pins = dict(zip(both, (new, ""), strict=True))
    change_pins(
        bank.ports,
        bank=BANK,
        session=current.session,
        certificate_id=current.certificate.id,
        entries=PinEntries(dict(zip(both, PINS[current.person.who], strict=True)), pins, pins),
        address=ADDRESS,
    )


def hire(bank: World, current: LoggedOn) -> None:
    """Register a user, who acquires with provisional PINs and a mailed code; change, reset and delete them."""
    confirmation = Confirmation(current.session, current.certificate.id, PINS[ADMINISTRATOR][1], ADDRESS)
    decided: Any = {"bank": BANK, "confirmation": confirmation}
    issued = register_user(bank.ports, **decided, user_id="keiri03", details=DETAILS)
    with pytest.raises(MailedCodeNeeded):
        acquire(bank, issued)
    with pytest.raises(MailedCodeWrong):
        acquire(bank, issued, "00000000")
    certificate = acquire(bank, issued, last_code(bank))
    replace_pins(bank, certificate, issued, "watashi1", "watashi2")
    details = replace(DETAILS, name="経理 花子")
    change_details(bank.ports, **decided, user_id="keiri03", details=details)
    reset_pins(bank.ports, **decided, user_id="keiri03")
    delete_user(bank.ports, **decided, user_id="keiri03")


def open_a_contract(bank: World) -> None:
    """Confirm an opening, at the second address and with the second code."""
    unopened = Unopened(bank)
    current = unopened.log_on()
    unopened.enter(current)
    unopened.mail_again(current, "kanri2@kogyo.example.com")
    with pytest.raises(OpeningCodeWrong):
        unopened.confirm(current, "x")
    unopened.confirm(current, last_code(bank))


def change_a_mail_address(bank: World, current: LoggedOn) -> None:
    """Change it, with a wrong code first."""
    confirmation = Confirmation(current.session, current.certificate.id, PINS[current.person.who][1], ADDRESS)
    mail = code_mail(bank.ports, BANK)
    ask_new_address(bank.ports, bank=BANK, confirmation=confirmation, mail_address="shin@example.com", mail=mail)
    with pytest.raises(MailAddressCodeWrong):
        take_new_address(bank.ports, bank=BANK, logged_on=current, code="x", address=ADDRESS)
    take_new_address(bank.ports, bank=BANK, logged_on=current, code=last_code(bank), address=ADDRESS)
    assert read_address_change(bank.ports, bank=BANK, person_id=current.person.id).changed_at is not None


def work_at_the_console(bank: World) -> None:
    """Do once what the bank's own people do all day."""
    office = Office(bank)
    centre, clerk = office.add("center01", Role.OPERATOR), office.add("kakari01", Role.CLERK, branch="001")
    with pytest.raises(EntryWrong):
        clerk.log_on("wrong111")
    for colleague in (centre, clerk):
        staff = colleague.at_work().staff
        for looked_for, branch in (
            ("1234", ""),
            ("", "001"),
            ("見本", ""),
            ("synthetic", ""),
            ("見本", "001"),
            ("", ""),
        ):
            found = find_contracts(bank.ports, staff=staff, looked_for=looked_for, branch=branch)
            if found.after is not None:
                find_contracts(bank.ports, staff=staff, looked_for=looked_for, branch=branch, after=found.after)
    read_contract(bank.ports, at_work=centre.at_work(), contract_id=CONTRACT)
    grant_role(bank.ports, bank=BANK, staff_id="kakari01", role=Role.APPROVER, actor=OPERATOR)
    withdraw_role(bank.ports, bank=BANK, staff_id="kakari01", role=Role.CLERK, actor=OPERATOR)
    renew_staff(bank.ports, bank=BANK, staff_id="kakari01", issue=office.issue, actor=OPERATOR)
    bank.later(seconds=30)
    token = centre.log_on()
    bank.later(seconds=30)
    leave_console(bank.ports, bank=BANK, at_work=centre.resume(token))
    end_staff(bank.ports, bank=BANK, staff_id="kakari01", actor=OPERATOR)
    change_rules(bank)


def handle_forms(bank: World) -> None:
    """Take request forms to their ends, with two of the bank's people."""
    office = Office(bank)
    clerk, approver = office.add("kakari02", Role.CLERK).at_work(), office.add("kenin02", Role.APPROVER).at_work()
    change = {"company": "株式会社新見本", "kana": "シンミホン"}
    for kind, detail in (
        ("contract-change", change),
        ("pin-reset", {}),
        ("card-reissue", {}),
        ("interim-step", {}),
        ("emergency-stop", {}),
    ):
        number = file_at_counter(bank.ports, at_work=clerk, contract_id=CONTRACT, kind=kind, user_id="", detail=detail)
        move_form(bank.ports, at_work=clerk, number=number, step=Step.CHECK_SEAL)
        for staff in (clerk.staff, replace(clerk.staff, branch="001")):
            waiting_forms(bank.ports, staff=staff)
        move_form(bank.ports, at_work=approver, number=number, step=Step.APPROVE)
        carry_out_form(bank.ports, bank=BANK, at_work=clerk, number=number)
        read_form(bank.ports, at_work=approver, number=number)
    have_scans(bank, clerk)
    own_forms(bank.ports, administrator=ADMINISTRATOR)
    have_card_made(bank)
    ask_as_a_system(bank)


def have_scans(bank: World, clerk: AtWork) -> None:
    """Keep a scan with a form, read it, and with a request for a contract that is returned."""
    given: dict[str, Any] = {"contract_id": CONTRACT, "kind": "lockout-lift", "user_id": "", "detail": {}}
    number = file_at_counter(bank.ports, at_work=clerk, **given)
    add_scan(bank.ports, at_work=clerk, number=number, content=PDF)
    (scan,) = read_form(bank.ports, at_work=clerk, number=number).scans
    read_scan(bank.ports, at_work=clerk, number=number, scan_id=scan.id)
    opening = {"company_name": "x", "administrator_name": "x"}
    number = file_opening(bank.ports, at_work=clerk, typed=opening)
    move_form(bank.ports, at_work=clerk, number=number, step=Step.RETURN, reason="x")


def change_rules(bank: World) -> None:
    """Have two of the bank's people change its rules, and a process follow."""
    keepers = Keepers(bank)
    in_force = BankInForce(bank.ports, BANK)
    number = keepers.change(grace_days=1)
    keepers.decide(keepers.propose(grace_days=2), ProposalStep.REFUSE)
    read_rules(bank.ports, staff=keepers.at_one.staff)
    read_rules(bank.ports, staff=keepers.at_one.staff, before=int(number))
    read_proposal(bank.ports, staff=keepers.at_one.staff, number=number)
    in_force.look()
    assert in_force().policy.grace == timedelta(days=1)


def have_card_made(bank: World) -> None:
    """Bring the card that was ordered into the post, and the one of another contract into use."""

    def make(tx: Any) -> None:
        (ordered,) = cards.to_print(tx, BANK.code)
        cards.move(tx, ordered, CardState.MADE, bank.clock[0])

    bank.db.write(make)
    with bank.db.read() as tx:
        for branch in (None, "001"):
            cards.waiting(tx, BANK.code, branch, after=0, most=50)
        cards.count_not_posted(tx, BANK.code)
        card_makers.present(tx, BANK.code)
    own_cards(bank.ports, ADMINISTRATOR)
    post_cards(bank.ports, bank=BANK, contract_ids=[CONTRACT], actor=Actor("operator:test"))
    assert bank.db.write(lambda tx: cards.take_into_use(tx, ADMINISTRATOR, bank.clock[0]))


def ask_as_a_system(bank: World) -> None:
    """Let a program of the bank's register a contract, file a form and read what happened."""
    office = Office(bank)
    asking = meet_system(bank.ports, bank=BANK, der=office.add("core", Role.SYSTEM).der, address=ADDRESS)
    assert asking is not None
    read_events(bank.ports, at_work=asking, after=SOME, most=10)
    contract = {"contract_id": "20000000001", "name": "x", "administrator": "x"}
    asked = read_asked(asking, "open-0001", b"contract")
    register_contracts(bank.ports, bank=BANK, at_work=asking, asked=asked, contracts=[contract], dry_run=False)
    assert harden_verifiers(bank.ports, bank=BANK.code)
    read_permits(bank.ports, at_work=asking, contract_id=CONTRACT)
    read_cards(bank.ports, at_work=asking, contract_id=CONTRACT)
    serial = read_contract(bank.ports, at_work=asking, contract_id=CONTRACT).certificates[0].serial
    read_certificate(bank.ports, at_work=asking, serial=serial)
    asked = read_asked(asking, "stop-0001", b"suspend")
    suspend_for_system(bank.ports, at_work=asking, asked=asked, serial=serial)
    asked = read_asked(asking, "take-0001", b"withdraw")
    with pytest.raises(NothingToWithdraw):
        withdraw_for_system(bank.ports, at_work=asking, asked=asked, contract_id=CONTRACT, user_id="")
    asked = read_asked(asking, "form-0001", b"form")
    given: dict[str, Any] = {"contract_id": CONTRACT, "kind": "pin-reset", "user_id": "", "detail": {}}
    file_at_counter(bank.ports, at_work=asking, asked=asked, **given)


def sessions_of(bank: World, administrator: LoggedOn, user: LoggedOn) -> None:
    """Look at who is logged on, name a computer, and end a user's session."""
    read_own_session(bank.ports, bank=BANK, logged_on=user)
    name_computer(bank.ports, bank=BANK, logged_on=user, computer="keiri", address=ADDRESS)
    demand = Demand(administrator.session, administrator.certificate.id, ADDRESS)
    for one in read_sessions_of_users(bank.ports, bank=BANK, administrator=ADMINISTRATOR):
        end_session_of_user(bank.ports, bank=BANK, demand=demand, session_id=one.id)
        assert was_ended(bank.ports, administrator=ADMINISTRATOR, session_id=one.id)


def journeys(bank: World) -> None:
    """Do once what people and the work behind them do all day."""
    administrator, user = bank.acquire(ADMINISTRATOR), bank.acquire(KEIRI01)
    with pytest.raises(NotAccepted):
        bank.acquire(KEIRI02, pin="wrong111")
    bank.acquire(KEIRI02)
    for held in (administrator, user):
        meet_visitor(bank.ports, bank=BANK, kind=held.kind, der=held.der)
        bank.log_on(held)
        current = bank.resume(held, bank.log_on(held))
        read_status(bank.ports, bank=BANK, logged_on=current)
        read_inbox(bank.ports, logged_on=current)
    change_a_mail_address(bank, bank.resume(user, bank.log_on(user)))
    current = bank.resume(administrator, bank.log_on(administrator))
    read_pins(bank.ports, logged_on=current)
    change_pin(bank, current, "shinki12")
    hire(bank, current)
    open_a_contract(bank)
    read_users(bank.ports, administrator=ADMINISTRATOR)
    read_user(bank.ports, administrator=ADMINISTRATOR, user_id="keiri02")
    permit_reissue(bank.ports, bank=BANK, change=change(current, "keiri02"))
    bank.acquire(KEIRI02)
    revoke_of_user(bank.ports, bank=BANK, change=change(current, "keiri02"))
    bank.later(seconds=30)
    bank.resume(user, token := bank.log_on(user))
    bank.later(seconds=30)
    sessions_of(bank, current, bank.resume(user, token))
    log_off(bank.ports, session=bank.resume(user, bank.log_on(user)).session, address=ADDRESS)
    current = bank.resume(administrator, bank.log_on(administrator, "shinki12"))
    permit_reissue(bank.ports, bank=BANK, change=change(current, "keiri02"))
    bank.later(days=12)
    assert remind_of_permits(bank.ports, bank=BANK)
    bank.later(days=3)
    assert expire_permits(bank.ports, bank=BANK)
    bank.later(days=321)
    assert remind_of_renewal(bank.ports, bank=BANK)
    bank.renew(user)
    renewed = bank.renew(user)
    send_mails(bank.ports, bank=BANK)
    publish(bank.ports, BANK)
    publish_crls(bank.ports, bank=BANK.code)
    published = read_crl(bank.ports, bank=BANK.code, name="user")
    assert published is not None
    assert read_crl_bytes(bank.ports, bank=BANK.code, name="user", number=published.number)
    resume_orders(bank.ports)
    bank.later(days=8)
    end_overlaps(bank.ports, bank=BANK)
    bank.log_on(renewed)
    work_at_the_console(bank)
    handle_forms(bank)
    look_over(bank)


def look_over(bank: World) -> None:
    """Keep the counts, look at what is made from them, and clean up."""
    while add_up(bank.ports):
        pass
    count_waiting(bank.ports)
    office = Office(bank)
    auditor = office.add("kansa01", Role.AUDITOR).at_work()
    for staff in (auditor.staff, replace(auditor.staff, branch="001")):
        read_overview(bank.ports, staff=staff)
    since = bank.clock[0] - timedelta(days=2)
    for wanted in (
        Wanted(contract_id=CONTRACT),
        Wanted(staff_id="kansa01", since=since),
        Wanted(action="contract-read", until=bank.clock[0]),
        Wanted(action="logged-on", before=SOME),
        Wanted(since=since, until=bank.clock[0]),
        Wanted(),
    ):
        search_audit(bank.ports, at_work=auditor, wanted=wanted)
    bank.later(minutes=2)
    for _ in begin_export(bank.ports, bank=BANK.code, actor=OPERATOR, since=since).pieces():
        pass
    with bank.db.read() as tx:
        audit_search.of_action(tx, BANK.code, "audit-export-finished", most=10)
    bank.later(days=401)
    assert clean_up(bank.ports)
    assert remove_old_tallies(bank.ports)


def lose_an_issuing_ca(bank: World) -> None:
    """Have the users' issuing CA revoked, and tell the first of those who hold its certificates."""
    revoke_ca(bank, IssuingCa(Kind.USER))
    assert tell_of_revoked_ca(bank.ports, bank=BANK.code)


def remove_contract(bank: World) -> None:
    """Remove the contract as if it had ended long ago; no statement of that may read other contracts' rows."""
    its = f"bank = '{BANK.code}' AND contract_id = '{CONTRACT}'"
    bank.change(f"UPDATE contracts SET ended_at = registered_at WHERE {its}")  # noqa: S608 - constants
    bank.later(days=8 * 366)
    due = bank.db.write(lambda tx: removal.due(tx, BANK.code, bank.clock[0] - kept_for(7), 10))
    assert due == [CONTRACT]
    assert bank.db.write(lambda tx: removal.remove(tx, BANK.code, CONTRACT, bank.clock[0]))


def test_no_statement_of_a_hot_path_reads_a_table_that_grows(crowded: World) -> None:
    with collected(crowded.db) as sent:
        journeys(crowded)
        lose_an_issuing_ca(crowded)
        remove_contract(crowded)
    for table in metadata.tables.keys() - {"banks"}:
        assert any(table in statement for statement in sent), f"{table} was not touched"
    # What a revocation list says is read whole; that is what it is for.
    looking = [statement for statement in sent if not statement.startswith("SELECT crl_entries.entry")]
    found = {one: reads for one in looking if (reads := whole_reads(crowded.db, one, sent[one]))}
    assert found == {}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id FROM people WHERE name = 'nobody'",
        "SELECT id FROM certificates WHERE held = 'nobody' ORDER BY id",
        "UPDATE sessions SET seen_at = seen_at WHERE address = 'nobody'",
        "SELECT p.id FROM people AS p JOIN audit AS a ON a.person_id = p.id WHERE p.id = 5",
    ],
)
def test_one_that_does_is_found(crowded: World, statement: str) -> None:
    assert whole_reads(crowded.db, statement, ())
