"""The screen 「証明書更新」 (J8): the present certificate and the PIN, and a new key that the page makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.certificate import KeyHeld
from sekisho.domain.errors import Refusal, WayNotOffered
from sekisho.portal.issuing import issued, refused, typed_csr
from sekisho.portal.shown import shown
from sekisho.usecases.meet_visitor import meet_visitor
from sekisho.usecases.renew_certificate import renew_certificate
from sekisho.web.endpoint import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.domain.person import Kind
    from sekisho.portal.issuing import Chains
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit

_PATH = "/renew"


def renewal_routes(site: Site, kind: Kind, chains: Chains) -> list[BaseRoute]:
    """Return the page and what its script asks for. `chains` holds what stands above certificates.

    No session is needed, so that the page opens in the grace period as well,
    when nobody can log on any more: certificate and PIN are what it takes.
    """
    return [
        Route(_PATH, endpoint(site, _page(kind)), methods=["GET"]),
        Route(_PATH, endpoint(site, _renew(kind, chains), turnstile=True), methods=["POST"]),
    ]


def _page(kind: Kind) -> Callable[[Visit], Response]:
    def show(visit: Visit) -> Response:
        site, policy = visit.site, visit.site.bank.policy
        certificate, now = meet_visitor(site.ports, bank=site.bank, kind=kind, der=visit.der, grace=policy.grace)
        return visit.page(
            "renew.html",
            kind=kind.value,
            bank_code=site.bank.code,
            who=certificate.person,
            certificate=shown(certificate, now),
            by_browser=policy.way_browser,
        )

    return show


def _renew(kind: Kind, chains: Chains) -> Callable[[Visit], Response]:
    def answer(visit: Visit) -> Response:
        site = visit.site
        try:
            if not site.bank.policy.way_browser:
                raise WayNotOffered
            visit.check_form()
            certificate = renew_certificate(
                site.ports,
                bank=site.bank,
                kind=kind,
                der=visit.der,
                named=(visit.form.get("contract_id", ""), visit.form.get("user_id") or None),
                pin=visit.entry("pin"),
                csr=typed_csr(visit),
                held=KeyHeld.FILE,
                address=visit.address,
            )
        except Refusal as refusal:
            return refused(visit, kind, refusal)
        return issued(certificate, chains)

    return answer
