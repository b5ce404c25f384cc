"""One of the bank's policy keepers proposes a change of its rules; nothing changes before another approves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from sekisho.domain.entries import name_problem, one_line
from sekisho.domain.errors import ProposalOutdated, RulesNotAllowed, RulesUnchanged
from sekisho.domain.policy import RuleOutOfBounds, set_rules, stored_rules
from sekisho.domain.policy_changes import Decision, Timeline, changed_rules, day_begins
from sekisho.domain.service_hours import JAPAN
from sekisho.domain.staff import Role
from sekisho.store import audit, policies
from sekisho.usecases.change_policy import told_changes
from sekisho.usecases.enter_console import present_staff

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.ports import Ports

LONGEST_REASON = 200
_FARTHEST = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody proposes: `rules` by their names as they are to be, and `seen` as they were shown.

    `day` is the day in Japan from which they hold, None for the moment of
    the approval. `wrong` is what could not be read of what was typed: by
    rule, or "day", the code of what is wrong.
    """

    rules: Mapping[str, Any]
    seen: Mapping[str, Any]
    reason: str
    day: date | None = None
    wrong: Mapping[str, str] = field(default_factory=dict)


def propose_policy(ports: Ports, *, at_work: AtWork, wish: Wish) -> int:
    """Write a proposal down, and return its number.

    Of one rule one change waits at a time: as long as one is undecided, or
    approved and not in force, no other is taken. Raises `RulesNotAllowed`
    with what is wrong, `RulesUnchanged`, and `ProposalOutdated` where a rule
    is not what it was shown to be.
    """
    now = ports.now()
    reason = one_line(wish.reason)

    def propose(tx: Connection) -> int:
        staff, hand = present_staff(tx, at_work)
        staff.require(Role.KEEPER)
        policies.hold(tx, staff.bank)
        timeline = policies.timeline(tx, staff.bank)
        rules, wrong = _read(timeline, wish, now)
        wrong |= _day_problem(wish, now)
        if problem := name_problem(reason, LONGEST_REASON):
            wrong["reason"] = problem
        taken = {name for one in policies.waiting(tx, staff.bank) for name in one.rules} | set(timeline.coming(now))
        wrong |= {name: "waits" for name in rules if name in taken}
        if wrong:
            raise RulesNotAllowed(fields=wrong)
        if not rules:
            raise RulesUnchanged
        was = {name: stored_rules(timeline.at(now))[name] for name in rules}
        if any(wish.seen.get(name) != value for name, value in was.items()):
            raise ProposalOutdated
        from_day = None if wish.day is None else day_begins(wish.day)
        check_agreement(timeline, rules, now if from_day is None else max(now, from_day), now)
        proposal = policies.propose(
            tx, staff.bank, rules=rules, was=was, holds_from=from_day, reason=reason, hand=hand, now=now
        )
        told: dict[str, Any] = {
            "proposal": proposal,
            "day": None if wish.day is None else wish.day.isoformat(),
            "reason": reason,
        }
        audit.add_of_bank(
            tx, "policy-proposed", at_work.actor, at=now, bank=staff.bank, **told, **told_changes(rules, was)
        )
        return proposal

    return ports.db.write(propose)


def check_agreement(timeline: Timeline, rules: Mapping[str, Any], holds_from: datetime, now: datetime) -> None:
    """Raise `RulesNotAllowed` where, with these rules, any would disagree at any time from `now` on."""
    try:
        timeline.with_decision(Decision(holds_from, rules, decided_at=now)).check(now)
    except RuleOutOfBounds as disagree:
        # It is told beside a rule that was proposed, where the one that it names was not.
        beside = disagree.rule if disagree.rule in rules else next(iter(rules))
        raise RulesNotAllowed(fields={beside: disagree.code}) from disagree


def _read(timeline: Timeline, wish: Wish, now: datetime) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the rules that would change, and what is wrong with which, each judged for itself.

    What somebody left as it was shown to them is not meant to change, whatever it is by now.
    """
    present = timeline.at(now)
    rules: dict[str, Any] = {}
    wrong = {name: code for name, code in wish.wrong.items() if name != "day"}
    for name, value in wish.rules.items():
        if name in wrong:
            continue
        try:
            meant = stored_rules(set_rules(present, {name: value}))[name]
            if meant != wish.seen.get(name):
                rules |= changed_rules(present, {name: meant})
        except RuleOutOfBounds as beyond:
            wrong[name] = beyond.code
    return rules, wrong


def _day_problem(wish: Wish, now: datetime) -> dict[str, str]:
    if "day" in wish.wrong:
        return {"day": wish.wrong["day"]}
    if wish.day is None:
        return {}
    today = now.astimezone(JAPAN).date()
    if wish.day < today:
        return {"day": "day-past"}
    return {"day": "day-far"} if wish.day > today + _FARTHEST else {}
