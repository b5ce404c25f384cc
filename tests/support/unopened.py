"""A contract that waits for its opening (開通確認), and its administrator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.world import ADDRESS, BANK, CARD, new_csr

from sekisho.domain.certificate import KeyHeld
from sekisho.domain.person import PersonId
from sekisho.domain.secret import SecretName
from sekisho.store.audit import Actor
from sekisho.usecases.acquire_certificate import Claim, acquire_certificate
from sekisho.usecases.change_pins import PinEntries
from sekisho.usecases.log_on import answer_card, enter_pin
from sekisho.usecases.open_contract import Opener, confirm_opening, enter_opening, mail_opening_code
from sekisho.usecases.put_contracts import NewPerson
from sekisho.usecases.register_contract import register_contract
from sekisho.web.mails import code_mail

if TYPE_CHECKING:
    from tests.support.world import World

    from sekisho.domain.certificate import IssuedCertificate
    from sekisho.usecases.resume_session import LoggedOn

CONTRACT = "98765432109"
WHO = PersonId("9990", CONTRACT)
KEIRI = PersonId("9990", CONTRACT, "keiri")
FORM_PINS = ("moushi1a", "moushi2b")
USER_PINS = ("riyou1aa", "riyou2bb")
NEW_PINS = ("atarasi1", "atarasi2")
REGISTRATION_PIN = "touroku1"
MAIL = "kanri@kogyo.example.com"


def acquire(bank: World, who: PersonId, pins: tuple[str, str]) -> IssuedCertificate:
    claim = Claim(CONTRACT, who.user_id, *pins)
    return acquire_certificate(bank.ports, bank=BANK, claim=claim, csr=new_csr(), held=KeyHeld.FILE, address=ADDRESS)


@dataclass
class Unopened:
    """The administrator, who has acquired with the PINs of the application form; a user of theirs is registered."""

    bank: World
    held: IssuedCertificate = field(init=False)
    pin: str = FORM_PINS[0]

    def __post_init__(self) -> None:
        register_contract(
            self.bank.ports,
            bank=BANK,
            contract_id=CONTRACT,
            name="見本工業株式会社",
            everyone=[
                NewPerson(None, "管理者", None, "ja", *FORM_PINS, CARD),
                NewPerson("keiri", "経理", "keiri@kogyo.example.com", "ja", *USER_PINS),
            ],
            actor=Actor("test"),
            registration_pin=REGISTRATION_PIN,
        )
        self.held = acquire(self.bank, WHO, FORM_PINS)

    def log_on(self) -> LoggedOn:
        ports = self.bank.ports
        opened = enter_pin(ports, bank=BANK, kind=WHO.kind, der=self.held.der, pin=self.pin, address=ADDRESS)
        asked = self.bank.resume(self.held, opened.token)
        done = answer_card(
            ports,
            bank=BANK,
            certificate=asked.certificate,
            session=asked.session,
            digits=[CARD[str(position)] for position in opened.positions],
            address=ADDRESS,
        )
        return self.bank.resume(self.held, done.token)

    def opener(self, current: LoggedOn) -> Opener:
        return Opener(current.session, current.certificate.id, ADDRESS)

    def enter(
        self,
        current: LoggedOn,
        registration_pin: str = REGISTRATION_PIN,
        pins: tuple[str, str] = NEW_PINS,
        mail_address: str = MAIL,
    ) -> None:
        new = dict(zip((SecretName.PIN, SecretName.CONFIRMATION_PIN), pins, strict=True))
        enter_opening(
            self.bank.ports,
            bank=BANK,
            opener=self.opener(current),
            registration_pin=registration_pin,
            pins=PinEntries({}, new, new),
            mail_address=mail_address,
            mail=code_mail(self.bank.ports, BANK),
        )
        self.pin = pins[0]

    def mail_again(self, current: LoggedOn, mail_address: str = MAIL) -> None:
        mail_opening_code(
            self.bank.ports,
            bank=BANK,
            opener=self.opener(current),
            mail_address=mail_address,
            mail=code_mail(self.bank.ports, BANK),
        )

    def confirm(self, current: LoggedOn, code: str) -> None:
        confirm_opening(self.bank.ports, bank=BANK, opener=self.opener(current), code=code)
