"""Who asks: a system of the bank by its certificate, or somebody at the console in their session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Header, Request

from sekisho.console.door import READERS
from sekisho.domain.errors import RoleMissing
from sekisho.domain.staff import Role
from sekisho.usecases.enter_console import AtWork, meet_system, resume_work
from sekisho.web import cookies
from sekisho.web.client_cert import client_certificate
from sekisho.web.site import Site
from sekisho.web.visit import read_session_token


def site_of(request: Request) -> Site:
    """Return the site that is asked."""
    site: Site = request.app.state.site
    return site


def caller(request: Request) -> AtWork:
    """Return who asks. Raises why the certificate, or the session behind it, is not good.

    People read with the session that they have in their browser, and do
    everything else at the console, where four eyes see it.
    """
    site, der = site_of(request), client_certificate(request.scope)
    address = "" if request.client is None else request.client.host
    system = meet_system(site.ports, bank=site.bank, der=der, address=address)
    if system is not None:
        return system
    token = read_session_token(request.cookies.get(cookies.session_name(site.name)))
    person = resume_work(site.ports, bank=site.bank, der=der, token=token, address=address)
    person.staff.require(*READERS)
    return person


Caller = Annotated[AtWork, Depends(caller)]


def system(current: Caller) -> AtWork:
    """Return the system that asks. Raises `RoleMissing` where it is a person."""
    if Role.SYSTEM not in current.staff.roles:
        raise RoleMissing
    return current


System = Annotated[AtWork, Depends(system)]
TheSite = Annotated[Site, Depends(site_of)]
IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern="^[A-Za-z0-9._-]{8,100}$",
        description="Names this request: the same again, with the same name, is done once and gets the same answer.",
    ),
]


async def turn(request: Request, _: System) -> AsyncIterator[None]:
    """Wait for a turn at what costs argon2 checks, and hold it until it is answered."""
    async with site_of(request).turnstile.passing("/api/v1"):
        yield
