"""Where EST is answered: RFC 7030 section 3.2.2.

Below `/.well-known/est` stand the operations, with the bank's code as the
label before them or, since a site has one bank, without one. Whatever stands
there and is asked for in whatever way, a program gets a short text.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from sekisho.domain.errors import CaAway, NotAccepted, Refusal
from sekisho.est.agent import discovery_route, standing_route
from sekisho.est.enrollment import Operation, ca_certificates, csr_attributes, enroll, reenroll
from sekisho.est.messages import in_base64
from sekisho.web import messages, problems
from sekisho.web.endpoint import read_visit
from sekisho.web.refusals import MethodNotAllowed, OperationNotOffered, PageUnknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography import x509
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import Receive, Scope, Send

    from sekisho.web.site import Site

log = logging.getLogger("sekisho.est")
_READS = frozenset({"GET", "HEAD"})
# What RFC 7030 knows. The ones that a site has not are told apart from what nobody has.
_KNOWN = frozenset({"cacerts", "csrattrs", "fullcmc", "serverkeygen", "simpleenroll", "simplereenroll"})


def public_routes(site: Site, cacerts: list[x509.Certificate]) -> list[BaseRoute]:
    """Return what the public site answers: nobody has a certificate there yet."""
    return [_route(site, {**_documents(cacerts), "simpleenroll": Operation("POST", enroll)}), discovery_route(site)]


def secure_routes(site: Site, cacerts: list[x509.Certificate]) -> list[BaseRoute]:
    """Return what a secure site answers: the present certificate is shown there."""
    return [_route(site, {**_documents(cacerts), "simplereenroll": Operation("POST", reenroll)}), standing_route(site)]


def _documents(cacerts: list[x509.Certificate]) -> dict[str, Operation]:
    return {"cacerts": ca_certificates(cacerts), "csrattrs": csr_attributes()}


def _route(site: Site, operations: Mapping[str, Operation]) -> BaseRoute:
    # An application of its own gets requests with any method, a function only those that the route names.
    return Route("/.well-known/est/{where:path}", _Est(site, operations))


class _Est:
    """The EST operations of one site, as an ASGI application."""

    def __init__(self, site: Site, operations: Mapping[str, Operation]) -> None:
        self._site = site
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        lang: messages.Language = "en"
        try:
            visit = await read_visit(self._site, request)
            lang = visit.lang if "accept-language" in visit.headers else "en"
            operation = self._operation(visit.path_values["where"])
            if request.method != operation.method and not {request.method, operation.method} <= _READS:
                return refused(MethodNotAllowed(), lang, allow="GET, HEAD" if operation.method == "GET" else "POST")
            if operation.method == "GET":
                der = await run_in_threadpool(operation.answer, visit)
            else:
                # A browser would add the person's certificate, and a PIN once typed, to what another site sends.
                visit.check_source()
                async with self._site.turnstile.passing(visit.address):
                    der = await run_in_threadpool(operation.answer, visit)
            return in_base64(der, operation.media_type, in_lines="/" in visit.path_values["where"])
        except Refusal as refusal:
            return refused(refusal, lang)
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("bug %s at %s %s", reference, request.method, request.url.path)
            return _text("internal", lang, problems.INTERNAL_SERVER_ERROR, {}, reference=reference)

    def _operation(self, where: str) -> Operation:
        """Return the operation at `<bank code>/<operation>` or `<operation>`."""
        label, slash, name = where.rpartition("/")
        if slash and label != self._site.bank.code:
            raise PageUnknown
        operation = self._operations.get(name)
        if operation is not None:
            return operation
        raise OperationNotOffered if name in _KNOWN else PageUnknown


def refused(refusal: Refusal, lang: messages.Language, **headers: str) -> Response:
    """Return a refusal as EST clients show it: RFC 7030 section 4.2.3."""
    status = problems.status_of(refusal)
    if isinstance(refusal, CaAway):
        # The order is kept: section 4.2.3 has 202 for "ask again later with the same request".
        status = 202
    elif isinstance(refusal, NotAccepted):
        status = 401
        headers["www-authenticate"] = 'Basic realm="Sekisho EST", charset="UTF-8"'
    return _text(refusal.code, lang, status, {**headers, **problems.headers_of(refusal)}, **refusal.values)


def _text(code: str, lang: messages.Language, status: int, headers: Mapping[str, str], **values: object) -> Response:
    told = messages.refused(lang, code, **values)
    text = f"{code}: {told.title}\n{told.what} {told.next}\n"
    return PlainTextResponse(text, status, {"x-sekisho-code": code, **headers})
