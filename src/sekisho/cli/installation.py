"""Make an installation: a data folder with its keys, secrets and database."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sekisho import wiring, wiring_ca
from sekisho.ca import keys
from sekisho.ca.token import KeyNotUsable, PinRefused, Token, TokenAway, make_key
from sekisho.cli import root_lists
from sekisho.cli.staff_keys import staff_ca
from sekisho.domain.issuing_ca import FIRST_CAS
from sekisho.pki import hierarchy
from sekisho.pki.authority_request import NotOfThisBank, bank_of_root, check_issuing, read_request
from sekisho.pki.profile import BankName
from sekisho.settings import DataFolderDamaged
from sekisho.store import banks, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec

    from sekisho.ca.token import TokenKey
    from sekisho.domain.contract import Bank
    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.domain.person import Kind
    from sekisho.settings import Settings


def set_up(settings: Settings, bank: Bank, root: Path | None = None) -> None:
    """Make keys, secrets and database of a new installation; the settings file comes last and makes it whole.

    With the certificate of a `root` whose key is elsewhere, the issuing CAs
    have requests for that root instead of certificates. Raises
    FileExistsError where an installation is there, whole or not: nothing is
    replaced. Raises `NotOfThisBank` where the root is another bank's.
    """
    bank_name = BankName(settings.bank, settings.organization)
    root_certificate = None if root is None else _read_root(root, bank_name)
    folder = settings.data_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(17, "is not empty; nothing was changed", str(folder))
    now = datetime.now(UTC)
    make_ca(settings, root_certificate)
    staff_ca(settings)
    wiring.make_secrets(settings)
    (folder / settings.tls_certificate).parent.mkdir(mode=0o700, exist_ok=True)
    db = wiring.open_store(settings)
    try:
        with wiring.database_told():
            migrate.upgrade(db)
            db.write(lambda tx: banks.add(tx, bank, now))
    finally:
        db.close()
    if settings.database_url is None:
        settings.database.chmod(0o600)
    settings.save()


def make_ca(settings: Settings, root: x509.Certificate | None = None) -> None:
    """Make the CA's keys with certificates, or with requests for a root whose key is elsewhere."""
    bank = BankName(settings.bank, settings.organization)
    with _issuing_keys(settings, FIRST_CAS) as in_token:
        issuing_keys = None if in_token is None else {ca.kind: key for ca, key in in_token.items()}
        if root is None:
            made = hierarchy.make(
                bank,
                pki_url=settings.sites["pki"].url,
                now=datetime.now(UTC),
                entropy=secrets.token_bytes,
                issuing_keys=issuing_keys,
            )
            keys.save(settings.ca_dir, made)
            root_lists.write_first(settings, made.root)
        else:
            keys.save_waiting(settings.ca_dir, bank, root, issuing_keys)
    passphrase = wiring_ca.ca_passphrase(settings)
    if passphrase is not None:
        keys.encrypt(settings.ca_dir, passphrase)


def _read_root(file: Path, bank: BankName) -> x509.Certificate:
    try:
        root = x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError as unreadable:
        raise NotOfThisBank(f"{file} is no certificate") from unreadable
    if bank_of_root(root) != bank:
        raise NotOfThisBank(f"{file} is the root of {bank_of_root(root)}, and this is {bank}")
    return root


def install_certificates(settings: Settings, files: Sequence[Path]) -> list[Path]:
    """Put certificates that the root signed where the CA finds them, all or none; return where.

    Raises `NotOfThisBank` where one is not what was requested.
    """
    bank = BankName(settings.bank, settings.organization)
    root = keys.load_certificate(settings.ca_dir, "root")
    wanted = {
        request: read_request(request.read_bytes(), bank) for request in sorted(settings.ca_dir.glob("*.csr.pem"))
    }
    found: dict[Path, bytes] = {}
    for file in files:
        try:
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
        except ValueError as unreadable:
            raise NotOfThisBank(f"{file} is no certificate") from unreadable
        fitting = [(request, *asked) for request, asked in wanted.items() if asked[1] == certificate.public_key()]
        if not fitting:
            raise NotOfThisBank(f"{file}: nothing that waits here has its key")
        request, ca, key = fitting[0]
        try:
            check_issuing(
                certificate, bank, ca, key, root=root, pki_url=settings.sites["pki"].url, now=datetime.now(UTC)
            )
        except NotOfThisBank as other:
            raise NotOfThisBank(f"{file}: {other}") from other
        found[request] = certificate.public_bytes(Encoding.PEM)
    return [keys.install(request, content) for request, content in found.items()]


def rotate(settings: Settings, kinds: Sequence[Kind]) -> list[Path]:
    """Prepare the next issuing CA of each kind and return what was written: certificates, or requests for the root.

    The CA takes certificates when it starts next. A run that was cut short
    is run again, and goes on with the keys that it left. Raises
    FileExistsError where an issuing CA waits already, and `DataFolderDamaged`.
    """
    bank, folder = BankName(settings.bank, settings.organization), settings.ca_dir
    passphrase = wiring_ca.ca_passphrase(settings)
    try:
        keys.check_installed(folder)
        cas = keys.next_generations(folder, kinds)
    except ValueError as unusable:
        raise DataFolderDamaged(f"the keys in {folder} cannot be used: {unusable}") from unusable
    root = root_lists.root_at_hand(settings)
    if root is not None:
        root_lists.write_first(settings, root)  # what is certified now names where it is
    written = []
    with _issuing_keys(settings, cas) as in_token:
        try:
            made: Mapping[IssuingCa, ec.EllipticCurvePrivateKey]
            made = in_token if in_token is not None else {ca: keys.prepare(folder, ca, passphrase) for ca in cas}
        except ValueError as unusable:
            raise DataFolderDamaged(f"the keys in {folder} cannot be used: {unusable}") from unusable
        for ca, key in made.items():
            if root is None:
                written.append(keys.prepare_request(folder, bank, ca, key))
                continue
            issuing = hierarchy.certify_issuing(
                root,
                bank,
                ca.kind,
                key.public_key(),
                pki_url=settings.sites["pki"].url,
                now=datetime.now(UTC),
                entropy=secrets.token_bytes,
                generation=ca.generation,
            )
            written.append(keys.prepare_certificate(folder, ca, issuing))
    return written


@contextmanager
def _issuing_keys(settings: Settings, cas: Sequence[IssuingCa]) -> Iterator[dict[IssuingCa, TokenKey] | None]:
    """Make the issuing CAs' keys in the token that the settings name, or none. Raises `DataFolderDamaged`."""
    if settings.ca.token is None:
        yield None
        return
    spec = wiring_ca.token_spec(settings.ca.token, settings.read_secret(settings.ca.token.pin_file))
    try:
        made = {ca: make_key(spec, f"sekisho {settings.bank} {ca.kind.value} {ca.generation}") for ca in cas}
        token = Token(spec, list(made.values()))
    except (TokenAway, PinRefused, KeyNotUsable) as unusable:
        raise DataFolderDamaged(f"the token {spec.label} cannot be used: {unusable}") from unusable
    try:
        yield {ca: token.key(public) for ca, public in made.items()}
    finally:
        token.close()
