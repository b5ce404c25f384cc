"""From a request to a handler and back: what every page of every site goes through."""

from __future__ import annotations

import hashlib
import logging
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse

from sekisho.domain.errors import (
    CertificateExpired,
    CertificateRefused,
    Refusal,
)
from sekisho.web import cookies, messages, problems
from sekisho.web.client_cert import client_certificate
from sekisho.web.csrf import BROWSER_TOKEN
from sekisho.web.refusals import MethodNotAllowed, PageUnknown, RequestTooLarge
from sekisho.web.upload import read_upload
from sekisho.web.visit import Visit, read_session_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from sekisho.web.site import Site

log = logging.getLogger("sekisho.web")
LONGEST_BODY = 64 * 1024
_FIELDS = 200
_FORM = "application/x-www-form-urlencoded"
_YEAR_S = 365 * 24 * 3600


def endpoint(
    site: Site, handler: Callable[[Visit], Response], *, turnstile: bool = False, upload: int = 0
) -> Callable[[Request], Awaitable[Response]]:
    """Make a handler answer requests of a site.

    The handler is plain synchronous code and runs in a thread. With
    `turnstile` it is one that costs argon2 checks: it waits for its turn
    before it gets a thread. With `upload` its form may bring one file of so
    many bytes (multipart/form-data, RFC 7578).
    """

    async def answer(request: Request) -> Response:
        visit = None
        try:
            visit = await read_visit(site, request, upload)
            if turnstile and visit.method == "POST":
                async with site.turnstile.passing(_queue(visit)):
                    response = await run_in_threadpool(handler, visit)
            else:
                response = await run_in_threadpool(handler, visit)
        except Refusal as refusal:
            visit = visit or _bare(site, request)
            response = problem_page(visit, refusal)
        _remember(site, visit, response)
        return response

    return answer


def on_http_exception(site: Site) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Make the answer to what the router could not place."""

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
        refusal = MethodNotAllowed() if error.status_code == problems.STATUS["method-not-allowed"] else PageUnknown()
        return problem_page(_bare(site, request), refusal)

    return answer


def on_bug(site: Site) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Make the answer to a bug: a reference number that stands in the log, and no detail."""

    async def answer(request: Request, error: Exception) -> Response:
        reference = secrets.token_hex(4)
        log.error("bug %s at %s %s", reference, request.method, request.url.path, exc_info=error)
        visit = _bare(site, request)
        alert = visit.words("internal", reference=reference)
        return visit.page(
            "problem.html",
            status=problems.INTERNAL_SERVER_ERROR,
            alert=alert,
            can_choose_another=False,
            can_renew=False,
            reference=reference,
        )

    return answer


def problem_page(visit: Visit, refusal: Refusal) -> Response:
    """Return the page of its own that a refusal gets."""
    of_certificate = isinstance(refusal, CertificateRefused)
    page = visit.page(
        "problem.html",
        refusal=refusal,
        status=problems.status_of(refusal),
        can_choose_another=of_certificate and visit.der is not None,
        can_renew=_in_grace(visit, refusal),
        reference=None,
    )
    page.headers.update(problems.headers_of(refusal))
    return page


def _in_grace(visit: Visit, refusal: Refusal) -> bool:
    """Tell whether a certificate that has ended can be renewed still."""
    until = refusal.values.get("until") if isinstance(refusal, CertificateExpired) else None
    return isinstance(until, datetime) and visit.site.ports.now() < until + visit.site.bank.policy.grace


async def read_visit(site: Site, request: Request, upload: int = 0) -> Visit:
    """Read a request. Raises `RequestTooLarge`."""
    if client_certificate(request.scope) is None:
        upload = 0  # of strangers nobody takes megabytes
    body = await _body(request, LONGEST_BODY + upload)
    form: dict[str, str] = {}
    if upload and body:
        form, files = await read_upload(request.headers, body)
        return _visit(site, request, body=b"", form=form, files=files)
    if body and request.headers.get("content-type", "").split(";")[0].strip().lower() == _FORM:
        try:
            form = dict(
                parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict")
            )
        except ValueError:
            form = {}  # what no browser sends has no fields, so the form's token is missing
    return _visit(site, request, body=body, form=form)


def _queue(visit: Visit) -> str:
    """Name the queue that a visitor stands in: their address's, or behind a certificate the certificate's own.

    A company's people share an address, and one of them must not hold up the rest.
    """
    return visit.address if visit.der is None else hashlib.sha256(visit.der).hexdigest()


def _bare(site: Site, request: Request) -> Visit:
    return _visit(site, request, body=b"", form={})


def _visit(
    site: Site, request: Request, *, body: bytes, form: dict[str, str], files: dict[str, bytes] | None = None
) -> Visit:
    browser = cookies.read_token(request.cookies.get(cookies.browser_name(site.name)), BROWSER_TOKEN)
    path_values: dict[str, Any] = request.path_params
    return Visit(
        site=site,
        method=request.method,
        path=request.url.path,
        query=dict(request.query_params),
        form=form,
        headers=request.headers,
        lang=(lang := language_of(site, request)),
        lang_chosen=lang in _chosen(site, request),
        address="" if request.client is None else request.client.host,
        der=client_certificate(request.scope),
        token=read_session_token(request.cookies.get(cookies.session_name(site.name))),
        browser=browser or site.ports.entropy(BROWSER_TOKEN),
        browser_known=browser is not None,
        body=body,
        files=files or {},
        path_values={name: str(value) for name, value in path_values.items()},
    )


async def _body(request: Request, longest: int) -> bytes:
    chunks = []
    length = 0
    try:
        async for chunk in request.stream():
            length += len(chunk)
            if length > longest:
                raise RequestTooLarge
            chunks.append(chunk)
    except ClientDisconnect:
        return b""
    return b"".join(chunks)


def language_of(site: Site, request: Request) -> messages.Language:
    """Return `?lang=`, else the cookie's, else the first of Accept-Language that we have, else Japanese."""
    wishes = _chosen(site, request)
    ranges = request.headers.get("accept-language", "").split(",")[:20]
    for wish in [*wishes, *(_tag(part) for part in sorted(ranges, key=_weight, reverse=True))]:
        for language in messages.LANGUAGES:
            if wish == language:
                return language
    return "ja"


def _chosen(site: Site, request: Request) -> list[str | None]:
    return [request.query_params.get("lang"), request.cookies.get(cookies.language_name(site.name))]


def _tag(part: str) -> str:
    return part.split(";", maxsplit=1)[0].strip().split("-")[0].lower()


def _weight(part: str) -> float:
    # RFC 9110 section 12.4.2: no weight means 1.
    try:
        return float(part.split(";q=")[1]) if ";q=" in part else 1.0
    except ValueError:
        return 0.0


def _remember(site: Site, visit: Visit, response: Response) -> None:
    """Set the cookies that the answer brings: the browser's own, and a language that was chosen."""
    if isinstance(response, HTMLResponse) and not visit.browser_known:
        cookies.put(response, cookies.browser_name(site.name), cookies.write_token(visit.browser))
    if visit.query.get("lang") == visit.lang:
        cookies.put(response, cookies.language_name(site.name), visit.lang, seconds=_YEAR_S)
