"""The words that people read, in Japanese and English, from one catalogue of Tegata's own.

`words.toml` beside this module: each key is a table with a `ja` and an `en`
text, both with the same named placeholders.
"""

from __future__ import annotations

import os
import tomllib
from functools import cache
from importlib import resources
from string import Formatter
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tegata.errors import Trouble

Language = Literal["ja", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("ja", "en")


def language(wish: str | None = None) -> Language:
    """Return the language that was asked for, else that of the environment (LANG and its kin), else Japanese."""
    variables = ("LC_ALL", "LC_MESSAGES", "LANG")
    set_one = next((os.environ[name] for name in variables if os.environ.get(name)), "")
    asked = (wish or set_one).lower()
    # "C" and "POSIX" name no language; people of a Japanese bank read Japanese.
    return "en" if asked.startswith("en") else "ja"


def text(lang: Language, key: str, /, **values: object) -> str:
    """Return the text of `key` with `values` in its placeholders. Raises KeyError for what is missing."""
    return catalogue()[key][lang].format(**values)


def told(lang: Language, trouble: Trouble) -> tuple[str, str]:
    """Return what happened and what to do next."""
    key = f"trouble.{trouble.code}"
    return text(lang, f"{key}.what", **trouble.values), text(lang, f"{key}.next", **trouble.values)


def has(key: str) -> bool:
    """Tell whether there is a text for `key`."""
    return key in catalogue()


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Return key → language → text. Raises ValueError naming the first key that is not whole."""
    read = tomllib.loads(resources.files("tegata").joinpath("words.toml").read_text("utf-8"))
    whole = {}
    for key, leaf in _leaves(read, ""):
        if set(leaf) != set(LANGUAGES) or len({placeholders(one) for one in leaf.values()}) != 1:
            raise ValueError(f"{key}: a text in each of {', '.join(LANGUAGES)}, with the same placeholders, is needed")
        whole[key] = leaf
    return whole


def placeholders(pattern: str) -> frozenset[str]:
    """Return the names that stand in braces."""
    return frozenset(name for _, name, _, _ in Formatter().parse(pattern) if name is not None)


def _leaves(table: Mapping[str, object], path: str) -> Iterator[tuple[str, dict[str, str]]]:
    for name, value in table.items():
        key = f"{path}.{name}" if path else name
        if not isinstance(value, dict):
            raise ValueError(f"{key}: not a table")  # noqa: TRY004 - the catalogue's value is wrong, not a caller's type
        if all(isinstance(part, str) for part in value.values()):
            yield key, value
        else:
            yield from _leaves(value, key)
