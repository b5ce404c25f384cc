"""What is wrong with a PDF: seen in compressed streams and behind escapes, within limits, whatever the bytes are."""

from __future__ import annotations

import logging
import os
import sys
from functools import cache
from io import BytesIO

import pytest
from hypothesis import given, settings
from pypdf import PdfReader, PdfWriter
from pypdf.actions import JavaScript
from tests.support.mutations import mutated
from tests.support.scans import PDF, packed_objects, packed_pdf, pdf, stream
from tests.support.world import BANK

from sekisho.domain.request_forms import FormKind
from sekisho.domain.scan import PdfProblem
from sekisho.paper.pdf import read_pdf
from sekisho.paper.pdf_child import problem_of
from sekisho.web.request_papers import Prefilled, render

SCRIPT = b"<< /S /JavaScript /JS (app.alert(1)) >>"
ESCAPED = b"<< /S /J#61vaScript /#4aS (app.alert(1)) >>"
PACKED_SCRIPT = packed_pdf({4: SCRIPT}, b"/OpenAction 4 0 R")
OWNERS = b"/O (%b) /U (%b) /P -4" % (b"o" * 32, b"u" * 32)
ENCRYPTED = pdf({4: b"<< /Filter /Standard /V 1 /R 2 %b >>" % OWNERS}, trailer=b"/Encrypt 4 0 R")


@cache
def bomb() -> bytes:
    """Return a PDF with 200 MB of blanks, in 200 KB."""
    return packed_pdf({}, holders=[stream(b"1 0 " + b" " * 200_000_000, b"/Type /ObjStm /N 1 /First 4")])


def with_unlisted(thing: bytes) -> bytes:
    """Return a PDF with something before its table that the table does not lead to."""
    at = int(PDF[PDF.rindex(b"startxref\n") + 10 :].split(b"\n")[0])
    start = PDF.rindex(b"startxref\n")
    return PDF[:at] + thing + PDF[at:start] + b"startxref\n%d\n%%%%EOF\n" % (at + len(thing))


# The same stream of objects, as a viewer that mends would read it: by a wrong length, and behind a remark.
UNLISTED = b"9 0 obj\n" + packed_objects({4: SCRIPT}) + b"\nendobj\n"


def by_pypdf(*, script: str | None = None, password: str | None = None) -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(595, 842)
    if script is not None:
        writer.add_open_action(JavaScript(script))
    if password is not None:
        writer.encrypt(password, algorithm="RC4-128")
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def filed() -> bytes:
    """Return a PDF with a file inside."""
    writer = PdfWriter()
    writer.add_blank_page(595, 842)
    writer.add_attachment("a.exe", b"MZ")
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def updated(first: bytes, catalog: bytes) -> bytes:
    """Return a PDF with another catalog appended to it (an incremental update)."""
    start = first.rindex(b"startxref\n") + 10
    before = int(first[start:].split(b"\n")[0])
    at = len(first)
    body = b"1 0 obj\n<< /Type /Catalog /Pages 2 0 R %b >>\nendobj\n" % catalog
    table = b"xref\n1 1\n%010d 00000 n \ntrailer\n<< /Size 12 /Root 1 0 R /Prev %d >>\n" % (at, before)
    return first + body + table + b"startxref\n%d\n%%%%EOF\n" % (at + len(body))


@pytest.mark.parametrize(
    "content",
    [
        PDF,
        packed_pdf({}),
        packed_pdf({4: b"(a string with nothing)"}),
        by_pypdf(),
        updated(PDF, b"/PageMode /UseNone"),
        pdf({4: stream(b"q (/JavaScript) Tj Q")}),
        pdf({4: b"<< /Length 14 >>\nstream\nq /JS gs /JS Q\nendstream"}),
        pdf({4: b"<< /Length 5 >>\nstream\n/JS Aendstream"}),
        with_unlisted(b"7 0 obj << /First 1 0 R >> endobj\n"),
    ],
    ids=[
        *("plain", "packed", "packed with more", "by pypdf", "updated", "in a page's text", "in a page in clear"),
        *("no line ends before the end", "an outline"),
    ],
)
def test_what_does_nothing_is_taken(content: bytes) -> None:
    assert problem_of(content) is None


def test_whoever_reads_one_here_goes_on_hearing_what_others_log() -> None:
    problem_of(PACKED_SCRIPT)
    assert logging.root.manager.disable == logging.NOTSET


def test_a_pdf_of_another_program_is_taken_by_the_child() -> None:
    assert read_pdf(render(FormKind.PIN_RESET, Prefilled(BANK))) is None


def test_a_large_picture_whose_bytes_look_like_names_is_taken() -> None:
    """In five megabytes of packed pixels stands "/JS" by chance; it is no name there."""
    assert read_pdf(pdf({4: stream(os.urandom(4_500_000) + b"/JS /Launch ")})) is None


@pytest.mark.parametrize(
    "content",
    [
        pdf({4: SCRIPT}),
        pdf({4: ESCAPED}),
        pdf({1: b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /Launch /F (cmd.exe) >> >>"}),
        pdf({4: b"[[<< /A << /B [/GoToR] >> >>]]"}),
        pdf({4: b"<< /XFA 5 0 R >>"}),
        PACKED_SCRIPT,
        packed_pdf({4: ESCAPED}, b"/OpenAction 4 0 R"),
        packed_pdf({}, b"/AA << /WC << /S /#4aavaScript >> >>"),
        # Nothing leads to it; a viewer that mends the file finds it.
        pdf({9: packed_objects({4: SCRIPT})}),
        pdf({9: packed_objects({4: ESCAPED}, b"")}),
        updated(PDF, b"/OpenAction << /S /JavaScript /JS (1) >>"),
        with_unlisted(b"7 0 obj << /S /Launch >> endobj\n"),
        with_unlisted(UNLISTED),
        by_pypdf(script="app.alert(1)"),
        filed(),
    ],
)
def test_what_does_something_is_seen(content: bytes) -> None:
    assert problem_of(content) is PdfProblem.ACTS


@pytest.mark.parametrize(
    "thing",
    [
        UNLISTED.replace(b"/Length ", b"/Length 9"),
        UNLISTED.replace(b"9 0 obj", b"9 %x\n0 obj"),
        UNLISTED.replace(b"/Length ", b"/Length 9").replace(b"/ObjStm", b"/Obj#53tm"),
    ],
    ids=["length", "remark", "escaped"],
)
def test_what_may_hold_objects_and_cannot_be_read_is_broken(thing: bytes) -> None:
    assert problem_of(with_unlisted(thing)) is PdfProblem.BROKEN


def test_it_is_the_librarys_own_script_that_is_seen() -> None:
    assert "/Names" in PdfReader(BytesIO(by_pypdf(script="x"))).root_object
    assert problem_of(by_pypdf(script="x")) is PdfProblem.ACTS
    assert problem_of(filed()) is PdfProblem.ACTS
    assert problem_of(PACKED_SCRIPT) is PdfProblem.ACTS
    assert b"JavaScript" not in PACKED_SCRIPT
    assert read_pdf(packed_pdf({4: ESCAPED}, b"/OpenAction 4 0 R")) is PdfProblem.ACTS


@pytest.mark.parametrize(
    "content", [ENCRYPTED, by_pypdf(password="secret"), pdf(trailer=b"/Encrypt << /Filter /Adobe.PubSec >>")]
)
def test_what_is_encrypted_is_told_so(content: bytes) -> None:
    assert problem_of(content) is PdfProblem.ENCRYPTED


@pytest.mark.parametrize(
    "content",
    [
        b"%PDF-1.4\n%%EOF\n",
        b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n",
        PDF[: len(PDF) // 2] + b"%%EOF",
        pdf({2: b"<< /Type /Pages /Kids [] /Count 0 >>"}),
        pdf({3: b"<< /Type /Pages /Kids [2 0 R] /Parent 2 0 R /Count 1 >>"}),
        pdf({4: b"[" * 200_000 + b"]" * 200_000}),
        pdf({4: b"<< /A " * 100_000 + b"1" + b">>" * 100_000}),
        packed_pdf({}, listed={10: 10}),
        packed_pdf({}, holders=[packed_objects({11: b"1"}), packed_objects({10: b"1"})], listed={10: 11, 11: 10}),
        packed_pdf(
            {}, holders=[b"<< /Type /ObjStm /N 1 /First 4 /Length 3 /Filter /JBIG2Decode >>\nstream\nabc\nendstream"]
        ),
        packed_pdf({}, holders=[b"null"]),
    ],
)
def test_what_is_broken_or_leads_in_circles_is_told_so(content: bytes) -> None:
    assert problem_of(content) is PdfProblem.BROKEN


def test_what_costs_too_much_is_told_so() -> None:
    assert problem_of(pdf({4: b"<< /Length 4 0 R >>\nstream\nabc\nendstream"})) is PdfProblem.COSTLY
    assert problem_of(bomb()) is PdfProblem.COSTLY


def test_a_bomb_ends_in_the_child() -> None:
    assert read_pdf(bomb()) is PdfProblem.COSTLY


def test_a_tighter_limit_of_the_sites_own_is_no_fault() -> None:
    program = "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (5, 5))\n"
    command = [sys.executable, "-c", program + "from sekisho.paper.pdf_child import main\nmain()"]
    assert read_pdf(PDF, command=command) is None
    assert read_pdf(PACKED_SCRIPT, command=command) is PdfProblem.ACTS


SPIN = "while True: pass"
FILL = "import os\ntry: bytearray(1 << 29)\nexcept MemoryError: os._exit(6)"
FORK = "import os\ntry: os.fork()\nexcept OSError: os._exit(0)\nos._exit(1)"


def limited(program: str, limits: str = "") -> list[str]:
    return [sys.executable, "-c", f"from sekisho.paper.pdf_child import limit\nlimit({limits})\n{program}"]


@pytest.mark.parametrize(
    ("command", "deadline_s"),
    [(limited(SPIN), 1.0), (limited(SPIN, "cpu_s=1"), 60.0), (limited(FILL), 60.0)],
    ids=["deadline", "processor", "memory"],
)
def test_the_child_gets_no_more_than_its_limits(command: list[str], deadline_s: float) -> None:
    assert read_pdf(PDF, command=command, deadline_s=deadline_s) is PdfProblem.COSTLY


@pytest.mark.skipif(os.geteuid() == 0, reason="the limit of processes does not hold for root")
def test_the_child_starts_no_other_program() -> None:
    assert read_pdf(PDF, command=limited(FORK)) is None


WRITE = """
import os, signal, tempfile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try: tempfile.TemporaryFile(buffering=0).write(b"x")
except OSError: os._exit(0)
os._exit(1)
"""


def test_the_child_writes_no_file() -> None:
    assert read_pdf(PDF, command=limited(WRITE)) is None


def test_a_child_that_cannot_read_at_all_is_a_bug_and_no_verdict() -> None:
    with pytest.raises(RuntimeError, match="ended with 1"):
        read_pdf(PDF, command=[sys.executable, "-c", "raise SystemExit(1)"])


SEEDS = [PDF, packed_pdf({4: b"<< /A [1 2 (x)] >>"}), PACKED_SCRIPT, ENCRYPTED, by_pypdf(), updated(PDF, b"/A 1")]


@settings(max_examples=300, deadline=None)
@given(mutated(SEEDS))
def test_any_bytes_are_judged(content: bytes) -> None:
    assert problem_of(content) in {None, *PdfProblem}


@settings(max_examples=5, deadline=None)
@given(mutated(SEEDS))
def test_any_bytes_are_judged_by_the_child(content: bytes) -> None:
    assert read_pdf(content) in {None, *PdfProblem}
