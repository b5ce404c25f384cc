"""The program that reads a PDF from standard input, in a process of its own whose limits are set first.

It ends with one of `EXIT`: what is wrong with the file, or nothing. It says
no more, so that nothing that stands in the file comes back.
"""

from __future__ import annotations

import logging
import os
import re
import resource
import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any

from sekisho.domain.scan import PdfProblem, acts, is_acting_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pypdf import PdfReader

# By exit code; 1 and 2 are Python's own, of a program that did not run.
EXIT: dict[int, PdfProblem | None] = {0: None, **dict(enumerate(PdfProblem, start=3))}
_CODES = {problem: number for number, problem in EXIT.items()}
MEMORY = 384 * 1024 * 1024
CPU_S = 8
# What one object stream, and all of them together, may unpack to. Scans with a
# layer of text have some ten kilobytes of it.
_UNPACKED = 8 * 1024 * 1024
_UNPACKED_IN_ALL = 4 * _UNPACKED
_MOST_OBJECTS = 100_000
_OBJECT = re.compile(rb"(?<![0-9])[0-9]{1,10}[\x00\s]+[0-9]{1,5}[\x00\s]+obj(?![a-z])[\x00\s]*")
_ENCRYPTED = re.compile(rb"/Encrypt(?![A-Za-z0-9])")
# No line need end before the word that ends a stream.
_STREAM = re.compile(rb"\bstream\r?\n.*?endstream\b", re.DOTALL)
_OF_OBJECTS = re.compile(rb"/(ObjStm|First)(?![A-Za-z0-9])")
_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
# Filters that run another program, or need a picture's parameters, are none of an object stream.
_FILTERS = frozenset({"/FlateDecode", "/LZWDecode", "/ASCIIHexDecode", "/ASCII85Decode", "/RunLengthDecode"})


class _Found(Exception):  # noqa: N818 - names what happened
    """There is something wrong with the file."""

    def __init__(self, problem: PdfProblem) -> None:
        super().__init__(problem.value)
        self.problem = problem


def main() -> None:
    """Read standard input, and end with what was found."""
    limit()
    # Of what the library says nobody would read a word.
    logging.disable()
    content = sys.stdin.buffer.read()
    # Whatever happened, nothing is left to clean up; and where memory is short, there is none for that.
    os._exit(_CODES[problem_of(content)])


def problem_of(content: bytes) -> PdfProblem | None:
    """Return what is wrong with a PDF, or None."""
    from pypdf import Configuration, apply_configuration
    from pypdf.errors import LimitReachedError

    limits = Configuration(
        zlib_maximum_output_length=_UNPACKED,
        zlib_maximum_recovery_input_length=0,
        lzw_maximum_output_length=_UNPACKED,
        run_length_maximum_output_length=_UNPACKED,
        stream_decoding_work_maximum_length=_UNPACKED_IN_ALL,
        jbig2dec_binary=None,
        disable_legacy_handling=True,
    )
    try:
        with apply_configuration(limits):
            _read(content)
    except _Found as found:
        return found.problem
    except (LimitReachedError, MemoryError):
        return PdfProblem.COSTLY
    except Exception:  # noqa: BLE001 - whatever the library stumbles over, the file is not as it should be
        # One kind of encryption is unknown to the library, another is broken: to people both are encrypted.
        return PdfProblem.ENCRYPTED if _ENCRYPTED.search(content) else PdfProblem.BROKEN
    return None


def limit(memory: int = MEMORY, cpu_s: int = CPU_S) -> None:
    """Take away what reading a file does not need, before the first byte of it is read."""
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        # Whoever runs the sites may have set a tighter one, which nobody can loosen.
        hard = resource.getrlimit(what)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))


def _read(content: bytes) -> None:
    """Raise `_Found` for what a viewer would find: by the table of objects, and besides it."""
    from pypdf import PdfReader

    reader = PdfReader(BytesIO(content), strict=True, xref_stream_maximum_entries=_MOST_OBJECTS)
    if reader.is_encrypted:
        raise _Found(PdfProblem.ENCRYPTED)
    _judge(reader.trailer)
    for number, generation in _listed(reader):
        _judge(reader.get_object(_reference(reader, number, generation)))
    if not len(reader.pages):
        raise _Found(PdfProblem.BROKEN)
    _look_besides(reader, content)


def _listed(reader: PdfReader) -> list[tuple[int, int]]:
    """Return the numbers and generations of all objects of the table."""
    found = [(number, generation) for generation, numbers in reader.xref.items() for number in numbers]
    found += [(number, 0) for number in reader.xref_objStm]
    if len(found) > _MOST_OBJECTS:
        raise _Found(PdfProblem.COSTLY)
    return found


def _reference(reader: PdfReader, number: int, generation: int) -> Any:
    from pypdf.generic import IndirectObject

    return IndirectObject(number, generation, reader)


def _judge(thing: Any) -> None:
    """Raise `_Found` where a name in it does something. References are not followed: each object is judged once."""
    from pypdf.generic import ArrayObject, DictionaryObject, NameObject

    ahead = [thing]
    while ahead:
        one = ahead.pop()
        if isinstance(one, DictionaryObject):
            ahead += [*one.keys(), *(one.raw_get(key) for key in one)]
        elif isinstance(one, ArrayObject):
            ahead += list.__iter__(one)
        elif isinstance(one, NameObject) and is_acting_name(str(one)):
            raise _Found(PdfProblem.ACTS)


def _look_besides(reader: PdfReader, content: bytes) -> None:
    """Look at what the table does not lead to, and at the text of each object stream.

    One viewer keeps to another of two tables than the library, or looks for
    the objects itself, and for the end of a stream as well. What may be a
    stream of objects and cannot be read makes the file a broken one.
    """
    if acts(_STREAM.sub(b"", content)):
        raise _Found(PdfProblem.ACTS)
    unpacked = 0
    for stream in _object_streams(reader, content):
        text = stream.get_data()
        unpacked += len(text)
        if unpacked > _UNPACKED_IN_ALL:
            raise _Found(PdfProblem.COSTLY)
        if acts(text):
            raise _Found(PdfProblem.ACTS)


def _object_streams(reader: PdfReader, content: bytes) -> Iterator[Any]:
    from pypdf.generic import StreamObject

    for holder in {number for number, _ in reader.xref_objStm.values()}:
        stream = reader.get_object(_reference(reader, holder, 0))
        if not isinstance(stream, StreamObject):
            raise _Found(PdfProblem.BROKEN)
        yield stream
    read = set()
    for number, found in enumerate(_OBJECT.finditer(content)):
        if number > _MOST_OBJECTS:
            raise _Found(PdfProblem.COSTLY)
        thing = _object_at(reader, content, found.end())
        _judge(thing)
        if isinstance(thing, StreamObject):
            inside = _STREAM.search(content, found.end())
            if inside is not None:
                read.add(inside.start())
            if _may_hold_objects(thing):
                yield thing
    _check_unread(content, read)


def _check_unread(content: bytes, read: set[int]) -> None:
    """Raise `_Found` where a stream may be one of objects, by what stands before it, and `read` has not its start."""
    end = 0
    for stream in _STREAM.finditer(content):
        before = _ESCAPED.sub(lambda digits: bytes.fromhex(digits[1].decode()), content[end : stream.start()])
        if stream.start() not in read and _OF_OBJECTS.search(before):
            raise _Found(PdfProblem.BROKEN)
        end = stream.end()


def _object_at(reader: PdfReader, content: bytes, place: int) -> Any:
    from pypdf.generic import read_object

    stream = BytesIO(content)
    stream.seek(place)
    try:
        return read_object(stream, reader)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - it may be no object at all, but part of a picture
        return None


def _may_hold_objects(stream: Any) -> bool:
    """Tell whether it is an object stream, whatever it says of itself. Raises `_Found` where it is packed otherwise."""
    if not (stream.get("/Type") == "/ObjStm" or {"/N", "/First"} <= stream.keys()):
        return False
    packed = stream.get("/Filter", [])
    names = packed if isinstance(packed, list) else [packed]
    if not all(str(name) in _FILTERS for name in names):
        raise _Found(PdfProblem.BROKEN)
    return True


if __name__ == "__main__":
    main()
