"""What two people do with the root to revoke an issuing CA, and to sign its next list before the last one ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from sekisho.ca import root_list_file
from sekisho.cli.ceremony import Ceremony, must_be_new, present
from sekisho.pki import authority_request, root_list
from sekisho.pki.authority_request import NotOfThisBank

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.domain.certificate import Reason
    from sekisho.pki.hierarchy import KeyAndCertificate
    from sekisho.pki.root_list import RootList


@dataclass(frozen=True, slots=True)
class Asked:
    """What two people are to do: with the root in a folder, after its `last` list, one that lives so many `days`.

    The list and the record are written into the folder `out`. `opened` is
    the root where whoever asks has opened its key already.
    """

    root_folder: Path
    last: Path | None
    days: int
    out: Path
    opened: KeyAndCertificate | None = None


def revoke(asked: Asked, certificate: Path, reason: Reason) -> RootList:
    """Have the root revoke an issuing CA, and return the list that says so."""
    return _sign(asked, (certificate, reason))


def renew(asked: Asked) -> RootList:
    """Have the root sign its next list, which revokes nothing more."""
    return _sign(asked, None)


def _sign(asked: Asked, revoked: tuple[Path, Reason] | None) -> RootList:
    root_folder, last, out = asked.root_folder, asked.last, asked.out
    root = x509.load_pem_x509_certificate((root_folder / "root.pem").read_bytes())
    bank = authority_request.bank_of_root(root)
    before = None if last is None else root_list.read(last.read_bytes(), root)
    issuing = None if revoked is None else _issued(revoked[0], root)
    must_be_new(out / root_list_file.NAME)
    what = "an issuing CA is revoked" if revoked else "the root's revocation list"
    ceremony = Ceremony(f"{what}, bank {bank.code} ({bank.organization})")
    ceremony.show("The root that is to sign", root)
    if before is None:
        ceremony.confirm("No revocation list was named. Did this root never sign one that revokes anything?")
    else:
        ceremony.show_list("Its last list", before)
        ceremony.confirm("Is that the newest list that this root has signed?")
    if revoked is None or issuing is None:
        ceremony.confirm("Is the root to sign its next list, with nothing more revoked?")
        more = []
    else:
        ceremony.show("The issuing CA to be revoked", issuing)
        ceremony.say(f"  Reason          {revoked[1].value}")
        ceremony.confirm(
            "From then on nobody logs on with any certificate of it, and nothing takes that back. Is it to be revoked?"
        )
        more = [(issuing.serial_number, revoked[1])]
    key = asked.opened or ceremony.open_root(root_folder, root)
    made = root_list.sign(key, before, now=present(), life=timedelta(days=asked.days), revoke=more)
    ceremony.show_list("The new list", made)
    ceremony.confirm("Have you written its SHA-256 down by hand?")
    ceremony.write(out, {root_list_file.NAME: made.pem})
    return made


def _issued(file: Path, root: x509.Certificate) -> x509.Certificate:
    """Return an issuing CA of this root. Raises `NotOfThisBank`."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature) as other:
        raise NotOfThisBank(f"{file} is no issuing CA that this root has signed") from other
    return certificate
