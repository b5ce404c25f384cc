"""Each notice is mailed once, whatever fails in between."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from tests.support.world import BANK, KEIRI01, KEIRI02

from sekisho.web.mails import send_mails

if TYPE_CHECKING:
    from email.message import EmailMessage

    from tests.support.world import World


@dataclass
class Breaking:
    """Takes so many mails and then none."""

    takes: int
    keys: list[str] = field(default_factory=list)

    def send(self, message: EmailMessage, key: str) -> None:  # noqa: ARG002 - what it says is looked at elsewhere
        if len(self.keys) == self.takes:
            raise OSError("the disk is full")
        self.keys.append(key)


def test_what_was_handed_over_is_not_handed_over_again(bank: World) -> None:
    bank.acquire(KEIRI01)
    bank.acquire(KEIRI02)
    breaking = Breaking(takes=3)
    with pytest.raises(OSError, match="full"):
        send_mails(replace(bank.ports, mail=breaking), bank=BANK)
    assert send_mails(bank.ports, bank=BANK) == 1
    assert send_mails(bank.ports, bank=BANK) == 0
    everything = [f"{row.id:012d}" for row in bank.rows("SELECT id FROM notices ORDER BY id")]
    assert [*breaking.keys, *bank.mailbox.mails] == everything
    assert len(everything) == 4, "each user, and the administrator of each"


def test_whoever_has_no_address_is_told_in_the_inbox_alone(bank: World) -> None:
    bank.change("UPDATE people SET mail_address = NULL WHERE user_id = 'keiri01'")
    bank.acquire(KEIRI01)
    assert send_mails(bank.ports, bank=BANK) == 2
    assert len(bank.mailbox.mails) == 1
    assert send_mails(bank.ports, bank=BANK) == 0
