"""The application under `/api/v1`: its routes, its description (OpenAPI 3.1) and how it says no (RFC 9457)."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from sekisho.console.api import certificates, contracts, events, forms, held
from sekisho.console.api.bodies import Problem
from sekisho.domain.errors import DetailsNotAllowed, IdempotencyKeyMissing, Refusal
from sekisho.web import messages, problems
from sekisho.web.endpoint import language_of
from sekisho.web.refusals import MethodNotAllowed, PageUnknown, RequestTooLarge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sekisho.web.site import Site

log = logging.getLogger("sekisho.api")
_LONGEST_BODY = 64 * 1024
_MEDIA = "application/problem+json"
_DESCRIPTION = (
    "For the bank's own systems. Each shows a certificate of the role `system`; people at the console may read with "
    "their session. Whatever registers, files or shuts something carries an `Idempotency-Key`."
)


def api_app(site: Site) -> ASGIApp:
    """Return the application."""
    app = FastAPI(
        title="Sekisho",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        responses={
            status: {"description": words, "content": {_MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
            for status, words in {
                400: "Something in the request is not allowed",
                403: "The certificate, the session or the role does not allow it",
                413: "The request is too large",
                429: "Too many requests",
                503: "Not for now; Retry-After tells when",
            }.items()
        },
    )
    app.state.site = site
    for router in (contracts.router, held.router, certificates.router, forms.router, events.router):
        app.include_router(router)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _not_placed)
    app.add_exception_handler(Exception, _bug)
    app.openapi = lambda: _description(app)  # type: ignore[method-assign]  # as FastAPI documents it
    return _Bounded(app)


def _description(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description, made once: with mutual TLS, and without FastAPI's own form of errors."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        parts = made["components"]
        parts["securitySchemes"] = {"certificate": {"type": "mutualTLS"}}
        parts["schemas"]["Problem"] = Problem.model_json_schema()
        for unused in ("HTTPValidationError", "ValidationError"):
            parts["schemas"].pop(unused, None)
        for path in made["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        made["security"] = [{"certificate": []}]
        made["servers"] = [{"url": "/api/v1"}]
        app.openapi_schema = made
    return app.openapi_schema


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - registered for nothing else
    return _problem(request, error)


async def _not_valid(request: Request, error: Exception) -> Response:
    """Tell where a request is not as it is described; not what was sent there, which may be a secret out of place."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    places = [".".join(str(part) for part in one["loc"]) for one in error.errors()]
    if any(place.lower() == "header.idempotency-key" for place in places):
        return _problem(request, IdempotencyKeyMissing())
    return _problem(request, DetailsNotAllowed(fields=dict.fromkeys(places, "not-as-described")))


async def _not_placed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    if error.status_code == problems.BAD_REQUEST:  # a body that is no text
        return _problem(request, DetailsNotAllowed(fields={"body": "not-as-described"}))
    wrong_method = error.status_code == problems.STATUS["method-not-allowed"]
    return _problem(request, MethodNotAllowed() if wrong_method else PageUnknown(), error.headers)


async def _bug(request: Request, error: Exception) -> Response:
    reference = secrets.token_hex(4)
    log.error("bug %s at %s %s", reference, request.method, request.url.path, exc_info=error)
    lang = language_of(request.app.state.site, request)
    words = messages.refused(lang, "internal", reference=reference)
    return _answer("internal", words, problems.INTERNAL_SERVER_ERROR, {}, None)


def _problem(request: Request, refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    lang = language_of(request.app.state.site, request)
    words = messages.refused(lang, refusal.code, **refusal.values)
    more = {**(headers or {}), **problems.headers_of(refusal)}
    return _answer(refusal.code, words, problems.status_of(refusal), dict(refusal.fields), more)


def _answer(
    code: str, words: messages.Refused, status: int, fields: dict[str, str], headers: Mapping[str, str] | None
) -> Response:
    body = Problem(
        type=f"urn:sekisho:refusal:{code}",
        title=words.title,
        status=status,
        detail=f"{words.what} {words.next}",
        code=code,
        fields=fields,
    )
    return JSONResponse(body.model_dump(), status, dict(headers or {}), media_type=_MEDIA)


class _Bounded:
    """ASGI middleware that takes no body longer than any request of ours."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, once its body is there."""
        body, more = b"", scope["type"] == "http"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message["type"] == "http.request" and message.get("more_body", False)
            if len(body) > _LONGEST_BODY:
                scope["app"] = self._app
                await _problem(Request(scope), RequestTooLarge())(scope, receive, send)
                return
        read = False

        async def once() -> Message:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, once, send)
