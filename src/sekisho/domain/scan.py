"""Scans of request forms' papers: what is taken for one, judged by its content alone."""

from __future__ import annotations

import re
from enum import StrEnum

# A page of A4 in colour at 300 dpi as JPEG takes about one megabyte.
LARGEST = 5 * 1024 * 1024
MOST = 10
_PNG_HEAD, _PNG_END = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", b"\x00\x00\x00\x00IEND\xaeB`\x82"
_JPEG_HEAD, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_PDF_HEAD, _PDF_END = re.compile(rb"%PDF-[12]\.\d"), re.compile(rb"%%EOF\s*\Z")
# What a scanner never writes, and what does something when the file is opened (ISO 32000-2, 12.6 and 7.11.4), or keeps
# the approver from reading it (7.6). A name may be written with #hh (7.3.5), so they are looked for after that.
_ACTING = (
    *("JavaScript", "JS", "Launch", "EmbeddedFile", "EmbeddedFiles", "RichMedia", "XFA", "GoToR", "GoToE"),
    *("SubmitForm", "ImportData", "Encrypt"),
)
_PDF_ACTS = re.compile(rb"/(?:%b)(?![A-Za-z0-9])" % b"|".join(name.encode() for name in _ACTING))
_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")


class ScanKind(StrEnum):
    """What a scan is; the value is how its file's name ends."""

    PDF = "pdf"
    PNG = "png"
    JPEG = "jpg"


class PdfProblem(StrEnum):
    """Why a PDF is not taken; the value is the code of what stands next to the field."""

    ACTS = "scan-acts"
    ENCRYPTED = "scan-encrypted"
    BROKEN = "scan-broken"
    COSTLY = "scan-costly"


MEDIA_TYPE = {ScanKind.PDF: "application/pdf", ScanKind.PNG: "image/png", ScanKind.JPEG: "image/jpeg"}


def scan_kind(content: bytes) -> ScanKind | None:
    """Return what the bytes are, or None for what is not taken.

    A file has to begin and end as its format does, so that nothing hangs on
    behind it. Its name and what the browser says of it count for nothing. It
    is neither unpacked nor drawn here, so that no bomb goes off; and it is
    only ever sent out as a download of just this type. What stands in a PDF is
    for a process of its own to read.
    """
    if content.startswith(_PNG_HEAD) and content.endswith(_PNG_END):
        return ScanKind.PNG
    if content.startswith(_JPEG_HEAD) and content.endswith(_JPEG_END):
        return ScanKind.JPEG
    if _PDF_HEAD.match(content) and _PDF_END.search(content[-64:]):
        return ScanKind.PDF
    return None


def acts(text: bytes) -> bool:
    """Tell whether a name that does something stands in text of a PDF, escaped or not."""
    names = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), text)
    return _PDF_ACTS.search(names) is not None


def is_acting_name(name: str) -> bool:
    """Tell whether a name, with its slash, does something."""
    return name[1:] in _ACTING
