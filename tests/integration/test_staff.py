"""The bank's own people: roles, the console's door, and which contracts are theirs to see."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import IntegrityError
from tests.support.staff import OPERATOR, Colleague, Office
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, CONTRACT, KEIRI01, World, world

from sekisho.domain.customer_card import CardState
from sekisho.domain.errors import (
    CertificateExpired,
    CertificateMissing,
    CertificateNotYetValid,
    CertificateOtherBank,
    CertificateRevoked,
    CertificateUnknown,
    ContractUnknown,
    DetailsNotAllowed,
    EntryDiffers,
    EntryMissing,
    EntryWrong,
    PinNotAllowed,
    Refusal,
    RoleGranted,
    RoleMissing,
    RoleNotGranted,
    RolesConflict,
    SessionEndedCertificate,
    SessionEndedElsewhere,
    SessionEndedIdle,
    SessionRefused,
    StaffClosed,
    StaffIdTaken,
    StaffUnknown,
)
from sekisho.domain.staff import Role
from sekisho.usecases.add_staff import NewStaff, add_staff, renew_staff
from sekisho.usecases.change_staff_pin import change_staff_pin
from sekisho.usecases.enter_console import enter_staff_pin, leave_console, meet_staff, resume_work
from sekisho.usecases.find_contracts import ON_A_PAGE, find_contracts, read_contract
from sekisho.usecases.grant_role import end_staff, grant_role, withdraw_role
from sekisho.usecases.put_contracts import NewPerson
from sekisho.usecases.register_contract import register_contract

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.staff import Colleague


@pytest.fixture
def office(bank: World) -> Office:
    return Office(bank)


def register(bank: World, contract_id: str, name: str, *, branch: str | None = None, kana: str | None = None) -> None:
    register_contract(
        bank.ports,
        bank=bank.bank,
        contract_id=contract_id,
        name=name,
        everyone=[NewPerson(None, "管理者", None, "ja", "kanri1aa", "kanri2bb", permitted=False)],
        actor=OPERATOR,
        branch=branch,
        kana=kana,
    )


def found(bank: World, who: Colleague, looked_for: str, branch: str = "") -> list[str]:
    page = find_contracts(bank.ports, staff=who.at_work().staff, looked_for=looked_for, branch=branch)
    return [contract.contract_id for contract in page.contracts]


def actions(bank: World) -> list[str]:
    return [row.action for row in bank.rows("SELECT action FROM audit ORDER BY id")]


def test_a_role_counts_from_the_next_request_on(bank: World, office: Office) -> None:
    clerk = office.add("kakari01", Role.CLERK, branch="001")
    token = clerk.log_on()
    assert clerk.resume(token).staff.roles == {Role.CLERK}
    grant_role(bank.ports, bank=BANK, staff_id="KAKARI01", role=Role.APPROVER, actor=OPERATOR)
    assert clerk.resume(token).staff.roles == {Role.CLERK, Role.APPROVER}
    withdraw_role(bank.ports, bank=BANK, staff_id="kakari01", role=Role.CLERK, actor=OPERATOR)
    at_work = clerk.resume(token)
    at_work.staff.require(Role.APPROVER)
    with pytest.raises(RoleMissing):
        at_work.staff.require(Role.CLERK, Role.OPERATOR)
    assert [action for action in actions(bank) if action.startswith("role-")] == [
        "role-granted",
        "role-granted",
        "role-withdrawn",
    ]


def test_who_granted_a_role_stands_with_it(bank: World, office: Office) -> None:
    office.add("center01", Role.OPERATOR)
    clerk = office.add("kakari01", Role.CLERK, by="center01")
    grant_role(bank.ports, bank=BANK, staff_id="kakari01", role=Role.APPROVER, actor=OPERATOR)
    grants = clerk.at_work().staff.grants
    assert [(grant.role, grant.granted_by, grant.granted_at) for grant in grants] == [
        (Role.CLERK, "staff:center01", bank.clock[0]),
        (Role.APPROVER, "operator:test", bank.clock[0]),
    ]


def test_what_cannot_be_granted_or_withdrawn(bank: World, office: Office) -> None:
    office.add("kakari01", Role.CLERK)
    for refusal, role, by in (
        (RoleGranted, Role.CLERK, None),
        (RolesConflict, Role.AUDITOR, None),
        (RoleMissing, Role.APPROVER, "kakari01"),
        (StaffUnknown, Role.APPROVER, "nobody"),
    ):
        with pytest.raises(refusal):
            grant_role(bank.ports, bank=BANK, staff_id="kakari01", role=role, actor=OPERATOR, by=by)
    with pytest.raises(RoleNotGranted):
        withdraw_role(bank.ports, bank=BANK, staff_id="kakari01", role=Role.APPROVER, actor=OPERATOR)
    with pytest.raises(StaffUnknown):
        grant_role(bank.ports, bank=BANK, staff_id="nobody", role=Role.CLERK, actor=OPERATOR)
    with pytest.raises(RolesConflict):
        office.add("kansa01", Role.AUDITOR, Role.CLERK)


def test_the_database_itself_lets_nobody_grant_to_themselves(bank: World, office: Office) -> None:
    office.add("kakari01", Role.CLERK)
    with pytest.raises(IntegrityError):
        bank.change(
            "INSERT INTO staff_roles (holder_id, role, granted_by, granted_by_id, granted_at) "
            "SELECT id, 'approver', 'staff:kakari01', id, registered_at FROM staff"
        )


@pytest.mark.parametrize(
    ("staff_id", "name", "branch", "field"),
    [
        ("kakari 1", "見本", "001", "staff_id"),
        ("", "見本", "001", "staff_id"),
        ("kakari01", " ", "001", "name"),
        ("kakari01", "見" * 61, "001", "name"),
        ("kakari01", "見本", "1", "branch"),
        ("kakari01", "見本", "0001", "branch"),
    ],
)
def test_details_that_cannot_be_taken(
    bank: World, office: Office, staff_id: str, name: str, branch: str, field: str
) -> None:
    new = NewStaff(staff_id, name, branch, [Role.CLERK])
    with pytest.raises(DetailsNotAllowed) as refused:
        add_staff(bank.ports, bank=BANK, new=new, issue=office.issue, actor=OPERATOR)
    assert list(refused.value.fields) == [field]
    assert bank.rows("SELECT id FROM staff") == []


def test_an_id_is_never_given_twice_and_who_ended_is_out(bank: World, office: Office) -> None:
    clerk = office.add("kakari01", Role.CLERK)
    with pytest.raises(StaffIdTaken):
        office.add("Kakari01", Role.CLERK)
    token = clerk.log_on()
    ended = end_staff(bank.ports, bank=BANK, staff_id="kakari01", actor=OPERATOR)
    assert (ended.roles, ended.ended_at) == (frozenset(), bank.clock[0])
    with pytest.raises(CertificateRevoked):
        clerk.resume(token)
    with pytest.raises(CertificateRevoked):
        clerk.log_on()
    with pytest.raises(StaffIdTaken):
        office.add("kakari01", Role.CLERK)
    with pytest.raises(StaffUnknown):
        end_staff(bank.ports, bank=BANK, staff_id="kakari01", actor=OPERATOR)


def test_the_door_takes_only_a_certificate_of_the_staffs_own(bank: World, office: Office, tmp_path: Path) -> None:
    clerk = office.add("kakari01", Role.CLERK)
    customer = bank.acquire(KEIRI01)
    for refusal, der in ((CertificateMissing, None), (CertificateUnknown, customer.der), (CertificateUnknown, b"?")):
        with pytest.raises(refusal):
            meet_staff(bank.ports, bank=BANK, der=der)
    with pytest.raises(CertificateOtherBank):
        meet_staff(bank.ports, bank=replace(BANK, code="9991"), der=clerk.der)
    bank.later(hours=-2)
    with pytest.raises(CertificateNotYetValid):
        meet_staff(bank.ports, bank=BANK, der=clerk.der)
    bank.later(days=366)
    with pytest.raises(CertificateExpired):
        meet_staff(bank.ports, bank=BANK, der=clerk.der)


def test_a_session_is_bound_to_its_certificate_and_ends(bank: World, office: Office) -> None:
    clerk, other = office.add("kakari01", Role.CLERK), office.add("kakari02", Role.CLERK)
    with pytest.raises(SessionRefused):
        clerk.resume(None)
    first = clerk.log_on()
    with pytest.raises(Refusal) as refused:
        other.resume(first)
    assert refused.value.code == "session-certificate-differs"
    second = clerk.log_on()
    with pytest.raises(SessionEndedElsewhere):
        clerk.resume(first)
    bank.later(minutes=14)
    clerk.resume(second)
    bank.later(minutes=14)
    clerk.resume(second)
    bank.later(minutes=15)
    with pytest.raises(SessionEndedIdle):
        clerk.resume(second)
    third = clerk.log_on()
    leave_console(bank.ports, bank=BANK, at_work=clerk.resume(third))
    with pytest.raises(SessionRefused):
        clerk.resume(third)
    assert actions(bank)[-2:] == ["staff-logged-on", "staff-logged-off"]


def test_seven_misses_shut_the_door_until_the_operators_renew(bank: World, office: Office) -> None:
    clerk = office.add("kakari01", Role.CLERK)
    token = clerk.log_on()
    with pytest.raises(EntryMissing):
        clerk.log_on(" ")
    for _ in range(6):
        with pytest.raises(EntryWrong):
            clerk.log_on("wrong111")
    with pytest.raises(StaffClosed):
        clerk.log_on("wrong111")
    with pytest.raises(StaffClosed):
        clerk.log_on()
    with pytest.raises(SessionRefused):
        clerk.resume(token)
    renewed, pin = renew_staff(bank.ports, bank=BANK, staff_id="kakari01", issue=office.issue, actor=OPERATOR)
    assert renewed.roles == {Role.CLERK}
    with pytest.raises(CertificateRevoked):
        clerk.log_on()
    new = replace(clerk, der=office.issued["kakari01"], pin=pin)
    with pytest.raises(EntryWrong):
        new.log_on(clerk.pin)
    assert new.at_work().staff.staff_id == "kakari01"
    assert bank.rows("SELECT misses FROM staff")[0].misses == 0


@pytest.mark.parametrize("misses", [3, 5])
def test_a_lower_limit_shuts_nobody_out_and_the_next_miss_shuts_the_door(
    bank: World, office: Office, misses: int
) -> None:
    clerk, other = office.add("kakari01", Role.CLERK), office.add("kakari02", Role.CLERK)
    for one in (clerk, other):
        for _ in range(misses):
            with pytest.raises(EntryWrong):
                one.log_on("wrong111")
    stricter = replace(BANK, policy=replace(BANK.policy, misses_before_closed=3))

    def enter(one: Colleague, pin: str) -> None:
        enter_staff_pin(bank.ports, bank=stricter, der=one.der, pin=pin, address=ADDRESS)

    enter(clerk, clerk.pin)
    with pytest.raises(EntryWrong):
        enter(clerk, "wrong111")  # the count began anew
    with pytest.raises(StaffClosed):
        enter(other, "wrong111")
    with pytest.raises(StaffClosed):
        enter(other, other.pin)


def test_a_renewal_ends_open_sessions(bank: World, office: Office) -> None:
    clerk = office.add("kakari01", Role.CLERK)
    token = clerk.log_on()
    renew_staff(bank.ports, bank=BANK, staff_id="kakari01", issue=office.issue, actor=OPERATOR)
    with pytest.raises(SessionEndedCertificate):
        resume_work(bank.ports, bank=BANK, der=office.issued["kakari01"], token=token, address=ADDRESS)


def test_guesses_in_parallel_are_judged_one_after_another(bank: World, office: Office) -> None:
    clerk = office.add("kakari01", Role.CLERK)

    def guess(_: int) -> str:
        try:
            enter_staff_pin(bank.ports, bank=BANK, der=clerk.der, pin="wrong111", address=ADDRESS)
        except Refusal as refusal:
            return refusal.code
        return "in"

    with ThreadPoolExecutor(8) as crowd:
        told = list(crowd.map(guess, range(12)))
    assert told.count("entry-wrong") == 6
    assert told.count("staff-closed") == 6
    assert bank.rows("SELECT misses FROM staff")[0].misses == 7


def test_a_branch_sees_its_own_the_centre_all_and_nobody_another_banks(
    bank: World, office: Office, tmp_path: Path, engine: str
) -> None:
    register(bank, "20000000001", "青空工業株式会社", branch="001")
    register(bank, "20000000002", "青空商店", branch="002")
    here, centre = office.add("kakari01", Role.CLERK, branch="001"), office.add("center01", Role.OPERATOR)
    assert found(bank, here, "青空") == ["20000000001"]
    assert found(bank, here, "") == ["20000000001"]
    assert found(bank, here, "", "002") == ["20000000001"], "whatever branch was asked for"
    assert found(bank, centre, "青空") == ["20000000002", "20000000001"], "in the order of names"
    assert found(bank, centre, "") == [CONTRACT, "20000000001", "20000000002"]
    assert found(bank, centre, "", "００２") == ["20000000002"]
    assert found(bank, centre, "", "2") == []
    for hidden in ("20000000002", CONTRACT, "99999999999", "x"):
        with pytest.raises(ContractUnknown):
            read_contract(bank.ports, at_work=here.at_work(), contract_id=hidden)
    stranger = replace(centre.at_work(), staff=replace(centre.staff, bank="9991"))
    with pytest.raises(ContractUnknown):
        read_contract(bank.ports, at_work=stranger, contract_id=CONTRACT)
    assert "contract-read" not in actions(bank)


def test_a_move_to_another_branch_counts_at_the_next_request(bank: World, office: Office) -> None:
    register(bank, "20000000001", "青空工業", branch="001")
    clerk = office.add("kakari01", Role.CLERK, branch="001")
    token = clerk.log_on()
    read_contract(bank.ports, at_work=clerk.resume(token), contract_id="20000000001")
    bank.change("UPDATE staff SET branch = '002'")
    with pytest.raises(ContractUnknown):
        read_contract(bank.ports, at_work=clerk.resume(token), contract_id="20000000001")


@pytest.mark.parametrize(
    "typed",
    ["見本", "見本商事", "株式会社見本", "㈱見本", "みほんし", "ﾐﾎﾝ", "ミホンショウジ", "1234", "１２３４５", CONTRACT],
)
def test_a_contract_is_found_however_it_is_typed(bank: World, office: Office, typed: str) -> None:
    bank.change(
        "INSERT INTO contract_names (bank, key, contract_id) SELECT bank, 'ミホンショウジ', contract_id FROM contracts"
    )
    register(bank, "99999999998", "別会社", kana="ベツガイシャ")
    assert found(bank, office.add("center01", Role.OPERATOR), typed) == [CONTRACT]


@pytest.mark.parametrize("typed", ["商事", "見本商事x", "999999999990", "株式会社", "%", "_", "見本%"])
def test_what_is_not_there_is_not_found(bank: World, office: Office, typed: str) -> None:
    assert found(bank, office.add("center01", Role.OPERATOR), typed) == []


@pytest.mark.parametrize("text", ["見\0本", "\0", "\ud800", "見\u202e本", "%", "'", "x" * 5000, "見\U0010ffff"])
def test_whatever_stands_in_the_address_the_search_answers(bank: World, office: Office, text: str) -> None:
    centre = office.add("center01", Role.OPERATOR).at_work().staff
    for query in ({"looked_for": text}, {"looked_for": "見本", "after": text}, {"looked_for": "", "branch": text}):
        assert len(find_contracts(bank.ports, staff=centre, **query).contracts) <= ON_A_PAGE


def test_pages_go_on_from_the_last_key(bank: World, office: Office) -> None:
    count = 2 * ON_A_PAGE + 3
    for n in range(count):
        register(bank, f"3{n:010}", f"青空{n % 7}")
    centre = office.add("center01", Role.OPERATOR).at_work().staff
    for looked_for in ("青空", "3"):
        seen: list[str] = []
        after = None
        pages = 0
        while True:
            page = find_contracts(bank.ports, staff=centre, looked_for=looked_for, after=after)
            seen += [contract.contract_id for contract in page.contracts]
            pages += 1
            if (after := page.after) is None:
                break
        assert (len(seen), len(set(seen)), pages) == (count, count, 3)


def test_the_contract_page_tells_all_and_who_looked(bank: World, office: Office) -> None:
    held = bank.acquire(ADMINISTRATOR)
    bank.log_on(held)
    auditor = office.add("kansa01", Role.AUDITOR)
    whole = read_contract(bank.ports, at_work=auditor.at_work(), contract_id=CONTRACT)
    assert [line.person.who.user_id for line in whole.people] == [None, "keiri01", "keiri02"]
    assert [one.serial for one in whole.certificates] == [held.serial]
    assert whole.people[0].last_logon == bank.clock[0]
    assert whole.card is not None
    assert (whole.card.state, whole.card.moments) == (CardState.IN_USE, {CardState.IN_USE: bank.clock[0]})
    assert {notice.code for notice in whole.notices} >= {"certificate-issued"}
    assert "contract-read" not in {row["action"] for row in whole.audit}
    again = read_contract(bank.ports, at_work=auditor.at_work(), contract_id=CONTRACT)
    assert (again.audit[0]["action"], again.audit[0]["actor"]) == ("contract-read", "staff:kansa01")


def test_banks_that_share_a_database_do_not_see_each_other(tmp_path: Path) -> None:
    other = replace(BANK, code="9991")
    with world(tmp_path) as first, world(tmp_path, bank=other) as second:
        stranger = Office(second).add("center01", Role.OPERATOR)
        register(first, "20000000001", "青空工業")
        assert found(second, stranger, "青空") == []
        with pytest.raises(ContractUnknown):
            read_contract(second.ports, at_work=stranger.at_work(), contract_id="20000000001")


def change_pin(bank: World, colleague: Colleague, present: str, new: str, again: str | None = None) -> None:
    change_staff_pin(
        bank.ports,
        bank=BANK,
        at_work=colleague.at_work(),
        der=colleague.der,
        present=present,
        new=new,
        again=new if again is None else again,
    )


def test_a_pin_is_replaced_by_whoever_knows_it(bank: World, office: Office) -> None:
    clerk = office.add("kakari01", Role.CLERK)
    change_pin(bank, clerk, clerk.pin, "ｊｉｂｕｎ１ａａ", "jibun1aa")
    with pytest.raises(EntryWrong):
        clerk.log_on()
    clerk.pin = "jibun1aa"
    assert clerk.log_on()
    assert bank.rows("SELECT actor FROM audit WHERE action = 'staff-pin-changed'")[0].actor == "staff:kakari01"


@pytest.mark.parametrize(
    ("new", "again", "refusal", "wrong"),
    [
        ("", "", EntryMissing, {"new_staff_pin": "entry-missing"}),
        ("jibun1aa", "jibun1ab", EntryDiffers, {"new_staff_pin_again": "entry-differs"}),
        ("12345678", None, PinNotAllowed, {"new_staff_pin": "pin-mixture"}),
        ("kakari01", None, PinNotAllowed, {"new_staff_pin": "pin-equals-id"}),
    ],
)
def test_a_new_pin_follows_the_rules(
    bank: World, office: Office, new: str, again: str | None, refusal: type[Refusal], wrong: dict[str, str]
) -> None:
    clerk = office.add("kakari01", Role.CLERK)
    with pytest.raises(refusal) as refused:
        change_pin(bank, clerk, clerk.pin, new, again)
    assert refused.value.fields == wrong
    with pytest.raises(PinNotAllowed):
        change_pin(bank, clerk, clerk.pin, clerk.pin)
    assert clerk.log_on()


def test_wrong_present_pins_count_and_shut_the_door(bank: World, office: Office) -> None:
    clerk = office.add("kakari01", Role.CLERK)
    session = clerk.at_work()

    def guess() -> None:
        change_staff_pin(
            bank.ports, bank=BANK, at_work=session, der=clerk.der, present="wrong111", new="jibun1aa", again="jibun1aa"
        )

    for _ in range(6):
        with pytest.raises(EntryWrong):
            guess()
    with pytest.raises(StaffClosed):
        guess()
    with pytest.raises(StaffClosed):
        clerk.log_on()
