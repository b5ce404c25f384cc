"""The application of one site: its routes, its static files and what all of them share."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from sekisho.web.endpoint import on_bug, on_http_exception
from sekisho.web.headers import SecurityHeaders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import Scope

    from sekisho.web.site import Site


class _Static(StaticFiles):
    """Files that a browser may keep, asking each time whether they have changed: an upgrade shows at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        return response


def site_app(site: Site, routes: Sequence[BaseRoute]) -> Starlette:
    """Return the ASGI application of a site that answers `routes`."""
    static = Mount("/static", _Static(directory=str(files("sekisho.portal") / "static")))
    return Starlette(
        routes=[*routes, static],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={HTTPException: on_http_exception(site), Exception: on_bug(site)},
    )
