"""What the machine could do at best."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sekisho.vault.pins import PinHasher


def argon2_rate(pins: PinHasher, verifier: str, pin: str, seconds: float) -> float:
    """Return checks a second with every core at work on nothing else."""
    done = [0] * (os.cpu_count() or 1)
    start = time.perf_counter()

    def check(at: int) -> None:
        while time.perf_counter() - start < seconds:
            pins.verify(verifier, pin)
            done[at] += 1

    threads = [threading.Thread(target=check, args=(at,)) for at in range(len(done))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - start)
