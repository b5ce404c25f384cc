"""The CA's keys, in files that its own process alone reads, or in a token."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sekisho.ca.segments import flush_folder
from sekisho.ca.token import TokenKey
from sekisho.domain.issuing_ca import FIRST, FIRST_CAS, LAST, IssuingCa
from sekisho.domain.person import Kind
from sekisho.pki.authority_request import write_request
from sekisho.pki.hierarchy import Hierarchy, KeyAndCertificate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sekisho.ca.token import Token
    from sekisho.pki.profile import BankName

_JOURNAL_KEY = 32
_SALT = 16
_PREPARED = ".prepared.pem"


def save(folder: Path, hierarchy: Hierarchy) -> None:
    """Write a new hierarchy. Raises FileExistsError rather than touch a key that is there.

    A key in a token stays there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    named = {"root": hierarchy.root} | {kind.value: pair for kind, pair in hierarchy.issuing.items()}
    for name, pair in named.items():
        if not isinstance(pair.key, TokenKey):
            write_secret(folder / f"{name}.key.pem", to_pem(pair.key, None))
        (folder / f"{name}.pem").write_bytes(pair.certificate.public_bytes(Encoding.PEM))


def save_waiting(
    folder: Path, bank: BankName, root: x509.Certificate, issuing_keys: Mapping[Kind, TokenKey] | None
) -> None:
    """Write the keys of issuing CAs (those of a token stay there), and requests for the root to sign.

    Raises FileExistsError rather than touch a key that is there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    for kind in Kind:
        key: ec.EllipticCurvePrivateKey
        if issuing_keys is None:
            key = ec.generate_private_key(ec.SECP256R1())
            write_secret(folder / f"{kind.value}.key.pem", to_pem(key, None))
        else:
            key = issuing_keys[kind]
        (folder / f"{kind.value}.csr.pem").write_bytes(write_request(bank, IssuingCa(kind), key))


def install(request: Path, certificate: bytes) -> Path:
    """Put a certificate (PEM) in the place of its request, and return where it is now.

    One of a later generation is taken by the CA when it starts next.
    """
    name = request.name.removesuffix(".csr.pem")
    first = any(name == ca.name for ca in FIRST_CAS)
    file = request.with_name(f"{name}.pem" if first else f"{name}{_PREPARED}")
    _replace(file, certificate)
    request.unlink()
    return file


def encrypt(folder: Path, passphrase: bytes) -> list[Path]:
    """Encrypt the keys that lie open in the folder with a passphrase, and return their files.

    Each is replaced by a whole file; one that is encrypted already stays as
    it is, so a run that was cut short is run again. Raises ValueError where
    there is nothing to encrypt that can be read.
    """
    done = []
    for file in sorted(folder.glob("*.key.pem")):
        content = file.read_bytes()
        if b"ENCRYPTED" in content:
            continue
        _replace(file, to_pem(read_pem(content, None, file.name), passphrase))
        done.append(file)
    for half_made in folder.glob(".journal.key.*"):  # left by a crash in the moment when it was made
        half_made.unlink()
    file = folder / "journal.key"
    if not file.exists() or file.stat().st_size == _JOURNAL_KEY:
        _replace(file, _wrapped(journal_key(folder, None), passphrase))
        done.append(file)
    return done


def journal_key(folder: Path, passphrase: bytes | None) -> bytes:
    """Return the 32 octets that open the journal; made where there is neither a key nor a journal yet.

    Raises ValueError where a journal stands there and its key is gone, cannot
    be opened, or is none.
    """
    file = folder / "journal.key"
    # Looked at first: others may be making both just now, and the key comes before the journal.
    begun = (folder / "journal").exists()
    if not file.exists():
        if begun:
            raise ValueError("journal.key is missing, and without it the journal cannot be read")
        key = os.urandom(_JOURNAL_KEY)
        _write_once(file, key if passphrase is None else _wrapped(key, passphrase))
    content = file.read_bytes()
    if len(content) == _JOURNAL_KEY:
        return content
    if passphrase is None:
        raise ValueError("journal.key is encrypted, and no passphrase is given")
    try:
        return aes_key_unwrap(_stretched(passphrase, content[:_SALT]), content[_SALT:])
    except (InvalidUnwrap, ValueError):
        raise ValueError("the passphrase does not open journal.key") from None


def _wrapped(key: bytes, passphrase: bytes) -> bytes:
    """Return the journal's key as it lies in its file under a passphrase."""
    salt = os.urandom(_SALT)
    return salt + aes_key_wrap(_stretched(passphrase, salt), key)


def _write_once(file: Path, data: bytes) -> None:
    """Have the file hold this, or what somebody else wrote there at the same time; it is never seen half written."""
    mine = file.with_name(f".{file.name}.{os.urandom(8).hex()}")
    write_secret(mine, data)
    try:
        with suppress(FileExistsError):
            file.hardlink_to(mine)
    finally:
        mine.unlink()
    flush_folder(file.parent)


def installed(folder: Path) -> tuple[IssuingCa, ...]:
    """Return the issuing CAs that the CA has taken: the first of each kind, and those that followed."""
    later = (IssuingCa(kind, generation) for kind in Kind for generation in range(FIRST + 1, LAST + 1))
    return (*FIRST_CAS, *(ca for ca in later if (folder / f"{ca.name}.pem").exists()))


def next_generations(folder: Path, kinds: Sequence[Kind]) -> list[IssuingCa]:
    """Return the issuing CAs that are still to be prepared as the next of their kinds.

    Where a run was cut short, that is what it left undone. Raises
    FileExistsError where one waits already and nothing was cut short.
    """
    following = []
    for kind in kinds:
        newest = max(ca for ca in installed(folder) if ca.kind is kind)
        if newest.generation == LAST:
            raise FileExistsError(17, f"there are {LAST} issuing CAs of this kind", str(folder))
        following.append(IssuingCa(kind, newest.generation + 1))
    waiting = {
        ca: file
        for ca in following
        for file in (folder / f"{ca.name}{ending}" for ending in (_PREPARED, ".csr.pem"))
        if file.exists()
    }
    left = [ca for ca in following if ca not in waiting]
    # Keys are written before all else: one without anything beside it was left by a run that was cut short.
    if waiting and not any((folder / f"{ca.name}.key.pem").exists() for ca in left):
        raise FileExistsError(17, "waits already; nothing was changed", str(next(iter(waiting.values()))))
    return left


def prepare(folder: Path, ca: IssuingCa, passphrase: bytes | None) -> ec.EllipticCurvePrivateKey:
    """Return the key of a later issuing CA: that of a run that was cut short, or a new one, written whole.

    Raises ValueError where the one that is there cannot be used.
    """
    file = folder / f"{ca.name}.key.pem"
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    if file.exists():
        return read_pem(file.read_bytes(), passphrase, file.name)
    key = ec.generate_private_key(ec.SECP256R1())
    write_secret(new, to_pem(key, passphrase))
    # Unlike a rename it replaces nothing, should another run have been faster.
    os.link(new, file)
    new.unlink()
    return key


def prepare_certificate(folder: Path, ca: IssuingCa, certificate: x509.Certificate) -> Path:
    """Write the certificate of a later issuing CA for the CA to take at its next start."""
    file = folder / f"{ca.name}{_PREPARED}"
    _replace(file, certificate.public_bytes(Encoding.PEM))
    return file


def prepare_request(folder: Path, bank: BankName, ca: IssuingCa, key: ec.EllipticCurvePrivateKey) -> Path:
    """Write the request for a later issuing CA that a root elsewhere is to sign."""
    file = folder / f"{ca.name}.csr.pem"
    _replace(file, write_request(bank, ca, key))
    return file


def take_prepared(folder: Path) -> list[IssuingCa]:
    """Take later issuing CAs into use, and return which."""
    taken = []
    for ca in (IssuingCa(kind, generation) for kind in Kind for generation in range(FIRST + 1, LAST + 1)):
        file = folder / f"{ca.name}{_PREPARED}"
        if file.exists():
            # Sites that run as other users read certificates.
            file.chmod(0o644)
            file.replace(folder / f"{ca.name}.pem")
            taken.append(ca)
    return taken


def check_installed(folder: Path) -> None:
    """Raise ValueError where an issuing CA waits for its certificate."""
    for kind in Kind:
        if not (folder / f"{kind.value}.pem").exists() and (folder / f"{kind.value}.csr.pem").exists():
            raise ValueError(
                f"the issuing CA for {kind.value}s has no certificate yet; have the root sign {kind.value}.csr.pem, "
                "then: sekisho ca install"
            )


def public_keys(folder: Path) -> dict[IssuingCa, ec.EllipticCurvePublicKey]:
    """Return the public keys of the issuing CAs whose private keys lie in no file here."""
    found = {}
    for ca in installed(folder):
        if not (folder / f"{ca.name}.key.pem").exists():
            key = load_certificate(folder, ca.name).public_key()
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise ValueError(f"the issuing CA for {ca.name}s has no elliptic key")
            found[ca] = key
    return found


def load_issuing(
    folder: Path, passphrase: bytes | None = None, token: Token | None = None
) -> dict[IssuingCa, KeyAndCertificate]:
    """Return the issuing CAs, whose keys lie in files or in the token.

    The root's key stays on disk: nothing that runs needs it. Raises
    ValueError where a key cannot be used.
    """
    issuing = {}
    for ca in installed(folder):
        certificate = load_certificate(folder, ca.name)
        file = folder / f"{ca.name}.key.pem"
        public = certificate.public_key()
        if token is not None and not file.exists() and isinstance(public, ec.EllipticCurvePublicKey):
            issuing[ca] = KeyAndCertificate(token.key(public), certificate)
            continue
        key = read_pem(file.read_bytes(), passphrase, file.name)
        if key.public_key() != public:
            raise ValueError(f"the key of the issuing CA for {ca.name}s is not its certificate's")
        issuing[ca] = KeyAndCertificate(key, certificate)
    return issuing


def read_pem(pem: bytes, passphrase: bytes | None, name: str) -> ec.EllipticCurvePrivateKey:
    """Return the key in a file of this name. Raises ValueError where it cannot be used."""
    encrypted = b"ENCRYPTED" in pem
    if encrypted and passphrase is None:
        raise ValueError(f"{name} is encrypted, and no passphrase is given")
    try:
        key = load_pem_private_key(pem, passphrase if encrypted else None)
    except ValueError:
        raise ValueError(f"{'the passphrase does not open' if encrypted else 'there is no key in'} {name}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{name} is no elliptic key")  # noqa: TRY004 - it is what the file holds
    return key


def to_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None) -> bytes:
    """Return a key as PKCS #8, open where no passphrase is given."""
    protection = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


def _stretched(passphrase: bytes, salt: bytes) -> bytes:
    return Scrypt(salt, 32, n=2**15, r=8, p=1).derive(passphrase)


def _replace(file: Path, content: bytes) -> None:
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    write_secret(new, content)
    new.replace(file)


def load_certificate(folder: Path, name: str) -> x509.Certificate:
    """Return the certificate of "root" or of an issuing CA ("administrator", "user")."""
    return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())


def write_secret(file: Path, data: bytes) -> None:
    """Write a new file that its owner alone may read, flushed to disk. Raises FileExistsError where it is there."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
