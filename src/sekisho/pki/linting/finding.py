"""What the linter says no with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.pki.profile import ProfileBroken

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that a certificate breaks.

    `rule` is a row of docs/reference/certificate-rules.md. `found` tells an
    operator where to look and never holds what a person's name is made of.
    """

    rule: str
    found: str = ""

    def __str__(self) -> str:
        return f"{self.rule} ({self.found})" if self.found else self.rule


class LintFailed(ProfileBroken):
    """What is about to be signed breaks a rule. Nothing was signed."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(map(str, findings)))
        self.findings = tuple(findings)
