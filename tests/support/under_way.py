"""Orders under way: placed and not signed yet, since the CA is away just then."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sekisho.domain.errors import CaAway
from sekisho.usecases.resume_orders import resume_orders

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.world import World


class _Away:
    def sign_all(self, *_: object) -> list[bytes | Exception]:
        raise CaAway


def put_under_way(bank: World, ask: Callable[[], object]) -> None:
    """Ask for a certificate while the CA is away, and have it back again."""
    there = bank.ports
    bank.ports = replace(there, cas={bank.bank.code: _Away()})  # type: ignore[dict-item]
    try:
        with pytest.raises(CaAway):
            ask()
    finally:
        bank.ports = there


def finish(bank: World) -> list[str | None]:
    """Have what is under way signed and stored, and return how each certificate ended, in the order of their issue."""
    bank.later(minutes=1)
    assert resume_orders(bank.ports).finished == 1
    return [row.ending for row in bank.rows("SELECT ending FROM certificates WHERE kind = 'user' ORDER BY id")]
