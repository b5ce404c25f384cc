"""Which issuing CA: a bank has one for each kind of person, and after a rotation a newer one beside it."""

from __future__ import annotations

from typing import NamedTuple

from sekisho.domain.person import Kind

FIRST = 1
LAST = 99


class IssuingCa(NamedTuple):
    """The issuing CA for a kind; `generation` counts from 1, and what a later one is called tells it."""

    kind: Kind
    generation: int = FIRST

    @property
    def name(self) -> str:
        """What its files and addresses are called; the first one has the name of its kind alone."""
        return self.kind.value if self.generation == FIRST else f"{self.kind.value}{self.generation}"


FIRST_CAS = tuple(IssuingCa(kind) for kind in Kind)
