"""The public site: the bank's page, and acquisition through the page (J3). No certificate is asked for here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import Route

from sekisho.domain.certificate import KeyHeld
from sekisho.domain.errors import Refusal, WayNotOffered
from sekisho.domain.person import Kind
from sekisho.domain.request_forms import FormKind
from sekisho.portal.forms import form_path, forms_routes
from sekisho.portal.guide import guide_routes
from sekisho.portal.issuing import issued, refused, typed_csr
from sekisho.usecases.acquire_certificate import Claim, acquire_certificate
from sekisho.web.endpoint import endpoint
from sekisho.web.form_words import form_title
from sekisho.web.mails import code_mail
from sekisho.web.site_app import site_app

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from sekisho.portal.issuing import Chains
    from sekisho.web.site import Site
    from sekisho.web.visit import Visit


@dataclass(frozen=True, slots=True)
class _Ways:
    tegata: bool
    browser: bool
    est: bool


def public_app(site: Site, *, chains: Chains, est: Sequence[BaseRoute]) -> Starlette:
    """Return the public site. `chains` holds what stands above certificates."""
    routes: list[BaseRoute] = [Route("/", endpoint(site, home))]
    for kind in Kind:
        routes += [
            Route(f"/acquire/{kind.value}", endpoint(site, acquire_page(kind)), methods=["GET"]),
            Route(
                f"/acquire/{kind.value}",
                endpoint(site, acquire_in_page(kind, chains), turnstile=True),
                methods=["POST"],
            ),
        ]
    return site_app(site, [*routes, *forms_routes(site), *guide_routes(site), *est])


def home(visit: Visit) -> Response:
    """Show the bank's page."""
    forms = [(form_path(kind), form_title(visit.lang, kind)) for kind in FormKind]
    return visit.page("home.html", forms=forms)


def acquire_page(kind: Kind) -> Callable[[Visit], Response]:
    """Make the page on which a person acquires a certificate."""

    def show(visit: Visit) -> Response:
        policy = visit.site.bank.policy
        ways = _Ways(tegata=policy.way_tegata, browser=policy.way_browser, est=policy.way_est)
        return visit.page("acquire.html", kind=kind.value, ways=ways, bank_code=visit.site.bank.code)

    return show


def acquire_in_page(kind: Kind, chains: Chains) -> Callable[[Visit], Response]:
    """Make the answer to the page's script: the certificate, or the refusal in the visitor's words (RFC 9457)."""

    def answer(visit: Visit) -> Response:
        try:
            if not visit.site.bank.policy.way_browser:
                raise WayNotOffered
            visit.check_form()
            certificate = acquire_certificate(
                visit.site.ports,
                bank=visit.site.bank,
                claim=Claim(
                    contract_id=visit.entry("contract_id"),
                    user_id=visit.entry("user_id") if kind is Kind.USER else None,
                    pin=visit.entry("pin"),
                    confirmation_pin=visit.entry("confirmation_pin"),
                    mailed_code=visit.form.get("mailed_code", ""),
                ),
                csr=typed_csr(visit),
                held=KeyHeld.FILE,
                address=visit.address,
                mail=code_mail(visit.site.ports, visit.site.bank),
            )
        except Refusal as refusal:
            return refused(visit, kind, refusal)
        return issued(certificate, chains)

    return answer
