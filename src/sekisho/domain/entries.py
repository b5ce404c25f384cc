"""What people type about themselves and others: brought into one form, and judged field by field."""

from __future__ import annotations

import unicodedata
from email.errors import MessageError
from email.headerregistry import Address

LONGEST_NAME = 60
LONGEST_MAIL_ADDRESS = 254  # RFC 5321 section 4.5.3.1.3, without the angle brackets
LONGEST_COMPUTER = 40

# Marks, letters, numbers and punctuation make a name; controls, what changes the direction of
# writing, private signs and pictures do not (Unicode general categories).
_IN_A_NAME = ("L", "M", "N", "P", "Zs", "Sm", "Sc", "Sk")


def one_line(typed: str) -> str:
    """Return text in NFC, with single blanks and none around it."""
    return " ".join(unicodedata.normalize("NFC", typed).split())


def name_problem(name: str, longest: int = LONGEST_NAME) -> str | None:
    """Return what is wrong with a name (from `one_line`), as a code of the catalogue, or None."""
    if not name:
        return "entry-missing"
    if len(name) > longest:
        return "entry-too-long"
    if not all(map(_in_a_name, name)):
        return "entry-characters"
    return None


def _in_a_name(letter: str) -> bool:
    """Tell whether a name may have it; a sign such as 「㈱」 counts as the letters that it stands for."""
    return all(unicodedata.category(one).startswith(_IN_A_NAME) for one in unicodedata.normalize("NFKC", letter))


def read_mail_address(typed: str) -> str:
    """Return what was typed as a mail address in NFKC, so that full-width entry works."""
    return unicodedata.normalize("NFKC", typed).strip()


def mail_address_problem(address: str) -> str | None:
    """Return what is wrong with a mail address, as a code of the catalogue, or None.

    RFC 5322 section 3.4.1 as far as mail servers in use agree: ASCII, no
    quoted part, no comment, a domain with a dot.
    """
    if not address:
        return "entry-missing"
    if len(address) > LONGEST_MAIL_ADDRESS:
        return "entry-too-long"
    local, at, domain = address.rpartition("@")
    wrong = not at or not address.isascii() or any(letter in address for letter in ' "(),:;<>[\\]')
    labels = domain.split(".")
    wrong |= len(labels) < 2 or not all(label.replace("-", "").isalnum() for label in labels)  # noqa: PLR2004 - a name and what it is below
    wrong |= any(label.startswith("-") or label.endswith("-") for label in labels)
    wrong |= not local.isprintable() or local.startswith(".") or local.endswith(".") or ".." in local
    if not wrong:
        try:
            Address(addr_spec=address)
        except (MessageError, ValueError, IndexError):
            wrong = True
    return "mail-address-form" if wrong else None
