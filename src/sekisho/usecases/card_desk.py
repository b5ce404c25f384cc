"""Customer cards at the console: what waits for the maker and the post, the print file, and what was posted (J10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.customer_card import CardState
from sekisho.domain.errors import CardsNoneToPrint, ChoiceMissing
from sekisho.domain.staff import Role
from sekisho.store import cards
from sekisho.usecases.cards import post_of, print_for_present_maker
from sekisho.usecases.enter_console import present_staff
from sekisho.usecases.find_contracts import visible
from sekisho.usecases.set_card_maker import present_card_maker

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection

    from sekisho.domain.staff import Staff
    from sekisho.pki.envelope import Recipient
    from sekisho.store.cards import WaitingCard
    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports

ON_A_PAGE = 50


@dataclass(frozen=True, slots=True)
class WaitingCards:
    """One page of what is not posted, the oldest first; `after` is where the next one begins, None on the last."""

    cards: Sequence[WaitingCard]
    after: int | None


def waiting_cards(ports: Ports, *, staff: Staff, after: int = 0) -> WaitingCards:
    """Return the cards that are not posted and are theirs to see."""
    with ports.db.read() as tx:
        found = cards.waiting(tx, staff.bank, staff.branch, after=after, most=ON_A_PAGE + 1)
    shown = found[:ON_A_PAGE]
    return WaitingCards(shown, shown[-1].card.id if len(found) > ON_A_PAGE else None)


@dataclass(frozen=True, slots=True)
class PrintDesk:
    """What a print file would hold, and whom it would be for: None where no maker is set who could open it now."""

    ordered: int
    made: int
    maker: Recipient | None


def read_print_desk(ports: Ports, *, staff: Staff) -> PrintDesk | None:
    """Return what can be printed; None for whoever may not: a file holds the cards of the whole bank."""
    if not (staff.of_the_centre and Role.OPERATOR in staff.roles):
        return None
    now = ports.now()
    with ports.db.read() as tx:
        number = cards.count_not_posted(tx, staff.bank)
    maker = present_card_maker(ports, staff.bank)
    usable = maker is not None and maker.in_force(now)
    return PrintDesk(number[CardState.ORDERED], number[CardState.MADE], maker if usable else None)


def print_at_desk(ports: Ports, *, at_work: AtWork) -> bytes:
    """Return the print file, encrypted for the maker that is set; what is ordered is made then.

    The same again is a file with the same cards, until they are posted: a
    download that breaks off loses nothing. Raises `RoleMissing`,
    `CardMakerNotUsable`, and `CardsNoneToPrint`; and then nothing has changed.
    """
    now = ports.now()

    def make(tx: Connection) -> bytes:
        staff, _ = present_staff(tx, at_work)
        staff.require_at_centre(Role.OPERATOR)
        encrypted, number = print_for_present_maker(ports, tx, staff.bank, at_work.actor, now)
        if not number:
            raise CardsNoneToPrint
        return encrypted

    return ports.db.write(make)


def post_at_desk(ports: Ports, *, at_work: AtWork, contract_ids: Collection[str]) -> None:
    """Note that the made cards of these contracts are in the post; all or none.

    Raises `ChoiceMissing` for none at all, `RoleMissing`, `ContractUnknown`
    for one that is not theirs to see, and `CardMoved`.
    """
    if not contract_ids:
        raise ChoiceMissing(fields={"cards": "choice-missing"})
    now = ports.now()

    def post(tx: Connection) -> None:
        staff, _ = present_staff(tx, at_work)
        staff.require(Role.OPERATOR)
        for contract_id in contract_ids:
            visible(tx, staff, contract_id)
        post_of(tx, staff.bank, contract_ids, at_work.actor, now)

    ports.db.write(post)
