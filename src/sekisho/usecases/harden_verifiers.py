"""Turn the quick verifiers of PINs that were drawn here into ones that are dear to guess against (ADR 0089)."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sekisho.store import audit, quick_verifiers

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sekisho.usecases.ports import Ports

_AT_ONCE = 200
# Whoever logs on meanwhile waits for an argon2 check as well: every second core is left to them.
_THREADS = max(1, (os.cpu_count() or 1) // 2)


def harden_verifiers(ports: Ports, *, bank: str) -> int:
    """Do it for some of them and return how many; no PIN is known or needed for it."""
    with ports.db.read() as tx:
        found = quick_verifiers.some(tx, _AT_ONCE)
    if not found:
        return 0
    with ThreadPoolExecutor(max_workers=_THREADS) as hashing:
        hardened = dict(zip(found, hashing.map(lambda one: ports.pins.harden(one.verifier), found), strict=True))
    now = ports.now()

    def replace(tx: Connection) -> int:
        replaced = quick_verifiers.replace(tx, hardened)
        if replaced:
            actor = audit.Actor(audit.SYSTEM)
            audit.add_of_bank(tx, "verifiers-hardened", actor, at=now, bank=bank, count=replaced)
        return replaced

    return ports.db.write(replace)
