"""What the bank's systems ask, asked twice: at once, after a crash, by another system, a day later."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.staff import Office
from tests.support.world import ADDRESS, CONTRACT, World

from sekisho.domain.errors import CertificateRevoked, IdempotencyKeyMissing, IdempotencyKeyReused, RoleMissing
from sekisho.domain.staff import Role
from sekisho.store import audit
from sekisho.store.audit import Actor
from sekisho.usecases import serve_systems
from sekisho.usecases.clean_up import clean_up
from sekisho.usecases.enter_console import meet_system
from sekisho.usecases.file_form import file_at_counter
from sekisho.usecases.grant_role import end_staff
from sekisho.usecases.import_contracts import Done, import_contracts
from sekisho.usecases.serve_systems import read_asked, read_events, register_contracts

if TYPE_CHECKING:
    from tests.support.staff import Colleague

    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.serve_systems import RegisteredLine

NEW = "20000000001"


class Systems:
    """A bank with two programs that have certificates."""

    def __init__(self, bank: World) -> None:
        self.bank = bank
        self.office = Office(bank)
        self.core, self.other = (self.office.add(name, Role.SYSTEM) for name in ("core", "other"))

    def at_work(self, one: Colleague) -> AtWork:
        found = meet_system(self.bank.ports, bank=self.bank.bank, der=one.der, address=ADDRESS)
        assert found is not None
        return found

    def register(self, key: str = "open-0001", *, by: Colleague | None = None, **other: Any) -> RegisteredLine:
        current = self.at_work(by or self.core)
        contract = {"contract_id": NEW, "name": "見本物産", "administrator": "見本 太郎", **other}
        (line,) = register_contracts(
            self.bank.ports,
            bank=self.bank.bank,
            at_work=current,
            asked=read_asked(current, key, repr(contract).encode()),
            contracts=[contract],
            dry_run=False,
        )
        return line

    def file(self, key: str = "form-0001", *, current: AtWork | None = None, kind: str = "certificate-reissue") -> str:
        current = current or self.at_work(self.core)
        asked = read_asked(current, key, kind.encode())
        given: dict[str, Any] = {"contract_id": CONTRACT, "kind": kind, "user_id": "", "detail": {}}
        return file_at_counter(self.bank.ports, at_work=current, asked=asked, **given)


@pytest.fixture
def systems(bank: World) -> Systems:
    return Systems(bank)


def test_many_at_once_under_one_name_file_one_form(systems: Systems) -> None:
    current = systems.at_work(systems.core)
    with ThreadPoolExecutor(8) as threads:
        numbers = set(threads.map(lambda _: systems.file(current=current), range(8)))
    assert len(numbers) == 1
    assert len(systems.bank.rows("SELECT id FROM request_forms")) == 1
    assert systems.file("form-0002") not in numbers
    with pytest.raises(IdempotencyKeyReused):
        systems.file(kind="certificate-revocation")
    assert systems.file(current=systems.at_work(systems.other)) not in numbers, "each system has names of its own"


def test_what_was_registered_before_a_crash_is_answered_with_its_secrets(
    systems: Systems, monkeypatch: pytest.MonkeyPatch
) -> None:
    def register_and_die(*args: Any) -> Any:
        list(import_contracts(*args))
        raise KeyboardInterrupt

    monkeypatch.setattr(serve_systems, "import_contracts", register_and_die)
    with pytest.raises(KeyboardInterrupt):
        systems.register()
    monkeypatch.undo()
    line = systems.register()
    assert line.outcome.done is Done.THERE
    assert line.secrets is not None
    (row,) = systems.bank.rows(
        "SELECT s.verifier FROM secrets s JOIN people p ON p.id = s.person_id "
        "WHERE p.contract_id = '20000000001' AND s.name = 'registration-pin'"
    )
    assert systems.bank.ports.pins.verify(row.verifier, line.secrets.registration_pin)


def test_secrets_that_were_kept_and_lost_a_race_are_given_to_nobody(systems: Systems) -> None:
    mine = systems.bank.ports
    faster = systems.other

    class Racing:
        """Has the other system register the same contract between the drawing and the writing."""

        def __getattr__(self, name: str) -> Any:
            return getattr(mine.db, name)

        def write_all(self, work: Any, items: Any) -> Any:
            systems.bank.ports = mine
            assert systems.register(by=faster).outcome.done is Done.REGISTERED
            return mine.db.write_all(work, items)

    systems.bank.ports = replace(mine, db=Racing())
    assert systems.register().outcome.done is Done.WRONG
    again = systems.register()
    assert (again.outcome.done, again.secrets) == (Done.THERE, None)


def verifiers(bank: World) -> dict[str, str]:
    """Return what each PIN of the new contract is checked against."""
    rows = bank.rows(
        "SELECT s.name, s.verifier FROM secrets s JOIN people p ON p.id = s.person_id WHERE p.contract_id = :new",
        new=NEW,
    )
    return {row.name: row.verifier for row in rows}


def opens(bank: World, line: RegisteredLine) -> bool:
    """Tell whether the secrets that an answer carries are those of the contract."""
    theirs = line.secrets
    return theirs is not None and all(
        bank.ports.pins.verify(verifiers(bank)[name], pin)
        for name, pin in (("pin", theirs.contract_pin), ("registration-pin", theirs.registration_pin))
    )


def test_the_same_request_on_two_nodes_is_answered_with_the_secrets_of_the_contract(systems: Systems) -> None:
    """Each node has a turnstile of its own: both may have drawn before either has written."""
    mine = systems.bank.ports
    others: list[RegisteredLine] = []

    class Racing:
        def __getattr__(self, name: str) -> Any:
            return getattr(mine.db, name)

        def write_all(self, work: Any, items: Any) -> Any:
            systems.bank.ports = mine
            others.append(systems.register())
            return mine.db.write_all(work, items)

    systems.bank.ports = replace(mine, db=Racing())
    first, (second,), third = systems.register(), others, systems.register()
    assert [one.outcome.done for one in (second, first, third)] == [Done.REGISTERED, Done.THERE, Done.THERE]
    assert first.secrets == second.secrets == third.secrets
    assert opens(systems.bank, first)


def test_the_same_request_many_times_at_once_is_answered_alike(systems: Systems) -> None:
    with ThreadPoolExecutor(4) as threads:
        lines = list(threads.map(lambda _: systems.register(), range(4)))
    assert sorted(one.outcome.done for one in lines) == [Done.REGISTERED, *[Done.THERE] * 3]
    assert all(one.secrets == lines[0].secrets for one in lines)
    assert opens(systems.bank, lines[0])


def test_a_contract_that_stands_twice_in_a_request_keeps_its_secrets(systems: Systems) -> None:
    current = systems.at_work(systems.core)
    contract = {"contract_id": NEW, "name": "見本物産", "administrator": "見本 太郎"}

    def register() -> list[RegisteredLine]:
        return register_contracts(
            systems.bank.ports,
            bank=systems.bank.bank,
            at_work=current,
            asked=read_asked(current, "twice-0001", b"twice"),
            contracts=[contract, contract],
            dry_run=False,
        )

    first, twice = register()
    assert (first.outcome.done, twice.outcome.code, twice.secrets) == (Done.REGISTERED, "contract-id-repeated", None)
    assert opens(systems.bank, first)
    assert register()[0].secrets == first.secrets


def test_a_branchs_system_registers_that_branchs_contracts_alone(systems: Systems) -> None:
    branch = systems.office.add("branch", Role.SYSTEM, branch="101")
    other = systems.register(by=branch, branch="102")
    assert (other.outcome.done, other.outcome.column, other.outcome.code) == (Done.WRONG, "branch", "branch-other")
    mine = systems.register("open-0002", by=branch)
    assert mine.outcome.done is Done.REGISTERED
    (row,) = systems.bank.rows("SELECT branch FROM contracts WHERE contract_id = '20000000001'")
    assert row.branch == "101"
    systems.register("open-0003", contract_id="20000000002", branch="102")
    systems.bank.later(minutes=2)

    def told(one: Colleague) -> set[str | None]:
        seen = read_events(systems.bank.ports, at_work=systems.at_work(one), after=0, most=1000)
        return {row["contract_id"] for row in seen.rows}

    assert told(branch) == {"20000000001"}
    assert told(systems.core) == {None, CONTRACT, "20000000001", "20000000002"}


def test_answers_are_kept_sealed_and_for_a_day(systems: Systems) -> None:
    line = systems.register()
    assert line.secrets is not None
    kept = [row.answer for row in systems.bank.rows("SELECT answer FROM system_answers")]
    assert len(kept) == 2
    for secret in (line.secrets.contract_pin, line.secrets.contract_confirmation_pin, line.secrets.registration_pin):
        assert all(secret not in answer for answer in kept)
    systems.bank.later(hours=23)
    clean_up(systems.bank.ports)
    assert systems.register().secrets == line.secrets
    systems.bank.later(hours=2)
    assert clean_up(systems.bank.ports) >= 2
    assert systems.bank.rows("SELECT answer FROM system_answers") == []
    assert systems.register().secrets is None


def test_a_request_needs_a_name(systems: Systems) -> None:
    current = systems.at_work(systems.core)
    for wrong in (None, "", "short", "a" * 101, "with space", "改行の名前です"):
        with pytest.raises(IdempotencyKeyMissing):
            read_asked(current, wrong, b"")


def test_a_system_that_was_ended_meanwhile_does_nothing_more(systems: Systems) -> None:
    current = systems.at_work(systems.core)
    end_staff(systems.bank.ports, bank=systems.bank.bank, staff_id="core", actor=Actor("operator:test"))
    with pytest.raises(RoleMissing):
        systems.file(current=current)
    with pytest.raises(CertificateRevoked):
        systems.at_work(systems.core)


def test_a_system_has_no_pin_to_enter_and_a_person_is_no_system(systems: Systems) -> None:
    with pytest.raises(RoleMissing):
        systems.core.log_on()
    clerk = systems.office.add("clerk01", Role.CLERK)
    assert meet_system(systems.bank.ports, bank=systems.bank.bank, der=clerk.der, address=ADDRESS) is None


def test_events_stop_before_what_is_too_new(systems: Systems) -> None:
    current = systems.at_work(systems.core)
    systems.bank.later(minutes=5)
    now = systems.bank.clock[0]

    def write(what: str, age: timedelta) -> None:
        systems.bank.db.write(
            lambda tx: audit.add_of_bank(tx, what, Actor("test"), at=now - age, bank=systems.bank.bank.code)
        )

    write("one", timedelta(minutes=2))
    write("two", timedelta(seconds=30))
    write("three", timedelta(minutes=2))
    told = read_events(systems.bank.ports, at_work=current, after=0, most=1000)
    assert told.rows[-1]["action"] == "one", "three has a later number than two, which is not settled"
    systems.bank.later(minutes=1)
    rest = read_events(systems.bank.ports, at_work=current, after=told.after, most=1000)
    assert [row["action"] for row in rest.rows] == ["two", "three"]
    assert read_events(systems.bank.ports, at_work=current, after=rest.after, most=9).after == rest.after
