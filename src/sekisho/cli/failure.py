"""Whatever goes wrong is one clear line on standard error and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from sekisho.ca.blocks import JournalBroken
from sekisho.ca.child import CaDidNotStart
from sekisho.ca.segments import JournalInUse, JournalNotWritten
from sekisho.cli import exit_codes
from sekisho.domain.errors import Refusal
from sekisho.edge.unusable import AddressInUse, ServerCertificateUnusable
from sekisho.pki.authority_request import NotOfThisBank
from sekisho.settings import DatabaseNotUsable, DataFolderDamaged, DataFolderMissing
from sekisho.web import messages

if TYPE_CHECKING:
    from collections.abc import Iterator


class FolderInUse(Exception):  # noqa: N818 - names what happened
    """Another Sekisho serves this data folder."""


class NoSuchUser(Exception):  # noqa: N818 - names what happened
    """The command line names a user that this machine does not have."""


class WorkerDidNotStart(Exception):  # noqa: N818 - names what happened
    """A worker ended, or said nothing, before it was ready; what it had to say stands in the log."""


def fail(line: str, code: int) -> NoReturn:
    """Say one line and end."""
    print(f"sekisho: {line}", file=sys.stderr)  # noqa: T201 - this is the command line
    raise SystemExit(code)


_SAID_BY_THEMSELVES: dict[type[Exception], int] = {
    AddressInUse: exit_codes.ADDRESS_IN_USE,
    DatabaseNotUsable: exit_codes.DATABASE_NOT_USABLE,
    DataFolderDamaged: exit_codes.FOLDER_DAMAGED,
    DataFolderMissing: exit_codes.FOLDER_MISSING,
    FolderInUse: exit_codes.FOLDER_IN_USE,
    JournalBroken: exit_codes.FOLDER_DAMAGED,
    JournalInUse: exit_codes.FOLDER_IN_USE,
    JournalNotWritten: exit_codes.FOLDER_NOT_WRITABLE,
    NoSuchUser: exit_codes.USAGE,
    NotOfThisBank: exit_codes.REFUSED,
    ServerCertificateUnusable: exit_codes.FOLDER_DAMAGED,
}


@contextmanager
def told() -> Iterator[None]:
    """Turn what the block raises into its line and exit code."""
    try:
        yield
    except Refusal as refusal:
        words = messages.refused("en", refusal.code, **refusal.values)
        fail(f"{words.title} ({refusal.code})", exit_codes.of_refusal(refusal))
    except tuple(_SAID_BY_THEMSELVES) as said:
        fail(str(said), _SAID_BY_THEMSELVES[type(said)])
    except CaDidNotStart:
        fail("the CA did not start; the line above says why", exit_codes.CA_DID_NOT_START)
    except WorkerDidNotStart:
        fail("a worker did not start; the lines above say why", exit_codes.WORKER_DID_NOT_START)
    except BrokenPipeError:
        # Whoever read the output has had enough; Python would complain when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(exit_codes.DONE) from None
    except OSError as denied:
        if denied.filename is None:
            _bug()
        fail(f"{denied.filename}: {denied.strerror}", exit_codes.FOLDER_NOT_WRITABLE)
    except Exception:  # noqa: BLE001 - the last place where anything can be told
        _bug()


def _bug() -> NoReturn:
    traceback.print_exc()
    fail("this is a bug; the lines above tell where", exit_codes.BUG)
