"""The console's pages of the bank's rules, in both languages, in the states that change what stands on them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.test_templates import RENDERER, common, elements, parse, words

from sekisho.console.policy_entries import entries_of
from sekisho.console.policy_shown import shown_groups, shown_proposal
from sekisho.domain.policy import Policy, stored_rules
from sekisho.domain.policy_changes import Approval, Decision, Ending, Proposal, ProposalState
from sekisho.domain.request_forms import Hand
from sekisho.domain.staff import Grant, Role
from sekisho.usecases.read_policy import RulesOfBank
from sekisho.web import messages
from sekisho.web.policy_words import GROUPS, entry_hint, fixed_rules, installed_rules, rule_name, value_text

if TYPE_CHECKING:
    from sekisho.web.messages import Language

NOW = datetime(2026, 11, 24, 3, 5, tzinfo=UTC)
RULES = stored_rules(Policy())
PROPOSAL = Proposal(
    id=3,
    bank="9990",
    rules={"misses_before_closed": 5, "reminders_days": [20, 3]},
    was={"misses_before_closed": 7, "reminders_days": [30, 10, 3]},
    holds_from=None,
    reason="<b>review</b>",
    proposed_by="kisoku01",
    hand=Hand(1, 1),
    proposed_at=NOW,
)
LATER = NOW + timedelta(days=9)
COMING = replace(PROPOSAL, holds_from=LATER, approval=Approval("kisoku02", NOW, LATER))
STATES = {
    "proposed": PROPOSAL,
    "approved": COMING,
    "in-force": replace(PROPOSAL, approval=Approval("kisoku02", NOW, NOW)),
    "refused": replace(PROPOSAL, ending=Ending(ProposalState.REFUSED, "kisoku02", NOW, "no")),
    "withdrawn": replace(PROPOSAL, ending=Ending(ProposalState.WITHDRAWN, "kisoku01", NOW, "no")),
    "called-off": replace(COMING, ending=Ending(ProposalState.CALLED_OFF, "kisoku01", NOW, "no")),
}
both_languages = pytest.mark.parametrize("lang", messages.LANGUAGES)


def render(template: str, lang: Language, *roles: Role, **context: Any) -> str:
    grants = tuple(Grant(role, "operator:x", NOW) for role in roles or (Role.KEEPER,))
    staff = SimpleNamespace(staff_id="kisoku01", name="K", branch=None, grants=grants)
    given = common(lang) | {"site": "console", "path": "/policy", "staff": staff, **context}
    return RENDERER.page(f"console/{template}", lang, **given)


def rules_page(lang: Language, *, may_propose: bool = True) -> str:
    by_two = Decision(NOW, {"misses_before_closed": 5}, ("staff:kisoku01", "staff:kisoku02"), NOW, 2)
    command = Decision(NOW, {"grace_days": 9}, ("operator:root",), NOW, None, "power cut")
    found = RulesOfBank(
        present=RULES,
        last={"misses_before_closed": by_two, "grace_days": command},
        coming={"users_of_contract": Decision(LATER, {"users_of_contract": 50}, ("staff:a", "staff:b"), NOW, 4)},
        waiting=[PROPOSAL],
        proposals=list(STATES.values()),
        older=3,
    )
    return render(
        "policy.html",
        lang,
        groups=shown_groups(lang, found),
        may_propose=may_propose,
        fixed=fixed_rules(lang),
        installed=installed_rules(lang, Policy()),
        waiting=[shown_proposal(lang, one, NOW) for one in found.waiting],
        proposals=[shown_proposal(lang, one, NOW) for one in found.proposals],
        older="/policy?before=3",
    )


def new_page(lang: Language, group: str, **context: Any) -> str:
    rules = [
        {
            "name": name,
            "label": rule_name(lang, name),
            "kind": "steps" if name == "second_steps" else "switch" if isinstance(RULES[name], bool) else "text",
            "hint": entry_hint(lang, name, RULES[name]),
        }
        for name in GROUPS[group]
    ]
    values = entries_of(RULES, GROUPS[group])
    given = {"group": group, "rules": rules, "steps": ["card", "totp", "passkey"], "values": values} | context
    return render("policy_new.html", lang, **given)


def proposal_page(lang: Language, proposal: Proposal, *steps: str, keeper: bool = True, **context: Any) -> str:
    present = {name: value_text(lang, name, RULES[name]) for name in proposal.rules}
    shown = shown_proposal(lang, proposal, NOW)
    return render(
        "policy_proposal.html", lang, proposal=shown, present=present, steps=list(steps), keeper=keeper, **context
    )


@both_languages
def test_every_rule_has_a_row_with_its_values(lang: Language) -> None:
    document = parse(rules_page(lang))
    tables = elements(document, "table")
    heads = [words(head) for head in elements(document, "th") if head.attrib.get("scope") == "row"]
    for name in RULES:
        assert any(head.startswith(rule_name(lang, name)) for head in heads), name
    assert all(elements(table, "caption") for table in tables)
    text = words(document)
    assert "kisoku01" in text
    assert "power cut" in text
    assert value_text(lang, "users_of_contract", 50) in text


@both_languages
def test_only_who_may_propose_is_led_there(lang: Language) -> None:
    def ways(page: str) -> list[str]:
        return [link.attrib["href"] for link in elements(parse(page), "a") if "/policy/new/" in link.attrib["href"]]

    assert ways(rules_page(lang)) == [f"/policy/new/{group}" for group in GROUPS]
    assert ways(rules_page(lang, may_propose=False)) == []


@both_languages
@pytest.mark.parametrize("group", GROUPS)
def test_every_rule_of_a_group_has_its_field(lang: Language, group: str) -> None:
    document = parse(new_page(lang, group))
    names = {str(field.attrib["name"]).split(".")[0] for field in elements(document, "input")}
    assert names >= {*GROUPS[group], "day", "reason", "csrf", "seen"}
    legends = {words(legend) for legend in elements(document, "legend")}
    labels = {words(label) for label in elements(document, "label")}
    assert {rule_name(lang, name) for name in GROUPS[group]} <= legends | labels
    ids = {element.attrib["id"] for element in document.iter() if "id" in element.attrib}
    for element in document.iter():
        assert set(element.attrib.get("aria-describedby", "").split()) <= ids


@both_languages
def test_what_is_wrong_stands_beside_its_field(lang: Language) -> None:
    errors = {"misses_before_closed": "wrong", "reason": "missing", "day": "over"}
    document = parse(new_page(lang, "pins", errors=errors, values={"misses_before_closed": "12"}))
    field = next(one for one in elements(document, "input") if one.attrib["name"] == "misses_before_closed")
    assert (field.attrib["value"], field.attrib["aria-invalid"]) == ("12", "true")
    assert "misses_before_closed-error" in field.attrib["aria-describedby"]


@both_languages
@pytest.mark.parametrize("state", STATES)
def test_a_proposal_shows_old_and_new(lang: Language, state: str) -> None:
    page = proposal_page(lang, STATES[state])
    text = words(parse(page))
    assert messages.text(lang, f"policy.state.{state}") in text
    for name in PROPOSAL.rules:
        assert value_text(lang, name, PROPOSAL.was[name]) in text
        assert value_text(lang, name, PROPOSAL.rules[name]) in text
    assert "<b>review" not in page


@both_languages
@pytest.mark.parametrize("steps", [("approve", "refuse"), ("withdraw",), ("call-off",), ()])
def test_a_proposal_offers_what_can_be_done(lang: Language, steps: tuple[str, ...]) -> None:
    document = parse(proposal_page(lang, PROPOSAL, *steps))
    fields = [*elements(document, "button"), *elements(document, "input")]
    assert {one.attrib["value"] for one in fields if one.attrib.get("name") == "step"} == set(steps)


def test_who_is_no_keeper_is_told_whose_it_is() -> None:
    text = words(parse(proposal_page("ja", PROPOSAL, keeper=False)))
    assert "規則担当が行います" in text


def test_who_only_changes_rules_has_no_menu_of_contracts() -> None:
    needed: dict[str, Any] = {
        "proposal": shown_proposal("ja", PROPOSAL, NOW),
        "present": dict.fromkeys(PROPOSAL.rules, ""),
        "steps": [],
        "keeper": True,
    }

    def menu(*roles: Role) -> list[str]:
        document = parse(render("policy_proposal.html", "ja", *roles, **needed))
        return [link.attrib["href"] for link in elements(document, "a")]

    assert "/contracts" not in menu(Role.KEEPER)
    assert "/contracts" in menu(Role.CLERK, Role.KEEPER)
