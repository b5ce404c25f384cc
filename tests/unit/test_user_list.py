"""The list of users: searched, sorted, paged, whatever stands in the address."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.domain.contract import Person
from sekisho.domain.person import PersonId
from sekisho.portal.user_list import user_list
from sekisho.usecases.read_users import UserLine, UserState

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def lines(count: int) -> list[UserLine]:
    return [
        UserLine(
            Person(n, PersonId("9990", "12345678901", f"User{n:02}"), f"経理 {count - n:02}", "会社", None, "ja"),
            UserState.IN_FORCE if n % 2 else UserState.NONE,
            None,
            None,
            NOW - timedelta(days=n) if n % 3 else None,
        )
        for n in range(count)
    ]


def shown(query: dict[str, str], count: int = 99) -> list[str | None]:
    return [line.person.who.user_id for line in user_list(lines(count), query).lines]


def test_twenty_stand_on_a_page_and_every_user_on_one() -> None:
    pages = [shown({"page": str(page)}) for page in range(1, 6)]
    assert [len(page) for page in pages] == [20, 20, 20, 20, 19]
    assert len({user_id for page in pages for user_id in page}) == 99


@pytest.mark.parametrize("page", ["0", "-1", "6", "x", "１", "", "9" * 50])
def test_a_page_that_is_not_there_is_the_nearest(page: str) -> None:
    assert len(shown({"page": page})) in {19, 20}


@pytest.mark.parametrize("search", ["user07", "USER07", "ｕｓｅｒ０７", "経理92", "経理　92", " user07 "])
def test_a_search_looks_at_id_and_name_without_case_width_and_blanks(search: str) -> None:
    assert shown({"q": search}) == ["User07"]


@pytest.mark.parametrize(
    ("sort", "first"), [("user_id", "User00"), ("name", "User98"), ("state", "User01"), ("last_logon", "User00")]
)
def test_it_is_sorted_as_asked(sort: str, first: str) -> None:
    assert shown({"sort": sort})[0] == first


def test_a_search_is_offered_where_it_helps() -> None:
    assert [user_list(lines(n), {}).searchable for n in (0, 10, 11)] == [False, False, True]


@given(st.fixed_dictionaries({}, optional={name: st.text(max_size=80) for name in ("q", "sort", "page")}))
def test_whatever_stands_in_the_address_some_page_is_shown(query: dict[str, str]) -> None:
    found = user_list(lines(30), query)
    assert 1 <= found.page <= found.pages
    assert len(found.lines) <= 20
