"""Issuing certificates and revocation lists. Both are signed, so they need no TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sekisho.va.lists import Lists

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from sekisho.domain.contract import Bank
    from sekisho.usecases.ports import Ports

_CERTIFICATE = "application/pkix-cert"
_DAY_S = 86_400


def pki_app(ports: Ports, bank: Bank, certificates: Mapping[str, bytes]) -> Starlette:
    """Return the site that serves a bank's CA certificates (DER by name) and revocation lists."""

    async def certificate(request: Request) -> Response:
        der = certificates.get(request.path_params["name"])
        if request.path_params["bank"] != bank.code or der is None:
            return PlainTextResponse("not found\n", 404)
        return Response(der, media_type=_CERTIFICATE, headers={"cache-control": f"max-age={_DAY_S}"})

    lists = Lists(ports, bank)

    async def revocation_list(request: Request) -> Response:
        if request.path_params["bank"] != bank.code:
            return PlainTextResponse("not found\n", 404)
        return await run_in_threadpool(lists.answer, request.path_params["name"], request.headers)

    return Starlette(
        routes=[
            Route("/{bank}/{name}.cer", certificate),
            Route("/{bank}/{name}.crl", revocation_list),
            Route("/ocsp", _ocsp, methods=["POST"]),
            Route("/ocsp/{request:path}", _ocsp, methods=["GET"]),
        ]
    )


async def _ocsp(_request: Request) -> Response:
    """Say "try later" (RFC 6960 section 2.3): no responder is open yet, and none may be pretended."""
    answer = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    return Response(answer.public_bytes(Encoding.DER), media_type="application/ocsp-response")
