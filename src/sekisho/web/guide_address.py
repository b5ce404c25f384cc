"""Where the guide stands on the public site, with what is known already."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sekisho.domain.guide import Question

GUIDE = "/guide"


def guide_address(answers: Mapping[Question, str]) -> str:
    """Return the address at which the guide knows these answers: the same for the same answers in any order."""
    return f"{GUIDE}?{urlencode(sorted((one.value, answer) for one, answer in answers.items()))}" if answers else GUIDE
