"""Request forms in the words of screens and paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.web import messages

if TYPE_CHECKING:
    from sekisho.domain.request_forms import FormKind


def form_title(lang: messages.Language, kind: FormKind) -> str:
    """Return the name of a kind of form, as it stands above its paper."""
    return messages.text(lang, f"form.kind.{kind.value}")
