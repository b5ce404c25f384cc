"""Customer cards at the console: those that wait, the print file, noting what was posted, and a sample on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from sekisho.console.door import at_work
from sekisho.domain.errors import (
    CardMakerNotUsable,
    CardMoved,
    CardsNoneToPrint,
    ChoiceMissing,
    ContractUnknown,
    FormExpired,
)
from sekisho.domain.service_hours import JAPAN
from sekisho.domain.staff import Role
from sekisho.usecases.card_desk import post_at_desk, print_at_desk, read_print_desk, waiting_cards
from sekisho.web.card_paper import sample_pdf
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from sekisho.usecases.enter_console import AtWork
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

CARDS = "/cards"
PRINT_FILE = CARDS + "/print"
_CHOSEN = "card-"


def card_routes(site: Site) -> list[BaseRoute]:
    """Return the pages of customer cards."""
    operators = at_work(Role.OPERATOR)
    return [
        Route(CARDS, endpoint(site, operators(list_page)), methods=["GET"]),
        Route(CARDS, endpoint(site, operators(take_posted), turnstile=True), methods=["POST"]),
        Route(PRINT_FILE, endpoint(site, operators(send_print_file), turnstile=True), methods=["POST"]),
        Route(CARDS + "/sample.pdf", endpoint(site, operators(show_sample))),
    ]


def list_page(visit: Visit, current: AtWork) -> Response:
    """Show what is ordered or made; what is made can be noted as posted."""
    place = visit.query.get("after", "")
    after = int(place) if place.isascii() and place.isdigit() and len(place) <= 18 else 0  # noqa: PLR2004 - 64 bits
    found = waiting_cards(visit.site.ports, staff=current.staff, after=after)
    return visit.page(
        "console/cards.html",
        done="cards-posted" if visit.query.get("done") else None,
        staff=current.staff,
        cards=found.cards,
        chosen=_CHOSEN,
        printing=read_print_desk(visit.site.ports, staff=current.staff),
        more=None if found.after is None else f"{CARDS}?after={found.after}",
    )


def take_posted(visit: Visit, current: AtWork) -> Response:
    """Note those that were ticked as posted."""
    chosen = [name.removeprefix(_CHOSEN) for name in visit.form if name.startswith(_CHOSEN)]
    try:
        visit.check_form()
        post_at_desk(visit.site.ports, at_work=current, contract_ids=chosen)
    except (CardMoved, ChoiceMissing, ContractUnknown, FormExpired) as refusal:
        return visit.back(CARDS, refusal)
    return visit.go(CARDS, done="posted")


def send_print_file(visit: Visit, current: AtWork) -> Response:
    """Make the print file and send it as a download; no copy of it stays here.

    It is the answer to the form itself: behind an address to be fetched from,
    it would have to be kept.
    """
    site = visit.site
    try:
        visit.check_form()
        encrypted = print_at_desk(site.ports, at_work=current)
    except (CardMakerNotUsable, CardsNoneToPrint, FormExpired) as refusal:
        return visit.back(CARDS, refusal)
    name = f"cards-{current.staff.bank}-{site.ports.now().astimezone(JAPAN):%Y%m%d-%H%M%S}.p7m"
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "content-security-policy": "sandbox; default-src 'none'",
    }
    return Response(encrypted, media_type="application/pkcs7-mime; smime-type=enveloped-data", headers=headers)


def show_sample(visit: Visit, _current: AtWork) -> Response:
    """Show what a card looks like, with nobody's number and table."""
    headers = {"content-disposition": 'inline; filename="card-sample.pdf"'}
    return Response(sample_pdf(visit.site.bank), media_type="application/pdf", headers=headers)
