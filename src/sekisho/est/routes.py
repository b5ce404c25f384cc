"""The operations of EST that each site answers."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from cryptography import x509
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sekisho.domain.errors import CaAway, NotAccepted, Refusal, WayNotOffered
from sekisho.est.agent import claimed_key_held, discovery_route, standing_route, way_open
from sekisho.est.messages import (
    certificates_response,
    csr_attributes,
    read_body,
    read_credentials,
)
from sekisho.pki.csr import read_csr
from sekisho.usecases.acquire_certificate import Claim, acquire_certificate
from sekisho.usecases.renew_certificate import renew_certificate
from sekisho.web import messages, problems
from sekisho.web.endpoint import read_visit
from sekisho.web.mails import code_mail
from sekisho.web.refusals import PageUnknown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_PATH = "/.well-known/est/{bank}"


def public_routes(site: Site, cacerts: list[x509.Certificate]) -> list[BaseRoute]:
    """Return what the public site answers: nobody has a certificate there yet."""

    def ca_certificates(_visit: Visit) -> Response:
        return certificates_response(cacerts)

    return [
        Route(f"{_PATH}/cacerts", _answers(site, ca_certificates), methods=["GET"]),
        Route(f"{_PATH}/csrattrs", _answers(site, _csr_attributes), methods=["GET"]),
        Route(f"{_PATH}/simpleenroll", _answers(site, _enroll), methods=["POST"]),
        discovery_route(site),
    ]


def secure_routes(site: Site, cacerts: list[x509.Certificate]) -> list[BaseRoute]:
    """Return what a secure site answers: the present certificate is shown there."""

    def ca_certificates(_visit: Visit) -> Response:
        return certificates_response(cacerts)

    return [
        Route(f"{_PATH}/cacerts", _answers(site, ca_certificates), methods=["GET"]),
        Route(f"{_PATH}/csrattrs", _answers(site, _csr_attributes), methods=["GET"]),
        Route(f"{_PATH}/simplereenroll", _answers(site, _reenroll), methods=["POST"]),
        standing_route(site),
    ]


def _csr_attributes(_visit: Visit) -> Response:
    return Response(base64.encodebytes(csr_attributes()), media_type="application/csrattrs")


def _enroll(visit: Visit) -> Response:
    """Answer simpleenroll (RFC 7030 section 4.2.1): the permit is spent on the key in the body."""
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
        csr=read_csr(read_body(visit.body)),
        held=claimed_key_held(visit.headers),
        address=visit.address,
        mail=code_mail(site.ports, site.bank),
    )
    return certificates_response([x509.load_der_x509_certificate(certificate.der)])


def _reenroll(visit: Visit) -> Response:
    """Answer simplereenroll (RFC 7030 section 4.2.2): present certificate, PIN, and a new key in the body."""
    site = visit.site
    if site.kind is None or not way_open(visit):
        raise WayNotOffered
    credentials = read_credentials(visit.headers.get("authorization"))
    if credentials is None:
        raise NotAccepted
    certificate = renew_certificate(
        site.ports,
        bank=site.bank,
        kind=site.kind,
        der=visit.der,
        named=(credentials.contract_id, credentials.user_id),
        pin=credentials.password,
        csr=read_csr(read_body(visit.body)),
        held=claimed_key_held(visit.headers),
        address=visit.address,
    )
    return certificates_response([x509.load_der_x509_certificate(certificate.der)])


def _answers(site: Site, handler: Callable[[Visit], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Make a handler answer EST clients: refusals are short text, and a key that waits is told to come back."""

    async def answer(request: Request) -> Response:
        lang: messages.Language = "en"
        try:
            visit = await read_visit(site, request)
            lang = visit.lang if "accept-language" in visit.headers else "en"
            if visit.path_values["bank"] != site.bank.code:
                raise PageUnknown
            if visit.method == "GET":
                return await run_in_threadpool(handler, visit)
            async with site.turnstile.passing(visit.address):
                return await run_in_threadpool(handler, visit)
        except Refusal as refusal:
            return refused(refusal, lang)

    return answer


def refused(refusal: Refusal, lang: messages.Language) -> Response:
    """Return a refusal as EST clients show it: RFC 7030 section 4.2.3."""
    told = messages.refused(lang, refusal.code, **refusal.values)
    headers = {"x-sekisho-code": refusal.code, **problems.headers_of(refusal)}
    status = problems.status_of(refusal)
    if isinstance(refusal, CaAway):
        # The order is kept: section 4.2.3 has 202 for "ask again later with the same request".
        status = 202
    elif isinstance(refusal, NotAccepted):
        status = 401
        headers["www-authenticate"] = 'Basic realm="Sekisho EST", charset="UTF-8"'
    text = f"{refusal.code}: {told.title}\n{told.what} {told.next}\n"
    return PlainTextResponse(text, status, headers)
