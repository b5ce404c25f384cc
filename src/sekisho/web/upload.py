"""Forms that bring a file: multipart/form-data (RFC 7578), read by Starlette from a body that is bounded beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.datastructures import Headers

_FIELDS = 20


class _InMemory(MultiPartParser):
    """A parser whose files stay in memory: what is scanned lies in no temporary folder."""

    spool_max_size = 1 << 30


async def read_upload(headers: Headers, body: bytes) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return a form's fields and its files by name, of which one may be there; nothing where it is no such form.

    What a file is called and what it is said to be is not looked at.
    """

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    if not headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return {}, {}
    parser = _InMemory(headers, stream(), max_files=1, max_fields=_FIELDS)
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError, KeyError):
        return {}, {}  # what no browser sends has no fields, so the form's token is missing
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files[name] = await value.read()
        else:
            fields[name] = value
    await form.close()
    return fields, files
