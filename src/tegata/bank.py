"""A bank as its public site describes it, and EST (RFC 7030, RFC 8951) as it is spoken to it."""

from __future__ import annotations

import base64
import binascii
import json
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3
from cryptography.hazmat.primitives.serialization import pkcs7

from tegata.errors import NotYet, Refused, ServerTrouble

if TYPE_CHECKING:
    from cryptography import x509

    from tegata.stores.interface import Held
    from tegata.web import Answer, Web

_OK, _ACCEPTED, _UNAUTHORIZED, _TOO_MANY, _UNAVAILABLE = 200, 202, 401, 429, 503
_CODE = re.compile(r"[a-z][a-z-]{1,60}")
_LONGEST_WORDS = 600
# Nobody waits here until a bank opens in the morning: its words say when that is.
_OUT_OF_HOURS = "out-of-hours"
_RETRY_S = (1.0, 600.0)
_RETRY_UNSAID_S = 30.0


@dataclass(frozen=True, slots=True)
class Bank:
    """What `/.well-known/sekisho/<bank code>.json` of a public site says."""

    code: str
    name: dict[str, str]
    help_desk_phone: str
    sites: dict[str, str]
    clock_ahead_s: float | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a certificate stands at its door: a published code, and the bank's words where it is refused.

    `renewal_open` is whether it can be renewed now, by the bank's clock, `renewal_opens` from when on.
    """

    code: str
    said: str = ""
    renewal_opens: datetime | None = None
    not_after: datetime | None = None
    renewal_open: bool = False

    @property
    def in_force(self) -> bool:
        """Whether the door opens to it."""
        return self.code == "certificate-in-force"

    @property
    def over(self) -> bool:
        """Whether it has ended for good."""
        return self.code in {
            "certificate-expired",
            "certificate-reissued",
            "certificate-revoked",
            "certificate-superseded",
        }


def discover(web: Web, url: str, code: str) -> Bank:
    """Ask a public site where the bank's other sites are. Raises `ServerTrouble`, or `Refused` for another bank."""
    base = url.rstrip("/")
    answer = web.get(f"{base}/.well-known/sekisho/{code}.json")
    if answer.status != _OK:
        raise _said_no(answer, base)
    try:
        told = json.loads(answer.body)
        sites = {name: str(told["sites"][name]) for name in ("public", "administrator", "user")}
        name = {lang: safe(str(told["name"][lang])) for lang in ("ja", "en")}
        bank = Bank(str(told["bank"]), name, safe(str(told["help_desk"]["phone"])), sites, answer.clock_ahead_s)
    except (ValueError, KeyError, TypeError) as unreadable:
        raise _not_understood(base, "sites") from unreadable
    if bank.code != code or any(urlsplit(site).scheme != "https" for site in sites.values()):
        raise _not_understood(base, "sites")
    return bank


def standing(web: Web, site: str, code: str) -> Standing:
    """Ask a secure site how the certificate that `web` shows stands. Raises `ServerTrouble`."""
    answer = web.get(f"{site}/.well-known/sekisho/{code}/certificate")
    try:
        told = json.loads(answer.body)
        said = f"{told.get('title', '')} {told.get('detail', '')}".strip()
        opens, ends = (
            datetime.fromisoformat(told[name]) if name in told else None for name in ("renewal_opens", "not_after")
        )
        result = Standing(
            _code(str(told["code"]), site), safe(said), opens, ends, renewal_open=told.get("renewal_open") is True
        )
    except (ValueError, KeyError, TypeError, AttributeError) as unreadable:
        raise _not_understood(site, f"status {answer.status}") from unreadable
    return result


def ca_certificates(web: Web, url: str, code: str) -> list[x509.Certificate]:
    """Return the bank's root and issuing CAs (section 4.1). Raises `ServerTrouble`."""
    answer = web.get(f"{url.rstrip('/')}/.well-known/est/{code}/cacerts")
    if answer.status != _OK:
        raise _said_no(answer, url)
    return _certificates(answer, url)


def enroll(
    web: Web, url: str, code: str, *, csr: bytes, name: str, password: str, held: Held
) -> list[x509.Certificate]:
    """Ask simpleenroll for a certificate (section 4.2.1). Raises `Refused`, `NotYet` or `ServerTrouble`."""
    return _ask(web, url, f"/.well-known/est/{code}/simpleenroll", csr, name, password, held)


def reenroll(
    web: Web, site: str, code: str, *, csr: bytes, name: str, password: str | None, held: Held
) -> list[x509.Certificate]:
    """Ask simplereenroll of a secure site (section 4.2.2); `web` shows the present certificate.

    Without a password nothing is sent that would prove who sits there: few banks renew then.
    """
    return _ask(web, site, f"/.well-known/est/{code}/simplereenroll", csr, name, password, held)


def _ask(
    web: Web, site: str, path: str, csr: bytes, name: str, password: str | None, held: Held
) -> list[x509.Certificate]:
    basic = urllib3.make_headers()
    if password is not None:
        basic["authorization"] = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    headers = basic | {
        "content-type": "application/pkcs10",
        "content-transfer-encoding": "base64",
        "sekisho-key-held": held.value,
    }
    answer = web.post(site.rstrip("/") + path, base64.encodebytes(csr), headers)
    if answer.status != _OK:
        raise _said_no(answer, site)
    return _certificates(answer, site)


def _said_no(answer: Answer, site: str) -> Exception:
    """Return the exception for an answer that brings nothing."""
    if answer.status == _ACCEPTED:
        return NotYet("not-yet", after_s=_retry_after(answer))
    closed = answer.headers.get("x-sekisho-code") == _OUT_OF_HOURS
    waits = answer.status == _UNAVAILABLE and "retry-after" in answer.headers and not closed
    if answer.status == _TOO_MANY or waits:
        return NotYet("busy", after_s=_retry_after(answer))
    said = safe(answer.body[:8192].decode("utf-8", "replace"))
    if answer.status == _UNAUTHORIZED and "x-sekisho-code" not in answer.headers:
        return Refused("not-accepted", said)
    if "x-sekisho-code" in answer.headers:
        code = _code(answer.headers["x-sekisho-code"], site)
        # The first line is the title, and ends without a full stop.
        title, _, rest = answer.body[:8192].decode("utf-8", "replace").strip().partition("\n")
        words = [safe(title).removeprefix(f"{code}:").strip(), safe(rest)]
        return Refused(code, safe(" – ".join(word for word in words if word)))
    return _not_understood(site, f"status {answer.status}")


def _code(text: str, site: str) -> str:
    if not _CODE.fullmatch(text):
        raise _not_understood(site, "code")
    return text


def _certificates(answer: Answer, site: str) -> list[x509.Certificate]:
    """Read a certs-only PKCS #7 in base64 (RFC 8951 section 3: whatever the transfer encoding says)."""
    try:
        der = base64.b64decode(b"".join(answer.body.split()), validate=True)
        found = pkcs7.load_der_pkcs7_certificates(der)
    except (binascii.Error, ValueError, TypeError) as unreadable:
        raise _not_understood(site, "certificates") from unreadable
    if not found:
        raise _not_understood(site, "certificates")
    return found


def _retry_after(answer: Answer) -> float:
    """Return the seconds of Retry-After, a number or a date (RFC 9110 section 10.2.3), inside what is sensible."""
    told = answer.headers.get("retry-after", "")
    least, most = _RETRY_S
    try:
        seconds = float(told) if told.isdigit() else (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        seconds = _RETRY_UNSAID_S
    return min(max(seconds, least), most)


def _not_understood(site: str, detail: str) -> ServerTrouble:
    return ServerTrouble("answer-not-understood", host=urlsplit(site).netloc, detail=detail)


def safe(text: str) -> str:
    """Return a server's words as a terminal and a window may show them: one line, nothing invisible, not endless."""
    visible: list[Any] = [
        " " if c in "\r\n\t" else c for c in text if c in "\r\n\t" or unicodedata.category(c)[0] != "C"
    ]
    return " ".join("".join(visible).split())[:_LONGEST_WORDS]
