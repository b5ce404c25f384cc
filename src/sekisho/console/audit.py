"""The auditor's pages: a search through the audit trail of the bank, and its export for an inspection."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.responses import StreamingResponse
from starlette.routing import Route

from sekisho.console.audit_words import actions, audit_row
from sekisho.console.door import at_work
from sekisho.domain.errors import DetailsNotAllowed
from sekisho.domain.service_hours import JAPAN
from sekisho.domain.staff import Role
from sekisho.usecases.export_audit import begin_export
from sekisho.usecases.search_audit import YEARS, Wanted, check_auditor, search_audit
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.usecases.enter_console import AtWork
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

AUDIT = "/audit"
_FIELDS = ("since", "until", "staff", "contract_id", "action")
_DAY = timedelta(days=1)


def audit_routes(site: Site) -> list[BaseRoute]:
    """Return the auditor's pages."""
    auditor = at_work(Role.AUDITOR)
    return [
        Route(AUDIT, endpoint(site, auditor(search_page)), methods=["GET"]),
        Route(AUDIT + "/export.zip", endpoint(site, auditor(send_export)), methods=["GET"]),
    ]


def search_page(visit: Visit, current: AtWork) -> Response:
    """Ask what is looked for, and show what was found once something was asked."""
    check_auditor(current.staff)
    if not visit.query.keys() & {*_FIELDS, "before"}:
        return _page(visit, current)
    try:
        since, until = _span(visit)
    except DetailsNotAllowed as refusal:
        return _page(visit, current, refusal=refusal, status=400)
    place = visit.query.get("before", "")
    wanted = Wanted(
        since=since,
        until=until,
        staff_id=visit.query.get("staff", ""),
        contract_id=visit.query.get("contract_id", ""),
        action=visit.query.get("action", ""),
        before=int(place) if place.isascii() and place.isdigit() and len(place) <= 18 else None,  # noqa: PLR2004 - 64 bits
    )
    found = search_audit(visit.site.ports, at_work=current, wanted=wanted)
    asked = {name: visit.query.get(name, "") for name in _FIELDS}
    more = None if found.before is None else f"{AUDIT}?{urlencode(asked | {'before': str(found.before)})}"
    return _page(visit, current, rows=[audit_row(visit.lang, row) for row in found.rows], more=more)


def send_export(visit: Visit, current: AtWork) -> Response:
    """Send the rows of a time as a ZIP file, while it is made. No page of another site can ask for it."""
    visit.check_source()
    check_auditor(current.staff)
    try:
        since, until = _span(visit)
    except DetailsNotAllowed as refusal:
        return _page(visit, current, refusal=refusal, status=400)
    export = begin_export(visit.site.ports, bank=current.staff.bank, actor=current.actor, since=since, until=until)
    name = f"sekisho-audit-{current.staff.bank}-{export.made_at.astimezone(JAPAN):%Y%m%d-%H%M%S}.zip"
    return StreamingResponse(
        export.pieces(),
        media_type="application/zip",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _page(
    visit: Visit,
    current: AtWork,
    *,
    refusal: DetailsNotAllowed | None = None,
    status: int = 200,
    rows: Sequence[dict[str, Any]] | None = None,
    more: str | None = None,
) -> Response:
    # What is no date is none for a browser either, which would leave the field empty.
    wrong = {} if refusal is None else refusal.fields
    return visit.page(
        "console/audit.html",
        refusal=refusal,
        status=status,
        staff=current.staff,
        actions=actions(visit.lang),
        values={name: value for name, value in visit.query.items() if name not in wrong},
        rows=rows,
        more=more,
    )


def _span(visit: Visit) -> tuple[datetime | None, datetime | None]:
    """Return the beginning of the first day and the end of the last. Raises `DetailsNotAllowed`."""
    wrong: dict[str, str] = {}

    def day(name: str) -> datetime | None:
        typed = visit.query.get(name, "").strip()
        try:
            found = datetime.strptime(typed, "%Y-%m-%d").replace(tzinfo=JAPAN) if typed else None
        except ValueError:
            wrong[name] = "not-a-date"
            return None
        if found is not None and found.year not in YEARS:
            wrong[name] = "not-a-date"
        return found

    since, until = day("since"), day("until")
    if wrong:
        raise DetailsNotAllowed(fields=wrong)
    return since, None if until is None else until + _DAY
