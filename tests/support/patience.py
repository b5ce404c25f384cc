"""Waiting for what comes about by itself, on a machine however busy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 180


def wait_until(holds: Callable[[], object], told: Callable[[], object] = lambda: None) -> None:
    """Wait until something holds; after three minutes in vain fail with what `told` returns."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, told()
        time.sleep(0.02)
