"""Two people who change a bank's rules together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.staff import Office

from sekisho.domain.policy import Policy, stored_rules
from sekisho.domain.policy_changes import ProposalState, ProposalStep
from sekisho.domain.staff import Role
from sekisho.store import policies
from sekisho.usecases.decide_policy import decide_policy
from sekisho.usecases.propose_policy import Wish, propose_policy

if TYPE_CHECKING:
    from datetime import date

    from tests.support.world import World

    from sekisho.usecases.enter_console import AtWork


class Keepers:
    """A bank's two policy keepers at their work."""

    def __init__(self, bank: World) -> None:
        self.bank = bank
        self.office = Office(bank)
        self.one = self.office.add("kisoku01", Role.KEEPER)
        self.other = self.office.add("kisoku02", Role.KEEPER)
        self.at_one, self.at_other = self.one.at_work(), self.other.at_work()

    def policy(self) -> Policy:
        with self.bank.db.read() as tx:
            return policies.timeline(tx, self.bank.bank.code).at(self.bank.ports.now())

    def rules(self) -> dict[str, Any]:
        return stored_rules(self.policy())

    def propose(self, by: AtWork | None = None, day: date | None = None, reason: str = "見直し", **rules: Any) -> str:
        """Propose with the rules as they are shown now."""
        wish = Wish(rules, self.rules(), reason, day)
        return str(propose_policy(self.bank.ports, at_work=by or self.at_one, wish=wish))

    def decide(
        self, number: str, step: ProposalStep = ProposalStep.APPROVE, by: AtWork | None = None, reason: str = "理由"
    ) -> ProposalState:
        at_work = by or self.at_other
        return decide_policy(self.bank.ports, at_work=at_work, number=number, step=step, reason=reason)

    def change(self, day: date | None = None, **rules: Any) -> str:
        """Have one propose and the other approve."""
        number = self.propose(day=day, **rules)
        self.decide(number)
        return number
