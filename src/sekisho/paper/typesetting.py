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
    comes from the system. PDF/UA-1 allows no letter that the font lacks: a
    paper with one (张敏, Łukasz) is tagged all the same, claims no standard,
    and shows a box there.
    """
    try:
        return _compiled(template, data, "ua-1")
    except typst.TypstError:
        return _compiled(template, data, None)


def _compiled(template: Template, data: Mapping[str, object], standard: Literal["ua-1"] | None) -> bytes:
    """Return a PDF. Raises `typst.TypstError`, after which its compiler is of no use any more."""
    source = resources.files("sekisho.paper").joinpath(f"{template}.typ").read_bytes()
    compiler = typst.Compiler(source, font_paths=_fonts(), sys_inputs={"data": json.dumps(data)})
    pdf = compiler.compile(format="pdf", pdf_standards=standard)
    if not isinstance(pdf, bytes):
        raise TypeError("typst made no PDF")
    return pdf


@cache
def _fonts() -> typst.Fonts:
    """Return Noto Sans JP (and its serif sister) and nothing else: what it lacks looks the same on every machine."""
    folder = str(pylopdf_fonts_jp.sans_path().parent)
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[folder])
