"""What is taken for a scan: judged by how it begins and ends, whatever it is called."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.scans import JPEG, PDF, png
from tests.support.world import BANK

from sekisho.domain.request_forms import FormKind
from sekisho.domain.scan import ScanKind, acts, scan_kind
from sekisho.web.request_papers import Prefilled, render


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "a")
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [(PDF, ScanKind.PDF), (png(), ScanKind.PNG), (JPEG, ScanKind.JPEG), (PDF.strip(), ScanKind.PDF)],
)
def test_what_scanners_make_is_taken(content: bytes, kind: ScanKind) -> None:
    assert scan_kind(content) is kind


def test_a_pdf_of_another_program_is_taken() -> None:
    assert scan_kind(render(FormKind.PIN_RESET, Prefilled(BANK))) is ScanKind.PDF


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"%PDF-1.4",
        b"MZ" + PDF,
        zipped(),
        PDF + zipped(),
        png() + zipped(),
        JPEG + zipped(),
        png()[:-1],
        JPEG + b"<script>",
        b"<!DOCTYPE html>" + JPEG,
        b"GIF89a" + b"\x00" * 20,
    ],
)
def test_what_only_looks_so_is_not(content: bytes) -> None:
    assert scan_kind(content) is None


@pytest.mark.parametrize(
    ("text", "does"),
    [
        (b"<< /S /JavaScript >>", True),
        (b"<</S/J#61vaScript>>", True),
        (b"<< /Names << /EmbeddedFiles 2 0 R >> >>", True),
        (b"/Encrypt 3 0 R", True),
        (b"/JSON /Launcher /Encryption", False),
        (b"/S /GoTo", False),
    ],
)
def test_names_that_do_something_are_known_escaped_or_not(text: bytes, does: bool) -> None:  # noqa: FBT001
    assert acts(text) is does


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(content: bytes) -> None:
    assert scan_kind(content) is None or content[:4] in {PDF[:4], JPEG[:4], png()[:4]} or content[:3] == JPEG[:3]
