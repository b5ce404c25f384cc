"""The customer card お客様カード as a sample on paper, for the card maker and for whoever explains it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.card import POSITIONS
from sekisho.paper.typesetting import set_pdf
from sekisho.web import messages

if TYPE_CHECKING:
    from sekisho.domain.contract import Bank

_CONTRACT_ID = "0" * 11
_NUMBER = "0" * 20


def sample_pdf(bank: Bank) -> bytes:
    """Return both sides of a card (ISO/IEC 7810 ID-1, 85.60 x 53.98 mm) as a PDF of one A4 page in Japanese.

    Every digit is nobody's: the IDs are zeros, and the table is made up of sevens.
    """
    words = {name: messages.text("ja", f"card-paper.{name}") for name in ("title", "front", "back", "sample", "lead")}
    data = words | {
        "bank": bank.name["ja"],
        "service": bank.service_name["ja"],
        "card": messages.text("ja", "console.contract.card"),
        "contract_label": messages.text("ja", "label.contract_id"),
        "contract_id": _CONTRACT_ID,
        "company": messages.text("ja", "card-paper.company"),
        "number": " ".join(_NUMBER[at : at + 4] for at in range(0, len(_NUMBER), 4)),
        "number_label": messages.text("ja", "card-paper.number"),
        "table_label": messages.text("ja", "card.heading"),
        "table": [[str(position), str(position * 7 % 10)] for position in range(1, POSITIONS + 1)],
        "warning": messages.text("ja", "card-paper.warning"),
        "help": f"{bank.help_desk_phone} ({bank.help_desk_hours['ja']})",
    }
    return set_pdf("customer_card", data)
