"""The work that nobody waits for: mails, revocation lists, ends of overlaps, unfinished orders."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from sekisho.domain.errors import Refusal, StoreAway
from sekisho.store import audit, restores
from sekisho.store.audit import Actor
from sekisho.usecases.end_overlaps import end_overlaps
from sekisho.usecases.publish_crl import publish_crls
from sekisho.usecases.reconcile import notice_restore
from sekisho.usecases.resume_orders import resume_orders
from sekisho.web.mails import send_mails

if TYPE_CHECKING:
    from collections.abc import Callable

    from sekisho.domain.contract import Bank
    from sekisho.usecases.ports import Ports

_SYSTEM = Actor(audit.SYSTEM)
log = logging.getLogger("sekisho")


async def work(ports: Ports, bank: Bank, stop: asyncio.Event) -> None:
    """Do it until `stop`. Of several nodes on one database, the one that holds the lead does."""
    rounds: list[tuple[str, float, Callable[[], int]]] = [
        ("mails", 0.5, lambda: send_mails(ports, bank=bank)),
        ("revocation lists", 2, lambda: publish(ports, bank)),
        ("comparison with the CA's journal", 300, lambda: notice_restore(ports, bank=bank.code, actor=_SYSTEM)),
        ("ends of overlaps", 60, lambda: end_overlaps(ports, bank=bank)),
        ("unfinished orders", 30, lambda: resume_orders(ports)),
    ]

    async def repeat(name: str, every_s: float, job: Callable[[], int]) -> None:
        trouble = Trouble(name)
        while not stop.is_set():
            try:
                led = await asyncio.to_thread(ports.db.holds_lead)
                if led:
                    await asyncio.to_thread(job)
            except Exception as failure:  # noqa: BLE001 - told, and tried again
                trouble.met(failure)
            else:
                if led:
                    trouble.over()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every_s)

    await asyncio.gather(*(repeat(*one) for one in rounds))


def publish(ports: Ports, bank: Bank) -> int:
    """Publish revocation lists; none while the database may have forgotten what had ended."""
    with ports.db.read() as tx:
        if restores.is_behind(tx, bank.code):
            raise DatabaseBehind("the database is older than the CA's journal: run sekisho ca reconcile --repair")
    return publish_crls(ports, bank=bank.code, shards=bank.policy.crl_shards)


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
        what = failure.code if isinstance(failure, Refusal) else repr(failure)
        if what == self._told:
            return
        self._told = what
        if isinstance(failure, Refusal):
            log.warning("background work (%s) has to wait: %s", self._name, what)
        elif isinstance(failure, DatabaseBehind):
            log.error("background work (%s) has to wait: %s", self._name, failure)
        else:
            log.error("background work (%s) failed and is tried again", self._name, exc_info=failure)

    def over(self) -> None:
        """Note that it was done."""
        if self._told is not None:
            self._told = None
            log.info("background work (%s) goes on", self._name)
