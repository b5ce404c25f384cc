"""Puts the sites together: each listener with its application."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from sekisho.ca import keys
from sekisho.console.app import console_app
from sekisho.domain.person import Kind
from sekisho.edge.choice import ChoiceBook
from sekisho.edge.marks import Marks
from sekisho.edge.server import Site as Listener
from sekisho.edge.server import SiteTls
from sekisho.est.routes import public_routes, secure_routes
from sekisho.pki.csr import certified_key_fits
from sekisho.portal.administrator import administrator_app
from sekisho.portal.not_open import not_open_app
from sekisho.portal.public import public_app
from sekisho.portal.user import user_app
from sekisho.settings import DataFolderDamaged
from sekisho.va.routes import PkiSite
from sekisho.web.csrf import FormTokens
from sekisho.web.render import Renderer
from sekisho.web.site import Site
from sekisho.web.turnstile import Places, Turnstile
from sekisho.wiring import secret_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sekisho.domain.contract import Bank
    from sekisho.settings import Settings, SiteName
    from sekisho.usecases.ports import Ports


def build_sites(
    settings: Settings, ports: Ports, in_force: Callable[[], Bank], *, processes: int = 1
) -> list[Listener]:
    """Return every listener with its application, of which each of so many processes has its own.

    `in_force` gives the bank as it is whenever it is asked for.
    """
    bank = in_force()
    try:
        keys.check_installed(settings.ca_dir)
        names = ("root", *(ca.name for ca in bank.policy.issuing_cas))
        certificates = {name: keys.load_certificate(settings.ca_dir, name) for name in names}
    except (OSError, ValueError) as unreadable:
        raise DataFolderDamaged(f"the certificates in {settings.ca_dir} cannot be used: {unreadable}") from unreadable
    der = {name: certificate.public_bytes(Encoding.DER) for name, certificate in certificates.items()}
    cacerts, cas = list(certificates.values()), bank.policy.issuing_cas
    forms = FormTokens(secret_of(settings, "form-key"))
    renderer = Renderer()
    # A book for each: a certificate that is refused at one site may be shown at another meanwhile.
    choices = {name: ChoiceBook(marks=_marks(settings, name, processes)) for name in settings.sites}
    # A turnstile for each site: a flood at the public one takes no turn away from people with a certificate. A
    # little more than one for each core, so that cores check while somebody else's turn is in the database.
    at_once = -(-((os.cpu_count() or 1) + 2) // processes)
    turnstiles = {
        name: Turnstile(site_at_once=at_once, places=_places(settings, name, processes)) for name in settings.sites
    }

    def site(name: SiteName, kind: Kind | None = None) -> Site:
        return Site(name, in_force, kind, settings.urls, ports, renderer, forms, turnstiles[name], choices[name])

    def listener(
        name: SiteName,
        app: object,
        kind: Kind | None = None,
        *,
        authorities: list[bytes] | None = None,
    ) -> Listener:
        where = settings.sites[name]
        if kind is not None:
            authorities = [der[ca.name] for ca in cas if ca.kind is kind]
        security = SiteTls(
            certificate=settings.data_dir / settings.tls_certificate,
            key=settings.data_dir / settings.tls_key,
            client_authorities=authorities,
            choices=choices[name],
            key_fits=certified_key_fits,
        )
        return Listener(name, where.host, where.port, app, security)

    public = site("public")
    chains = {ca: [der[ca.name], der["root"]] for ca in cas}
    administrator, user = site("administrator", Kind.ADMINISTRATOR), site("user", Kind.USER)
    pki, pki_at = PkiSite(ports, bank, der), settings.sites["pki"]
    return [
        listener("public", public_app(public, chains=chains, est=public_routes(public, cacerts))),
        listener(
            "administrator",
            administrator_app(administrator, chains=chains, est=secure_routes(administrator, cacerts)),
            Kind.ADMINISTRATOR,
        ),
        listener("user", user_app(user, chains=chains, est=secure_routes(user, cacerts)), Kind.USER),
        listener("console", console_app(site("console")), authorities=_staff_authorities(settings)),
        Listener("pki", pki_at.host, pki_at.port, pki, None, pki.at_hand),
        listener("app", not_open_app(site("app"))),
    ]


def _staff_authorities(settings: Settings) -> list[bytes]:
    """Return whose certificates the console asks for: of everybody's, as long as the bank has no staff here."""
    try:
        ca = keys.load_certificate(settings.staff_ca_dir, "ca")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as unreadable:
        raise DataFolderDamaged(f"{settings.staff_ca_dir}/ca.pem cannot be used: {unreadable}") from unreadable
    return [ca.public_bytes(Encoding.DER)]


def _marks(settings: Settings, site: SiteName, processes: int) -> Marks:
    return Marks(None if processes == 1 else settings.run_dir / f"choices-{site}")


def _places(settings: Settings, site: SiteName, processes: int) -> Places | None:
    return None if processes == 1 else Places(settings.run_dir / f"places-{site}")
