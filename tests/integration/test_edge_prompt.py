"""Answers at hand: they go out at the edge itself, and everything else comes to the application as it was sent."""

from __future__ import annotations

import gc
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest
from tests.support.edge import PATIENCE_S, Running, Visitor, echo, running, until

from sekisho.edge import door, prompt, protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = b"host: localhost\r\n"


@pytest.fixture
def site() -> Iterator[Running]:
    with running(None, at_hand=echo) as served:
        yield served


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"POST {path} HTTP/1.1\r\ncontent-length: {len(body)}\r\n{lines}".encode() + HOST + b"\r\n" + body


def get(path: str, *headers: str, version: str = "1.1") -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"GET {path} HTTP/{version}\r\n{lines}".encode() + HOST + b"\r\n"


class Answers:
    """Reads one answer after the other of a connection, however they come."""

    def __init__(self, visitor: Visitor) -> None:
        self._octets = visitor.socket.makefile("rb")

    def next(self, *, of_head: bool = False) -> tuple[dict[str, str], bytes]:
        """Return headers and body of the next answer, past one that says to go on (100)."""
        line, headers = self._head()
        if line == b"HTTP/1.1 100 Continue":
            line, headers = self._head()
        assert line == b"HTTP/1.1 200 OK"
        return headers, b"" if of_head else self._octets.read(int(headers["content-length"]))

    def _head(self) -> tuple[bytes, dict[str, str]]:
        line = self._octets.readline().strip()
        headers = {}
        while header := self._octets.readline().strip():
            name, _, value = header.decode().partition(": ")
            headers[name] = value
        return line, headers


def told(visitor: Visitor) -> bytes:
    return Answers(visitor).next()[1]


def test_what_is_at_hand_is_answered_on_a_connection_that_stays(site: Running) -> None:
    with site.visit() as visitor:
        for sent, body in [
            (get("/known"), b"GET /known "),
            (post("/known/it", b"ab"), b"POST /known/it ab"),
            (post("/known", b""), b"POST /known "),
            (get("/known/a%2Fb%3D%E3%81%82"), "GET /known/a/b=あ ".encode()),
        ]:
            visitor.send(sent)
            headers, answer = Answers(visitor).next()
            assert parsedate_to_datetime(headers["date"])
            assert "connection" not in headers
            assert answer == body
    assert not site.answered.is_set(), "the application was asked"


def test_what_is_not_at_hand_comes_to_the_application_whole(site: Running) -> None:
    with site.visit() as visitor:
        for length in (0, 5, 4096, 4097, 100_000):
            visitor.send(post("/read", b"x" * length))
            assert told(visitor) == str(length).encode()
        assert visitor.get("/known").read() == b"GET /known "


@pytest.mark.parametrize(
    "sent",
    [
        get("/known", "connection: close"),
        get("/known", version="1.0"),
        get("/known?a=b"),
        get("http://localhost/known"),
        get("/known", "connection: upgrade", "upgrade: websocket"),
        get("/known").replace(b"GET", b"HEAD"),
        get("/known").replace(b"GET", b"DELETE"),
        post("/known", b"x" * 4097),
        post("/known", b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"") + b"0\r\n\r\n",
        post("/known", b"a", "expect: 100-continue"),
    ],
    ids=["close", "1.0", "query", "whole address", "upgrade", "head", "delete", "long", "chunks", "expect"],
)
def test_what_is_not_plain_comes_to_the_application(site: Running, sent: bytes) -> None:
    with site.visit() as visitor:
        visitor.send(sent)
        assert Answers(visitor).next(of_head=sent.startswith(b"HEAD"))[1] in {b"", b"{}"}
    until(site.answered.is_set)


def test_a_request_may_come_in_pieces(site: Running) -> None:
    with site.visit() as visitor:
        for byte in post("/known", b"question") + get("/known/next"):
            visitor.send(bytes([byte]))
        answers = Answers(visitor)
        assert answers.next()[1] == b"POST /known question"
        assert answers.next()[1] == b"GET /known/next "


def test_many_at_once_are_answered_in_their_order(site: Running) -> None:
    with site.visit() as visitor:
        visitor.send(get("/known/1") + post("/read", b"two") + get("/wait") + get("/known/4") + get("/known/5"))
        answers = Answers(visitor)
        assert answers.next()[1] == b"GET /known/1 "
        assert answers.next()[1] == b"3"
        assert site.reached.wait(PATIENCE_S)
        site.release()
        assert answers.next()[1] == b""
        # What comes while another is being answered waits behind it, for the application.
        assert [answers.next()[1] for _ in range(2)] == [b"{}", b"{}"]
        visitor.send(get("/known/6"))
        assert answers.next()[1] == b"GET /known/6 "


def test_what_comes_with_a_question_that_is_answered_at_once_has_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_KEEP_ALIVE_S", 0.1)
    with running(None, at_hand=echo) as site, site.visit() as visitor, site.visit() as other:
        answers = Answers(visitor)
        visitor.send(get("/known/1") + get("/wait"))
        assert answers.next()[1] == b"GET /known/1 "
        assert site.reached.wait(PATIENCE_S)
        other.send(get("/known"))
        assert other.is_let_go()  # so as much time has gone by
        site.release()
        assert answers.next()[1] == b""


def test_a_body_that_does_not_come_is_given_up(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_BODY_S", 0.1)
    with site.visit() as visitor:
        visitor.send(post("/known", b"all")[:-1])
        assert visitor.is_let_go()


def test_a_connection_that_is_answered_at_once_ends_when_nobody_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_KEEP_ALIVE_S", 0.1)
    with running(None, at_hand=echo) as site, site.visit() as visitor:
        visitor.send(get("/known"))
        assert told(visitor) == b"GET /known "
        assert visitor.is_let_go()


def test_who_has_begun_to_ask_is_answered_before_the_end(site: Running) -> None:
    whole = post("/known", b"question")
    with site.visit() as visitor, site.visit() as idle:
        assert idle.get("/known").read() == b"GET /known "
        visitor.send(whole[:-4])
        until(_is_held)
        site.ask_to_stop()
        assert idle.is_let_go()
        visitor.send(whole[-4:])
        headers, answer = Answers(visitor).next()
        assert headers["connection"] == "close"
        assert answer == b"{}"
        assert visitor.is_let_go()


def test_a_visitor_who_does_not_read_is_given_up(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_STALL_S", 0.1)
    question = post("/known", b"x" * prompt.LONGEST_BODY)
    with site.visit() as visitor, pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe
        visitor.send(question * 20_000)


def _is_held() -> bool:
    return any(isinstance(one, prompt.PromptProtocol) and one._held for one in gc.get_objects())
