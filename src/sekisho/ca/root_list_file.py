"""The root's revocation list in the CA's folder: what it names signs nothing more."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from sekisho.pki import root_list
from sekisho.pki.authority_request import NotOfThisBank

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography import x509

    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.pki.root_list import RootList

log = logging.getLogger("sekisho.ca")
NAME = "root.crl"


def find(folder: Path, root: x509.Certificate) -> RootList | None:
    """Return the list in a folder, or None where there is none yet. Raises `NotOfThisBank` where it is another's."""
    try:
        data = (folder / NAME).read_bytes()
    except FileNotFoundError:
        return None
    return root_list.read(data, root)


def is_list(data: bytes) -> bool:
    """Tell whether a file looks like a revocation list, which is for `find` to judge, and not like a certificate."""
    return b"-----BEGIN X509 CRL-----" in data or data[:1] == b"\x30"


def write(folder: Path, new: RootList) -> Path:
    """Put a list in the place of the last one, whole, and readable for the sites."""
    file = folder / NAME
    part = file.with_name(f"{NAME}.new")
    with part.open("wb") as out:
        out.write(new.der)
        out.flush()
        os.fsync(out.fileno())
    part.chmod(0o644)
    part.replace(file)
    return file


class RevokedCas:
    """Which issuing CAs are revoked. The file is looked at each time, so a new list counts from the next question on.

    Raises `NotOfThisBank` where what is there at the beginning is no list of
    this root. One that is put there later and is none changes nothing.
    """

    def __init__(
        self, folder: Path, root: x509.Certificate, certificates: Mapping[IssuingCa, x509.Certificate]
    ) -> None:
        self._folder, self._root = folder, root
        self._cas = {certificate.serial_number: ca for ca, certificate in certificates.items()}
        self._seen = self._look()
        self._revoked = self._read()

    def __call__(self) -> frozenset[IssuingCa]:
        """Return them as they are now."""
        look = self._look()
        if look != self._seen:
            try:
                self._revoked |= self._read()
            except NotOfThisBank as other:
                log.error("%s cannot be used: %s", self._folder / NAME, other)  # noqa: TRY400 - the trace says no more
            self._seen = look
        return self._revoked

    def _look(self) -> tuple[int, int] | None:
        """Return what changes when another file takes the place."""
        try:
            found = (self._folder / NAME).stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _read(self) -> frozenset[IssuingCa]:
        found = find(self._folder, self._root)
        if found is None:
            return frozenset()
        return frozenset(self._cas[one.serial] for one in found.revoked if one.serial in self._cas)
