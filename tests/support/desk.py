"""The administrator at their desk: logged on, deciding about users with the confirmation PIN."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, CONTRACT, PINS, new_csr

from sekisho.domain.certificate import KeyHeld
from sekisho.domain.person import PersonId
from sekisho.domain.secret import SecretName
from sekisho.usecases.acquire_certificate import Claim, acquire_certificate
from sekisho.usecases.change_pins import PinEntries, change_pins
from sekisho.usecases.confirm import Confirmation
from sekisho.usecases.register_user import UserDetails, register_user
from sekisho.web.mails import code_mail

if TYPE_CHECKING:
    from email.message import EmailMessage

    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.pki.csr import Csr
    from sekisho.usecases.provisional_pins import IssuedPins

KEIRI03 = PersonId("9990", CONTRACT, "keiri03")
DETAILS = UserDetails("経理 三郎", "keiri03@example.com", ())


@dataclass
class Desk:
    """Who decides; the session is opened anew whenever it is asked for."""

    bank: World
    held: IssuedCertificate = field(init=False)

    def __post_init__(self) -> None:
        self.held = self.bank.acquire(ADMINISTRATOR)

    def confirmation(self, pin: str | None = None) -> Confirmation:
        current = self.bank.resume(self.held, self.bank.log_on(self.held))
        return Confirmation(current.session, self.held.id, pin or PINS[ADMINISTRATOR][1], ADDRESS)

    def register(self, user_id: str = "keiri03", details: UserDetails = DETAILS) -> IssuedPins:
        return register_user(
            self.bank.ports, bank=BANK, confirmation=self.confirmation(), user_id=user_id, details=details
        )


def acquire(bank: World, issued: IssuedPins, code: str = "", csr: Csr | None = None) -> IssuedCertificate:
    """Acquire with provisional PINs, and a mailed code where there is one."""
    pins = issued.pins
    claim = Claim(CONTRACT, issued.who.user_id, pins[SecretName.PIN], pins[SecretName.CONFIRMATION_PIN], code)
    return acquire_certificate(
        bank.ports,
        bank=BANK,
        claim=claim,
        csr=csr or new_csr(),
        held=KeyHeld.FILE,
        address=ADDRESS,
        mail=code_mail(bank.ports, BANK),
    )


def last_code(bank: World) -> str:
    """Return the code of the last mail that carried one."""
    codes = [code for code in map(code_of, bank.mailbox.mails.values()) if code]
    return codes[-1]


def code_of(mail: EmailMessage) -> str | None:
    found = re.search(r"^(\d{8})$", mail.get_content(), re.MULTILINE)
    return found[1] if found else None


def replace_pins(bank: World, certificate: IssuedCertificate, issued: IssuedPins, *new: str) -> None:
    """Log on with provisional PINs and choose own ones."""
    current = bank.resume(certificate, bank.log_on(certificate, issued.pins[SecretName.PIN]))
    chosen = dict(zip((SecretName.PIN, SecretName.CONFIRMATION_PIN), new, strict=True))
    change_pins(
        bank.ports,
        bank=BANK,
        session=current.session,
        certificate_id=certificate.id,
        entries=PinEntries(issued.pins, chosen, chosen),
        address=ADDRESS,
    )
