"""What a bank may set for itself, with the defaults of docs/reference/policy.md."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sekisho.domain.second_step import SecondStep


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
    second_steps: frozenset[SecondStep] = frozenset(SecondStep)
    pin_age: timedelta = timedelta(days=90)
    grace: timedelta = timedelta(0)
    way_tegata: bool = True
    way_est: bool = True
    way_browser: bool = False
    crl_shards: int = 8
    ocsp_nonce: bool = True


LONGEST_CERTIFICATE_LIFE = timedelta(days=398)
LONGEST_ACQUISITION_WINDOW = timedelta(days=80)
