"""Seven years after its end nothing is left of a contract but that it was removed; before that, everything is."""

# ruff: noqa: S608 - what is put into the SQL is the test's own
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from tests.support.counter import Counter
from tests.support.scans import PDF
from tests.support.world import (
    ADMINISTRATOR,
    BANK,
    CONTRACT,
    KEIRI01,
    PINS,
    World,
    journaled,
    world,
)

from sekisho.ca.authority import Authority
from sekisho.ca.record import StillKept
from sekisho.domain.errors import CaAway, ContractIdTaken
from sekisho.domain.request_forms import FormKind
from sekisho.store import removal, tables
from sekisho.store.audit import Actor
from sekisho.store.tables import metadata
from sekisho.usecases.clean_up import clean_up
from sekisho.usecases.findings import Tally
from sekisho.usecases.form_scans import add_scan
from sekisho.usecases.publish_crl import publish_crls
from sekisho.usecases.put_contracts import NewPerson
from sekisho.usecases.reconcile import notice_restore, reconcile
from sekisho.usecases.register_contract import register_contract
from sekisho.usecases.remove_contracts import due_contracts, kept_for, remove_contracts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

ACTOR = Actor("test")
OTHER = "10000000001"
YEARS = kept_for(7)


@pytest.fixture
def bank(tmp_path: Path, engine: str) -> Iterator[World]:
    with world(tmp_path, engine) as opened, journaled(opened, tmp_path / "journal"):
        yield opened


def lived(bank: World) -> None:
    """Let a contract live with whatever leaves rows, and end."""
    counter = Counter(bank)
    certificates = [bank.acquire(ADMINISTRATOR), bank.acquire(KEIRI01)]
    for certificate in certificates:
        bank.log_on(certificate)
    bank.later(days=340)
    renewed = bank.renew(certificates[1])
    bank.log_on(renewed)
    counter.through(FormKind.CARD_REISSUE)
    counter.through(FormKind.PIN_RESET)
    number = counter.file(FormKind.LOCKOUT_LIFT)
    add_scan(bank.ports, at_work=counter.at_clerk, number=number, content=PDF)
    bank.db.write(lambda tx: _give_what_no_form_does(tx, bank.clock[0]))
    counter.through(FormKind.CONTRACT_END)
    publish_crls(bank.ports, bank=BANK.code)
    register(bank, OTHER)


def _give_what_no_form_does(tx: Connection, now: datetime) -> None:
    """Give a user a code by mail and a PIN that was replaced, and the administrator a passkey."""
    of = tables.people.c
    administrator, user = tx.scalars(select(of.id).where(of.user_key.in_(["", "keiri01"])).order_by(of.user_key))
    code = {"purpose": "x", "mail_address": "a@example.com", "verifier": "x", "made_at": now, "expires_at": now}
    tx.execute(insert(tables.mailed_codes).values(person_id=user, **code))
    tx.execute(insert(tables.past_pins).values(person_id=user, name="pin", verifier="x", replaced_at=now))
    key = {"label": "key", "credential_id": b"x" * 32, "credential": b"x", "sign_count": 0, "added_at": now}
    tx.execute(insert(tables.passkeys).values(person_id=administrator, **key))


def register(bank: World, contract_id: str) -> None:
    pin, confirmation_pin = PINS[ADMINISTRATOR]
    one = NewPerson(None, "別会社", "b@example.com", "ja", pin, confirmation_pin, card=bank.card)
    register_contract(bank.ports, bank=BANK, contract_id=contract_id, name="別会社", everyone=[one], actor=ACTOR)


def everything(bank: World) -> dict[str, list[str]]:
    """Return every row of every table as text."""
    with bank.db.read() as tx:
        return {
            name: [str(dict(row._mapping)) for row in tx.execute(select(table))]
            for name, table in metadata.tables.items()
        }


def ended_at(bank: World) -> datetime:
    (row,) = bank.rows(f"SELECT ended_at FROM contracts WHERE contract_id = '{CONTRACT}'")
    at = row.ended_at if isinstance(row.ended_at, datetime) else datetime.fromisoformat(row.ended_at)
    return at.replace(tzinfo=at.tzinfo or UTC)


def test_nothing_is_left_but_that_it_was_removed(bank: World) -> None:
    lived(bank)
    before = everything(bank)
    theirs = [row for row in before["audit"] if CONTRACT in row]
    of_the_bank = {
        "card_makers",
        "crls",
        "policy_approvals",
        "policy_commands",
        "policy_proposals",
        "reminders",
        "restores",
    }
    of_the_bank |= {"revoked_cas", "system_answers", "tallies", "tally_places", "unfinished_orders"}
    missing = {name for name in metadata.tables if not before[name]} - of_the_bank - {"removed_contracts"}
    assert not missing, f"the contract's life left no row in {missing}, so their removal is not tried"
    bank.clock[0] = ended_at(bank) + YEARS + timedelta(days=370)
    while clean_up(bank.ports):
        pass
    (gone,) = remove_contracts(bank.ports, bank=BANK, actor=ACTOR)
    assert gone.contract_id == CONTRACT
    assert gone.rows["audit"] == len(theirs)
    assert remove_contracts(bank.ports, bank=BANK, actor=ACTOR) == []

    left = everything(bank)
    (tombstone,) = left.pop("removed_contracts")
    assert CONTRACT in tombstone
    leaf = left["audit"].pop()
    assert "contract-removed" in leaf
    assert gone.audit_sha256.hex() in leaf
    for name, rows in left.items():
        for trace in (CONTRACT, "keiri01", "keiri02", "株式会社見本"):
            assert not [row for row in rows if trace in row], f"{trace} is left in {name}"
    for name in ("people", "secrets", "permits", "contracts", "cards", "contract_names", "audit"):
        assert [row for row in left[name] if OTHER in row or name in {"secrets", "permits"}], f"{name} lost another's"
    with bank.db.read() as tx:
        assert [one.contract_id for one in removal.removed(tx, BANK.code)] == [CONTRACT]


def test_the_ca_can_read_nothing_of_it_and_misses_nothing(bank: World) -> None:
    lived(bank)
    authority = bank.ports.records[BANK.code]
    serials = [row.serial for row in bank.rows("SELECT serial FROM certificates")]
    bank.clock[0] = ended_at(bank) + YEARS + timedelta(days=370)
    remove_contracts(bank.ports, bank=BANK, actor=ACTOR)
    records = authority.records(None)
    assert len(records) == len(serials) == 3
    assert {one.der for one in records} == {None}
    assert not notice_restore(bank.ports, bank=BANK.code, actor=ACTOR)
    assert list(reconcile(bank.ports, bank=BANK.code, actor=ACTOR, repair=False, tally=Tally())) == []


def test_it_is_kept_until_then_also_by_the_database_and_the_ca(bank: World) -> None:
    lived(bank)
    last = max(one for one in bank.rows("SELECT max(not_after) AS at FROM certificates"))
    assert last
    authority = bank.ports.cas[BANK.code]
    assert isinstance(authority, Authority)
    bank.clock[0] = ended_at(bank) + YEARS - timedelta(seconds=1)
    assert due_contracts(bank.ports, BANK) == []
    with pytest.raises(StillKept):
        authority.erase(BANK.code, CONTRACT)
    with pytest.raises(IntegrityError, match="contract_kept"):
        bank.db.write(lambda tx: removal.remove(tx, BANK.code, CONTRACT, bank.clock[0]))
    # Its last certificate would have lasted longer than the contract.
    bank.later(days=2)
    assert due_contracts(bank.ports, BANK) == []
    bank.later(days=370)
    assert due_contracts(bank.ports, BANK) == [CONTRACT]


def test_a_bank_may_keep_for_longer(bank: World) -> None:
    from dataclasses import replace

    lived(bank)
    keeps = replace(BANK, policy=replace(BANK.policy, retention_years=10))
    bank.clock[0] = ended_at(bank) + YEARS + timedelta(days=370)
    assert due_contracts(bank.ports, keeps) == []
    bank.clock[0] += kept_for(3)
    assert due_contracts(bank.ports, keeps) == [CONTRACT]


def test_the_database_lets_go_of_nothing_that_was_not_removed(bank: World) -> None:
    lived(bank)
    for table in ("audit", "certificate_bytes", "certificates", "form_approvals", "form_scans"):
        with pytest.raises(IntegrityError, match=f"{table}_stay_until_removed"):
            bank.change(f"DELETE FROM {table}")
    bank.clock[0] = ended_at(bank) + YEARS + timedelta(days=370)
    remove_contracts(bank.ports, bank=BANK, actor=ACTOR)
    for change in ("DELETE FROM removed_contracts", "UPDATE removed_contracts SET audit_sha256 = audit_sha256"):
        with pytest.raises(IntegrityError, match="removal_stands"):
            bank.change(change)
    with pytest.raises(IntegrityError, match="audit_stay_until_removed"):
        bank.change("DELETE FROM audit")
    with pytest.raises(ContractIdTaken):
        register(bank, CONTRACT)


def test_a_crash_after_the_ca_erased_it_leaves_the_rest_of_the_work(bank: World) -> None:
    lived(bank)
    bank.clock[0] = ended_at(bank) + YEARS + timedelta(days=370)
    assert bank.ports.records[BANK.code].erase(BANK.code, CONTRACT)
    (gone,) = remove_contracts(bank.ports, bank=BANK, actor=ACTOR)
    assert gone.contract_id == CONTRACT


def test_while_the_ca_is_away_nothing_is_removed(bank: World) -> None:
    lived(bank)
    bank.clock[0] = ended_at(bank) + YEARS + timedelta(days=370)
    from dataclasses import replace

    class Away:
        def erase(self, _bank: str, _contract_id: str) -> bool:
            raise CaAway

    before = everything(bank)
    away: Any = Away()
    with pytest.raises(CaAway):
        remove_contracts(replace(bank.ports, records={BANK.code: away}), bank=BANK, actor=ACTOR)
    assert everything(bank) == before
