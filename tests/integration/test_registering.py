"""What is registered under one name at the same moment is registered once, and whoever came second is told."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.at_once import DONE, at_once
from tests.support.desk import DETAILS, Desk
from tests.support.staff import OPERATOR, Office
from tests.support.world import ADMINISTRATOR, BANK, CONTRACT, KEIRI01

from sekisho.domain.errors import ContractIdTaken, PasskeyNotAccepted
from sekisho.domain.person import PersonId
from sekisho.domain.staff import Role
from sekisho.store import passkeys, people
from sekisho.usecases.add_staff import NewStaff, add_staff
from sekisho.usecases.register_unopened import register_unopened
from sekisho.usecases.register_user import register_user

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from tests.support.world import World

NEW = "20000000001"


def register(bank: World, contract_id: str | None = NEW) -> str:
    registered = register_unopened(
        bank.ports,
        bank=BANK,
        name="見本製菓株式会社",
        administrator="菓子 太郎",
        language="ja",
        contract_id=contract_id,
        actor=OPERATOR,
    )
    return registered.contract_id


def test_a_contract_is_registered_once(bank: World) -> None:
    assert sorted(at_once([lambda: register(bank)] * 4)) == ["contract-id-taken"] * 3 + [DONE]
    for table in ("contracts", "people", "contract_names"):
        sql = f"SELECT count(*) FROM {table} WHERE contract_id = :id"  # noqa: S608 - names of our own tables
        assert bank.rows(sql, id=NEW) == [(1,)], table
    actions = bank.rows("SELECT action FROM audit WHERE contract_id = :id ORDER BY id", id=NEW)
    assert actions == [("contract-registered",), ("administrator-registered",), ("permit-granted",)]


def test_an_id_that_was_drawn_and_is_taken_is_drawn_anew(bank: World) -> None:
    with pytest.raises(ContractIdTaken):
        register(bank, CONTRACT)
    drawn = [bytes(int(digit) for digit in CONTRACT)]
    bank.ports = replace(bank.ports, entropy=lambda n: drawn.pop() if drawn else os.urandom(n))
    other = register(bank, None)
    assert (drawn, len(other), other == CONTRACT) == ([], 11, False)


def test_a_user_is_registered_once(bank: World) -> None:
    confirmation = Desk(bank).confirmation()

    def hire() -> None:
        register_user(bank.ports, bank=BANK, confirmation=confirmation, user_id="keiri03", details=DETAILS)

    assert sorted(at_once([hire] * 4)) == [DONE] + ["user-id-taken"] * 3
    assert bank.rows("SELECT count(*) FROM people WHERE user_key = 'keiri03'") == [(1,)]


def test_one_of_the_banks_people_is_registered_once(bank: World) -> None:
    office, new = Office(bank), NewStaff("kakari09", "係 九郎", "001", [Role.CLERK])

    def add() -> None:
        add_staff(bank.ports, bank=BANK, new=new, issue=office.issue, actor=OPERATOR)

    assert sorted(at_once([add] * 4)) == [DONE] + ["staff-id-taken"] * 3
    assert bank.rows("SELECT count(*) FROM staff_certificates") == [(1,)]


def test_a_passkey_is_kept_for_one_person(bank: World) -> None:
    with bank.db.read() as tx:
        holders = [people.find(tx, who) for who in (ADMINISTRATOR, KEIRI01, PersonId("9990", CONTRACT, "keiri02"))]
    left = [holder.id for holder in holders if holder is not None]
    left.append(left[0])

    def add(tx: Connection) -> None:
        passkeys.add(
            tx, left.pop(), label="key", credential_id=b"same", credential=b"x", sign_count=0, now=bank.clock[0]
        )

    assert sorted(at_once([lambda: bank.db.write(add)] * 4)) == [DONE] + [PasskeyNotAccepted.code] * 3
    assert bank.rows("SELECT count(*) FROM passkeys") == [(1,)]
