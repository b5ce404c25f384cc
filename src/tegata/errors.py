"""Everything that Tegata tells a person as trouble: a published code, and the values for its words.

    Trouble
    ├── Refused         the bank said no, in the bank's own words
    ├── NotYet          the bank has kept the request and asks for patience
    ├── ServerTrouble   no answer, or not one that can be believed
    ├── StoreTrouble    the key store cannot do what is needed
    └── Unfinished      a rule of Tegata's own

The words stand in `words.toml` under `trouble.<code>`, the exit codes in
`exit_codes.py`; tests hold both tables to this tree's codes. Any other
exception is a bug.
"""

from __future__ import annotations


class Trouble(Exception):  # noqa: N818 - most of it is nobody's error
    """Something that a person can be told, with what to do next."""

    codes: tuple[str, ...] = ()

    def __init__(self, code: str, **values: object) -> None:
        if code not in self.codes:
            raise ValueError(f"{code} is no code of {type(self).__name__}")
        super().__init__(code)
        self.code = code
        self.values = values


class Refused(Trouble):
    """The bank said no. `reason` is its published code, `said` its words, made safe for a terminal."""

    codes = ("refused",)

    def __init__(self, reason: str, said: str) -> None:
        super().__init__("refused", reason=reason, said=said)
        self.reason = reason


class NotYet(Trouble):
    """The bank keeps the request, or is too busy: the same request is to be sent again later."""

    codes = ("not-yet", "busy")

    def __init__(self, code: str, *, after_s: float) -> None:
        super().__init__(code)
        self.after_s = after_s


class ServerTrouble(Trouble):
    """No answer, or not one that can be believed."""

    codes = (
        "address-not-usable",
        "answer-lost",
        "answer-not-understood",
        "certificate-for-another-key",
        "certificate-for-another-person",
        "certificate-not-usable",
        "proxy-refused",
        "server-not-reachable",
        "server-not-trusted",
        "trust-not-readable",
    )


class StoreTrouble(Trouble):
    """The key store cannot do what is needed."""

    codes = (
        "store-full",
        "store-failed",
        "store-locked",
        "store-missing",
        "store-not-here-yet",
        "store-pin-missing",
        "store-pin-wrong",
        "store-read-only",
        "store-several-tokens",
        "store-unknown",
        "token-key-not-usable",
    )


class Unfinished(Trouble):
    """A rule of Tegata's own."""

    codes = (
        "another-at-work",
        "certificate-not-found",
        "certificate-several",
        "file-open-to-others",
        "found-something",
        "gui-missing",
        "input-ended",
        "link-not-usable",
        "records-not-writable",
    )


def all_codes() -> frozenset[str]:
    """Return every code of the tree."""
    return frozenset(code for kind in Trouble.__subclasses__() for code in kind.codes)
