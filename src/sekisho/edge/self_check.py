"""Try out on the running Python what `sekisho.edge.openssl` relies on, with a handshake in memory."""

from __future__ import annotations

import hashlib
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sekisho.edge import openssl

_ROUNDS = 8


def holds() -> str | None:
    """Return None where an expired certificate of nobody's passes and is refused on demand, else what did not hold."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _try_out(Path(folder))
    except (AttributeError, OSError, RuntimeError, ValueError) as missing:
        return f"{type(missing).__name__}: {missing}"


def _try_out(folder: Path) -> str | None:
    file, der = _expired(folder)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        refused: list[bytes] = []

        def refuse(fingerprint: bytes, refused: list[bytes] = refused) -> bool:
            return fingerprint in refused

        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.minimum_version = server.maximum_version = version
        server.load_cert_chain(file)
        openssl.accept_any_client_certificate(server, refuse)
        openssl.ask_for_certificates_of(server, [der])
        if _shown(server, file) != der:
            return f"{version.name}: the certificate did not come through as it was shown"
        refused.append(hashlib.sha256(der).digest())
        if _shown(server, file) is not None:
            return f"{version.name}: a handshake that was to be refused was not"
    return None


def _shown(server: ssl.SSLContext, client_file: Path) -> bytes | None:
    """Shake hands in memory and return the certificate that the server saw; None where it refused."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.load_cert_chain(client_file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_side = client.wrap_bio(to_client, to_server)
    done = False
    for _ in range(_ROUNDS):
        for side in (client_side, server_side):
            try:
                side.do_handshake()
                done = side is server_side
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return None
        if done:
            break
    return server_side.getpeercert(binary_form=True) if done else None


def _expired(folder: Path) -> tuple[Path, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "self-check")])
    then = datetime.now(UTC) - timedelta(days=2)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(then)
        .not_valid_after(then + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "expired.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return file, certificate.public_bytes(Encoding.DER)
