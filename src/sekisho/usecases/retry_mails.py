"""Have mails that were given up tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.store import audit, outgoing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from sekisho.store.audit import Actor
    from sekisho.store.outgoing import Mailing
    from sekisho.usecases.ports import Ports

_AT_ONCE = 200


def retry_mails(ports: Ports, *, notice_ids: Sequence[int] | None, actor: Actor) -> list[Mailing]:
    """Take up again the given-up mails of those notices, or with None all, and return which these were."""
    now = ports.now()
    retried: list[Mailing] = []
    after = 0

    def again(tx: Connection) -> tuple[list[Mailing], int | None]:
        found = outgoing.listed(tx, given_up=True, after=after, most=_AT_ONCE, notice_ids=notice_ids)
        mine = [one for one in found if outgoing.take_up_again(tx, one.id, now)]
        audit.add_all(
            tx, [audit.row("mail-retried", actor, at=now, who=one.who, notice=one.id, code=one.code) for one in mine]
        )
        return mine, found[-1].id if found else None

    while True:
        some, last = ports.db.write(again)
        retried += some
        if last is None:
            return retried
        after = last
