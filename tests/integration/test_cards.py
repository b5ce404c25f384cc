"""A lost card's whole way: reported, its table dead at once, another ordered, printed, posted, in use."""

from __future__ import annotations

import csv
import io
import subprocess
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from tests.integration.test_request_forms import actions, told
from tests.support.counter import Counter
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, CONTRACT, KEIRI01, PINS, World

from sekisho.domain.customer_card import CardState
from sekisho.domain.errors import (
    CardMissing,
    CardMoved,
    EntryWrong,
    FormWithoutEffect,
    SecondStepMissing,
    SessionRefused,
)
from sekisho.domain.person import Kind
from sekisho.domain.request_forms import FormKind
from sekisho.pki.envelope import RecipientNotUsable
from sekisho.store import tables
from sekisho.store.audit import Actor
from sekisho.usecases.cards import COLUMNS, post_cards, print_cards
from sekisho.usecases.find_contracts import read_contract
from sekisho.usecases.log_on import answer_card, enter_pin
from sekisho.usecases.read_status import read_status
from sekisho.usecases.register_unopened import register_unopened

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from sekisho.domain.certificate import IssuedCertificate

OPERATOR = Actor("operator:test")
WAY = [CardState.ORDERED, CardState.MADE, CardState.POSTED, CardState.IN_USE]


@pytest.fixture
def counter(bank: World) -> Counter:
    return Counter(bank)


class Maker:
    """The card maker, who opens what comes with openssl."""

    def __init__(self, folder: Path, now: datetime, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        self.folder = folder
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "card maker")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .sign(key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(Encoding.PEM)
        (folder / "maker.pem").write_bytes(self.pem)
        (folder / "maker.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def read(self, encrypted: bytes) -> list[dict[str, str]]:
        (self.folder / "cards.p7m").write_bytes(encrypted)
        opened = subprocess.run(
            [
                *("openssl", "cms", "-decrypt", "-binary", "-inform", "DER"),
                *("-in", "cards.p7m", "-recip", "maker.pem", "-inkey", "maker.key"),
            ],
            cwd=self.folder,
            capture_output=True,
            check=True,
            timeout=60,
        )
        rows = list(csv.DictReader(io.StringIO(opened.stdout.decode(), newline="")))
        assert all(tuple(row) == COLUMNS for row in rows)
        return rows


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
