"""The work that nobody waits for: mails, reminders, revocation lists, ends of overlaps, unfinished orders ..."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sekisho.domain.errors import Refusal, StoreAway
from sekisho.store import audit, restores
from sekisho.store.audit import Actor
from sekisho.usecases.clean_up import clean_up
from sekisho.usecases.end_overlaps import end_overlaps
from sekisho.usecases.expire_permits import expire_permits
from sekisho.usecases.harden_verifiers import harden_verifiers
from sekisho.usecases.journal_endings import journal_endings
from sekisho.usecases.keep_tallies import add_up, count_waiting, remove_old_tallies
from sekisho.usecases.ports import MailServerAway
from sekisho.usecases.publish_crl import publish_crls
from sekisho.usecases.reconcile import notice_restore
from sekisho.usecases.remove_contracts import RemovalNotAllowed, remove_contracts
from sekisho.usecases.resume_orders import resume_orders
from sekisho.usecases.sample_certificates import sample_certificates
from sekisho.usecases.send_reminders import remind_of_permits, remind_of_renewal
from sekisho.usecases.take_root_list import ends_of_root_list
from sekisho.usecases.tell_of_revoked_ca import tell_of_revoked_ca
from sekisho.web.mails import Unmarked, send_mails

if TYPE_CHECKING:
    from collections.abc import Callable

    from sekisho.domain.contract import Bank
    from sekisho.usecases.ports import Ports

_SYSTEM = Actor(audit.SYSTEM)
log = logging.getLogger("sekisho")
# A mail server that is away is asked again after a while, each time twice as long.
_LONGEST_PAUSE_S = 60.0
# Two people have to come together at the root.
_ROOT_LIST_WARNED = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Job:
    """Some work: how often somebody looks for it, and how it is done. `run` returns how much there was."""

    name: str
    every_s: float
    run: Callable[[], int]


def jobs(ports: Ports, bank: Callable[[], Bank], stopped: Callable[[], bool]) -> list[Job]:
    """Return all of it. What takes long looks at `stopped`; `bank` gives the bank with the policy then in force."""
    unmarked: Unmarked = {}
    return [
        Job("mails", 0.5, lambda: send_mails(ports, bank=bank(), unmarked=unmarked, stopped=stopped)),
        Job("revocation lists", 2, lambda: publish(ports, bank())),
        Job("ends for the CA's journal", 0.5, lambda: journal_endings(ports, bank=bank().code)),
        Job("comparison with the CA's journal", 300, lambda: _compare(ports, bank())),
        Job("notices of a revoked issuing CA", 2, lambda: tell_of_revoked_ca(ports, bank=bank().code)),
        Job("the root's list", 86_400, lambda: _look_at_root_list(ports, bank())),
        Job("ends of overlaps", 60, lambda: end_overlaps(ports, bank=bank())),
        Job("unfinished orders", 30, lambda: resume_orders(ports).done),
        Job("reminders of renewal", 60, lambda: remind_of_renewal(ports, bank=bank())),
        Job("reminders of permits", 60, lambda: remind_of_permits(ports, bank=bank())),
        Job("ends of permits", 60, lambda: expire_permits(ports, bank=bank())),
        Job("verifiers of drawn PINs", 5, lambda: harden_verifiers(ports, bank=bank().code)),
        Job("counts of what happened", 20, lambda: add_up(ports)),
        Job("counts of what waits", 60, lambda: _count(ports)),
        Job("clean-up", 600, lambda: clean_up(ports)),
        Job("clean-up of counts", 3600, lambda: remove_old_tallies(ports)),
        Job("sample of certificates", 3600, lambda: _sample(ports)),
        Job("removal of contracts", 600, lambda: len(remove_contracts(ports, bank=bank(), actor=_SYSTEM))),
    ]


async def work(ports: Ports, bank: Callable[[], Bank], stop: asyncio.Event) -> None:
    """Do it until `stop`. Of several processes on one database, the one that holds the lead does."""

    async def repeat(job: Job) -> None:
        trouble = Trouble(job.name)
        failed = 0
        while not stop.is_set():
            done = 0
            try:
                led = await asyncio.to_thread(ports.db.holds_lead)
                if led:
                    done = await asyncio.to_thread(job.run)
            except Exception as failure:  # noqa: BLE001 - told, and tried again
                failed += isinstance(failure, MailServerAway)
                trouble.met(failure)
            else:
                failed = 0
                if led:
                    trouble.over()
            # Where there was something to do, there may be more.
            pause_s = 0.0 if done else pause(job.every_s, failed)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)

    await asyncio.gather(*(repeat(job) for job in jobs(ports, bank, stop.is_set)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one job came to: how much was done, what the rest waits for (a code or a reason), what failed."""

    job: str
    done: int
    waits_for: str | None = None
    failed: str | None = None


def work_once(ports: Ports, bank: Bank) -> list[Outcome] | None:
    """Do all that is there to be done now, each job until it finds nothing; None where another process does it."""
    if not ports.db.holds_lead():
        return None
    return [_do(job) for job in jobs(ports, lambda: bank, lambda: False)]


def _do(job: Job) -> Outcome:
    done = 0
    try:
        while some := job.run():
            done += some
    except Exception as failure:
        what = reason(failure)
        if what is None:
            log.exception("background work (%s) failed", job.name)
            return Outcome(job.name, done, failed=type(failure).__name__)
        return Outcome(job.name, done, waits_for=what)
    return Outcome(job.name, done)


def pause(every_s: float, failed: int) -> float:
    """Return how many seconds pass until the next look, after so many in a row that found a server away."""
    return max(every_s, min(every_s * 2 ** min(failed, 16), _LONGEST_PAUSE_S)) if failed else every_s


def _compare(ports: Ports, bank: Bank) -> int:
    """Look whether the database was set back; there is no more of it to be done at once."""
    notice_restore(ports, bank=bank.code, actor=_SYSTEM)
    return 0


def _sample(ports: Ports) -> int:
    """Show some of the last hours' certificates to pkilint; there is no more of it to be done at once."""
    sample_certificates(ports, actor=_SYSTEM)
    return 0


def _count(ports: Ports) -> int:
    """Count what waits; there is no more of it to be done at once."""
    count_waiting(ports)
    return 0


def _look_at_root_list(ports: Ports, bank: Bank) -> int:
    """Say daily that the root's list is about to end: only who holds the root's key can make the next."""
    ends = ends_of_root_list(ports, bank=bank.code)
    how = "docs/how-to/revoke-an-issuing-ca.md tells how to bring one"
    if ends is None:
        log.warning("no revocation list of the root is published; %s", how)
    elif ends <= (now := ports.now()):
        log.error("the root's revocation list has ended: whoever checks it trusts no certificate any more; %s", how)
    elif ends - now < _ROOT_LIST_WARNED:
        log.warning("the root's revocation list ends in %d days; %s", (ends - now).days, how)
    return 0


def publish(ports: Ports, bank: Bank) -> int:
    """Publish revocation lists; none while the database may have forgotten what had ended."""
    with ports.db.read() as tx:
        if restores.is_behind(tx, bank.code):
            raise DatabaseBehind("the database is older than the CA's journal: run sekisho ca reconcile --repair")
    return publish_crls(ports, bank=bank.code, shards=bank.policy.crl_shards, issuing_cas=bank.policy.issuing_cas)


class DatabaseBehind(Exception):  # noqa: N818 - names what was found
    """The database was restored from a backup that lacks what the CA's journal knows."""


class Trouble:
    """Says once what keeps some work from being done, and once that it goes on."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told: str | None = None

    def met(self, failure: Exception) -> None:
        """Note what it met this time."""
        if isinstance(failure, StoreAway):
            return  # the store has said so itself, once for everybody
        what = reason(failure)
        if (what or repr(failure)) == self._told:
            return
        self._told = what or repr(failure)
        if what is not None:
            log.warning("background work (%s) has to wait: %s", self._name, what)
        else:
            log.error("background work (%s) failed and is tried again", self._name, exc_info=failure)

    def over(self) -> None:
        """Note that it was done."""
        if self._told is not None:
            self._told = None
            log.info("background work (%s) goes on", self._name)


def reason(failure: Exception) -> str | None:
    """Return what work has to wait for, or None where the failure is a bug."""
    if isinstance(failure, MailServerAway | DatabaseBehind | RemovalNotAllowed):
        return str(failure)
    return failure.code if isinstance(failure, Refusal) else None
