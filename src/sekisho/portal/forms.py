"""Request forms to print, blank, for whoever asks (J11)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from sekisho.domain.request_forms import FormKind
from sekisho.web.endpoint import endpoint
from sekisho.web.refusals import PageUnknown
from sekisho.web.request_papers import Prefilled, render

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from sekisho.domain.contract import Bank
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_KEPT = "public, max-age=3600"


@dataclass(frozen=True, slots=True)
class _Blank:
    bank: Bank
    pdf: bytes
    etag: str


def form_path(kind: FormKind) -> str:
    """Return where the blank form of a kind stands on the public site."""
    return f"/forms/{kind.value}.pdf"


def forms_routes(site: Site) -> list[BaseRoute]:
    """Return the blank forms. Each is set when it is first asked for, and again where the bank's rules have changed."""
    kept: dict[FormKind, _Blank] = {}

    def blank(kind: FormKind) -> _Blank:
        bank, form = site.bank, kept.get(kind)
        if form is None or form.bank != bank:
            pdf = render(kind, Prefilled(bank))
            form = kept[kind] = _Blank(bank, pdf, f'"{hashlib.sha256(pdf).hexdigest()[:32]}"')
        return form

    def show(visit: Visit) -> Response:
        try:
            kind = FormKind(visit.path_values["name"])
        except ValueError:
            raise PageUnknown from None
        form = blank(kind)
        headers = {"etag": form.etag, "cache-control": _KEPT}
        if _is_known(visit, form.etag):
            return Response(status_code=304, headers=headers)
        headers["content-disposition"] = f'inline; filename="{kind.value}.pdf"'
        return Response(form.pdf, media_type="application/pdf", headers=headers)

    return [Route("/forms/{name}.pdf", endpoint(site, show))]


def _is_known(visit: Visit, etag: str) -> bool:
    """Tell whether the browser has these bytes already (RFC 9110 section 13.1.2)."""
    known = [tag.strip().removeprefix("W/") for tag in visit.headers.get("if-none-match", "").split(",")]
    return etag in known or "*" in known
