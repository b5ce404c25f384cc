"""Have the CA's journal note each end of a certificate at once, so that no restore takes one back.

The order is: the end is committed with a mark that the journal lacks it, the
journal is told, the mark goes. So the journal never knows an end that the
database does not, unless that was set back; and what is cut short is done
again, since the journal notes the same end once.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sekisho.ca.record import EndedRecord
from sekisho.domain.errors import ServiceRefused
from sekisho.store import crl_entries

if TYPE_CHECKING:
    from sekisho.store.crl_entries import ToJournal
    from sekisho.usecases.ports import Ports

log = logging.getLogger("sekisho")
_AT_ONCE = 500


def journal_endings(ports: Ports, *, bank: str) -> int:
    """Tell the journal of the ends that it lacks, some at a time, and return how many. Raises `CaAway`."""
    journal = ports.records.get(bank)
    if journal is None:
        return 0
    waiting = _waiting(ports, bank)
    if not waiting:
        return 0
    journal.note_ended([EndedRecord(*one.ended) for one in waiting])
    ports.db.write(lambda tx: crl_entries.mark_journaled(tx, [one.certificate_id for one in waiting]))
    return len(waiting)


def journal_at_once(ports: Ports, *, bank: str) -> None:
    """Do so right after an end, before anybody is told that it is done; the worker takes the marks away.

    An end waits for no CA: one that is away or slow is told later, by the worker.
    Nothing is raised: the end is committed, and so may be PINs that are shown once.
    """
    journal = ports.records.get(bank)
    if journal is None:
        return
    try:
        waiting = _waiting(ports, bank)
        if waiting:
            journal.note_ended_now([EndedRecord(*one.ended) for one in waiting])
    except ServiceRefused:
        pass  # has been told by whoever is away
    except Exception:
        log.exception("the journal was not told of an end; the worker tells it later")


def _waiting(ports: Ports, bank: str) -> list[ToJournal]:
    with ports.db.read() as tx:
        return crl_entries.to_journal(tx, bank, _AT_ONCE)
