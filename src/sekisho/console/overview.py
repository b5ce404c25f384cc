"""The overview: figures that people look at, each with its table and as CSV."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from sekisho.console.door import READERS, at_work
from sekisho.console.figures import Column, Figure, figure
from sekisho.domain.csv_text import BYTE_ORDER_MARK, csv_lines
from sekisho.domain.service_hours import JAPAN
from sekisho.domain.tally import DOORS
from sekisho.usecases.read_overview import FORM_DAYS, PERMIT_DAYS, UNDER_WAY, read_overview
from sekisho.web import messages
from sekisho.web.endpoint import endpoint
from sekisho.web.refusals import PageUnknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import BaseRoute

    from sekisho.usecases.enter_console import AtWork
    from sekisho.usecases.read_overview import Overview
    from sekisho.web.messages import Language
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

OVERVIEW = "/overview"
_GROUPS = {"waiting": ("forms", "permits"), "shut": ("doors", "lockouts"), "ending": ("ends",)}
_OF_A_DAY = ("logons", "acquisitions")


def overview_routes(site: Site) -> list[BaseRoute]:
    """Return the overview and its figures as CSV."""
    everybody = at_work(*READERS)
    return [
        Route(OVERVIEW, endpoint(site, everybody(overview_page)), methods=["GET"]),
        Route(OVERVIEW + "/{name}.csv", endpoint(site, everybody(send_csv)), methods=["GET"]),
    ]


def overview_page(visit: Visit, current: AtWork) -> Response:
    """Show all figures; `day` names the day whose hours are shown."""
    whole = _read(visit, current)
    shown = figures(visit.lang, whole)
    return visit.page(
        "console/overview.html",
        staff=current.staff,
        groups={group: [shown[name] for name in names] for group, names in _GROUPS.items()},
        hours=[shown[name] for name in _OF_A_DAY],
        day=whole.day,
        before=_day_address(whole.before),
        after=_day_address(whole.after),
        of_day=f"?day={_day(whole.day)}",
        added_until=whole.added_until,
        counted_at=whole.counted_at,
    )


def send_csv(visit: Visit, current: AtWork) -> Response:
    """Send one figure's table as a file for spreadsheets."""
    shown = figures(visit.lang, _read(visit, current))
    found = shown.get(visit.path_values["name"])
    if found is None:
        raise PageUnknown
    lines = csv_lines([found.head, *([label, *numbers] for label, numbers in found.rows)])
    return Response(
        (BYTE_ORDER_MARK + lines).encode(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="sekisho-{found.name}.csv"'},
    )


def figures(lang: Language, whole: Overview) -> dict[str, Figure]:
    """Return every figure by its name, in the words of the screen."""

    def said(key: str, **values: object) -> str:
        return messages.text(lang, f"overview.{key}", **values)

    def made(name: str, columns: list[Column], *series: str, label_every: int = 1) -> Figure:
        head = [said(f"{name}.label"), *(series or (said(f"{name}.number"),))]
        return figure(name, said(f"{name}.title"), head, columns, label_every=label_every)

    def on(at: datetime) -> str:
        here = at.astimezone(JAPAN)
        return f"{here.month}/{here.day}"

    ends = [Column(said("week", begins=messages.date_text(lang, at)), on(at), [n]) for at, n in whole.ends]
    days = [Column(messages.date_text(lang, at), on(at), [n]) for at, n in whole.lockouts]
    permits = [Column(label, label, [n]) for label, n in zip(_permit_groups(lang), whole.permits, strict=True)]
    doors = [
        Column(said(f"door.{door.value}").replace("\n", " "), said(f"door.{door.value}"), [whole.doors[door]])
        for door in DOORS
    ]
    forms = [
        Column(messages.text(lang, f"form.state.{state.value}"), said(f"state.{state.value}"), whole.forms[state])
        for state in UNDER_WAY
    ]
    all_figures = [
        made("ends", ends, label_every=2),
        made("permits", permits),
        made("lockouts", days, label_every=3),
        made("doors", doors),
        made("logons", _hours(whole.logons), label_every=3),
        made("acquisitions", _hours(whole.acquisitions), label_every=3),
        made("forms", forms, *_form_groups(lang)),
    ]
    return {one.name: one for one in all_figures}


def _permit_groups(lang: Language) -> list[str]:
    firsts = [0, *(most + 1 for most in PERMIT_DAYS)]
    return _spans(lang, list(zip(firsts, PERMIT_DAYS, strict=False)), firsts[-1])


def _form_groups(lang: Language) -> list[str]:
    spans = [(first, after - 1) for first, after in itertools.pairwise(FORM_DAYS)]
    told = _spans(lang, spans, FORM_DAYS[-1])
    return [messages.text(lang, "overview.under", days=FORM_DAYS[0]), *told]


def _spans(lang: Language, spans: list[tuple[int, int]], rest: int) -> list[str]:
    """Return the words for groups of days, from one to another, and for all after them."""
    told = [messages.text(lang, "overview.span", first=first, last=last) for first, last in spans]
    return [*told, messages.text(lang, "overview.rest", days=rest)]


def _hours(numbers: Sequence[int]) -> list[Column]:
    return [Column(f"{hour}:00", str(hour), [number]) for hour, number in enumerate(numbers)]


def _read(visit: Visit, current: AtWork) -> Overview:
    try:
        day = datetime.strptime(visit.query.get("day", ""), "%Y-%m-%d").replace(tzinfo=JAPAN)
    except ValueError:
        day = None
    return read_overview(visit.site.ports, staff=current.staff, day=day)


def _day(at: datetime) -> str:
    return at.astimezone(JAPAN).date().isoformat()


def _day_address(at: datetime | None) -> str | None:
    return None if at is None else f"{OVERVIEW}?day={_day(at)}#hours-heading"
