"""What goes over the CA's socket: one JSON question and one answer on each connection.

`multiprocessing.connection` frames the messages; nothing is ever pickled.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sekisho.domain.certificate import Reason
from sekisho.domain.person import Kind
from sekisho.pki.crl import Revoked
from sekisho.pki.profile import Order

LONGEST_MESSAGE = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SignOrder:
    """Sign a person's certificate."""

    order: Order


@dataclass(frozen=True, slots=True)
class SignCrl:
    """Sign the revocation list of one issuing CA."""

    kind: Kind
    entries: list[Revoked]
    number: int
    this_update: datetime
    next_update: datetime


def encode(question: SignOrder | SignCrl) -> bytes:
    """Write a question."""
    if isinstance(question, SignOrder):
        order = question.order
        body: dict[str, Any] = {
            "ask": "sign",
            "kind": order.kind.value,
            "common_name": order.common_name,
            "serial": f"{order.serial:x}",
            "spki": base64.b64encode(order.spki).decode(),
            "not_before": _seconds(order.not_before),
            "not_after": _seconds(order.not_after),
        }
    else:
        body = {
            "ask": "crl",
            "kind": question.kind.value,
            "entries": [[f"{e.serial:x}", _seconds(e.at), e.reason.value] for e in question.entries],
            "number": question.number,
            "this_update": _seconds(question.this_update),
            "next_update": _seconds(question.next_update),
        }
    return json.dumps(body).encode()


def decode(data: bytes) -> SignOrder | SignCrl:
    """Read a question. Raises ValueError or KeyError where it is none."""
    body = json.loads(data)
    if body["ask"] == "sign":
        return SignOrder(
            Order(
                kind=Kind(body["kind"]),
                common_name=body["common_name"],
                serial=int(body["serial"], 16),
                spki=base64.b64decode(body["spki"], validate=True),
                not_before=_moment(body["not_before"]),
                not_after=_moment(body["not_after"]),
            )
        )
    if body["ask"] == "crl":
        return SignCrl(
            kind=Kind(body["kind"]),
            entries=[Revoked(int(s, 16), _moment(at), Reason(reason)) for s, at, reason in body["entries"]],
            number=body["number"],
            this_update=_moment(body["this_update"]),
            next_update=_moment(body["next_update"]),
        )
    raise ValueError("unknown question")


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
