"""A bank's rules: changed by two people, from a moment on, and followed by whoever runs already."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, event, insert, update
from sqlalchemy.exc import IntegrityError
from tests.support.at_once import at_once
from tests.support.keepers import Keepers
from tests.support.patience import wait_until
from tests.support.staff import OPERATOR
from tests.support.world import BANK, World

from sekisho.domain.errors import (
    PolicyByTwo,
    ProposalDecided,
    ProposalOutdated,
    ProposalOwn,
    ProposalUnknown,
    RoleMissing,
    RulesNotAllowed,
    RulesUnchanged,
    SessionRefused,
    StoreAway,
)
from sekisho.domain.policy import RuleOutOfBounds, stored_rules
from sekisho.domain.policy_changes import ProposalState, ProposalStep
from sekisho.domain.service_hours import JAPAN
from sekisho.domain.staff import Role
from sekisho.store import audit
from sekisho.store.tables import policy_approvals, policy_commands, policy_proposals
from sekisho.usecases.change_policy import PolicyChange, change_policy
from sekisho.usecases.follow_policy import BankInForce
from sekisho.usecases.grant_role import end_staff, withdraw_role
from sekisho.usecases.propose_policy import Wish, propose_policy
from sekisho.usecases.read_policy import read_proposal, read_rules

if TYPE_CHECKING:
    from datetime import date

    from sqlalchemy import Executable
    from tests.support.staff import Colleague

    from sekisho.usecases.enter_console import AtWork

APPROVE, REFUSE, WITHDRAW, CALL_OFF = ProposalStep


@pytest.fixture
def keepers(bank: World) -> Keepers:
    return Keepers(bank)


def told(bank: World) -> list[tuple[str, str, dict[str, Any]]]:
    with bank.db.read() as tx:
        rows = audit.listed(tx)
    return [(row["action"], row["actor"], row["detail"]) for row in rows if row["action"].startswith("policy-")]


def command(bank: World, emergency: str | None = None, **rules: Any) -> None:
    change_policy(bank.ports, bank=BANK.code, change=PolicyChange(rules=rules), actor=OPERATOR, emergency=emergency)


def today(bank: World) -> date:
    return bank.clock[0].astimezone(JAPAN).date()


def test_what_one_proposes_and_another_approves_is_the_rule(bank: World, keepers: Keepers) -> None:
    number = keepers.propose(misses_before_closed=5, pins_remembered=4, reason="総合点検の指摘")
    assert keepers.rules()["misses_before_closed"] == 7
    assert keepers.decide(number) is ProposalState.IN_FORCE
    assert keepers.rules() == stored_rules(BANK.policy) | {"misses_before_closed": 5, "pins_remembered": 4}
    changes = {"misses_before_closed": "7 > 5", "pins_remembered": "3 > 4"}
    proposed, approved = told(bank)
    assert proposed[:2] == ("policy-proposed", "staff:kisoku01")
    assert proposed[2] == {"proposal": int(number), "day": None, "reason": "総合点検の指摘"} | changes
    assert approved[:2] == ("policy-approved", "staff:kisoku02")
    assert approved[2] == {"proposal": int(number), "holds_from": bank.clock[0].isoformat()} | changes
    found = read_rules(bank.ports, staff=keepers.at_one.staff)
    assert found.last["misses_before_closed"].by == ("staff:kisoku01", "staff:kisoku02")
    assert found.last["misses_before_closed"].proposal == int(number)
    assert set(found.last) == {"misses_before_closed", "pins_remembered"}
    assert (found.waiting, found.coming) == ([], {})


def test_every_kind_of_rule_is_changed_so(keepers: Keepers) -> None:
    wanted: dict[str, Any] = {
        "reminders_days": [20, 5],
        "second_steps": ["totp"],
        "way_est": False,
        "key_rsa": False,
        "service_hours": "mon,tue,wed,thu,fri 7:00-23:00; sat,sun,holidays closed",
        "session_life_hours": 4,
    }
    keepers.change(**wanted)
    assert keepers.rules() == stored_rules(BANK.policy) | wanted


def test_nobody_approves_what_they_proposed(bank: World, keepers: Keepers) -> None:
    made = keepers.office.add("kisoku03", Role.KEEPER, by="kisoku01").at_work()
    clerk = keepers.office.add("kakari01", Role.CLERK).at_work()
    number = keepers.propose(misses_before_closed=5)
    for by in (keepers.at_one, made):
        with pytest.raises(ProposalOwn):
            keepers.decide(number, by=by)
    with pytest.raises(ProposalOwn):
        keepers.decide(number, REFUSE, by=keepers.at_one)
    with pytest.raises(RoleMissing):
        keepers.decide(number, by=clerk)
    with pytest.raises(RoleMissing):
        keepers.decide(number, WITHDRAW)  # that is for whoever proposed it
    with pytest.raises(RoleMissing):
        keepers.propose(by=clerk, users_of_contract=10)
    assert keepers.rules()["misses_before_closed"] == 7
    assert bank.rows("SELECT 1 FROM policy_approvals") == []


def test_a_proposal_is_refused_or_withdrawn_with_a_reason(bank: World, keepers: Keepers) -> None:
    refused, withdrawn = keepers.propose(misses_before_closed=5), keepers.propose(users_of_contract=10)
    with pytest.raises(RulesNotAllowed) as missing:
        keepers.decide(refused, REFUSE, reason=" ")
    assert missing.value.fields == {"reason": "entry-missing"}
    assert keepers.decide(refused, REFUSE, reason="緩すぎる") is ProposalState.REFUSED
    assert keepers.decide(withdrawn, WITHDRAW, by=keepers.at_one, reason="出し直す") is ProposalState.WITHDRAWN
    for number, reason in ((refused, "緩すぎる"), (withdrawn, "出し直す")):
        proposal, _ = read_proposal(bank.ports, staff=keepers.at_one.staff, number=number)
        assert proposal.ending is not None
        assert proposal.ending.reason == reason
        for step in (APPROVE, REFUSE, CALL_OFF):
            with pytest.raises(ProposalDecided):
                keepers.decide(number, step)
    assert keepers.rules() == stored_rules(BANK.policy)
    assert [row[0] for row in told(bank)[2:]] == ["policy-refused", "policy-withdrawn"]
    assert told(bank)[2][2] == {"proposal": int(refused), "reason": "緩すぎる", "misses_before_closed": "7 > 5"}


def test_a_change_holds_from_the_beginning_of_its_day_in_japan(bank: World, keepers: Keepers) -> None:
    tomorrow = today(bank) + timedelta(days=1)
    number = keepers.propose(day=tomorrow, misses_before_closed=5)
    assert keepers.decide(number) is ProposalState.APPROVED
    midnight = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=JAPAN)
    assert read_rules(bank.ports, staff=keepers.at_one.staff).coming["misses_before_closed"].holds_from == midnight
    bank.clock[0] = midnight.astimezone(UTC) - timedelta(microseconds=1)
    assert keepers.rules()["misses_before_closed"] == 7
    bank.clock[0] = midnight.astimezone(UTC)
    assert keepers.rules()["misses_before_closed"] == 5
    assert read_proposal(bank.ports, staff=keepers.at_one.staff, number=number)[0].state(bank.clock[0]) == "in-force"


def test_a_day_that_came_before_the_approval_changes_nothing_before_it(bank: World, keepers: Keepers) -> None:
    number = keepers.propose(day=today(bank) + timedelta(days=1), misses_before_closed=5)
    bank.later(days=3)
    approved_at = bank.clock[0]
    assert keepers.decide(number, by=keepers.other.at_work()) is ProposalState.IN_FORCE
    proposal, _ = read_proposal(bank.ports, staff=keepers.at_one.staff, number=number)
    assert proposal.approval is not None
    assert proposal.approval.holds_from == approved_at


def test_one_stops_what_was_to_come_and_nobody_what_is_in_force(bank: World, keepers: Keepers) -> None:
    number = keepers.change(day=today(bank) + timedelta(days=2), misses_before_closed=5)
    assert keepers.decide(number, CALL_OFF, by=keepers.at_one, reason="延期") is ProposalState.CALLED_OFF
    bank.later(days=3)
    assert keepers.rules()["misses_before_closed"] == 7
    in_force = keepers.change(misses_before_closed=5)
    with pytest.raises(ProposalDecided):
        keepers.decide(in_force, CALL_OFF, by=keepers.other.at_work())
    assert keepers.rules()["misses_before_closed"] == 5


def test_of_one_rule_one_change_waits_at_a_time(bank: World, keepers: Keepers) -> None:
    first = keepers.propose(misses_before_closed=5, day=today(bank) + timedelta(days=2))
    for by in (keepers.at_one, keepers.at_other):
        with pytest.raises(RulesNotAllowed) as waits:
            keepers.propose(by=by, misses_before_closed=6, pin_longest=20)
        assert waits.value.fields == {"misses_before_closed": "waits"}
    keepers.propose(pin_longest=20)  # another rule waits for nothing
    keepers.decide(first)
    with pytest.raises(RulesNotAllowed):
        keepers.propose(misses_before_closed=6)  # it is to come still
    bank.later(days=3)
    at_one = keepers.one.at_work()
    assert keepers.propose(by=at_one, misses_before_closed=6)


@pytest.mark.parametrize(
    ("rules", "wrong"),
    [
        ({"misses_before_closed": 2}, {"misses_before_closed": "bounds"}),
        (
            {"misses_before_closed": 11, "pin_age_days": 366},
            {"misses_before_closed": "bounds", "pin_age_days": "bounds"},
        ),
        ({"service_hours": "sat 7:00-8:00"}, {"service_hours": "hours"}),
        ({"second_steps": []}, {"second_steps": "steps"}),
        ({"reminders_days": []}, {"reminders_days": "bounds"}),
        ({"renewal_window_days": 20}, {"renewal_window_days": "reminders"}),
        ({"reminders_days": [40, 3]}, {"reminders_days": "reminders"}),
        ({"certificate_life_days": 30}, {"certificate_life_days": "window"}),
        ({"session_life_hours": 1, "session_idle_minutes": 61}, {"session_idle_minutes": "bounds"}),
    ],
    ids=str,
)
def test_what_cannot_be_is_told_beside_its_rule(
    bank: World, keepers: Keepers, rules: dict[str, Any], wrong: dict[str, str]
) -> None:
    with pytest.raises(RulesNotAllowed) as refused:
        keepers.propose(**rules)
    assert refused.value.fields == wrong
    assert told(bank) == []


def test_rules_that_agree_only_together_are_changed_together(keepers: Keepers) -> None:
    keepers.change(renewal_window_days=20, reminders_days=[20, 3])
    assert keepers.rules()["renewal_window_days"] == 20


def test_rules_agree_at_every_moment_to_come(bank: World, keepers: Keepers) -> None:
    keepers.change(day=today(bank) + timedelta(days=5), renewal_window_days=20, reminders_days=[20, 3])
    with pytest.raises(RulesNotAllowed) as refused:
        keepers.propose(certificate_life_days=30, day=today(bank) + timedelta(days=1))
    assert refused.value.fields == {"certificate_life_days": "window"}
    assert keepers.propose(certificate_life_days=30, day=today(bank) + timedelta(days=6))


@pytest.mark.parametrize(("days", "code"), [(-1, "day-past"), (367, "day-far")])
def test_a_day_lies_ahead_and_not_too_far(bank: World, keepers: Keepers, days: int, code: str) -> None:
    with pytest.raises(RulesNotAllowed) as refused:
        keepers.propose(misses_before_closed=5, day=today(bank) + timedelta(days=days))
    assert refused.value.fields == {"day": code}
    assert keepers.propose(misses_before_closed=5, day=today(bank))


def test_what_is_so_already_is_no_proposal(keepers: Keepers) -> None:
    with pytest.raises(RulesUnchanged):
        keepers.propose(misses_before_closed=7, reminders_days=[3, 10, 30])
    with pytest.raises(ProposalUnknown):
        keepers.decide("999")
    with pytest.raises(ProposalUnknown):
        keepers.decide("１")


def test_a_rule_that_moved_since_it_was_shown_is_looked_at_again(bank: World, keepers: Keepers) -> None:
    seen = keepers.rules()
    number = keepers.propose(misses_before_closed=5)
    command(bank, emergency="攻撃を受けている", misses_before_closed=3)
    with pytest.raises(ProposalOutdated):
        keepers.decide(number)
    keepers.decide(number, REFUSE, reason="古い")

    def propose(**rules: Any) -> int:
        return propose_policy(bank.ports, at_work=keepers.at_one, wish=Wish(rules, seen, "見直し"))

    with pytest.raises(ProposalOutdated):
        propose(misses_before_closed=5)
    with pytest.raises(RulesUnchanged):
        propose(misses_before_closed=7)  # left as it was shown: nobody means to change it
    untouched = propose(misses_before_closed=7, pin_longest=20)
    assert read_proposal(bank.ports, staff=keepers.at_one.staff, number=str(untouched))[0].rules == {"pin_longest": 20}
    keepers.decide(str(untouched))
    assert keepers.rules()["misses_before_closed"] == 3


def test_whoever_left_decides_nothing(bank: World, keepers: Keepers) -> None:
    number = keepers.propose(misses_before_closed=5)
    withdraw_role(bank.ports, bank=BANK, staff_id="kisoku02", role=Role.KEEPER, actor=OPERATOR)
    with pytest.raises(RoleMissing):
        keepers.decide(number)
    end_staff(bank.ports, bank=BANK, staff_id="kisoku01", actor=OPERATOR)
    with pytest.raises(SessionRefused):
        keepers.decide(number, WITHDRAW, by=keepers.at_one)
    third = keepers.office.add("kisoku03", Role.KEEPER).at_work()
    keepers.decide(number, REFUSE, by=third, reason="提案者が退職")
    assert keepers.rules()["misses_before_closed"] == 7


@pytest.mark.parametrize("misses", [4, 5, 6])
def test_two_approvers_at_once_give_one_approval(bank: World, keepers: Keepers, misses: int) -> None:
    third = keepers.office.add("kisoku03", Role.KEEPER).at_work()
    number = keepers.propose(misses_before_closed=misses)
    outcomes = at_once([lambda: keepers.decide(number), lambda: keepers.decide(number, by=third)])
    assert sorted(outcomes) == ["done", "proposal-decided"]
    assert len(bank.rows("SELECT 1 FROM policy_approvals")) == 1
    assert [row[0] for row in told(bank)] == ["policy-proposed", "policy-approved"]


@pytest.mark.parametrize("misses", [4, 5, 6])
def test_an_approval_and_a_withdrawal_at_once_are_one_of_both(bank: World, keepers: Keepers, misses: int) -> None:
    number = keepers.propose(misses_before_closed=misses)
    outcomes = at_once(
        [lambda: keepers.decide(number), lambda: keepers.decide(number, WITHDRAW, by=keepers.at_one)],
    )
    assert sorted(outcomes) == ["done", "proposal-decided"]
    proposal, present = read_proposal(bank.ports, staff=keepers.at_one.staff, number=number)
    assert (proposal.approval is None) == (present["misses_before_closed"] == 7)


def test_two_proposals_of_one_rule_at_once_are_one(keepers: Keepers) -> None:
    outcomes = at_once(
        [lambda by=by: keepers.propose(by=by, misses_before_closed=5) for by in (keepers.at_one, keepers.at_other)]  # type: ignore[misc]
    )
    assert sorted(outcomes) == ["done", "rules-not-allowed"]


def test_a_bank_with_two_keepers_is_changed_by_command_in_an_emergency_only(bank: World, keepers: Keepers) -> None:
    with pytest.raises(PolicyByTwo):
        command(bank, misses_before_closed=3)
    assert told(bank) == []
    command(bank, misses_before_closed=7)  # what is so already needs nobody
    command(bank, emergency="攻撃を受けている", misses_before_closed=3)
    assert told(bank) == [
        ("policy-changed", "operator:test", {"misses_before_closed": "7 > 3", "emergency": "攻撃を受けている"})
    ]
    last = read_rules(bank.ports, staff=keepers.at_one.staff).last["misses_before_closed"]
    assert (last.by, last.emergency, last.proposal) == (("operator:test",), "攻撃を受けている", None)


def test_who_cannot_come_in_is_no_second_person(bank: World, keepers: Keepers) -> None:
    withdraw_role(bank.ports, bank=BANK, staff_id="kisoku02", role=Role.KEEPER, actor=OPERATOR)
    command(bank, misses_before_closed=5)
    keepers.office.add("kisoku03", Role.KEEPER)
    with pytest.raises(PolicyByTwo):
        command(bank, misses_before_closed=6)
    bank.later(days=366)
    command(bank, misses_before_closed=6)  # their certificates have expired


def test_what_two_decided_for_later_comes_after_a_command_all_the_same(bank: World, keepers: Keepers) -> None:
    keepers.change(day=today(bank) + timedelta(days=2), misses_before_closed=5)
    changed = change_policy(
        bank.ports,
        bank=BANK.code,
        change=PolicyChange(rules={"misses_before_closed": 3}),
        actor=OPERATOR,
        emergency="攻撃を受けている",
    )
    assert changed.policy.misses_before_closed == 3
    assert list(changed.coming) == ["misses_before_closed"]
    bank.later(days=3)
    assert keepers.rules()["misses_before_closed"] == 5
    with pytest.raises(RuleOutOfBounds):
        command(bank, emergency="x", renewal_window_days=20)


def role_of(bank: World, colleague: Colleague) -> int:
    query = "SELECT id FROM staff_roles WHERE holder_id = :holder AND role = 'keeper'"
    return int(bank.rows(query, holder=colleague.staff.id)[0].id)


def refuses(bank: World, statement: Executable) -> str:
    """Return which trigger refuses a statement, or nothing where none does."""
    try:
        bank.db.write(lambda tx: tx.execute(statement))
    except IntegrityError as refused:
        return str(refused.orig).split("\n", maxsplit=1)[0]
    return ""


def test_the_database_keeps_four_eyes_whatever_the_program_does(bank: World, keepers: Keepers) -> None:
    made = keepers.office.add("kisoku03", Role.KEEPER, by="kisoku01")
    clerk = keepers.office.add("kakari01", Role.CLERK)
    at_made, at_clerk = made.at_work(), clerk.at_work()
    day = today(bank) + timedelta(days=2)
    number = int(keepers.propose(misses_before_closed=5, day=day))
    now, begins = bank.ports.now(), datetime(day.year, day.month, day.day, tzinfo=JAPAN)

    def approve(
        by: Colleague, at: AtWork, role: int, approved_at: datetime = now, holds_from: datetime = begins
    ) -> Any:
        return insert(policy_approvals).values(
            proposal_id=number,
            approved_by_id=by.staff.id,
            approved_with_id=at.certificate_id,
            role_id=role,
            approved_at=approved_at,
            holds_from=holds_from,
        )

    mine, theirs = role_of(bank, keepers.one), role_of(bank, keepers.other)
    refused = {
        "whoever proposed it": approve(keepers.one, keepers.at_one, mine),
        "with the certificate of whoever proposed it": approve(keepers.other, keepers.at_one, theirs),
        "with a certificate that is not theirs": approve(keepers.other, at_made, theirs),
        "in a role that is not theirs": approve(clerk, at_clerk, theirs),
        "in a role that whoever proposed it granted": approve(made, at_made, role_of(bank, made)),
        "from before its day": approve(keepers.other, keepers.at_other, theirs, holds_from=now),
        "from before the approval": approve(
            keepers.other, keepers.at_other, theirs, begins + timedelta(days=1), begins + timedelta(hours=1)
        ),
    }
    for who, statement in refused.items():
        assert "policy_four_eyes" in refuses(bank, statement), who
    entered = insert(policy_proposals).values(
        bank=BANK.code,
        rules={"misses_before_closed": 9},
        was={"misses_before_closed": 7},
        reason="x",
        proposed_by_id=clerk.staff.id,
        proposed_with_id=at_clerk.certificate_id,
        proposed_at=now,
    )
    assert "policy_proposed_by_no_keeper" in refuses(bank, entered)
    assert "policy_proposed_by_no_keeper" in refuses(
        bank, entered.values(proposed_by_id=keepers.one.staff.id, proposed_with_id=at_clerk.certificate_id)
    )
    here = update(policy_proposals).where(policy_proposals.c.id == number)
    ending = {"ended_at": now, "ended_reason": "x"}
    rewritten = {
        "its rules": here.values(rules={"misses_before_closed": 9}),
        "its rules while it ends": here.values(rules={}, ended="withdrawn", ended_by_id=keepers.one.staff.id, **ending),
        "who proposed it": here.values(proposed_by_id=keepers.other.staff.id),
        "withdrawn by another": here.values(ended="withdrawn", ended_by_id=keepers.other.staff.id, **ending),
        "refused by themselves": here.values(ended="refused", ended_by_id=keepers.one.staff.id, **ending),
        "called off before it is approved": here.values(ended="called-off", ended_by_id=made.staff.id, **ending),
        "ended somehow": here.values(ended="lost", ended_by_id=made.staff.id, **ending),
    }
    for what, statement in rewritten.items():
        assert "policy_proposal_rewritten" in refuses(bank, statement), what
    assert refuses(bank, approve(keepers.other, keepers.at_other, theirs)) == ""
    late = {"ended_at": begins, "ended_reason": "x"}
    after = {
        "policy_proposal_rewritten": here.values(ended="refused", ended_by_id=made.staff.id, **ending),
        "policy_proposal_removed": delete(policy_proposals),
        "policy_approval_changed": update(policy_approvals).values(holds_from=begins + timedelta(days=1)),
        "policy_approval_removed": delete(policy_approvals),
    }
    for trigger, statement in after.items():
        assert trigger in refuses(bank, statement)
    assert "rewritten" in refuses(bank, here.values(ended="called-off", ended_by_id=made.staff.id, **late))
    assert refuses(bank, here.values(ended="called-off", ended_by_id=made.staff.id, **ending)) == ""
    command(bank, emergency="x", users_of_contract=98)
    assert "policy_command_changed" in refuses(bank, update(policy_commands).values(set_by="nobody"))
    assert "policy_command_removed" in refuses(bank, delete(policy_commands))


def test_a_process_that_runs_follows_within_its_next_look(bank: World, keepers: Keepers) -> None:
    in_force = BankInForce(bank.ports, replace(BANK, policy=replace(BANK.policy, crl_shards=1)))
    keepers.change(misses_before_closed=5)
    assert in_force().policy.misses_before_closed == 7
    in_force.look()
    assert in_force().policy == replace(BANK.policy, misses_before_closed=5, crl_shards=1)
    assert in_force().name == BANK.name
    with in_force.followed(every_s=0.02):
        keepers.change(misses_before_closed=6)
        wait_until(lambda: in_force().policy.misses_before_closed == 6)
    keepers.change(misses_before_closed=8)
    assert in_force().policy.misses_before_closed == 6, "nobody looks any more"


def test_what_was_decided_for_later_comes_at_its_moment_without_a_look(bank: World, keepers: Keepers) -> None:
    day = today(bank) + timedelta(days=1)
    number = keepers.change(day=day, misses_before_closed=5)
    in_force = BankInForce(bank.ports, BANK)
    before = bank.clock[0]
    assert in_force().policy.misses_before_closed == 7
    bank.clock[0] = datetime(day.year, day.month, day.day, tzinfo=JAPAN).astimezone(UTC)
    assert in_force().policy.misses_before_closed == 5
    bank.clock[0] = before  # the clock is set back
    assert in_force().policy.misses_before_closed == 7
    keepers.decide(number, CALL_OFF)
    in_force.look()
    bank.later(days=2)
    assert in_force().policy.misses_before_closed == 7


def test_what_was_decided_at_once_holds_by_a_clock_that_is_behind(bank: World, keepers: Keepers) -> None:
    keepers.change(misses_before_closed=5)
    bank.clock[0] -= timedelta(hours=1)
    assert keepers.rules()["misses_before_closed"] == 5
    assert BankInForce(bank.ports, BANK)().policy.misses_before_closed == 5


def test_while_the_database_is_away_the_last_rules_stay(bank: World, keepers: Keepers) -> None:
    class Db:
        away = False
        refused = 0

        def read(self) -> Any:
            if self.away:
                self.refused += 1
                raise StoreAway
            return bank.db.read()

    db = Db()
    in_force = BankInForce(replace(bank.ports, db=db), BANK)  # type: ignore[arg-type]
    with in_force.followed(every_s=0.01):
        db.away = True
        wait_until(lambda: db.refused)  # no look from before is under way
        keepers.change(misses_before_closed=5)
        seen = db.refused
        wait_until(lambda: db.refused > seen + 1)
        assert in_force().policy.misses_before_closed == 7
        db.away = False
        wait_until(lambda: in_force().policy.misses_before_closed == 5)


def test_a_look_that_fails_is_told_once_and_goes_on(
    bank: World, keepers: Keepers, caplog: pytest.LogCaptureFixture
) -> None:
    class Db:
        broken = 0

        def read(self) -> Any:
            if self.broken:
                self.broken += 1
                raise RuntimeError("a bug")
            return bank.db.read()

    db = Db()
    in_force = BankInForce(replace(bank.ports, db=db), BANK)  # type: ignore[arg-type]
    with in_force.followed(every_s=0.01):
        db.broken = 1
        wait_until(lambda: db.broken > 3)
        keepers.change(misses_before_closed=5)
        assert in_force().policy.misses_before_closed == 7
        db.broken = 0
        wait_until(lambda: in_force().policy.misses_before_closed == 5)
    assert caplog.text.count("the last ones stay") == 1


def test_a_look_costs_one_statement(bank: World, keepers: Keepers) -> None:
    sent: list[str] = []

    def keep(*told: Any) -> None:
        sent.append(told[2])

    in_force = BankInForce(bank.ports, BANK)
    event.listen(bank.db.reading, "before_cursor_execute", keep)
    in_force.look()
    in_force()
    event.remove(bank.db.reading, "before_cursor_execute", keep)
    (statement,) = [one for one in sent if one != "BEGIN"]
    assert "policy_version" in statement


def test_proposals_are_read_page_by_page(bank: World, keepers: Keepers) -> None:
    numbers = []
    for round_ in range(25):
        numbers.append(int(keepers.propose(misses_before_closed=5)))
        keepers.decide(str(numbers[-1]), REFUSE, reason=f"{round_}")
    staff = keepers.at_one.staff
    first = read_rules(bank.ports, staff=staff)
    rest = read_rules(bank.ports, staff=staff, before=first.older)
    assert [one.id for one in (*first.proposals, *rest.proposals)] == numbers[::-1]
    assert rest.older is None


def test_changes_by_command_stand_in_line_with_those_of_two(bank: World, keepers: Keepers) -> None:
    def change(days: int) -> None:
        command(bank, emergency="x", grace_days=days)

    with ThreadPoolExecutor(4) as crowd:
        list(crowd.map(change, range(1, 7)))
    changes = [detail["grace_days"].split(" > ") for _, _, detail in told(bank)]
    assert [was for was, _ in changes] == ["0", *(new for _, new in changes[:-1])]
