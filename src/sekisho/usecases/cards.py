"""What becomes of customer cards: ordered, printed, posted, taken into use, lost, replaced, ended (J7, J10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain import card as table
from sekisho.domain.csv_text import csv_lines
from sekisho.domain.customer_card import (
    NOT_POSTED,
    ON_ITS_WAY,
    CardState,
    CustomerCard,
    expected_arrival,
    new_number,
)
from sekisho.domain.errors import CardMakerNotUsable, CardMoved, FormWithoutEffect
from sekisho.domain.person import PersonId
from sekisho.domain.secret import SecretName
from sekisho.domain.session import SessionEnd
from sekisho.pki.envelope import RecipientNotUsable, encrypt_for, read_recipient
from sekisho.store import audit, card_makers, cards, contracts, notices, people, secrets, sessions
from sekisho.usecases.service_hours import is_bank_holiday

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.domain.contract import Bank, Person
    from sekisho.store.audit import Actor
    from sekisho.usecases.ports import Ports

COLUMNS = ("number", "contract_id", "company", *(str(position) for position in range(1, table.POSITIONS + 1)))


@dataclass(frozen=True, slots=True)
class DrawnCard:
    """A new card: its number, its sealed table, and until when it should be there."""

    number: str
    sealed: str
    expected_at: datetime


def draw_card(ports: Ports, who: PersonId, now: datetime) -> DrawnCard:
    """Draw a card's number and table from the system's randomness, and seal the table."""
    sealed = ports.seal.seal(table.new_table(ports.entropy), who.contract_id)
    return DrawnCard(new_number(ports.entropy(8)), sealed, expected_arrival(now, is_bank_holiday))


def replace_lost(tx: Connection, administrator: Person, new: DrawnCard, actor: Actor, now: datetime) -> None:
    """End the present card with its table, end the administrator's sessions, and order another.

    Whoever calls holds the administrator. Raises `FormWithoutEffect` where a
    card is ordered or made already: it was never with anybody, so that
    nobody can have lost it.
    """
    who = administrator.who
    present = cards.of_contract(tx, who, *ON_ITS_WAY, CardState.IN_USE)
    if any(one.state in NOT_POSTED for one in present):
        raise FormWithoutEffect
    for one in present:
        _move(tx, one, CardState.LOST, administrator, actor, now)
    secrets.remove(tx, administrator.id, SecretName.CARD)
    sessions.end_of_people(tx, [administrator.id], SessionEnd.CLOSED, now)
    cards.add(
        tx,
        who,
        number=new.number,
        state=CardState.ORDERED,
        sealed=new.sealed,
        now=now,
        expected_at=new.expected_at,
    )
    audit.add(tx, "card-ordered", actor, at=now, who=who, person_id=administrator.id, card=new.number)


def own_cards(ports: Ports, administrator: PersonId) -> list[CustomerCard]:
    """Return the contract's cards that an administrator wants to know of, the newest first."""
    with ports.db.read() as tx:
        return cards.of_contract(tx, administrator, *ON_ITS_WAY, CardState.IN_USE, CardState.LOST)


def end_cards(tx: Connection, administrator: Person, actor: Actor, now: datetime) -> None:
    """End all cards of a contract that ends, and the table that can be answered from."""
    for one in cards.of_contract(tx, administrator.who, *ON_ITS_WAY, CardState.IN_USE, CardState.LOST):
        _move(tx, one, CardState.ENDED, administrator, actor, now)
    secrets.remove(tx, administrator.id, SecretName.CARD)


def take_into_use(tx: Connection, administrator: Person, actor: Actor, now: datetime) -> None:
    """Note the first logon that was answered from a posted card; the lost one before it is replaced then."""
    number = cards.take_into_use(tx, administrator.who, now)
    if number is None:
        return
    audit.add(tx, "card-in-use", actor, at=now, who=administrator.who, person_id=administrator.id, card=number)
    for one in cards.of_contract(tx, administrator.who, CardState.LOST):
        _move(tx, one, CardState.REPLACED, administrator, actor, now)
    _end_interim(tx, administrator.id)


def _end_interim(tx: Connection, person_id: int) -> None:
    """End the branch's code that was not used, and an app that stood in for the card: the card is there again."""
    for secret in secrets.of(tx, person_id, [SecretName.INTERIM, SecretName.TOTP]).values():
        if secret.provisional_until is not None:
            secrets.remove(tx, person_id, secret.name)


def print_cards(ports: Ports, *, bank: Bank, maker: bytes | None = None, actor: Actor) -> tuple[bytes, int]:
    """Return the bank's cards to be made as a CSV file encrypted for `maker` (a PEM certificate), and how many.

    Without a maker it is the one that is set. Those that were ordered are
    made then. Whatever is not posted yet is in each file, so that one that
    was lost is simply written again. Raises `RecipientNotUsable`, and
    `CardMakerNotUsable` of the one that is set; and then nothing has changed.
    """
    now = ports.now()
    if maker is None:
        return ports.db.write(lambda tx: print_for_present_maker(ports, tx, bank.code, actor, now))
    return ports.db.write(lambda tx: _print_of(ports, tx, bank.code, maker, actor, now))


def print_for_present_maker(ports: Ports, tx: Connection, bank: str, actor: Actor, now: datetime) -> tuple[bytes, int]:
    """Do so in `tx` for the maker that is set."""
    maker = card_makers.present(tx, bank)
    if maker is None:
        raise CardMakerNotUsable
    try:
        return _print_of(ports, tx, bank, maker, actor, now)
    except RecipientNotUsable:
        raise CardMakerNotUsable from None


def _print_of(ports: Ports, tx: Connection, bank: str, maker: bytes, actor: Actor, now: datetime) -> tuple[bytes, int]:
    recipient, _ = read_recipient(maker)
    found = cards.to_print(tx, bank)
    companies = contracts.of_ids(tx, bank, [one.contract_id for one in found])
    rows = []
    for one in found:
        digits = ports.seal.open(one.sealed or "", one.contract_id)
        name = companies[one.contract_id].name
        rows.append([one.number, one.contract_id, name, *(digits[position] for position in COLUMNS[3:])])
    encrypted = encrypt_for(maker, csv_lines([COLUMNS, *rows]).encode(), now)
    for one in found:
        if one.state is CardState.ORDERED:
            cards.move(tx, one, CardState.MADE, now)
            who = PersonId(one.bank, one.contract_id)
            audit.add(tx, "card-made", actor, at=now, who=who, card=one.number)
    shown = recipient.sha256.hex()
    audit.add_of_bank(tx, "cards-printed", actor, at=now, bank=bank, cards=len(found), maker=shown)
    return encrypted, len(found)


def post_cards(ports: Ports, *, bank: Bank, contract_ids: Sequence[str], actor: Actor) -> None:
    """Note that the made cards of these contracts are in the post: from now they can be answered from.

    All or none. Raises `CardMoved` where one of them has no card that waits for that.
    """
    now = ports.now()
    ports.db.write(lambda tx: post_of(tx, bank.code, contract_ids, actor, now))


def post_of(tx: Connection, bank: str, contract_ids: Iterable[str], actor: Actor, now: datetime) -> None:
    """Note it in `tx`."""
    for contract_id in sorted(set(contract_ids)):
        person = people.find(tx, PersonId(bank, contract_id))
        if person is None:
            raise CardMoved
        administrator = people.hold(tx, person.id)
        card = cards.latest(tx, administrator.who)
        if card is None or card.sealed is None:
            raise CardMoved
        _move(tx, card, CardState.POSTED, administrator, actor, now)
        secrets.put(tx, administrator.id, SecretName.CARD, card.sealed, now)
        notices.add(tx, administrator.id, "card-posted", now)


def _move(
    tx: Connection, card: CustomerCard, to: CardState, administrator: Person, actor: Actor, now: datetime
) -> None:
    cards.move(tx, card, to, now)
    audit.add(
        tx, f"card-{to.value}", actor, at=now, who=administrator.who, person_id=administrator.id, card=card.number
    )
