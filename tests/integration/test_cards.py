"""A lost card's whole way: reported, its table dead at once, another ordered, printed, posted, in use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from sqlalchemy import delete, insert, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from tests.integration.test_request_forms import actions, told
from tests.support.card_maker import Maker
from tests.support.counter import Counter
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, CONTRACT, KEIRI01, PINS, World

from sekisho.domain.customer_card import CardState
from sekisho.domain.errors import (
    CardMakerNotUsable,
    CardMissing,
    CardMoved,
    CardsNoneToPrint,
    ChoiceMissing,
    ContractUnknown,
    EntryWrong,
    FormWithoutEffect,
    RoleMissing,
    SecondStepMissing,
    SessionRefused,
)
from sekisho.domain.person import Kind
from sekisho.domain.request_forms import FormKind
from sekisho.domain.staff import Role
from sekisho.pki.envelope import RecipientNotUsable
from sekisho.store import tables
from sekisho.store.audit import Actor
from sekisho.usecases.card_desk import PrintDesk, post_at_desk, print_at_desk, read_print_desk, waiting_cards
from sekisho.usecases.cards import COLUMNS, own_cards, post_cards, print_cards
from sekisho.usecases.find_contracts import read_contract
from sekisho.usecases.log_on import answer_card, enter_pin
from sekisho.usecases.read_status import read_status
from sekisho.usecases.register_unopened import register_unopened
from sekisho.usecases.set_card_maker import set_card_maker

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from sekisho.domain.certificate import IssuedCertificate

OPERATOR = Actor("operator:test")
WAY = [CardState.ORDERED, CardState.MADE, CardState.POSTED, CardState.IN_USE]


@pytest.fixture
def counter(bank: World) -> Counter:
    return Counter(bank)


@pytest.fixture
def maker(tmp_path: Path, bank: World) -> Maker:
    return Maker(tmp_path, bank.clock[0], rsa.generate_private_key(65537, 2048))


def states(bank: World) -> list[str]:
    return [row.state for row in bank.rows("SELECT state FROM cards WHERE contract_id = :c ORDER BY id", c=CONTRACT)]


def log_on_with(bank: World, held: IssuedCertificate, row: dict[str, str]) -> bytes:
    opened = enter_pin(
        bank.ports, bank=BANK, kind=Kind.ADMINISTRATOR, der=held.der, pin=PINS[ADMINISTRATOR][0], address=ADDRESS
    )
    current = bank.resume(held, opened.token)
    return answer_card(
        bank.ports,
        bank=BANK,
        certificate=current.certificate,
        session=current.session,
        digits=[row[str(position)] for position in opened.positions],
        address=ADDRESS,
    ).token


def test_the_whole_way_of_a_lost_card(bank: World, counter: Counter, maker: Maker) -> None:
    held, user = bank.acquire(ADMINISTRATOR), bank.acquire(KEIRI01)
    token, users = bank.log_on(held), bank.log_on(user)
    assert states(bank) == ["in-use"]
    counter.through(FormKind.CARD_REISSUE)
    assert states(bank) == ["lost", "ordered"]
    with pytest.raises(SessionRefused):
        bank.resume(held, token)
    assert bank.resume(user, users)
    with pytest.raises(CardMissing):
        bank.log_on(held)
    with pytest.raises(EntryWrong):  # what is the case is told behind the right PIN only
        bank.log_on(held, "wrong111")
    with pytest.raises(FormWithoutEffect):
        counter.through(FormKind.CARD_REISSUE)
    with pytest.raises(CardMoved):
        post_cards(bank.ports, bank=BANK, contract_ids=["00000000000"], actor=OPERATOR)

    encrypted, count = print_cards(bank.ports, bank=BANK, maker=maker.pem, actor=OPERATOR)
    (row,) = maker.read(encrypted)
    assert (count, row["contract_id"], states(bank)) == (1, CONTRACT, ["lost", "made"])
    again, _ = print_cards(bank.ports, bank=BANK, maker=maker.pem, actor=OPERATOR)
    assert maker.read(again) == [row]
    assert actions(bank).count("card-made") == 1
    with pytest.raises(CardMissing):
        bank.log_on(held)

    post_cards(bank.ports, bank=BANK, contract_ids=[CONTRACT], actor=OPERATOR)
    assert states(bank) == ["lost", "posted"]
    assert ("card-posted", None) in told(bank)
    assert print_cards(bank.ports, bank=BANK, maker=maker.pem, actor=OPERATOR)[1] == 0
    with pytest.raises(CardMoved):
        post_cards(bank.ports, bank=BANK, contract_ids=[CONTRACT], actor=OPERATOR)
    assert bank.resume(held, log_on_with(bank, held, row))
    assert states(bank) == ["replaced", "in-use"]
    log_on_with(bank, held, row)
    found = [one for one in actions(bank) if one.startswith("card-")]
    assert found == ["card-lost", "card-ordered", "card-made", "card-posted", "card-in-use", "card-replaced"]
    stored = str(bank.rows("SELECT * FROM audit")) + str(bank.rows("SELECT * FROM notices"))
    assert "".join(row[column] for column in COLUMNS[3:]) not in stored
    assert not bank.rows("SELECT 1 FROM cards WHERE sealed IS NOT NULL")


def test_a_companys_name_is_no_formula_in_the_makers_spreadsheet(bank: World, counter: Counter, maker: Maker) -> None:
    bank.acquire(ADMINISTRATOR)
    bank.change(f"UPDATE contracts SET name = '=cmd|''/C calc''!A0' WHERE contract_id = '{CONTRACT}'")  # noqa: S608 - a constant
    counter.through(FormKind.CARD_REISSUE)
    (row,) = maker.read(print_cards(bank.ports, bank=BANK, maker=maker.pem, actor=OPERATOR)[0])
    assert row["company"] == "'=cmd|'/C calc'!A0"


def test_an_administrator_with_another_second_step_sees_where_the_new_card_is(
    bank: World, counter: Counter, maker: Maker
) -> None:
    held = bank.acquire(ADMINISTRATOR)
    current = bank.resume(held, bank.log_on(held))

    def told_of() -> tuple[str, int] | None:
        shown = read_status(bank.ports, bank=BANK, logged_on=current).new_card
        if shown is None or shown.expected_at is None:
            return None
        return shown.state.value, (shown.expected_at - bank.clock[0]).days

    assert told_of() is None, "of a card in use nothing is expected"
    counter.through(FormKind.CARD_REISSUE)
    state, days = told_of() or ("", 0)
    assert state == "ordered"
    assert 20 < days < 40, "fifteen bank days, holidays between them"
    encrypted, _ = print_cards(bank.ports, bank=BANK, maker=maker.pem, actor=OPERATOR)
    post_cards(bank.ports, bank=BANK, contract_ids=[CONTRACT], actor=OPERATOR)
    assert (told_of() or ("", 0))[0] == "posted"
    log_on_with(bank, held, maker.read(encrypted)[0])
    assert told_of() is None


def test_a_logon_that_waits_for_a_card_that_was_reported_lost_ends(bank: World, counter: Counter) -> None:
    held = bank.acquire(ADMINISTRATOR)
    number = counter.approved(FormKind.CARD_REISSUE)
    opened = enter_pin(
        bank.ports, bank=BANK, kind=Kind.ADMINISTRATOR, der=held.der, pin=PINS[ADMINISTRATOR][0], address=ADDRESS
    )
    current = bank.resume(held, opened.token)
    counter.carry_out(number)
    with pytest.raises((SecondStepMissing, SessionRefused)):
        answer_card(
            bank.ports,
            bank=BANK,
            certificate=current.certificate,
            session=current.session,
            digits=["0"] * 4,
            address=ADDRESS,
        )
    with pytest.raises(SessionRefused):
        bank.resume(held, opened.token)


def test_a_card_that_did_not_arrive_is_replaced(bank: World, counter: Counter, maker: Maker) -> None:
    held = bank.acquire(ADMINISTRATOR)
    counter.through(FormKind.CARD_REISSUE)
    (lost,) = maker.read(print_cards(bank.ports, bank=BANK, maker=maker.pem, actor=OPERATOR)[0])
    post_cards(bank.ports, bank=BANK, contract_ids=[CONTRACT], actor=OPERATOR)
    counter.through(FormKind.CARD_REISSUE)
    assert states(bank) == ["lost", "lost", "ordered"]
    with pytest.raises(CardMissing):
        log_on_with(bank, held, lost)


def test_the_console_tells_where_the_card_is(bank: World, counter: Counter) -> None:
    counter.through(FormKind.CARD_REISSUE)
    card = read_contract(bank.ports, at_work=counter.at_clerk, contract_id=CONTRACT).card
    assert card is not None
    assert card.state is CardState.ORDERED
    assert card.expected_at is not None
    assert timedelta(days=19) < card.expected_at - card.moved_at < timedelta(days=35)


def test_a_contract_that_ends_ends_its_cards(bank: World, counter: Counter) -> None:
    counter.through(FormKind.CARD_REISSUE)
    counter.through(FormKind.CONTRACT_END)
    assert states(bank) == ["ended", "ended"]
    assert not bank.rows("SELECT 1 FROM cards WHERE sealed IS NOT NULL")
    query = "SELECT 1 FROM secrets s JOIN people p ON p.id = s.person_id WHERE s.name = 'card' AND p.contract_id = :c"
    assert not bank.rows(query, c=CONTRACT)


def test_nothing_is_made_for_a_maker_who_could_not_read_it(bank: World, counter: Counter, tmp_path: Path) -> None:
    counter.through(FormKind.CARD_REISSUE)
    elliptic = Maker(tmp_path, bank.clock[0], ec.generate_private_key(ec.SECP256R1())).pem
    ended = Maker(tmp_path, bank.clock[0] - timedelta(days=60), rsa.generate_private_key(65537, 2048)).pem
    for wrong in (b"no certificate", elliptic, ended):
        with pytest.raises(RecipientNotUsable):
            print_cards(bank.ports, bank=BANK, maker=wrong, actor=OPERATOR)
    assert states(bank) == ["lost", "ordered"]


@pytest.mark.parametrize(
    ("state", "sealed"), [("in-use", None), ("posted", None), ("made", "x"), ("in-use", "x"), ("made", None)]
)
def test_the_database_keeps_one_card_in_use_and_one_on_its_way(
    bank: World, counter: Counter, state: str, sealed: str | None
) -> None:
    if (state, sealed) != ("in-use", None):
        counter.through(FormKind.CARD_REISSUE)
    new = insert(tables.cards).values(
        bank=BANK.code, contract_id=CONTRACT, number="1", state=state, sealed=sealed, moved_at=bank.clock[0]
    )
    with pytest.raises(IntegrityError):
        bank.db.write(lambda tx: tx.execute(new))


def test_the_migration_gives_each_contract_the_card_that_it_has(bank: World) -> None:
    made = register_unopened(
        bank.ports, bank=BANK, name="x", administrator="x", language="ja", contract_id=None, actor=OPERATOR
    )
    bank.change("DELETE FROM cards")
    migration = import_module("sekisho.store.migrations.versions.0017_cards")

    def run(tx: Connection) -> None:
        with Operations.context(MigrationContext.configure(tx)):
            migration._take_over()

    bank.db.write(run)
    rows = bank.rows("SELECT contract_id, state, number, sealed FROM cards")
    assert {row.contract_id: row.state for row in rows} == {CONTRACT: "in-use", made.contract_id: "posted"}
    assert len({row.number for row in rows}) == 2
    assert {len(row.number) for row in rows} == {20}
    bank.log_on(bank.acquire(ADMINISTRATOR))


def test_an_operator_notes_at_the_console_what_went_to_the_post(bank: World, counter: Counter, maker: Maker) -> None:
    operator = counter.office.add("senta01", Role.OPERATOR, branch=None).at_work()
    assert not waiting_cards(bank.ports, staff=operator.staff).cards
    counter.through(FormKind.CARD_REISSUE)
    (one,) = waiting_cards(bank.ports, staff=operator.staff).cards
    assert (one.card.contract_id, one.card.state, one.company) == (CONTRACT, CardState.ORDERED, "見本商事株式会社")
    assert not waiting_cards(bank.ports, staff=operator.staff, after=one.card.id).cards
    with pytest.raises(CardMoved):  # it is not made yet
        post_at_desk(bank.ports, at_work=operator, contract_ids=[CONTRACT])
    (row,) = maker.read(print_cards(bank.ports, bank=BANK, maker=maker.pem, actor=OPERATOR)[0])
    with pytest.raises(ChoiceMissing):
        post_at_desk(bank.ports, at_work=operator, contract_ids=[])
    with pytest.raises(RoleMissing):
        post_at_desk(bank.ports, at_work=counter.at_clerk, contract_ids=[CONTRACT])
    with pytest.raises(ContractUnknown):
        post_at_desk(bank.ports, at_work=operator, contract_ids=[CONTRACT, "00000000000"])
    assert states(bank) == ["lost", "made"]
    post_at_desk(bank.ports, at_work=operator, contract_ids=[CONTRACT])
    assert states(bank) == ["lost", "posted"]
    (posted,) = bank.rows("SELECT action, actor FROM audit WHERE action = 'card-posted'")
    assert posted.actor == "staff:senta01"
    with pytest.raises(CardMoved):
        post_at_desk(bank.ports, at_work=operator, contract_ids=[CONTRACT])
    held = bank.acquire(ADMINISTRATOR)
    log_on_with(bank, held, row)
    known = own_cards(bank.ports, ADMINISTRATOR)
    assert [one.state for one in known] == [CardState.IN_USE]
    assert list(known[0].moments) == WAY


def set_maker(bank: World, maker: Maker) -> None:
    set_card_maker(bank.ports, bank=BANK, certificate=maker.pem, actor=OPERATOR)


def test_an_operator_of_the_centre_makes_the_print_file_at_the_console(
    bank: World, counter: Counter, maker: Maker
) -> None:
    operator = counter.office.add("senta01", Role.OPERATOR, branch=None).at_work()
    counter.through(FormKind.CARD_REISSUE)
    assert read_print_desk(bank.ports, staff=operator.staff) == PrintDesk(1, 0, None)
    with pytest.raises(CardMakerNotUsable):
        print_at_desk(bank.ports, at_work=operator)
    assert states(bank) == ["lost", "ordered"]
    set_maker(bank, maker)
    set_maker(bank, maker)  # the same again is no change
    (row,) = maker.read(print_at_desk(bank.ports, at_work=operator))
    assert (row["contract_id"], states(bank)) == (CONTRACT, ["lost", "made"])
    (again,) = maker.read(print_at_desk(bank.ports, at_work=operator))
    assert again == row, "a download that broke off loses nothing"
    desk = read_print_desk(bank.ports, staff=operator.staff)
    assert desk is not None
    assert desk.maker is not None
    assert (desk.ordered, desk.made, desk.maker.name) == (0, 1, "CN=card maker")
    noted = bank.rows(
        "SELECT action, actor, detail FROM audit WHERE action IN ('card-made', 'cards-printed') ORDER BY id"
    )
    assert [(one.action, one.actor) for one in noted] == [
        ("card-made", "staff:senta01"),
        *[("cards-printed", "staff:senta01")] * 2,
    ]
    assert desk.maker.sha256.hex() in str(noted[-1].detail)
    assert actions(bank).count("card-maker-set") == 1
    by_command, _ = print_cards(bank.ports, bank=BANK, actor=OPERATOR)
    assert maker.read(by_command) == [row]
    post_at_desk(bank.ports, at_work=operator, contract_ids=[CONTRACT])
    with pytest.raises(CardsNoneToPrint):
        print_at_desk(bank.ports, at_work=operator)
    assert actions(bank).count("cards-printed") == 3, "where there is nothing, no file is noted"


def test_nobody_of_a_branch_and_nobody_else_makes_a_print_file(bank: World, counter: Counter, maker: Maker) -> None:
    set_maker(bank, maker)
    counter.through(FormKind.CARD_REISSUE)
    for number, (role, branch) in enumerate(
        [(Role.OPERATOR, "001"), (Role.CLERK, None), (Role.APPROVER, None), (Role.AUDITOR, None), (Role.KEEPER, None)]
    ):
        somebody = counter.office.add(f"betsu{number}", role, branch=branch).at_work()
        assert read_print_desk(bank.ports, staff=somebody.staff) is None
        with pytest.raises(RoleMissing):
            print_at_desk(bank.ports, at_work=somebody)
    assert states(bank) == ["lost", "ordered"]


def test_a_maker_whose_certificate_has_ended_gets_nothing(bank: World, counter: Counter, maker: Maker) -> None:
    set_maker(bank, maker)
    counter.through(FormKind.CARD_REISSUE)
    bank.clock[0] += timedelta(days=31)
    operator = counter.office.add("senta01", Role.OPERATOR, branch=None).at_work()
    assert read_print_desk(bank.ports, staff=operator.staff) == PrintDesk(1, 0, None)
    with pytest.raises(CardMakerNotUsable):
        print_at_desk(bank.ports, at_work=operator)
    with pytest.raises(CardMakerNotUsable):
        print_cards(bank.ports, bank=BANK, actor=OPERATOR)
    with pytest.raises(RecipientNotUsable, match="not in force"):
        set_maker(bank, maker)
    assert states(bank) == ["lost", "ordered"]


def test_two_who_print_at_the_same_moment_both_get_the_card(bank: World, counter: Counter, maker: Maker) -> None:
    set_maker(bank, maker)
    counter.through(FormKind.CARD_REISSUE)
    operators = [counter.office.add(f"senta0{n}", Role.OPERATOR, branch=None).at_work() for n in (1, 2)]
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(lambda one: print_at_desk(bank.ports, at_work=one), operators * 2))
    assert {row["contract_id"] for file in files for row in maker.read(file)} == {CONTRACT}
    assert actions(bank).count("card-made") == 1
    assert states(bank) == ["lost", "made"]


def test_a_maker_that_was_set_stays_on_record(bank: World, maker: Maker) -> None:
    set_maker(bank, maker)
    for statement in (delete(tables.card_makers), update(tables.card_makers).values(certificate="x")):
        with pytest.raises(DBAPIError, match="card_maker_"):
            bank.db.write(lambda tx, statement=statement: tx.execute(statement))  # type: ignore[misc]


def test_a_branch_sees_the_cards_of_its_own_contracts(bank: World, counter: Counter) -> None:
    counter.through(FormKind.CARD_REISSUE)
    bank.change("UPDATE contracts SET branch = '001'")
    for of, seen in (("001", 1), ("998", 0), (None, 1)):
        operator = counter.office.add(f"senta{of or 0}", Role.OPERATOR, branch=of).at_work()
        assert len(waiting_cards(bank.ports, staff=operator.staff).cards) == seen, of
