"""Banks and their policies."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from sekisho.domain.contract import Application, Bank
from sekisho.domain.policy import Policy
from sekisho.domain.second_step import SecondStep
from sekisho.store.tables import banks as t

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


def add(tx: Connection, bank: Bank, now: datetime) -> None:
    """Register a bank."""
    tx.execute(
        insert(t).values(
            code=bank.code,
            name_ja=bank.name["ja"],
            name_en=bank.name["en"],
            service_name_ja=bank.service_name["ja"],
            service_name_en=bank.service_name["en"],
            help_desk_phone=bank.help_desk_phone,
            help_desk_hours_ja=bank.help_desk_hours["ja"],
            help_desk_hours_en=bank.help_desk_hours["en"],
            way_tegata=bank.policy.way_tegata,
            way_est=bank.policy.way_est,
            way_browser=bank.policy.way_browser,
            second_steps=",".join(step for step in SecondStep if step in bank.policy.second_steps),
            grace_days=bank.policy.grace.days,
            applications=[{"code": one.code, **one.name} for one in bank.applications],
            registered_at=now,
        )
    )


def find(tx: Connection, code: str) -> Bank | None:
    """Return the bank, or None."""
    row = tx.execute(select(t).where(t.c.code == code)).one_or_none()
    if row is None:
        return None
    return Bank(
        code=row.code,
        name={"ja": row.name_ja, "en": row.name_en},
        service_name={"ja": row.service_name_ja, "en": row.service_name_en},
        help_desk_phone=row.help_desk_phone,
        help_desk_hours={"ja": row.help_desk_hours_ja, "en": row.help_desk_hours_en},
        policy=Policy(
            way_tegata=row.way_tegata,
            way_est=row.way_est,
            way_browser=row.way_browser,
            second_steps=frozenset(SecondStep(step) for step in row.second_steps.split(",") if step),
            grace=timedelta(days=row.grace_days),
        ),
        applications=tuple(
            Application(one["code"], {"ja": one["ja"], "en": one["en"]}) for one in row.applications or ()
        ),
    )
