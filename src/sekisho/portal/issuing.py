"""What the script of static/acquire is answered: the certificate, or the refusal in the visitor's words (RFC 9457)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from sekisho.domain.errors import CsrNotAccepted
from sekisho.domain.issuing_ca import IssuingCa
from sekisho.pki.csr import read_csr
from sekisho.web import messages, problems

if TYPE_CHECKING:
    from starlette.responses import Response

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.domain.errors import Refusal
    from sekisho.domain.person import Kind
    from sekisho.pki.csr import Csr
    from sekisho.web.visit import Visit


def typed_csr(visit: Visit) -> Csr:
    """Return the request that the script made. Raises `CsrNotAccepted` or `KeyNotAccepted`."""
    try:
        der = base64.b64decode(visit.form.get("csr", ""), validate=True)
    except (binascii.Error, ValueError) as unreadable:
        raise CsrNotAccepted from unreadable
    return read_csr(der, visit.site.bank.policy.key_rules)


Chains = Mapping[IssuingCa, Sequence[bytes]]
"""The DER certificates above those of each issuing CA, itself first."""


def issued(certificate: IssuedCertificate, chains: Chains) -> Response:
    """Return the certificate with the DER certificates above it, issuing CA first."""
    name = certificate.person.common_name
    chain = chains[IssuingCa(certificate.kind, certificate.generation)]
    return JSONResponse(
        {
            "common_name": name,
            "certificate": base64.b64encode(certificate.der).decode(),
            "chain": [base64.b64encode(der).decode() for der in chain],
            "file_name": f"{name}.p12",
            "not_after": certificate.not_after.isoformat(),
        }
    )


def refused(visit: Visit, kind: Kind, refusal: Refusal) -> Response:
    """Return a refusal; `fields` says what stands next to each field."""
    told = messages.refused(visit.lang, refusal.code, **refusal.values)
    fields = visit.field_words(refusal.fields, kind)
    return JSONResponse(
        {"code": refusal.code, "title": told.title, "detail": f"{told.what} {told.next}", "fields": fields},
        status_code=problems.status_of(refusal),
        headers=problems.headers_of(refusal),
        media_type="application/problem+json",
    )
