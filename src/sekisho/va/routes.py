"""Issuing certificates, revocation lists and answers about certificates. All are signed, so they need no TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sekisho.va import responder
from sekisho.va.lists import Lists
from sekisho.va.responder import Responder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from sekisho.domain.contract import Bank
    from sekisho.usecases.ports import Ports

_CERTIFICATE = "application/pkix-cert"
_DAY_S = 86_400


def pki_app(ports: Ports, bank: Bank, certificates: Mapping[str, bytes]) -> ASGIApp:
    """Return the site that serves a bank's CA certificates (DER by name) and tells what it revoked."""
    answers = Responder(ports, bank, {ca: certificates[ca.name] for ca in bank.policy.issuing_cas})
    files = _files(ports, bank, certificates)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # Before any router: most of what is asked here is about certificates, and the answer is at hand.
        path: str = scope.get("path", "")
        if scope["type"] == "http" and (path == responder.PATH or path.startswith(f"{responder.PATH}/")):
            await answers(scope, receive, send)
        else:
            await files(scope, receive, send)

    return app


def _files(ports: Ports, bank: Bank, certificates: Mapping[str, bytes]) -> Starlette:
    lists = Lists(ports, bank)

    async def certificate(request: Request) -> Response:
        der = certificates.get(request.path_params["name"])
        if request.path_params["bank"] != bank.code or der is None:
            return PlainTextResponse("not found\n", 404)
        return Response(der, media_type=_CERTIFICATE, headers={"cache-control": f"max-age={_DAY_S}"})

    async def revocation_list(request: Request) -> Response:
        if request.path_params["bank"] != bank.code:
            return PlainTextResponse("not found\n", 404)
        return await run_in_threadpool(lists.answer, request.path_params["name"], request.headers)

    return Starlette(routes=[Route("/{bank}/{name}.cer", certificate), Route("/{bank}/{name}.crl", revocation_list)])
