"""The values that fill a notice's words."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sekisho.domain.contract import Person
    from sekisho.store.notices import Notice


def notice_values(notice: Notice, reader: Person) -> dict[str, object]:
    """Return the placeholders' values for one reader: moments as such, and no `user_id` where it is their own."""
    values: dict[str, object] = {}
    for name, value in notice.detail.items():
        if name == "user_id" and value == reader.who.user_id:
            continue
        values[name] = datetime.fromisoformat(value) if name == "until" else value
    return values
