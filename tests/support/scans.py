"""Files as scanners make them, and such as only look so."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PAGES = {
    1: b"<< /Type /Catalog /Pages 2 0 R >>",
    2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
}


def pdf(objects: Mapping[int, bytes] | None = None, *, trailer: bytes = b"") -> bytes:
    """Return a PDF of one page with these objects besides, or in place of its own, and a table of where each is."""
    written, places = b"%PDF-1.4\n", {}
    for number, text in sorted({**_PAGES, **(objects or {})}.items()):
        places[number] = len(written)
        written += b"%d 0 obj\n%b\nendobj\n" % (number, text)
    rows = b"".join(b"%d 1\n%010d 00000 n \n" % (number, place) for number, place in places.items())
    table = b"xref\n0 1\n0000000000 65535 f \n%b" % rows
    end = b"trailer\n<< /Size %d /Root 1 0 R %b >>\nstartxref\n%d\n%%%%EOF\n" % (max(places) + 1, trailer, len(written))
    return written + table + end


def stream(data: bytes, more: bytes = b"") -> bytes:
    """Return a stream as it stands in a PDF, packed."""
    packed = zlib.compress(data, 9)
    return b"<< /Length %d /Filter /FlateDecode %b >>\nstream\n%b\nendstream" % (len(packed), more, packed)


def packed_objects(objects: Mapping[int, bytes], more: bytes = b"/Type /ObjStm") -> bytes:
    """Return an object stream (ISO 32000-2, 7.5.7)."""
    heads, bodies = b"", b""
    for number, text in objects.items():
        heads += b"%d %d " % (number, len(bodies))
        bodies += text + b" "
    return stream(heads + bodies, b"/N %d /First %d %b" % (len(objects), len(heads), more))


def packed_pdf(
    hidden: Mapping[int, bytes],
    catalog: bytes = b"",
    *,
    holders: Sequence[bytes] | None = None,
    listed: Mapping[int, int] | None = None,
) -> bytes:
    """Return a PDF of one page, nearly all of whose objects stand in an object stream, as 10 0 obj.

    `holders` are object streams in its place, 10, 11 and so on; `listed` says
    which of them each object is said to be in.
    """
    inside = {1: b"<< /Type /Catalog /Pages 2 0 R %b >>" % catalog, 2: _PAGES[2], 3: _PAGES[3], **hidden}
    streams = [packed_objects(inside)] if holders is None else holders
    written, places = b"%PDF-1.5\n", {}
    for number, text in enumerate(streams, start=10):
        places[number] = len(written)
        written += b"%d 0 obj\n%b\nendobj\n" % (number, text)
    last = 10 + len(streams)
    places[last] = len(written)
    of = {number: (10, at) for at, number in enumerate(inside)} | {n: (h, 0) for n, h in (listed or {}).items()}
    rows = {0: (0, 0, 255)} | {number: (1, place, 0) for number, place in places.items()}
    rows |= {number: (2, *where) for number, where in of.items()}
    index = b" ".join(b"%d 1" % number for number in sorted(rows))
    table = b"".join(struct.pack(">BIB", *rows[number]) for number in sorted(rows))
    more = b"/Type /XRef /W [1 4 1] /Index [%b] /Size %d /Root 1 0 R" % (index, last + 1)
    written += b"%d 0 obj\n%b\nendobj\n" % (last, stream(table, more))
    return written + b"startxref\n%d\n%%%%EOF\n" % places[last]


PDF = pdf()
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"\x00" * 40 + b"\xff\xd9"


def png(fill: bytes = b"\x80") -> bytes:
    """Return a picture of one grey dot."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    dot = zlib.compress(b"\x00" + fill)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", dot) + chunk(b"IEND", b"")
