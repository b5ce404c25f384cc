"""What a desktop agent has to know besides EST: where a bank's sites are, and how a certificate stands at its door."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route

from sekisho.domain.certificate import KeyHeld
from sekisho.domain.errors import Refusal
from sekisho.usecases.meet_visitor import meet_visitor
from sekisho.web import messages, problems
from sekisho.web.endpoint import read_visit
from sekisho.web.refusals import PageUnknown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_PATH = "/.well-known/sekisho/{bank}"
KEY_HELD = "sekisho-key-held"
AGENT = "sekisho-agent"


def discovery_route(site: Site) -> BaseRoute:
    """Return the public document that leads an agent from the public site to the secure ones."""
    return Route(f"{_PATH}.json", _answers(site, _describe), methods=["GET"])


def standing_route(site: Site) -> BaseRoute:
    """Return what tells the holder of the certificate in the handshake whether it counts at this door."""
    return Route(f"{_PATH}/certificate", _answers(site, _standing), methods=["GET"])


def claimed_key_held(headers: Mapping[str, str]) -> KeyHeld:
    """Return how a client claims to hold its key; no claim, or a word that is not known, is the least of them."""
    try:
        return KeyHeld(headers.get(KEY_HELD, "").strip().lower())
    except ValueError:
        return KeyHeld.FILE


def way_open(visit: Visit) -> bool:
    """Tell whether the bank offers the way by which this client says that it comes."""
    policy = visit.site.bank.policy
    is_tegata = visit.headers.get(AGENT, "").strip().lower().startswith("tegata/")
    return policy.way_tegata if is_tegata else policy.way_est


def _describe(visit: Visit) -> Response:
    bank = visit.site.bank
    return JSONResponse(
        {
            "bank": bank.code,
            "name": bank.name,
            "service_name": bank.service_name,
            "help_desk": {"phone": bank.help_desk_phone, "hours": bank.help_desk_hours},
            "sites": {name: visit.site.urls[name] for name in ("public", "administrator", "user")},
            "ways": {
                "tegata": bank.policy.way_tegata,
                "browser": bank.policy.way_browser,
                "est": bank.policy.way_est,
            },
        }
    )


def _standing(visit: Visit) -> Response:
    site = visit.site
    if site.kind is None:
        raise PageUnknown
    certificate, now = meet_visitor(site.ports, bank=site.bank, kind=site.kind, der=visit.der)
    opens = certificate.not_after - site.bank.policy.renewal_window
    return JSONResponse(
        {
            "code": "certificate-in-force",
            "serial": f"{certificate.serial:032x}",
            "not_after": certificate.not_after.isoformat(),
            "renewal_opens": opens.isoformat(),
            "renewal_open": now >= opens,
            "key_held_claimed": certificate.held.value,
        }
    )


def _answers(site: Site, handler: Callable[[Visit], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Make a handler answer agents: a refusal is a problem (RFC 9457) with the published code."""

    async def answer(request: Request) -> Response:
        lang: messages.Language = "en"
        try:
            visit = await read_visit(site, request)
            lang = visit.lang
            if visit.path_values["bank"] != site.bank.code:
                raise PageUnknown
            return await run_in_threadpool(handler, visit)
        except Refusal as refusal:
            told = messages.refused(lang, refusal.code, **refusal.values)
            return JSONResponse(
                {"code": refusal.code, "title": told.title, "detail": f"{told.what} {told.next}"},
                status_code=problems.status_of(refusal),
                headers={"x-sekisho-code": refusal.code},
                media_type="application/problem+json",
            )

    return answer
