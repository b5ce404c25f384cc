"""Sessions: what one sees of them, what the computer is called, and a session that the administrator ends (J1, J9)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.desk import Desk
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, KEIRI01, KEIRI02

from sekisho.domain.errors import (
    DetailsNotAllowed,
    Refusal,
    SessionEndedByAdministrator,
    SessionEndedElsewhere,
    SessionRefused,
    SessionUnknown,
)
from sekisho.portal.sessions import ON_A_PAGE, sessions_list
from sekisho.store import audit, notices, people, sessions
from sekisho.usecases.emergency_stop import Demand
from sekisho.usecases.end_session import end_session_of_user
from sekisho.usecases.log_off import log_off
from sekisho.usecases.log_on import token_sha256
from sekisho.usecases.name_computer import name_computer
from sekisho.usecases.read_sessions import read_own_session, read_sessions_of_users, was_ended
from sekisho.usecases.read_status import read_status

if TYPE_CHECKING:
    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.store.sessions import OpenSession


@pytest.fixture
def desk(bank: World) -> Desk:
    return Desk(bank)


@pytest.fixture
def held(bank: World) -> IssuedCertificate:
    return bank.acquire(KEIRI01)


def listed(bank: World) -> list[OpenSession]:
    return read_sessions_of_users(bank.ports, bank=BANK, administrator=ADMINISTRATOR)


def demand(bank: World, desk: Desk) -> Demand:
    current = bank.resume(desk.held, bank.log_on(desk.held))
    return Demand(current.session, desk.held.id, ADDRESS)


def audited(bank: World, action: str) -> list[dict[str, Any]]:
    with bank.db.read() as tx:
        return [row for row in audit.listed(tx) if row["action"] == action]


def told(bank: World, who: Any, code: str) -> int:
    with bank.db.read() as tx:
        person = people.find(tx, who)
        assert person is not None
        return [notice.code for notice in notices.of(tx, person.id, 100)].count(code)


def test_ones_own_session(bank: World, held: IssuedCertificate) -> None:
    opened_at = bank.clock[0]
    token = bank.log_on(held)
    bank.clock[0] += timedelta(minutes=5)
    own = read_own_session(bank.ports, bank=BANK, logged_on=bank.resume(held, token))
    assert (own.opened_at, own.ends_at, own.address) == (opened_at, opened_at + timedelta(hours=8), ADDRESS)
    assert own.computer is None


def test_the_newer_session_wins_and_the_older_is_told(bank: World, held: IssuedCertificate) -> None:
    older, newer = bank.log_on(held), bank.log_on(held)
    with pytest.raises(SessionEndedElsewhere):
        bank.resume(held, older)
    assert [line.id for line in listed(bank)] == [bank.resume(held, newer).session.id]


def test_the_list_holds_what_users_have_open_and_nothing_else(bank: World, desk: Desk, held: IssuedCertificate) -> None:
    assert listed(bank) == []
    desk.confirmation()
    token = bank.log_on(held)
    bank.log_on(bank.acquire(KEIRI02))
    assert [line.user_id for line in listed(bank)] == ["keiri01", "keiri02"], "and not the administrator"
    log_off(bank.ports, session=bank.resume(held, token).session, address=ADDRESS)
    assert [line.user_id for line in listed(bank)] == ["keiri02"]
    bank.clock[0] += timedelta(minutes=15)
    assert listed(bank) == [], "idle for too long"


def test_the_administrator_ends_a_session_and_both_are_told(bank: World, desk: Desk, held: IssuedCertificate) -> None:
    token = bank.log_on(held)
    session_id = listed(bank)[0].id
    assert not was_ended(bank.ports, administrator=ADMINISTRATOR, session_id=session_id)
    end_session_of_user(bank.ports, bank=BANK, demand=demand(bank, desk), session_id=session_id)
    with pytest.raises(SessionEndedByAdministrator):
        bank.resume(held, token)
    assert was_ended(bank.ports, administrator=ADMINISTRATOR, session_id=session_id)
    row = audited(bank, "session-ended")[0]
    assert (row["actor"], row["detail"]) == (f"administrator:{ADMINISTRATOR.contract_id}", {"session": session_id})
    assert (told(bank, KEIRI01, "session-ended"), told(bank, ADMINISTRATOR, "session-ended")) == (1, 1)
    assert bank.resume(held, bank.log_on(held)).person.who == KEIRI01, "the user may log on again"


def test_what_is_no_longer_open_or_nobodys_is_not_ended(bank: World, desk: Desk, held: IssuedCertificate) -> None:
    bank.log_on(held)
    ended = listed(bank)[0].id
    who = demand(bank, desk)
    end_session_of_user(bank.ports, bank=BANK, demand=who, session_id=ended)
    for session_id in (ended, who.session.id, 10**17):
        with pytest.raises(SessionUnknown):
            end_session_of_user(bank.ports, bank=BANK, demand=who, session_id=session_id)
    assert len(audited(bank, "session-ended")) == 1
    assert told(bank, KEIRI01, "session-ended") == 1


def test_a_session_of_another_contract_is_unknown(bank: World, desk: Desk, held: IssuedCertificate) -> None:
    token = bank.log_on(held)
    session_id = listed(bank)[0].id
    who = demand(bank, desk)
    bank.change(
        "INSERT INTO contracts (bank, contract_id, name, registered_at) "
        "SELECT bank, '99999999999', name, registered_at FROM contracts LIMIT 1",
        "UPDATE people SET contract_id = '99999999999' WHERE user_id = 'keiri01'",
    )
    with pytest.raises(SessionUnknown):
        end_session_of_user(bank.ports, bank=BANK, demand=who, session_id=session_id)
    assert not was_ended(bank.ports, administrator=ADMINISTRATOR, session_id=session_id)
    with bank.db.read() as tx:
        session = sessions.of_token(tx, token_sha256(token))
    assert session is not None
    assert session.ended_at is None


def test_an_administrator_who_is_logged_off_ends_nothing(bank: World, desk: Desk, held: IssuedCertificate) -> None:
    bank.log_on(held)
    who = demand(bank, desk)
    bank.clock[0] += timedelta(minutes=14)
    token = bank.log_on(held)
    bank.clock[0] += timedelta(minutes=2)
    with pytest.raises(SessionRefused):
        end_session_of_user(bank.ports, bank=BANK, demand=who, session_id=listed(bank)[0].id)
    assert bank.resume(held, token).person.who == KEIRI01


def test_of_many_who_end_one_session_one_does(bank: World, desk: Desk, held: IssuedCertificate) -> None:
    bank.log_on(held)
    who, session_id = demand(bank, desk), listed(bank)[0].id

    def end(_: int) -> str:
        try:
            end_session_of_user(bank.ports, bank=BANK, demand=who, session_id=session_id)
        except Refusal as refusal:
            return refusal.code
        return "ended"

    with ThreadPoolExecutor(8) as crowd:
        outcomes = list(crowd.map(end, range(8)))
    assert sorted(outcomes) == ["ended", *["session-unknown"] * 7]
    assert told(bank, KEIRI01, "session-ended") == 1


def test_a_person_names_their_computer_and_the_last_logons_show_it(bank: World, held: IssuedCertificate) -> None:
    bank.log_on(held)
    current = bank.resume(held, bank.log_on(held))
    for _ in range(2):
        name_computer(bank.ports, bank=BANK, logged_on=current, computer=" 経理の ノートPC ", address=ADDRESS)
    assert len(audited(bank, "computer-named")) == 1, "the same name again is no change"
    status = read_status(bank.ports, bank=BANK, logged_on=current)
    assert [logon.computer for logon in status.last_logons] == ["経理の ノートPC"]
    assert listed(bank)[0].computer == "経理の ノートPC"
    name_computer(bank.ports, bank=BANK, logged_on=current, computer="", address=ADDRESS)
    assert listed(bank)[0].computer is None


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("x" * 41, "entry-too-long"),
        ("経理\u202eノート", "entry-characters"),
        ("a\u200fb", "entry-characters"),
        ("a\x00b", "entry-characters"),
        ("a\x1bb", "entry-characters"),
    ],
)
def test_a_name_that_cannot_be_shown_is_refused_beside_its_field(
    bank: World, held: IssuedCertificate, typed: str, why: str
) -> None:
    current = bank.resume(held, bank.log_on(held))
    with pytest.raises(DetailsNotAllowed) as refused:
        name_computer(bank.ports, bank=BANK, logged_on=current, computer=typed, address=ADDRESS)
    assert refused.value.fields == {"computer": why}
    assert listed(bank)[0].computer is None


@pytest.mark.parametrize(
    ("number", "asked", "page", "shown"),
    [(0, "", 1, 0), (20, "2", 1, 20), (21, "2", 2, 1), (45, "9", 3, 5), (45, "-1", 1, 20), (45, "٢", 1, 20)],
)
def test_the_list_is_paged(number: int, asked: str, page: int, shown: int) -> None:
    lines: list[Any] = list(range(number))
    found = sessions_list(lines, asked)
    assert (found.page, len(found.lines), found.total) == (page, shown, number)
    assert len(found.lines) <= ON_A_PAGE
