"""What pkilint finds above a notice, asked as a library: its programs leave the files that they read open."""

from __future__ import annotations

from functools import cache
from typing import Any

from pkilint import loader, pkix  # type: ignore[import-untyped]  # it has no types
from pkilint.bin import lint_pkix_signer_signee_cert_chain as chain  # type: ignore[import-untyped]  # the same
from pkilint.pkix import crl, extension, name  # type: ignore[import-untyped]  # the same
from pkilint.validation import ValidationFindingSeverity  # type: ignore[import-untyped]  # the same


def of_pair(issuer: bytes, subject: bytes) -> list[str]:
    """Return the codes of what does not fit between a certificate and its issuer's: names, key, signature."""
    together: dict[str, Any] = {}
    for role, der in (("issuer", issuer), ("subject", subject)):
        together[role] = _load(der, role, together)
    decoded = chain.create_decoder_validation_container()
    results = [result for one in together.values() for result in decoded.validate(one.root)]
    results += chain.create_issuer_validation_container().validate(together["issuer"].root)
    results += chain.create_subject_validation_container().validate(together["subject"].root)
    return _found(results)


def of_revocation_list(der: bytes) -> list[str]:
    """Return the codes of what RFC 5280 says against a revocation list."""
    loaded = loader.RFC5280CertificateListDocumentLoader().load_der_document(der, "list")
    return _found(_list_rules().validate(loaded.root))


def _load(der: bytes, role: str, together: dict[str, Any]) -> Any:
    return loader.RFC5280CertificateDocumentLoader().load_der_document(der, role, role, together)


@cache
def _list_rules() -> Any:
    return crl.create_pkix_crl_validator_container(
        [
            pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
            pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
        ],
        [
            crl.create_issuer_validator_container([]),
            crl.create_validity_validator_container([]),
            crl.create_extensions_validator_container([]),
        ],
    )


def _found(results: Any) -> list[str]:
    return [
        description.finding.code
        for result in results
        for description in result.finding_descriptions
        if description.finding.severity < ValidationFindingSeverity.NOTICE
    ]
