"""Scans of a form's paper at the console: added to the form, and sent out again as downloads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from sekisho.console.door import READERS, at_work
from sekisho.console.forms import FORMS
from sekisho.domain.errors import FormExpired, FormMoved, FormUnknown, ScanNotAccepted
from sekisho.domain.request_forms import Step, roles_for
from sekisho.domain.scan import LARGEST, MEDIA_TYPE
from sekisho.usecases.form_scans import add_scan, read_scan
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from sekisho.usecases.enter_console import AtWork
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

# So much more than the largest scan is read, so that one that is too large is told so next to its field.
_ROOM = 2 * LARGEST


def scan_routes(site: Site) -> list[BaseRoute]:
    """Return the ways in and out of scans."""
    adding, everybody = at_work(*roles_for(Step.CHECK_SEAL)), at_work(*READERS)
    scans = FORMS + "/{number}/scans"
    return [
        Route(scans, endpoint(site, adding(take_scan), turnstile=True, upload=_ROOM), methods=["POST"]),
        Route(scans + "/{scan}", endpoint(site, everybody(send_scan)), methods=["GET"]),
    ]


def take_scan(visit: Visit, current: AtWork) -> Response:
    """Keep a scan, and go to the form."""
    number = visit.path_values["number"]
    here = f"{FORMS}/{number}"
    try:
        visit.check_form()
        add_scan(visit.site.ports, at_work=current, number=number, content=visit.files.get("scan", b""))
    except (FormExpired, FormMoved, ScanNotAccepted) as refusal:
        return visit.back(here, refusal)
    return visit.go(here, done="scan")


def send_scan(visit: Visit, current: AtWork) -> Response:
    """Send a scan as a download: what is in it is opened by no page of ours."""
    number, scan = visit.path_values["number"], visit.path_values["scan"]
    if not (scan.isascii() and scan.isdigit() and len(scan) <= 18):  # noqa: PLR2004 - 64 bits
        raise FormUnknown
    kind, content = read_scan(visit.site.ports, at_work=current, number=number, scan_id=int(scan))
    headers = {
        "content-disposition": f'attachment; filename="{number}-{scan}.{kind.value}"',
        "content-security-policy": "sandbox; default-src 'none'",
    }
    return Response(content, media_type=MEDIA_TYPE[kind], headers=headers)
