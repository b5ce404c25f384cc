"""The terminal: PINs are asked for or read, progress and outcomes are told, and trouble becomes an exit code."""

from __future__ import annotations

import getpass
import json
import os
import sys
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from tegata import exit_codes, words
from tegata.errors import StoreTrouble, Trouble, Unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tegata.errors import Refused
    from tegata.words import Language


def chosen_language(argv: list[str]) -> Language:
    """Return the language of `--lang` where it stands among the arguments, else the environment's."""
    for at, argument in enumerate(argv):
        if argument.startswith("--lang="):
            return words.language(argument.partition("=")[2])
        if argument == "--lang" and at + 1 < len(argv):
            return words.language(argv[at + 1])
    return words.language()


@dataclass
class Terminal:
    """Whom Tegata talks to. With `from_stdin` secrets are lines of standard input, in the order they are needed."""

    lang: Language
    as_json: bool = False
    from_stdin: bool = False
    told: set[str] = field(default_factory=set)

    def secret(self, key: str, **values: object) -> str:
        """Ask for a secret without showing it. Raises `Unfinished` where there is none to read."""
        if self.from_stdin:
            line = sys.stdin.readline()
            if not line.endswith("\n") and not line:
                raise Unfinished("input-ended")
            return line.removesuffix("\n").removesuffix("\r")
        try:
            return getpass.getpass(words.text(self.lang, key, **values))
        except EOFError:
            raise Unfinished("input-ended") from None

    def store_pin(self, store: str) -> str:
        """Ask for the PIN of a key store."""
        try:
            return self.secret("ask.store-pin", store=store)
        except Unfinished as ended:
            raise StoreTrouble("store-pin-missing", store=store) from ended

    def mailed_code(self, why: Refused) -> str | None:
        """Tell why the bank asks for a mailed code, and ask for it; None where there is nothing to read."""
        self.hint("mailed-code-said", said=why.values["said"])
        try:
            return self.secret("ask.mailed-code") or None
        except Unfinished:
            return None

    def report(self, step: str, **values: object) -> None:
        """Tell progress on standard error, in the words of the screens. Some steps say nothing to a person."""
        key = f"step.{step}"
        if not words.has(key):
            return
        line = words.text(self.lang, key, **values)
        if line not in self.told:
            self.told.add(line)
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is the command line

    def say(self, key: str, **values: object) -> None:
        """Tell an outcome on standard output, or nothing where JSON stands there."""
        if not self.as_json:
            print(words.text(self.lang, key, **values))  # noqa: T201 - as above

    def hint(self, key: str, **values: object) -> None:
        """Tell something beside the outcome, on standard error."""
        print(words.text(self.lang, key, **values), file=sys.stderr)  # noqa: T201 - as above

    def data(self, value: dict[str, Any]) -> None:
        """Print data where JSON was asked for."""
        if self.as_json:
            print(json.dumps(value, ensure_ascii=False))  # noqa: T201 - as above

    def end(self, trouble: Trouble) -> NoReturn:
        """Say what happened and what to do, and end with its exit code."""
        what, then = words.told(self.lang, trouble)
        code = exit_codes.of(trouble)
        self.data({"code": trouble.code, "reason": trouble.values.get("reason"), "exit_code": code})
        for line in (f"tegata: {what}", f"        {then}" if then else ""):
            if line:
                print(line, file=sys.stderr)  # noqa: T201 - as above
        raise SystemExit(code)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Turn what the block raises into words and an exit code."""
        try:
            yield
        except Trouble as trouble:
            self.end(trouble)
        except KeyboardInterrupt:
            print(words.text(self.lang, "interrupted"), file=sys.stderr)  # noqa: T201 - as above
            raise SystemExit(exit_codes.INTERRUPTED) from None
        except BrokenPipeError:
            # Whoever read the output has had enough; Python would complain when it flushes at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(exit_codes.DONE) from None
        except Exception:  # noqa: BLE001 - the last place where anything can be told
            traceback.print_exc()
            print(words.text(self.lang, "bug"), file=sys.stderr)  # noqa: T201 - as above
            raise SystemExit(exit_codes.BUG) from None
