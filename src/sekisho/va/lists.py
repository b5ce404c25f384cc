"""Revocation lists over HTTP (RFC 5280 section 4.2.1.13, RFC 9110 section 13)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from email.utils import format_datetime
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response

from sekisho.domain.errors import ServiceRefused
from sekisho.pki.crl import list_name
from sekisho.usecases.read_crl import read_crl, read_crl_bytes
from sekisho.web import problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sekisho.domain.contract import Bank
    from sekisho.store.crls import PublishedList
    from sekisho.usecases.ports import Ports

_CRL = "application/pkix-crl"
_MAX_AGE_S = 60
_LONGEST_NAME = 20
_KEPT_OCTETS = 64 * 2**20


class Lists:
    """The lists of one bank.

    Which one is in force is read from the table at every request. The bytes
    of a list never change, so those asked for last are kept, 64 MiB of them.
    """

    def __init__(self, ports: Ports, bank: Bank) -> None:
        self._ports, self._bank = ports, bank.code
        shards = range(bank.policy.crl_shards if bank.policy.crl_shards > 1 else 0)
        self._expected = {list_name(ca, shard) for ca in bank.policy.issuing_cas for shard in (None, *shards)}
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._octets = 0
        self._lock = threading.Lock()

    def answer(self, name: str, headers: Mapping[str, str]) -> Response:
        """Answer a request for the list of that name."""
        try:
            for _ in range(3):  # another list may take the place of the one that was just found
                published = None if len(name) > _LONGEST_NAME else read_crl(self._ports, bank=self._bank, name=name)
                if published is None:
                    return self._none(name)
                told = _headers(name, published)
                if told["etag"] in headers.get("if-none-match", ""):
                    return Response(status_code=304, headers=told)
                der = self._bytes(name, published.number)
                if der is not None:
                    return Response(der, media_type=_CRL, headers=told)
        except ServiceRefused as refusal:
            status, again = problems.status_of(refusal), problems.headers_of(refusal)
            return PlainTextResponse(f"{refusal.code}\n", status, again)
        return PlainTextResponse("the list is being made anew\n", 503, {"retry-after": "5"})

    def _none(self, name: str) -> Response:
        if name in self._expected:
            return PlainTextResponse("no revocation list has been signed yet\n", 503, {"retry-after": "5"})
        return PlainTextResponse("not found\n", 404)

    def _bytes(self, name: str, number: int) -> bytes | None:
        with self._lock:
            kept = self._kept.get((name, number))
            if kept is not None:
                self._kept.move_to_end((name, number))
                return kept
        der = read_crl_bytes(self._ports, bank=self._bank, name=name, number=number)
        if der is not None and len(der) <= _KEPT_OCTETS:
            self._keep(name, number, der)
        return der

    def _keep(self, name: str, number: int, der: bytes) -> None:
        with self._lock:
            for old in [key for key in self._kept if key[0] == name]:
                self._octets -= len(self._kept.pop(old))
            self._kept[name, number] = der
            self._octets += len(der)
            while self._octets > _KEPT_OCTETS:
                self._octets -= len(self._kept.popitem(last=False)[1])


def _headers(name: str, published: PublishedList) -> dict[str, str]:
    return {
        "cache-control": f"max-age={_MAX_AGE_S}",
        "etag": f'"{name}-{published.number}"',
        "last-modified": format_datetime(published.this_update, usegmt=True),
        "expires": format_datetime(published.next_update, usegmt=True),
    }
