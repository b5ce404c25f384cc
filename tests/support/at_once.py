"""The same thing, or several, done by many who begin together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sekisho.domain.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DONE = "done"


def at_once(acts: Sequence[Callable[[], object]]) -> list[str]:
    """Have each done in a thread of its own; return how each ended, in order: `DONE`, or the code of a refusal.

    Whatever else is raised is a bug, and raised here.
    """
    begin = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> str:
        begin.wait()
        try:
            act()
        except Refusal as refusal:
            return refusal.code
        return DONE

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))
