"""The sample bank: one command opens the checkpoint on this machine."""

from __future__ import annotations

import ipaddress
import json
import secrets
import string
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sekisho import settings as settings_module
from sekisho.ca import keys
from sekisho.ca.keys import write_secret
from sekisho.cli import installation
from sekisho.cli.staff_keys import StaffKey, staff_ca
from sekisho.domain import card
from sekisho.domain.certificate import KeyHeld
from sekisho.domain.contract import Application, Bank
from sekisho.domain.errors import StaffIdTaken
from sekisho.domain.person import Kind
from sekisho.domain.policy import Policy
from sekisho.domain.staff import Role
from sekisho.pki.csr import Csr
from sekisho.pki.pkcs12 import bundle
from sekisho.pki.profile import key_usage
from sekisho.settings import DataFolderDamaged, DataFolderMissing, Settings, on_localhost
from sekisho.store.audit import Actor
from sekisho.usecases.acquire_certificate import Claim, acquire_certificate
from sekisho.usecases.add_staff import NewStaff, add_staff, renew_staff
from sekisho.usecases.put_contracts import NewPerson
from sekisho.usecases.register_contract import register_contract

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sekisho.usecases.ports import Ports

_BANK = Bank(
    code="9990",
    name={"ja": "見本信用金庫", "en": "Mihon Shinkin Bank"},
    service_name={"ja": "みほんビジネスバンキング", "en": "Mihon Business Banking"},
    help_desk_phone="0120-000-000",
    help_desk_hours={"ja": "平日 9:00〜17:00", "en": "Weekdays 9:00 to 17:00"},
    policy=Policy(way_browser=True),
    applications=(
        Application("inquiry", {"ja": "照会", "en": "Balances and statements"}),
        Application("transfer", {"ja": "振込・振替", "en": "Transfers"}),
        Application("payroll", {"ja": "給与振込", "en": "Payroll"}),
        Application("tax", {"ja": "税金・各種料金の払込み", "en": "Taxes and fees"}),
    ),
)
_ORGANIZATION = "Mihon Shinkin Bank"
_COMPANY = "見本商事株式会社"
_NEW_COMPANY = "見本工業株式会社"
_USERS = {"keiri01": "経理担当 1", "keiri02": "経理担当 2"}
_BRANCH = "001"
_STAFF = (
    ("kakari01", "係 見本", _BRANCH, Role.CLERK),
    ("kenin01", "検印 見本", _BRANCH, Role.APPROVER),
    ("center01", "センター 見本", None, Role.OPERATOR),
    ("kansa01", "監査 見本", None, Role.AUDITOR),
)
# Made where somebody asks for them: from then on `sekisho policy set` does not change the rules alone any more.
_KEEPERS = (
    ("kisoku01", "規則 見本一", None, Role.KEEPER),
    ("kisoku02", "規則 見本二", None, Role.KEEPER),
)
_SERVER_LIFE = timedelta(days=90)
_SERVER_RENEWED = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class _Held:
    """Where a person's certificate and key lie, and the password of their PKCS #12 file."""

    certificate: str
    key: str
    p12: str
    p12_password: str


def prepare_folder(data_dir: Path, port_base: int) -> Settings:
    """Return the demo's settings, setting the folder up where it is new. The ports are those asked for now."""
    data_dir = data_dir.resolve()
    try:
        known = settings_module.load(data_dir)
    except DataFolderMissing:
        new = on_localhost(data_dir, _BANK.code, _ORGANIZATION, port_base)
        if not data_dir.exists() or not any(data_dir.iterdir()):
            installation.set_up(new, _BANK)
            return new
        raise DataFolderDamaged(
            f"{data_dir} is not empty and holds no {settings_module.FILE}; choose another folder or empty it"
        ) from None
    here = known.model_copy(update={"sites": on_localhost(data_dir, known.bank, known.organization, port_base).sites})
    if here != known:
        here.save()
    return here


def make_server_certificate(settings: Settings) -> Path:
    """Make the demo's server CA and certificate where they are missing or soon over; return the CA's file."""
    folder = settings.data_dir / "tls"
    folder.mkdir(mode=0o700, exist_ok=True)
    ca_file, ca_key_file = folder / "ca.pem", folder / "ca.key.pem"
    now = datetime.now(UTC).replace(microsecond=0)
    if not ca_file.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Sekisho demo servers")
        ca = (
            _builder(name, name, key.public_key(), now, timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(key_usage(signs=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        write_secret(ca_key_file, _pem(key))
        ca_file.write_bytes(ca.public_bytes(Encoding.PEM))
    certificate_file = settings.data_dir / settings.tls_certificate
    key_file = settings.data_dir / settings.tls_key
    if certificate_file.exists() and key_file.exists():
        present = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        if present.not_valid_after_utc - now > _SERVER_RENEWED:
            return ca_file
    ca = x509.load_pem_x509_certificate(ca_file.read_bytes())
    ca_key = load_pem_private_key(ca_key_file.read_bytes(), None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise DataFolderDamaged(f"{ca_key_file} is not the key that the demo made")
    key = ec.generate_private_key(ec.SECP256R1())
    names = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    certificate = (
        _builder(_name("localhost"), ca.subject, key.public_key(), now, _SERVER_LIFE)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    key_file.unlink(missing_ok=True)
    write_secret(key_file, _pem(key))
    certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    return ca_file


def fill(settings: Settings, *, keepers: bool = False) -> Callable[[Ports, Bank], None]:
    """Make what registers the sample company at the first start, certificates for two of its people included.

    With `keepers` two policy keepers are added, once, at this start or a later one.
    """

    def prepare(ports: Ports, bank: Bank) -> None:
        if not _described(settings).exists():
            _register(settings, ports, bank)
        if keepers:
            _add_keepers(settings, ports, bank)

    return prepare


def _described(settings: Settings) -> Path:
    return settings.data_dir / "demo" / "demo.json"


def _read_described(settings: Settings) -> dict[str, Any]:
    file = _described(settings)
    try:
        company: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as unreadable:
        raise DataFolderDamaged(f"{file} cannot be read: {unreadable}") from unreadable
    return company


def _add_keepers(settings: Settings, ports: Ports, bank: Bank) -> None:
    """Add those that are not there."""
    company = _read_described(settings)
    for one in _KEEPERS:
        if any(known["staff_id"] == one[0] for known in company["staff"]):
            continue
        company["staff"].append(_staff(settings, ports, bank, *one))
        _describe(settings, company)


def _describe(settings: Settings, company: dict[str, Any]) -> None:
    """Say what was made, whole or not at all."""
    new = _described(settings).with_suffix(".new")
    _write(new, json.dumps(company, ensure_ascii=False, indent=1).encode())
    new.replace(_described(settings))


def _write(file: Path, content: bytes) -> None:
    """Write a file for its owner alone, in the place of one that a start which was cut off had left."""
    file.unlink(missing_ok=True)
    write_secret(file, content)


def describe(settings: Settings, tls_ca: Path) -> dict[str, Any]:
    """Return the line that scripts read. Raises `DataFolderDamaged`."""
    company = _read_described(settings)
    return {
        "ready": True,
        "urls": dict(settings.urls),
        "tls_ca": str(tls_ca),
        "client_ca": str(settings.data_dir / "demo" / "client-ca.pem"),
        "outbox": str(settings.outbox),
        "bank": {"code": _BANK.code, "name_ja": _BANK.name["ja"], "name_en": _BANK.name["en"]},
        **company,
    }


def _register(settings: Settings, ports: Ports, bank: Bank) -> None:
    folder = settings.data_dir / "demo"
    folder.mkdir(mode=0o700, exist_ok=True)
    settings.outbox.mkdir(mode=0o700, exist_ok=True)
    names = ["root", *(kind.value for kind in Kind)]
    chain = [keys.load_certificate(settings.ca_dir, name) for name in names]
    (folder / "client-ca.pem").write_bytes(b"".join(ca.public_bytes(Encoding.PEM) for ca in chain))

    contract_id = _contract_id()
    table = card.new_table(secrets.token_bytes)
    administrator = _person(None, "管理者", table)
    users = {user_id: _person(user_id, name) for user_id, name in _USERS.items()}
    register_contract(
        ports,
        bank=bank,
        contract_id=contract_id,
        name=_COMPANY,
        everyone=[administrator, *users.values()],
        actor=Actor("demo"),
        branch=_BRANCH,
        kana="ミホンショウジ",
    )
    held = {
        person.user_id: _acquire(settings, ports, bank, contract_id, person)
        for person in (administrator, users["keiri01"])
    }
    unopened = _unopened(ports, bank)
    company = {
        "contract": {
            "contract_id": contract_id,
            "contract_pin": administrator.pin,
            "contract_confirmation_pin": administrator.confirmation_pin,
            "card": table,
        },
        "administrator": _listed(held[None]),
        "users": [
            {
                "user_id": user_id,
                "user_pin": person.pin,
                "user_confirmation_pin": person.confirmation_pin,
                **_listed(held.get(user_id)),
            }
            for user_id, person in users.items()
        ],
        "unopened_contract": unopened,
        "staff": [_staff(settings, ports, bank, *one) for one in _STAFF],
    }
    # Written last: until it is there, nothing of the demo counts as made.
    _describe(settings, company)


def _unopened(ports: Ports, bank: Bank) -> dict[str, Any]:
    """Register a contract whose administrator has yet to acquire and to confirm the opening."""
    contract_id = _contract_id()
    table = card.new_table(secrets.token_bytes)
    administrator = NewPerson(None, "管理者", None, "ja", _pin(), _pin(), table)
    registration_pin = _pin()
    register_contract(
        ports,
        bank=bank,
        contract_id=contract_id,
        name=_NEW_COMPANY,
        everyone=[administrator],
        actor=Actor("demo"),
        registration_pin=registration_pin,
        branch=_BRANCH,
        kana="ミホンコウギョウ",
    )
    return {
        "contract_id": contract_id,
        "registration_pin": registration_pin,
        "card": table,
        "contract_pin": administrator.pin,
        "contract_confirmation_pin": administrator.confirmation_pin,
    }


def _staff(
    settings: Settings, ports: Ports, bank: Bank, staff_id: str, name: str, branch: str | None, role: Role
) -> dict[str, str]:
    """Add one of the bank's own people, and keep key and certificate as files."""
    made = StaffKey(settings, bank.policy.certificate_life)
    new = NewStaff(staff_id, name, branch, [role])
    try:
        _, pin = add_staff(ports, bank=bank, new=new, issue=made.issue, actor=Actor("demo"))
    except StaffIdTaken:  # by a start that was cut off before anybody was told their PIN
        _, pin = renew_staff(ports, bank=bank, staff_id=staff_id, issue=made.issue, actor=Actor("demo"))
    folder = settings.data_dir / "demo"
    if made.certificate is None:
        raise RuntimeError("one of the bank's people without a certificate")
    chain = (made.certificate, staff_ca(settings).certificate)
    _write(folder / f"{staff_id}.key.pem", _pem(made.key))
    _write(folder / f"{staff_id}.pem", b"".join(one.public_bytes(Encoding.PEM) for one in chain))
    (folder / f"{staff_id}.p12").unlink(missing_ok=True)
    password = made.write_p12(folder / f"{staff_id}.p12", f"{staff_id} {bank.code}")
    return {
        "staff_id": staff_id,
        "role": role.value,
        "pin": pin,
        "certificate": str(folder / f"{staff_id}.pem"),
        "key": str(folder / f"{staff_id}.key.pem"),
        "p12": str(folder / f"{staff_id}.p12"),
        "p12_password": password,
    }


def _contract_id() -> str:
    return "".join(secrets.choice(string.digits) for _ in range(11))


def _person(user_id: str | None, name: str, table: dict[str, str] | None = None) -> NewPerson:
    address = f"{user_id or 'kanri'}@example.com"
    return NewPerson(user_id, name, address, "ja", _pin(), _pin(), table)


def _pin() -> str:
    """Return eight letters and digits that nobody mistakes for one another."""
    letters, digits = "abcdefghijkmnpqrstuvwxyz", "23456789"
    return "".join(secrets.choice(letters if at % 2 else digits) for at in range(8))


def _acquire(settings: Settings, ports: Ports, bank: Bank, contract_id: str, person: NewPerson) -> _Held:
    """Acquire as any EST client would, and keep key and certificate as the files of an "old computer"."""
    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    certificate = acquire_certificate(
        ports,
        bank=bank,
        claim=Claim(contract_id, person.user_id, person.pin, person.confirmation_pin),
        csr=Csr(spki),
        held=KeyHeld.FILE,
        address="127.0.0.1",
    )
    kind = certificate.kind
    chain = [keys.load_certificate(settings.ca_dir, name) for name in (kind.value, "root")]
    parsed = x509.load_der_x509_certificate(certificate.der)
    name = person.user_id or "administrator"
    folder = settings.data_dir / "demo"
    password = _pin() + _pin()
    files = {
        f"{name}.key.pem": _pem(key),
        f"{name}.pem": b"".join(c.public_bytes(Encoding.PEM) for c in (parsed, chain[0])),
        f"{name}.p12": bundle(certificate.person.common_name, key, parsed, chain, password),
    }
    for file, content in files.items():
        _write(folder / file, content)
    return _Held(
        certificate=str(folder / f"{name}.pem"),
        key=str(folder / f"{name}.key.pem"),
        p12=str(folder / f"{name}.p12"),
        p12_password=password,
    )


def _listed(held: _Held | None) -> dict[str, str | None]:
    if held is None:
        return {"certificate": None, "key": None, "p12": None, "p12_password": None}
    return {
        "certificate": held.certificate,
        "key": held.key,
        "p12": held.p12,
        "p12_password": held.p12_password,
    }


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
