"""EST as other people's programs speak it: curl and openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.served import Served


@dataclass
class Answer:
    """An HTTP answer: status 0 where the connection ended without one."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        return self.headers.get("x-sekisho-code")


@dataclass
class Key:
    """A key that openssl made in a folder, and what came for it."""

    folder: Path
    name: str

    @property
    def key(self) -> Path:
        return self.folder / f"{self.name}.key.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.name}.pem"

    @property
    def p12(self) -> Path:
        return self.folder / f"{self.name}.p12"

    def csr(self) -> bytes:
        """Return the request in base64, as EST sends it."""
        der = run("openssl", "req", "-new", "-key", str(self.key), "-subj", "/CN=anything", "-outform", "DER")
        return run("openssl", "base64", stdin=der)

    def save(self, answer: Answer) -> bytes:
        """Keep the certificate of an answer as PEM, and with the key as PKCS #12; return its DER bytes."""
        pkcs7 = run("openssl", "base64", "-d", stdin=answer.body)
        pem = run("openssl", "pkcs7", "-inform", "DER", "-print_certs", stdin=pkcs7)
        self.certificate.write_bytes(pem)
        run(
            *("openssl", "pkcs12", "-export", "-inkey", str(self.key), "-in", str(self.certificate)),
            *("-name", self.name, "-passout", "pass:a file password", "-out", str(self.p12)),
        )
        return run("openssl", "x509", "-outform", "DER", stdin=pem)


def new_key(folder: Path, name: str, kind: str = "EC") -> Key:
    made = Key(folder, name)
    options = {
        "EC": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
        "RSA": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    }[kind]
    run("openssl", "genpkey", *options, "-out", str(made.key))
    return made


def enroll(served: Served, key: Key, person: dict[str, Any], **changed: str) -> Answer:
    """Ask simpleenroll for a certificate for `key`, as one of the demo's users, or its administrator.

    A person with a "contract" is the administrator of that one.
    """
    contract = person.get("contract") or served.info["contract"]
    user_id = changed.get("user_id", person.get("user_id", ""))
    pin = changed.get("pin", person.get("user_pin", contract["contract_pin"]))
    confirmation = changed.get(
        "confirmation_pin", person.get("user_confirmation_pin", contract["contract_confirmation_pin"])
    )
    name = contract["contract_id"] + (f"/{user_id}" if user_id else "")
    url = f"{served.info['urls']['public']}/.well-known/est/{served.info['bank']['code']}/simpleenroll"
    return curl(served, url, "-u", f"{name}:{pin}:{confirmation}", body=key.csr())


def curl(served: Served, url: str, *options: str, body: bytes | None = None) -> Answer:
    """Run curl, posting `body` where there is one."""
    argv = ["curl", "-sS", "-i", "--http1.1", "--max-time", "60", "--cacert", served.info["tls_ca"], *options]
    if body is not None:
        argv += ["-H", "Content-Type: application/pkcs10", "--data-binary", "@-"]
    done = subprocess.run([*argv, url], input=body or b"", capture_output=True, timeout=90, check=False)
    head, _, rest = done.stdout.partition(b"\r\n\r\n")
    if not head:
        return Answer(0, {}, b"")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Answer(int(first.split()[1]), headers, rest)


def run(*argv: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(argv, input=stdin, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr.decode(errors='replace')}"
    return done.stdout
