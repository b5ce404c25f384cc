"""Which users the list shows: searched, sorted and paged. A contract has at most 99, so all are at hand."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sekisho.usecases.read_users import UserLine

ON_A_PAGE = 20
# A list that is looked over at a glance needs no search.
_WORTH_SEARCHING = 10
SORTS = ("user_id", "name", "state", "last_logon")
_LONGEST_SEARCH = 60


@dataclass(frozen=True, slots=True)
class UserList:
    """One page of the users that were searched for; `total` is the number of all users, `found` of those that fit."""

    lines: Sequence[UserLine]
    total: int
    found: int
    page: int
    pages: int
    search: str
    sort: str

    @property
    def searchable(self) -> bool:
        """Whether there are so many that a search helps."""
        return self.total > _WORTH_SEARCHING


def user_list(lines: Sequence[UserLine], query: Mapping[str, str]) -> UserList:
    """Return what `q`, `sort` and `page` of an address ask for; what makes no sense there is taken for nothing."""
    search = query.get("q", "").strip()[:_LONGEST_SEARCH]
    sort = query.get("sort", "")
    sort = sort if sort in SORTS else SORTS[0]
    wanted = _folded(search)
    found = [line for line in lines if wanted in _folded(f"{line.person.who.user_id} {line.person.name}")]
    found.sort(key=lambda line: _key(line, sort))
    pages = max(1, -(-len(found) // ON_A_PAGE))
    asked = query.get("page", "")
    page = min(max(int(asked), 1), pages) if asked.isascii() and asked.isdigit() and len(asked) < 4 else 1  # noqa: PLR2004 - no list has a thousand pages
    shown = found[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]
    return UserList(shown, len(lines), len(found), page, pages, search, sort)


def _folded(text: str) -> str:
    """Return text as it is searched: without regard to case, width and blanks."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _key(line: UserLine, sort: str) -> tuple[str, str]:
    by_id = line.person.who.user_key
    if sort == "name":
        return _folded(line.person.name), by_id
    if sort == "state":
        return line.state.value, by_id
    if sort == "last_logon":
        return "" if line.last_logon is None else line.last_logon.isoformat(), by_id
    return by_id, by_id
