"""The root revokes an issuing CA of a bank in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.certificate import Reason
from sekisho.pki import root_list
from sekisho.store.audit import Actor
from sekisho.usecases.take_root_list import take_root_list

if TYPE_CHECKING:
    from tests.support.world import World

    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.pki.root_list import RootList

OPERATOR = Actor("operator:test")


def take(bank: World, found: RootList) -> list[IssuingCa]:
    """Have the bank take a list."""
    issuing = {pair.certificate.serial_number: ca for ca, pair in bank.cas.items()}
    return take_root_list(bank.ports, bank=bank.bank.code, found=found, issuing=issuing, actor=OPERATOR)


def revoke_ca(bank: World, ca: IssuingCa, reason: Reason = Reason.CA_COMPROMISE) -> RootList:
    """Have the root revoke it, and the bank take the list."""
    serial = bank.cas[ca].certificate.serial_number
    made = root_list.sign(bank.made.root, None, now=bank.clock[0], revoke=[(serial, reason)])
    assert take(bank, made) == [ca]
    return made
