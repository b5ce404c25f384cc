"""The operations of EST: RFC 7030 section 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from sekisho.domain.errors import NotAccepted, WayNotOffered
from sekisho.est.agent import claimed_key_held, way_open
from sekisho.est.csr_attributes import wanted
from sekisho.est.messages import CERTIFICATES, CSR_ATTRIBUTES, certificates_der, read_body, read_credentials
from sekisho.pki.csr import read_csr
from sekisho.usecases.acquire_certificate import Claim, acquire_certificate
from sekisho.usecases.renew_certificate import renew_certificate, renew_unattended
from sekisho.web.mails import code_mail

if TYPE_CHECKING:
    from collections.abc import Callable

    from sekisho.web.visit import Visit


@dataclass(frozen=True, slots=True)
class Operation:
    """What stands at one address: how it is asked for ("GET" means HEAD as well), and the answer, DER of a type."""

    method: str
    answer: Callable[[Visit], bytes]
    media_type: str = CERTIFICATES


def ca_certificates(certificates: list[x509.Certificate]) -> Operation:
    """Return cacerts (section 4.1): the bank's root and all its issuing CAs."""
    return Operation("GET", lambda _visit: certificates_der(certificates))


def csr_attributes() -> Operation:
    """Return csrattrs (section 4.5): which key to make."""
    return Operation("GET", lambda _visit: wanted(), CSR_ATTRIBUTES)


def enroll(visit: Visit) -> bytes:
    """Answer simpleenroll (section 4.2.1): the permit is spent on the key in the body."""
    site = visit.site
    if not way_open(visit):
        raise WayNotOffered
    credentials = read_credentials(visit.headers.get("authorization"))
    if credentials is None:
        raise NotAccepted
    # No PIN has a colon: a mailed code, where one is asked, stands behind another one.
    pin, confirmation_pin, mailed_code = (*credentials.password.split(":", 2), "", "")[:3]
    certificate = acquire_certificate(
        site.ports,
        bank=site.bank,
        claim=Claim(credentials.contract_id, credentials.user_id, pin, confirmation_pin, mailed_code),
        csr=read_csr(read_body(visit.body), site.bank.policy.key_rules),
        held=claimed_key_held(visit.headers),
        address=visit.address,
        mail=code_mail(site.ports, site.bank),
    )
    return certificates_der([x509.load_der_x509_certificate(certificate.der)])


def reenroll(visit: Visit) -> bytes:
    """Answer simplereenroll (section 4.2.2): present certificate, PIN, and a new key in the body.

    Without any credentials it is a renewal without a PIN, which few banks
    allow: any other is told to send them (401).
    """
    site = visit.site
    if site.kind is None or not way_open(visit):
        raise WayNotOffered
    credentials = read_credentials(visit.headers.get("authorization"))
    if credentials is None:
        certificate = renew_unattended(
            site.ports,
            bank=site.bank,
            kind=site.kind,
            der=visit.der,
            csr=read_csr(read_body(visit.body), site.bank.policy.key_rules),
            held=claimed_key_held(visit.headers),
            address=visit.address,
        )
        return certificates_der([x509.load_der_x509_certificate(certificate.der)])
    certificate = renew_certificate(
        site.ports,
        bank=site.bank,
        kind=site.kind,
        der=visit.der,
        named=(credentials.contract_id, credentials.user_id),
        pin=credentials.password,
        csr=read_csr(read_body(visit.body), site.bank.policy.key_rules),
        held=claimed_key_held(visit.headers),
        address=visit.address,
    )
    return certificates_der([x509.load_der_x509_certificate(certificate.der)])
