"""The bank's rules at the console: all on one page, and changes that one proposes and another approves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from sekisho.console.door import EVERYBODY, POLICY, at_work
from sekisho.console.policy_entries import entries_anew, entries_of, read_wish
from sekisho.console.policy_shown import shown_groups, shown_proposal
from sekisho.domain.errors import (
    ChoiceMissing,
    FormExpired,
    ProposalDecided,
    ProposalOutdated,
    ProposalOwn,
    Refusal,
    RulesNotAllowed,
    RulesUnchanged,
)
from sekisho.domain.policy import SECOND_STEPS
from sekisho.domain.policy_changes import ProposalState, ProposalStep
from sekisho.domain.second_step import OF_THE_BANK
from sekisho.domain.staff import Role
from sekisho.usecases.decide_policy import decide_policy
from sekisho.usecases.propose_policy import propose_policy
from sekisho.usecases.read_policy import read_proposal, read_rules
from sekisho.web import messages
from sekisho.web.endpoint import endpoint
from sekisho.web.policy_words import (
    GROUPS,
    bounds_text,
    entry_hint,
    fixed_rules,
    installed_rules,
    rule_name,
    value_text,
)
from sekisho.web.refusals import PageUnknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.usecases.enter_console import AtWork
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_NEW = POLICY + "/new/{group}"
_ONE = POLICY + "/proposals/{number}"


def policy_routes(site: Site) -> list[BaseRoute]:
    """Return the page of all rules, the form for a change, and the page of one proposal."""
    everybody, keepers = at_work(*EVERYBODY), at_work(Role.KEEPER)
    return [
        Route(POLICY, endpoint(site, everybody(rules_page)), methods=["GET"]),
        Route(_NEW, endpoint(site, keepers(new_page)), methods=["GET"]),
        Route(_NEW, endpoint(site, keepers(take_new)), methods=["POST"]),
        Route(_ONE, endpoint(site, everybody(proposal_page)), methods=["GET"]),
        Route(_ONE, endpoint(site, keepers(take_step)), methods=["POST"]),
    ]


def rules_page(visit: Visit, current: AtWork) -> Response:
    """Show every rule with what is proposed."""
    place = visit.query.get("before", "")
    before = int(place) if place.isascii() and place.isdigit() and len(place) <= 18 else None  # noqa: PLR2004 - 64 bits
    found = read_rules(visit.site.ports, staff=current.staff, before=before)
    now, lang = visit.site.ports.now(), visit.lang
    return visit.page(
        "console/policy.html",
        staff=current.staff,
        groups=shown_groups(lang, found),
        may_propose=_is_keeper(current),
        fixed=fixed_rules(lang),
        installed=installed_rules(lang, visit.site.bank.policy),
        waiting=[shown_proposal(lang, one, now) for one in found.waiting],
        proposals=[shown_proposal(lang, one, now) for one in found.proposals],
        older=None if found.older is None else f"{POLICY}?before={found.older}#proposals-heading",
    )


def new_page(visit: Visit, current: AtWork) -> Response:
    """Ask what is to be different of the rules of one group."""
    group = _group(visit)
    present = read_rules(visit.site.ports, staff=current.staff).present
    return _new(visit, current, group, present, entries_of(present, GROUPS[group]))


def take_new(visit: Visit, current: AtWork) -> Response:
    """Take a proposal; what was typed stays where it is not taken."""
    group = _group(visit)
    try:
        visit.check_form()
        proposal = propose_policy(visit.site.ports, at_work=current, wish=read_wish(visit.form, GROUPS[group]))
    except FormExpired as refusal:
        return visit.back(f"{POLICY}/new/{group}", refusal)
    except (RulesNotAllowed, RulesUnchanged, ProposalOutdated) as refusal:
        present = read_rules(visit.site.ports, staff=current.staff).present
        typed: Mapping[str, str] = visit.form
        if isinstance(refusal, ProposalOutdated):
            typed = entries_anew(visit.form, present, GROUPS[group])
        return _new(visit, current, group, present, typed, refusal)
    return visit.go(f"{POLICY}/proposals/{proposal}", done=ProposalState.PROPOSED.value)


def proposal_page(visit: Visit, current: AtWork) -> Response:
    """Show one proposal, and what whoever looks can do."""
    return _proposal(visit, current)


def take_step(visit: Visit, current: AtWork) -> Response:
    """Approve it, refuse it, withdraw it or call it off; and go to where it stands then."""
    number = visit.path_values["number"]
    here = f"{POLICY}/proposals/{number}"
    try:
        visit.check_form()
        step = _step(visit.form.get("step", ""))
        state = decide_policy(
            visit.site.ports, at_work=current, number=number, step=step, reason=visit.form.get("reason", "")
        )
    except RulesNotAllowed as refusal:
        return _proposal(visit, current, refusal)
    except (ChoiceMissing, FormExpired, ProposalDecided, ProposalOutdated, ProposalOwn) as refusal:
        return visit.back(here, refusal)
    return visit.go(here, done=state.value)


def _new(
    visit: Visit,
    current: AtWork,
    group: str,
    present: Mapping[str, Any],
    values: Mapping[str, str],
    refusal: Refusal | None = None,
) -> Response:
    lang = visit.lang
    rules = [
        {
            "name": name,
            "label": rule_name(lang, name),
            "kind": _kind(name, present[name]),
            "hint": entry_hint(lang, name, present[name]),
        }
        for name in GROUPS[group]
    ]
    return visit.page(
        "console/policy_new.html",
        refusal=refusal,
        status=200 if refusal is None else 400,
        staff=current.staff,
        group=group,
        rules=rules,
        steps=[step.value for step in OF_THE_BANK],
        values=values,
        errors=None if refusal is None else _errors(visit, refusal),
    )


def _proposal(visit: Visit, current: AtWork, refusal: RulesNotAllowed | None = None) -> Response:
    now = visit.site.ports.now()
    proposal, present = read_proposal(visit.site.ports, staff=current.staff, number=visit.path_values["number"])
    steps = proposal.steps(current.staff.id, now) if _is_keeper(current) else ()
    state = proposal.state(now)
    told = f"policy-{state.value}"
    return visit.page(
        "console/policy_proposal.html",
        refusal=refusal,
        status=200 if refusal is None else 400,
        done=told if visit.query.get("done") == state.value and messages.has(f"done.{told}") else None,
        staff=current.staff,
        proposal=shown_proposal(visit.lang, proposal, now),
        present={name: value_text(visit.lang, name, present[name]) for name in proposal.rules},
        steps=[step.value for step in steps],
        keeper=_is_keeper(current),
        errors=None if refusal is None else _errors(visit, refusal),
        values=visit.form,
    )


def _errors(visit: Visit, refusal: Refusal) -> dict[str, str]:
    """Return what stands next to each field: what concerns a rule in the words of that rule."""
    told: dict[str, str] = {}
    for name, code in refusal.fields.items():
        if not messages.has(f"policy.wrong.{code}"):
            told |= visit.field_words({name: code})
            continue
        of_rule = name != "day"
        label = rule_name(visit.lang, name) if of_rule else messages.text(visit.lang, "policy.day")
        bounds = bounds_text(visit.lang, name) if of_rule else ""
        told[name] = messages.text(visit.lang, f"policy.wrong.{code}", label=label, bounds=bounds)
    return told


def _kind(name: str, value: Any) -> str:
    if name == SECOND_STEPS:
        return "steps"
    return "switch" if isinstance(value, bool) else "text"


def _group(visit: Visit) -> str:
    group = visit.path_values["group"]
    if group not in GROUPS:
        raise PageUnknown
    return group


def _step(typed: str) -> ProposalStep:
    try:
        return ProposalStep(typed)
    except ValueError:
        raise ChoiceMissing from None


def _is_keeper(current: AtWork) -> bool:
    return Role.KEEPER in current.staff.roles
