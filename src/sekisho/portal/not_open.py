"""A site that is announced and does not work yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.web import problems
from sekisho.web.endpoint import endpoint
from sekisho.web.refusals import NotOpenYet
from sekisho.web.site_app import site_app

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.responses import Response

    from sekisho.web.site import Site
    from sekisho.web.visit import Visit


def not_open_app(site: Site) -> Starlette:
    """Return a site that says on every page that it is not open yet."""
    return site_app(site, [Route("/", endpoint(site, not_open_page))])


def not_open_page(visit: Visit) -> Response:
    """Say so, with the status code that says it to programs."""
    refusal = NotOpenYet()
    return visit.page("not_open.html", refusal=refusal, status=problems.status_of(refusal))
