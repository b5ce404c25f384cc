"""Try out on the running Python what `sekisho.edge.openssl` promises, with handshakes in memory."""

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

_FLIGHTS = 4  # of a full handshake in TLS 1.2; TLS 1.3 has three


def find_fault() -> str | None:
    """Return what does not hold, or None where all does.

    What has to hold, in TLS 1.2 and 1.3: an expired certificate of an
    unknown CA comes through as it was shown, the visitor is told which CA is
    asked for, gets no session to resume, and is refused on demand, or for
    their key.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _try_out(Path(folder))
    except (AttributeError, OSError, RuntimeError, ValueError) as missing:
        return f"{type(missing).__name__}: {missing}"


def _try_out(folder: Path) -> str | None:
    stranger, authority = _expired(folder, "a stranger"), _expired(folder, "the CA that is asked for")
    shown = _der(stranger)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        refused: set[bytes] = set()
        unfit: set[bytes] = set()
        server, pointer = openssl.make_context(ssl.SSLContext)
        server.verify_mode = ssl.CERT_OPTIONAL
        server.minimum_version = server.maximum_version = version
        server.options |= ssl.OP_NO_TICKET
        server.num_tickets = 0
        server.load_cert_chain(stranger)
        callback = openssl.accept_any_client_certificate(pointer, refused.__contains__, lambda der: der not in unfit)  # noqa: B023 - none outlives its round
        openssl.ask_for_certificates_of(pointer, [_der(authority)])
        openssl.keep_no_sessions(pointer)
        seen, session, sent = _shake_hands(server, stranger)
        if seen != shown:
            return f"{version.name}: a certificate did not come through as it was shown"
        if session:
            return f"{version.name}: a session could be resumed"
        # In TLS 1.3 the list is encrypted; it is made from the same one.
        if version is ssl.TLSVersion.TLSv1_2 and b"the CA that is asked for" not in sent:
            return f"{version.name}: the visitor is not told which CA is asked for"
        refused.add(hashlib.sha256(shown).digest())
        if _shake_hands(server, stranger)[0] is not None:
            return f"{version.name}: a handshake that was to be refused was not"
        refused.clear()
        unfit.add(shown)
        if _shake_hands(server, stranger)[0] is not None:
            return f"{version.name}: a handshake with a key that does not fit was not refused"
        del callback
    return None


def _shake_hands(server: ssl.SSLContext, client_file: Path) -> tuple[bytes | None, bool, bytes]:
    """Return the certificate that the server took, whether the client can resume, and all that the server sent."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.load_cert_chain(client_file)
    to_server, to_client, from_server = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server.wrap_bio(to_server, from_server, server_side=True)
    client_side = client.wrap_bio(to_client, to_server)
    taken, sent = None, b""
    for _ in range(_FLIGHTS):
        for side in (client_side, server_side):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return None, False, sent
            else:
                taken = server_side.getpeercert(binary_form=True) if side is server_side else taken
            sent += (flight := from_server.read())
            to_client.write(flight)
    session = client_side.session
    return taken, session is not None and (session.has_ticket or bool(session.id)), sent


def _expired(folder: Path, common_name: str) -> Path:
    """Make a key and a certificate that ended yesterday, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
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
    file = folder / f"{common_name}.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return file


def _der(file: Path) -> bytes:
    return x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(Encoding.DER)
