"""The slip on which somebody gets provisional PINs or a code: a PDF that is made once and kept nowhere."""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sekisho.domain.secret import SecretName
from sekisho.paper.typesetting import set_pdf
from sekisho.web import messages

if TYPE_CHECKING:
    from sekisho.domain.contract import Bank
    from sekisho.usecases.provisional_pins import IssuedPins

log = logging.getLogger("sekisho.web")
# What a slip is for, and how each secret on it is called.
_LABELS = {
    "provisional": {SecretName.PIN: "provisional_pin", SecretName.CONFIRMATION_PIN: "provisional_confirmation_pin"},
    "interim": {SecretName.INTERIM: "interim_code"},
    "opening": {
        SecretName.PIN: "pin",
        SecretName.CONFIRMATION_PIN: "confirmation_pin",
        SecretName.REGISTRATION_PIN: "registration_pin",
    },
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the slip."""

    label: str
    value: str
    secret: bool


@dataclass(frozen=True, slots=True)
class Slip:
    """What the slip says, on paper as on the screen, in one language."""

    title: str
    reader: str
    lead: str
    facts: list[Fact]
    steps: list[str]


def slip_of(issued: IssuedPins, lang: messages.Language, *, public_url: str) -> Slip:
    """Return the words of a slip."""
    kind = issued.who.kind.value
    sort = next(of for of, names in _LABELS.items() if names.keys() == issued.pins.keys())
    # Of an opening the PINs have no end, and whoever has the certificate already acquires nothing.
    held = sort == "opening" and not issued.acquires

    def fact(label: str, value: str, *, secret: bool = False) -> Fact:
        return Fact(messages.text(lang, label), value, secret)

    facts = [
        fact("label.contract_id", issued.who.contract_id),
        *([] if issued.who.user_id is None else [fact("label.user_id", issued.who.user_id)]),
        fact("users.name", issued.name),
        *(fact(f"label.{kind}.{name}", issued.pins[secret], secret=True) for secret, name in _LABELS[sort].items()),
        *([] if held else [fact(f"slip.{sort}.until", messages.datetime_text(lang, issued.until))]),
    ]
    way = sort if sort != "provisional" else "acquire" if issued.acquires else "log-on"
    steps = [
        messages.text(lang, f"slip.{kind}.{way}.{n}", url=f"{public_url}/") for n in ((2, 3) if held else (1, 2, 3))
    ]
    return Slip(
        messages.text(lang, f"slip.{sort}.title"),
        messages.text(lang, f"slip.for.{kind}"),
        messages.text(lang, f"slip.{sort}.lead"),
        facts,
        steps,
    )


def slip_link(slip: Slip, bank: Bank, lang: messages.Language) -> str | None:
    """Return the slip's PDF in base64, for the page that shows it; None where none can be made, which the log tells.

    The page is the only one that shows what was just set: nothing keeps it from being shown.
    """
    try:
        return base64.b64encode(slip_pdf(slip, bank, lang)).decode()
    except Exception:  # noqa: BLE001 - whatever it is, the page is shown
        # Not the failure itself: it may quote what stands on the slip.
        log.error("a slip is shown without its PDF, which could not be made")  # noqa: TRY400 - secrets
        return None


def slip_pdf(slip: Slip, bank: Bank, lang: messages.Language) -> bytes:
    """Return the slip as a tagged PDF of one A5 page. It takes a twentieth of a second."""
    footer = f"{bank.service_name[lang]}  {bank.help_desk_phone} ({bank.help_desk_hours[lang]})"
    data = {
        "lang": lang,
        "service_name": f"{bank.name[lang]} {bank.service_name[lang]}",
        "title": slip.title,
        "lead": slip.lead,
        "facts": [{"label": one.label, "value": one.value, "secret": one.secret} for one in slip.facts],
        "steps": slip.steps,
        "footer": footer,
    }
    return set_pdf("slip", data)
