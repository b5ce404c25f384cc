"""What a bank may set for itself, with the defaults of docs/reference/policy.md."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.issuing_ca import FIRST_CAS, IssuingCa
from sekisho.domain.second_step import SecondStep

if TYPE_CHECKING:
    from sekisho.domain.person import Kind


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one bank. Durations are `timedelta`, counts plain numbers."""

    misses_before_closed: int = 7
    users_of_contract: int = 99
    certificate_life: timedelta = timedelta(days=365)
    acquisition_window: timedelta = timedelta(days=14)
    renewal_window: timedelta = timedelta(days=30)
    overlap: timedelta = timedelta(days=7)
    reminders: tuple[timedelta, ...] = (timedelta(days=30), timedelta(days=10), timedelta(days=3))
    permit_reminder: timedelta = timedelta(days=3)
    session_idle: timedelta = timedelta(minutes=15)
    session_life: timedelta = timedelta(hours=8)
    last_logons_shown: int = 3
    pin_age: timedelta = timedelta(days=90)
    grace: timedelta = timedelta(0)
    second_steps: frozenset[SecondStep] = frozenset(SecondStep)
    way_tegata: bool = True
    way_est: bool = True
    way_browser: bool = False
    crl_shards: int = 8
    ocsp_nonce: bool = True
    issuing_cas: tuple[IssuingCa, ...] = FIRST_CAS

    def generation_for(self, kind: Kind) -> int:
        """Return the generation of the issuing CA that signs what is ordered now: the newest."""
        return max(ca.generation for ca in self.issuing_cas if ca.kind is kind)


LONGEST_CERTIFICATE_LIFE = timedelta(days=398)
LONGEST_ACQUISITION_WINDOW = timedelta(days=80)
