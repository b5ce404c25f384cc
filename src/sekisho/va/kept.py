"""Answers that are ready to go out, found by the very octets of a question."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from sekisho.pki import ocsp
from sekisho.pki.ocsp import Status
from sekisho.usecases.answer_ocsp import AskedAbout

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from starlette.types import Message

    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.store.crl_entries import Changed
    from sekisho.usecases.answer_ocsp import Answered

    Headers = list[tuple[bytes, bytes]]
    Messages = tuple[Message, Message]
    # Status line; header lines with the empty one; body: as HTTP/1.1 writes them.
    Octets = tuple[bytes, bytes, bytes]

_CONTENT_TYPE = (b"content-type", b"application/ocsp-response")
_MAX_AGE_S = 300
_NO_STORE = (b"cache-control", b"no-store")


_STATUS = {200: b"HTTP/1.1 200 OK\r\n", 304: b"HTTP/1.1 304 Not Modified\r\n"}


@dataclass(frozen=True, slots=True)
class Written:
    """An answer as it goes out: as octets, or as an application sends it (ASGI)."""

    status: int
    headers: Headers
    body: bytes
    octets: Octets = field(init=False)

    def __post_init__(self) -> None:
        head = b"".join(b"%b: %b\r\n" % header for header in self.headers) + b"\r\n"
        object.__setattr__(self, "octets", (_STATUS[self.status], head, self.body))

    @property
    def messages(self) -> Messages:
        """The answer's two parts."""
        return messages(self.status, self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Ready:
    """An answer to each way of asking.

    No cache keeps the answer to a POST, so only that to a GET says for how
    long. `changed_at` is what it is based on, `until` how long it is kept
    (monotonic).
    """

    to_post: Written
    to_get: Written
    unmodified: Written
    etag: bytes
    changed_at: datetime | None
    until: float

    def to(self, method: str, headers: Headers) -> Written:
        """Return what goes to whoever asked by GET, HEAD or POST, with these headers."""
        if method == "POST":
            return self.to_post
        for name, value in headers:
            if name == b"if-none-match" and self.etag in value:
                return self.unmodified
        return self.to_get


def write_answer(answered: Answered, now: float, *, with_nonce: bool) -> Ready:
    """Write an answer as it goes out; `now` is in seconds (monotonic)."""
    der = answered.der
    etag = b'"' + hashlib.sha256(der).hexdigest().encode() + b'"'
    plain = [_CONTENT_TYPE, (b"content-length", b"%d" % len(der))]
    if with_nonce or answered.status is Status.UNKNOWN:
        for_post, caching = [*plain, _NO_STORE], [_NO_STORE]
    else:
        for_post = plain
        caching = [
            (b"cache-control", b"max-age=%d, public, no-transform, must-revalidate" % _MAX_AGE_S),
            (b"etag", etag),
            (b"last-modified", _http_date(answered.this_update)),
            (b"expires", _http_date(answered.next_update)),
        ]
    life = (answered.next_update - answered.this_update).total_seconds()
    return Ready(
        to_post=Written(200, for_post, der),
        to_get=Written(200, [*plain, *caching], der),
        # Of a body that it does not have it says nothing: RFC 9110 section 15.4.5.
        unmodified=Written(304, caching, b""),
        etag=etag,
        changed_at=answered.changed_at,
        until=now + life / 2,
    )


def unsigned(body: bytes) -> Headers:
    """Return the headers of an answer that nobody signs."""
    return [_CONTENT_TYPE, (b"content-length", b"%d" % len(body)), _NO_STORE]


def messages(status: int, headers: Headers, body: bytes) -> Messages:
    """Return what is sent (ASGI) of an answer."""
    start = {"type": "http.response.start", "status": status, "headers": headers}
    return start, {"type": "http.response.body", "body": body}


def _http_date(at: datetime) -> bytes:
    return format_datetime(at, usegmt=True).encode()


@dataclass(slots=True)
class Place:
    """Where the answer to a question is kept; None while there is none."""

    asked: AskedAbout
    ready: Ready | None = None


class Kept:
    """Answers, `most` of them, and as many questions, which lead to their places without being read again.

    Whoever asks the same in other octets finds the same place.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._questions: dict[bytes | str | None, Place] = {}
        self._places: dict[AskedAbout, Place] = {}
        self.find = self._questions.get

    def of(self, asked: AskedAbout) -> Place | None:
        """Return the place of an answer that was kept."""
        return self._places.get(asked)

    def learn(self, question: bytes | str, asked: AskedAbout) -> AskedAbout:
        """Have a question lead to what it asks, and to the answer where one is kept. Takes no answer's place."""
        _make_room(self._questions, question, self._most)
        self._questions[question] = self._places.get(asked) or Place(asked)
        return asked

    def keep(self, asked: AskedAbout, answer: Ready) -> None:
        """Keep an answer, in the place of the one before it."""
        place = self._places.get(asked)
        if place is None:
            gone = _make_room(self._places, asked, self._most)
            if gone is not None:
                gone.ready = None  # questions may lead there still
            place = self._places[asked] = Place(asked)
        place.ready = answer

    def drop_changed(self, changes: Iterable[Changed]) -> None:
        """Forget answers about certificates that have changed since."""
        for one in changes:
            for digest in ocsp.Digest:
                place = self._places.get(AskedAbout(one.ca, digest, one.serial))
                if place is not None and place.ready is not None and place.ready.changed_at != one.at:
                    place.ready = None

    def drop_of(self, cas: Collection[IssuingCa]) -> None:
        """Forget every answer about what these issuing CAs issued."""
        for place in self._places.values():
            if place.asked.ca in cas:
                place.ready = None


def _make_room(kept: dict[Any, Place], key: object, most: int) -> Place | None:
    """Forget what was kept first where it is too much, and return that."""
    return kept.pop(next(iter(kept))) if len(kept) >= most and key not in kept else None
