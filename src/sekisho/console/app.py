"""The console's site."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.routing import Mount, Route

from sekisho.console.api.app import api_app
from sekisho.console.audit import audit_routes
from sekisho.console.cards import card_routes
from sekisho.console.contracts import contract_routes
from sekisho.console.door import door_routes
from sekisho.console.forms import form_routes
from sekisho.console.guide import guide_routes
from sekisho.console.openings import opening_routes
from sekisho.console.overview import overview_routes
from sekisho.console.papers import paper_routes
from sekisho.console.pin import pin_routes
from sekisho.console.policy import policy_routes
from sekisho.console.scans import scan_routes
from sekisho.console.telephone import telephone_routes
from sekisho.web.choose_another import choose_another
from sekisho.web.endpoint import endpoint
from sekisho.web.site_app import site_app

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from sekisho.web.site import Site


def console_app(site: Site) -> Starlette:
    """Return the console's site."""
    api = Mount("/api/v1", api_app(site))
    # A path with a line break in it is the API's to refuse, too.
    api.path_regex = re.compile(api.path_regex.pattern, re.DOTALL)
    return site_app(
        site,
        [
            *door_routes(site),
            Route("/choose-another", endpoint(site, choose_another), methods=["POST"]),
            *contract_routes(site),
            *guide_routes(site),
            *paper_routes(site),
            *form_routes(site),
            *scan_routes(site),
            *opening_routes(site),
            *card_routes(site),
            *pin_routes(site),
            *telephone_routes(site),
            *policy_routes(site),
            *overview_routes(site),
            *audit_routes(site),
            api,
        ],
    )
