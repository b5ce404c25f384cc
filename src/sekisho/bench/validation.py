"""Questions about certificates, and a peer that answers them as well: `openssl ocsp`."""

from __future__ import annotations

import base64
import hashlib
import random
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as x509_ocsp

from sekisho.bench import synthetic
from sekisho.ca import keys
from sekisho.domain.person import Kind
from sekisho.pki import ocsp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_READY_S = 60.0
_ALGORITHMS = {ocsp.Digest.SHA1: hashes.SHA1(), ocsp.Digest.SHA256: hashes.SHA256()}  # noqa: S303 - what clients use
_HEADERS = "content-type: application/ocsp-request\r\n"


def questions(ca_dir: Path, people: int, most: int) -> list[bytes]:
    """Return up to so many questions, no two alike, about certificates of synthetic people."""
    ids = {kind: ocsp.issuer_ids(keys.load_certificate(ca_dir, kind.value)) for kind in Kind}
    chosen = random.sample(range(people * len(ocsp.Digest)), min(most, people * len(ocsp.Digest)))
    return [_question(ids, at // len(ocsp.Digest) + 1, ocsp.Digest(at % len(ocsp.Digest))) for at in chosen]


def _question(ids: dict[Kind, dict[ocsp.Digest, ocsp.IssuerId]], person: int, digest: ocsp.Digest) -> bytes:
    kind = Kind.ADMINISTRATOR if synthetic.user_id_of(person) is None else Kind.USER
    serial = int(hashlib.md5(b"%d" % person).hexdigest(), 16)  # noqa: S324 - as the synthetic rows have it
    issuer = ids[kind][digest]
    asked = x509_ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        issuer.name_hash, issuer.key_hash, serial, _ALGORITHMS[digest]
    )
    return asked.build().public_bytes(Encoding.DER)


def posted(question: bytes) -> tuple[str, str, bytes]:
    """Return a question as a POST: request line's middle, headers and body."""
    return "POST /ocsp", _HEADERS, question


def got(question: bytes) -> tuple[str, str, bytes]:
    """Return a question as a GET."""
    return f"GET /ocsp/{quote(base64.b64encode(question).decode(), safe='')}", "", b""


@contextmanager
def openssl(folder: Path, ca_dir: Path, port: int) -> Iterator[int]:
    """Have `openssl ocsp` answer at a port. It knows one certificate, and signs every answer with the users' CA."""
    index = folder / "index.txt"
    until = (datetime.now(UTC) + timedelta(days=365)).strftime("%y%m%d%H%M%SZ")
    index.write_text(f"V\t{until}\t\t01\tunknown\t/CN=nobody\n")
    (folder / "index.txt.attr").write_text("unique_subject = no\n")
    user, key = ca_dir / "user.pem", ca_dir / "user.key.pem"
    argv = ["openssl", "ocsp", "-index", str(index), "-port", str(port), "-CA", str(user), "-rsigner", str(user)]
    argv += ["-rkey", str(key), "-nmin", "60", "-ignore_err"]
    said = folder / "openssl-ocsp.log"
    with said.open("wb") as log:
        running = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
    try:
        # Not tried by a connection: it would wait for a question on that one, and for nothing else.
        deadline = time.monotonic() + _READY_S
        while b"waiting" not in said.read_bytes():
            if running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"openssl ocsp did not start: {said.read_text('utf-8', 'replace')}")
            time.sleep(0.05)
        yield port
    finally:
        running.terminate()
        running.wait(_READY_S)
