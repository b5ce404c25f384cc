"""The users' secure site."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.domain.person import Kind
from sekisho.portal.emergency import emergency_routes
from sekisho.portal.mail_address import mail_address_routes
from sekisho.portal.pins import pins_routes
from sekisho.portal.renewal import renewal_routes
from sekisho.portal.secure import secure_routes
from sekisho.portal.sessions import sessions_routes
from sekisho.portal.status import status_routes
from sekisho.web.site_app import site_app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.applications import Starlette
    from starlette.routing import BaseRoute

    from sekisho.portal.issuing import Chains
    from sekisho.web.site import Site


def user_app(site: Site, *, chains: Chains, est: Sequence[BaseRoute]) -> Starlette:
    """Return the users' site. `chains` holds what stands above certificates."""
    return site_app(
        site,
        [
            *secure_routes(site),
            *status_routes(site),
            *pins_routes(site),
            *mail_address_routes(site),
            *emergency_routes(site),
            *sessions_routes(site),
            *renewal_routes(site, Kind.USER, chains),
            *est,
        ],
    )
