"""Banks, and the policy that each began with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from sekisho.domain.contract import Application, Bank
from sekisho.domain.policy import RULES, SERVICE_HOURS, SWITCHES, Policy, with_rules, written_hours
from sekisho.domain.second_step import OF_THE_BANK, SecondStep
from sekisho.store.tables import banks as t

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row


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
            rules=differing(bank.policy),
            applications=[{"code": one.code, **one.name} for one in bank.applications],
            second_steps=",".join(step for step in OF_THE_BANK if step in bank.policy.second_steps),
            registered_at=now,
        )
    )


def find(tx: Connection, code: str) -> Bank | None:
    """Return the bank with the policy that it began with, or None; `policies.timeline` tells what is in force."""
    row = tx.execute(select(t).where(t.c.code == code)).one_or_none()
    if row is None:
        return None
    return Bank(
        code=row.code,
        name={"ja": row.name_ja, "en": row.name_en},
        service_name={"ja": row.service_name_ja, "en": row.service_name_en},
        help_desk_phone=row.help_desk_phone,
        help_desk_hours={"ja": row.help_desk_hours_ja, "en": row.help_desk_hours_en},
        policy=_policy(row),
        applications=tuple(
            Application(one["code"], {"ja": one["ja"], "en": one["en"]}) for one in row.applications or ()
        ),
    )


def first_policy(tx: Connection, code: str) -> Policy:
    """Return the policy that the bank began with."""
    return _policy(tx.execute(select(t).where(t.c.code == code)).one())


def differing(policy: Policy) -> dict[str, int | list[int] | str]:
    """Return the rules of `with_rules` that are not as they are by default, by their names."""
    rules: dict[str, int | list[int] | str] = {
        rule.name: rule.write(policy) for rule in RULES if rule.write(policy) != rule.write(Policy())
    }
    if policy.service_hours is not None:
        rules[SERVICE_HOURS] = written_hours(policy)
    usual = Policy()
    rules |= {name: value for name in SWITCHES if (value := getattr(policy, name)) is not getattr(usual, name)}
    return rules


def _policy(row: Row[Any]) -> Policy:
    policy = Policy(
        way_tegata=row.way_tegata,
        way_est=row.way_est,
        way_browser=row.way_browser,
        second_steps=frozenset(SecondStep(step) for step in row.second_steps.split(",") if step),
    )
    return with_rules(policy, row.rules or {})
