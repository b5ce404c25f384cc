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
    from starlette.types import Receive, Scope, Send

    from sekisho.domain.contract import Bank
    from sekisho.usecases.ports import Ports
    from sekisho.va.kept import Headers, Octets

_CERTIFICATE = "application/pkix-cert"
_DAY_S = 86_400
_QUESTIONS = f"{responder.PATH}/"


class PkiSite:
    """The site that serves a bank's CA certificates (DER by name) and tells what it revoked."""

    def __init__(self, ports: Ports, bank: Bank, certificates: Mapping[str, bytes]) -> None:
        self._responder = Responder(ports, bank, {ca: certificates[ca.name] for ca in bank.policy.issuing_cas})
        self._files = _files(ports, bank, certificates)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        # Before any router: most of what is asked here is about certificates.
        app = self._responder if _is_question(scope.get("path", "")) else self._files
        await app(scope, receive, send)

    def at_hand(self, method: str, path: str, headers: Headers, body: bytes) -> Octets | None:
        """Return an answer about a certificate that is ready to go out, or None."""
        return self._responder.at_hand(method, path, headers, body) if _is_question(path) else None


def _is_question(path: str) -> bool:
    return path == responder.PATH or path.startswith(_QUESTIONS)


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
