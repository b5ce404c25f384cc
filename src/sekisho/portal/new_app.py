"""A new authenticator app's secret as pages show it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import segno
from markupsafe import Markup

from sekisho.usecases.manage_second_steps import mark_of
from sekisho.vault import totp

if TYPE_CHECKING:
    from sekisho.usecases.resume_session import LoggedOn
    from sekisho.web.visit import Visit

# A QR code's quiet zone and the size of one module, in pixels.
_BORDER, _SCALE = 4, 5


@dataclass(frozen=True, slots=True)
class NewApp:
    """The QR code as SVG, the same to type in groups of four, and what tells this secret from another."""

    picture: Markup
    secret: str
    mark: str


def new_app(visit: Visit, current: LoggedOn, secret: str) -> NewApp:
    """Return what the page shows of `secret` (base32)."""
    account = f"****{current.person.who.contract_id[-4:]}"
    address = totp.address(secret, issuer=visit.site.bank.service_name[visit.lang], account=account)
    groups = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    return NewApp(_qr(address), groups, mark_of(secret))


def _qr(text: str) -> Markup:
    """Return a QR code as SVG to stand in a page, black on white whatever stands around it."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        out, kind="svg", xmldecl=False, svgns=False, border=_BORDER, scale=_SCALE, dark="#000", light="#fff",
        svgclass="qr", lineclass=None, omitsize=False,
    )  # fmt: skip
    return Markup(out.getvalue().decode())  # noqa: S704 - made by the library, and the text in it is drawn
