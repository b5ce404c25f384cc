"""A request form on paper as it stands, with its number as a QR code (J11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from sekisho.console.door import READERS, at_work
from sekisho.console.forms import FORMS
from sekisho.usecases.read_forms import read_form
from sekisho.web.endpoint import endpoint
from sekisho.web.request_papers import prefilled_of, render

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from sekisho.usecases.enter_console import AtWork
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit


def paper_routes(site: Site) -> list[BaseRoute]:
    """Return the papers of forms."""
    return [Route(FORMS + "/{number}/paper.pdf", endpoint(site, at_work(*READERS)(show_paper)))]


def show_paper(visit: Visit, current: AtWork) -> Response:
    """Print one form. It counts as a look at the form."""
    whole = read_form(visit.site.ports, at_work=current, number=visit.path_values["number"])
    name = "" if whole.contract is None else whole.contract.name
    pdf = render(whole.form.kind, prefilled_of(whole.form, visit.site.bank, name))
    headers = {"content-disposition": f'inline; filename="{whole.form.kind.value}-{whole.form.number}.pdf"'}
    return Response(pdf, media_type="application/pdf", headers=headers)
