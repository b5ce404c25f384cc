"""What happened, for systems that follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from sekisho.console.api.bodies import EventBody, EventsBody
from sekisho.console.api.caller import System, TheSite
from sekisho.usecases.serve_systems import read_events

if TYPE_CHECKING:
    from collections.abc import Mapping

router = APIRouter(tags=["events"])
_ROW = 2**63 - 1


@router.get("/events")
def list_events(
    site: TheSite,
    current: System,
    after: Annotated[int, Query(ge=0, le=_ROW)] = 0,
    most: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> EventsBody:
    """List the audit trail of the bank from after a number on. What happened within the last minute is not told yet."""
    found = read_events(site.ports, at_work=current, after=after, most=most)
    return EventsBody(events=[_event(row) for row in found.rows], next=found.after)


def _event(row: Mapping[str, Any]) -> EventBody:
    serial = row["serial"]
    return EventBody(
        **{name: row[name] for name in ("id", "at", "action", "contract_id", "user_id", "actor", "detail")},
        serial=None if serial is None else f"{serial:032x}",
    )
