"""Request forms as they are printed: one page of A4, blank or prefilled (J11)."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import segno

from sekisho.domain.form_fields import FIELDS, Field
from sekisho.domain.request_forms import FormKind
from sekisho.paper.typesetting import set_pdf
from sekisho.web import messages
from sekisho.web.form_words import form_title

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sekisho.domain.contract import Bank
    from sekisho.domain.request_forms import RequestForm

_CUSTOMER = ("company-name", "address", "phone", "representative")
_STAMPS = ("receipt", "seal-check", "approval", "carried-out")
_CONTRACT_ID_DIGITS = 11
_ONE_OF = ("whose", "what")
_OTHER = "other"
_TICKED = {
    "company": "company-name",
    "kana": "company-name",
    "new_administrator": "administrator",
    "mail_address": "mail-address",
}


@dataclass(frozen=True, slots=True)
class Prefilled:
    """What a form is printed with; whatever is empty is left for the customer to write.

    `number` is `RequestForm.number`; with it the form carries a QR code of
    it. `branch` is three digits. `detail` maps the names of
    `domain.form_fields` to what was typed, or for something to tick to the
    names of the choices, with blanks between them.
    """

    bank: Bank
    number: str = ""
    filed_at: datetime | None = None
    branch: str = ""
    contract_id: str = ""
    contract_name: str = ""
    user_id: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)


def prefilled_of(form: RequestForm, bank: Bank, contract_name: str = "") -> Prefilled:
    """Return what stands on the paper of a form that has a number already."""
    return Prefilled(
        bank,
        number=form.number,
        filed_at=form.filed_at,
        branch=form.branch or "",
        contract_id=form.contract_id or "",
        contract_name=contract_name or form.detail.get("company_name", ""),
        user_id=form.user_id or "",
        detail=_changes(form.detail) if form.kind is FormKind.CONTRACT_CHANGE else form.detail,
    )


def _changes(detail: Mapping[str, str]) -> dict[str, str]:
    """Return a change of the contract as its paper asks for it: what changes is ticked, and written under 変更後."""
    after = [f"{messages.text('ja', f'label.{name}')}: {value}" for name, value in detail.items()]
    ticked = dict.fromkeys(_TICKED[name] for name in detail if name in _TICKED)
    return {"changes": " ".join(ticked), "after": "  ".join(after)}


def render(kind: FormKind, prefilled: Prefilled) -> bytes:
    """Return a form as a PDF. The same values make the same bytes."""
    return set_pdf("request_form", _data(kind, prefilled))


def _data(kind: FormKind, prefilled: Prefilled) -> dict[str, Any]:
    bank = prefilled.bank
    named = ("number", "to", "date", "customer", "request", "notes", "bank", "seal")
    at = prefilled.filed_at
    return {
        "title": {lang: form_title(lang, kind) for lang in messages.LANGUAGES},
        "service_name": f"{bank.name['ja']} {bank.service_name['ja']}",
        "footer": f"{bank.service_name['ja']}  {messages.text('ja', 'common.help-desk')} {bank.help_desk_phone}"
        f" ({bank.help_desk_hours['ja']})",
        "words": {name: _both(f"paper.{name}") for name in named}
        | {"stamp_date": messages.text("ja", "paper.stamp-date")},
        "lead": messages.text("ja", f"paper.lead.{kind.value}"),
        "number": prefilled.number,
        "qr": _qr(prefilled.number) if prefilled.number else "",
        "branch": messages.text("ja", "console.branch", branch=prefilled.branch) if prefilled.branch else "",
        "date": messages.date_text("ja", at) if at else messages.text("ja", "paper.date-blank"),
        "customer": _customer(kind, prefilled),
        "fields": [_asked(one, prefilled) for one in FIELDS[kind]],
        "notes": _notes(kind, bank),
        "stamps": [_both(f"paper.stamp.{name}") for name in _STAMPS],
    }


def _customer(kind: FormKind, prefilled: Prefilled) -> list[dict[str, Any]]:
    rows = [
        _row(f"paper.field.{name}", prefilled.contract_name if name == "company-name" else "") for name in _CUSTOMER
    ]
    if kind is FormKind.CONTRACT_OPENING and not prefilled.contract_id:
        return rows  # there is none yet
    return [_row("label.contract_id", prefilled.contract_id, digits=_CONTRACT_ID_DIGITS), *rows]


def _asked(one: Field, prefilled: Prefilled) -> dict[str, Any]:
    value = prefilled.detail.get(one.name, "")
    if one.name == "user_id":
        value = value or prefilled.user_id
    if one.name in _ONE_OF and (prefilled.user_id or prefilled.number):
        # A form that names no user concerns the administrator, or the contract.
        value = value or ("user" if prefilled.user_id else next(name for name in one.choices if name != "user"))
    key = f"paper.field.{one.name.replace('_', '-')}"
    if not one.choices:
        return _row(key, value, lines=one.lines)
    chosen = value.split()
    ticks = [
        {"words": _both(f"paper.choice.{one.name}.{name}"), "chosen": name in chosen, "open": name == _OTHER}
        for name in one.choices
    ]
    return _row(key, "", choices=ticks)


def _row(key: str, value: str, **how: Any) -> dict[str, Any]:
    return {"words": _both(key), "value": value, "lines": 1, "digits": 0, "choices": [], **how}


def _notes(kind: FormKind, bank: Bank) -> list[dict[str, str]]:
    keys = ("paper.note.common.1", "paper.note.common.2", f"paper.note.{kind.value}")
    days = bank.policy.acquisition_window.days
    return [_both(key, days=days) for key in keys]


def _both(key: str, **values: object) -> dict[str, str]:
    return {lang: messages.text(lang, key, **values) for lang in messages.LANGUAGES}


def _qr(number: str) -> str:
    """Return the form's number as a QR code (ISO/IEC 18004), an SVG; a quarter of it may be stained."""
    drawn = BytesIO()
    segno.make_qr(number, error="q").save(drawn, kind="svg", border=4, xmldecl=False)
    return drawn.getvalue().decode("ascii")
