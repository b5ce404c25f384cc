"""An audit row in the words of the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sekisho.web import messages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sekisho.web.messages import Language

_ACTION = "audit."


def audit_row(lang: Language, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as a table shows it; an action without words is told by its code."""
    detail = " ".join(f"{name}={value}" for name, value in row["detail"].items() if value is not None)
    kept = {name: row[name] for name in ("at", "actor", "address", "contract_id")}
    return kept | {"action": action_words(lang, row["action"]), "detail": detail}


def action_words(lang: Language, action: str) -> str:
    """Return what an action is called."""
    key = f"audit.{action}"
    return messages.text(lang, key) if messages.has(key) else action


def actions(lang: Language) -> list[tuple[str, str]]:
    """Return every action that has words, with them, in the order of the words."""
    codes = [key.removeprefix(_ACTION) for key in sorted(messages.keys()) if key.startswith(_ACTION)]
    return sorted(((code, action_words(lang, code)) for code in codes), key=lambda pair: pair[1])
