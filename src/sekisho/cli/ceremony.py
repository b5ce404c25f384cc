"""A key ceremony: what two people do together with the root, and the record that they sign."""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import unicodedata
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.ca import keys, root_list_file
from sekisho.cli import exit_codes
from sekisho.cli.failure import fail
from sekisho.domain.issuing_ca import FIRST
from sekisho.pki import authority_request, hierarchy, root_list
from sekisho.pki.authority_request import NotOfThisBank

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.pki.profile import BankName
    from sekisho.pki.root_list import RootList

_SHORTEST = 12
_MOST_TRIES = 3


class Ceremony:
    """Two people, and what they say and see, which becomes the record."""

    def __init__(self, title: str) -> None:
        self._lines: list[str] = []
        self.say(f"Sekisho key ceremony: {title}")
        self.say(f"Date      {present():%Y-%m-%d %H:%M:%S} UTC by this computer's clock")
        self.say(f"Computer  {platform.node()}, {platform.system()} {platform.release()}")
        self.say(f"Program   sekisho {version('sekisho')}")
        self.say("")
        first = _asked("Name of the first person")
        second = _asked("Name of the second person")
        if _plain(first) == _plain(second):
            self.stop("Two different people are needed.")
        self.people = (first, second)
        for place, name in zip(("First ", "Second"), self.people, strict=True):
            self._lines.append(f"{place} person  {name}")

    def say(self, line: str) -> None:
        """Show a line, and keep it in the record."""
        click.echo(line)
        self._lines.append(line)

    def confirm(self, what: str) -> None:
        """Have both people say yes to something; nothing is done where one of them does not."""
        self.say("")
        for name in self.people:
            answer = _asked(f"{name}: {what} (yes/no)")
            self._lines.append(f"{present():%H:%M:%S} {name}: {what} {answer}")
            if answer.lower() != "yes":
                self.stop(f"{name} did not confirm.")

    def new_passphrase(self) -> bytes:
        """Have each person choose a part of the passphrase, which the other does not see."""
        parts: list[str] = []
        for name in self.people:
            for _ in range(_MOST_TRIES):
                part = _hidden(f"{name}: your part of the passphrase")
                if len(part) < _SHORTEST:
                    click.echo(f"{_SHORTEST} characters or more, please.")
                elif part in parts:
                    click.echo("Not the same as the other person's, please.")
                elif _hidden(f"{name}: once more") != part:
                    click.echo("That was not the same.")
                else:
                    parts.append(part)
                    break
            else:
                self.stop(f"{name} chose no passphrase.")
        return _joined(parts)

    def passphrase(self) -> bytes:
        """Have each person enter their part of the passphrase."""
        return _joined([_hidden(f"{name}: your part of the passphrase") for name in self.people])

    def show(self, what: str, certificate: x509.Certificate) -> None:
        """Show a certificate as it is to be written down by hand."""
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.say("")
        self.say(what)
        self.say(f"  Name            {certificate.subject.rfc4514_string()}")
        self.say(f"  Issuer          {certificate.issuer.rfc4514_string()}")
        self.say(f"  Serial number   {certificate.serial_number:032x}")
        self.say(f"  Not before      {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC")
        self.say(f"  Not after       {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC")
        self.show_digest("Certificate", certificate.public_bytes(Encoding.DER))
        self.show_digest("Public key", key)

    def show_digest(self, what: str, data: bytes) -> None:
        """Show a SHA-256 in groups that one person can read to another."""
        digits = hashlib.sha256(data).hexdigest()
        groups = [digits[at : at + 4] for at in range(0, 64, 4)]
        self.say(f"  {what}, SHA-256")
        self.say(f"    {' '.join(groups[:8])}")
        self.say(f"    {' '.join(groups[8:])}")

    def write(self, folder: Path, files: dict[str, bytes], secret: Sequence[str] = ()) -> None:
        """Write what was made and the record, none of which may be there already."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.say("")
        for name, content in files.items():
            keys.write_secret(folder / name, content)
            if name not in secret:
                (folder / name).chmod(0o644)
            self.say(f"Written   {folder / name}")
            self._lines.append(f"          SHA-256 {hashlib.sha256(content).hexdigest()}")
        self.say(f"Ended     {present():%Y-%m-%d %H:%M:%S} UTC")
        self._lines += ["", *(f"Signature of {name}: ______________________________" for name in self.people)]
        record = folder / f"record-{present():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}.txt"
        keys.write_secret(record, ("\n".join(self._lines) + "\n").encode())
        click.echo(f"Record    {record}: print it, and have both people sign it.")

    def show_list(self, what: str, made: RootList) -> None:
        """Show a revocation list of the root as it is to be written down by hand."""
        self.say("")
        self.say(what)
        self.say(f"  Number          {made.number}")
        self.say(f"  This update     {made.this_update:%Y-%m-%d %H:%M:%S} UTC")
        self.say(f"  Next update     {made.next_update:%Y-%m-%d %H:%M:%S} UTC")
        for one in made.revoked:
            self.say(f"  Revoked         {one.serial:032x} since {one.at:%Y-%m-%d %H:%M:%S} UTC, {one.reason.value}")
        if not made.revoked:
            self.say("  Revoked         nothing")
        self.show_digest("List", made.der)

    def open_root(self, folder: Path, certificate: x509.Certificate) -> hierarchy.KeyAndCertificate:
        """Open the root's key with what each person knows a part of, where it is encrypted."""
        pem = (folder / "root.key.pem").read_bytes()
        try:
            key = keys.read_pem(pem, self.passphrase() if b"ENCRYPTED" in pem else None, "root.key.pem")
        except ValueError as wrong:
            self.stop(f"{str(wrong).capitalize()}.")
        if key.public_key() != certificate.public_key():
            self.stop("root.key.pem is not the key of root.pem.")
        return hierarchy.KeyAndCertificate(key, certificate)

    def stop(self, why: str) -> NoReturn:
        """End it with nothing done."""
        fail(f"{why} Nothing was written.", exit_codes.NOT_CONFIRMED)


def make_root(bank: BankName, out: Path) -> None:
    """Make a bank's root with two people, its key encrypted with what each of them knows a part of."""
    must_be_new(out / "root.key.pem", out / "root.pem", out / root_list_file.NAME)
    ceremony = Ceremony(f"the root of bank {bank.code} ({bank.organization})")
    ceremony.confirm("This computer has no network, and a new root key is to be made?")
    passphrase = ceremony.new_passphrase()
    root = hierarchy.make_root(bank, now=present(), entropy=os.urandom)
    ceremony.show("The root", root.certificate)
    first = root_list.sign(root, None, now=present())
    ceremony.show_list("Its first revocation list", first)
    ceremony.confirm("Have you written each SHA-256 down by hand?")
    files = {
        "root.key.pem": keys.to_pem(root.key, passphrase),
        "root.pem": root.certificate.public_bytes(Encoding.PEM),
        root_list_file.NAME: first.pem,
    }
    ceremony.write(out, files, secret=["root.key.pem"])


def sign_requests(root_folder: Path, requests: Sequence[Path], pki_url: str, out: Path) -> None:
    """Have the root sign issuing CAs with two people."""
    certificate = x509.load_pem_x509_certificate((root_folder / "root.pem").read_bytes())
    bank = authority_request.bank_of_root(certificate)
    wanted = [authority_request.read_request(file.read_bytes(), bank) for file in requests]
    names = [f"{ca.name}.pem" for ca, _ in wanted]
    if len(set(names)) != len(names):
        raise NotOfThisBank("two requests are for the same issuing CA")
    must_be_new(*(out / name for name in names))
    ceremony = Ceremony(f"issuing CAs of bank {bank.code} ({bank.organization})")
    ceremony.show("The root that is to sign", certificate)
    for file, (ca, requested) in zip(requests, wanted, strict=True):
        ceremony.say("")
        ceremony.say(f"Request   {file}, for the issuing CA {_named(ca)}, published at {pki_url}")
        ceremony.show_digest("Public key", requested.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    ceremony.confirm("Are these SHA-256 those that you wrote down, and is the root to sign?")
    root = ceremony.open_root(root_folder, certificate)
    files = {}
    for name, (ca, requested) in zip(names, wanted, strict=True):
        issuing = hierarchy.certify_issuing(
            root,
            bank,
            ca.kind,
            requested,
            pki_url=pki_url,
            now=present(),
            entropy=os.urandom,
            generation=ca.generation,
        )
        ceremony.show(f"The issuing CA {_named(ca)}", issuing)
        files[name] = issuing.public_bytes(Encoding.PEM)
    ceremony.confirm("Have you written the SHA-256 of each certificate down by hand?")
    ceremony.write(out, files)


def _named(ca: IssuingCa) -> str:
    """Return how the record tells issuing CAs apart."""
    return f"for {ca.kind.value}s" + ("" if ca.generation == FIRST else f", generation {ca.generation}")


def must_be_new(*files: Path) -> None:
    """Raise FileExistsError where one of these is there already."""
    for file in files:
        if file.exists():
            raise FileExistsError(17, "is there already; nothing was changed", str(file))


def _asked(what: str) -> str:
    answer: str = click.prompt(what, type=str)
    return answer.strip()


def _hidden(what: str) -> str:
    answer: str = click.prompt(what, type=str, hide_input=True)
    return answer


def _joined(parts: Sequence[str]) -> bytes:
    """Join parts so that the end of one is never taken for the beginning of the next."""
    return "".join(f"{len(part)}:{part}" for part in parts).encode()


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def present() -> datetime:
    """Return the time of this computer's clock, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
