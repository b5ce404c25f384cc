"""What pkilint, which shares no code with us, finds against a certificate that was issued (RFC 5280).

It is read here on a sample of what is out already. What keeps a faulty one
from being signed are the rules in `linting`, which take a fiftieth of the time.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509

# pkilint's word for an address whose host has no dot, as that of the sample bank has.
_LOCAL_ADDRESS = "pkix.invalid_uri_syntax"


def of_certificate(der: bytes) -> list[str]:
    """Return the codes of pkilint's findings above a notice."""
    # Its parsers take half a second and 15 MiB, which only those who ask should pay for.
    from pkilint import loader  # type: ignore[import-untyped]  # it has no types
    from pkilint.validation import ValidationFindingSeverity  # type: ignore[import-untyped]  # the same

    document = loader.RFC5280CertificateDocumentLoader().load_der_document(der, "certificate", "certificate", {})
    found = [
        described.finding.code
        for result in _rules().validate(document.root)
        for described in result.finding_descriptions
        if described.finding.severity < ValidationFindingSeverity.NOTICE
    ]
    return [code for code in found if code != _LOCAL_ADDRESS or not _is_local(der)]


def _is_local(der: bytes) -> bool:
    """Tell whether the addresses in a certificate lead to this machine alone."""
    extensions = x509.load_der_x509_certificate(der).extensions
    try:
        found = extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except x509.ExtensionNotFound:
        return False
    return {urlsplit(str(one.access_location.value)).hostname for one in found.value} == {"localhost"}


@cache
def _rules() -> Any:
    from pkilint.pkix import certificate, extension, name  # type: ignore[import-untyped]  # the same

    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )
