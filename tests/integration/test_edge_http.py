"""HTTP at the edge: bounds on what strangers send and on how long they take, and nothing that tells of the server."""

from __future__ import annotations

import http.client
import json
import logging
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest
from tests.support.edge import LARGE, PATIENCE_S, Pair, Running, echo, issue, running

from sekisho.edge import door, protocol
from sekisho.edge.choice import ChoiceBook
from sekisho.edge.server import SiteTls

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return issue(tmp_path_factory.mktemp("edge"), "server")


@pytest.fixture(params=["plain", "tls", "prompt"])
def site(request: pytest.FixtureRequest, pair: Pair, caplog: pytest.LogCaptureFixture) -> Iterator[Running]:
    tls = SiteTls(pair.file, pair.file, [pair.der], ChoiceBook()) if request.param == "tls" else None
    with running(tls, at_hand=echo if request.param == "prompt" else None) as served:
        yield served
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_connections_are_kept_and_answers_dated(site: Running) -> None:
    with site.visit() as visitor:
        for _ in range(3):
            answer = visitor.get("/")
            answer.read()
            assert parsedate_to_datetime(answer.headers["date"])
            assert answer.headers["server"] is None


def test_a_body_arrives_whole(site: Running) -> None:
    with site.visit() as visitor:
        visitor.send(b"POST /read HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000_000)
        assert visitor.answer().read() == b"1000000"
        assert visitor.get("/").status == 200


def test_a_visitor_who_reads_gets_everything(site: Running) -> None:
    with site.visit() as visitor:
        assert visitor.get("/large").read() == LARGE


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"x" * 40_000,
        b"GET / HTTP/1.1\r\nx: " + b"x" * 40_000,
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 8_000,
        b"GET / HTTP/1.1\r\nx: " + b"x" * 40_000 + b"\r\n\r\n",
    ],
    ids=["path", "header", "headers", "ends"],
)
def test_an_endless_head_is_refused(site: Running, endless: bytes) -> None:
    with site.visit() as visitor:
        visitor.send(endless)
        answer = visitor.answer()
        assert answer.status == 431
        assert answer.headers["connection"] == "close"


def test_a_long_head_is_let_through(site: Running) -> None:
    with site.visit() as visitor:
        for _ in range(3):
            visitor.send(b"GET / HTTP/1.1\r\nhost: localhost\r\ncookie: " + b"x" * 30_000 + b"\r\n\r\n")
            answer = visitor.answer()
            answer.read()
            assert answer.status == 200


def test_endless_line_ends_are_refused(site: Running) -> None:
    with site.visit() as visitor:
        visitor.send(b"\r\n" * 20_000)
        assert visitor.answer().status == 431


def test_nonsense_is_refused(site: Running) -> None:
    with site.visit() as visitor:
        visitor.send(b"\x00\x01 nonsense\r\n\r\n")
        assert visitor.answer().status == 400
        assert visitor.is_let_go()


@pytest.mark.parametrize("protocol_name", [b"websocket", b"h2c"])
def test_no_other_protocol_is_switched_to(site: Running, protocol_name: bytes) -> None:
    with site.visit() as visitor:
        head = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: " + protocol_name
        visitor.send(head + b"\r\n\r\n")
        assert visitor.answer().status == 200


@pytest.mark.parametrize(
    "begun",
    [b"", b"\r\n", b"GET / HT", b"GET / HTTP/1.1\r\nhost: local"],
    ids=["nothing", "line end", "line", "header"],
)
def test_a_head_that_does_not_end_is_given_up(site: Running, monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(protocol, "_HEAD_S", 0.5)
    with site.visit() as visitor:
        visitor.send(begun)
        assert visitor.is_let_go()
    if begun:
        with site.visit() as visitor:
            visitor.get("/").read()
            visitor.send(begun)
            assert visitor.is_let_go()


def test_a_body_that_does_not_end_is_given_up(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_BODY_S", 0.1)
    with site.visit() as visitor:
        visitor.send(b"POST /read HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc")
        assert visitor.is_let_go()


def test_a_visitor_who_does_not_read_is_given_up(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_STALL_S", 0.1)
    with site.visit() as visitor:
        visitor.send(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert site.answered.wait(PATIENCE_S)  # nobody waits for the visitor any more
        with pytest.raises((OSError, http.client.HTTPException)):
            visitor.answer().read()


def test_an_application_may_take_its_time(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_HEAD_S", 0.5)
    monkeypatch.setattr(protocol, "_BODY_S", 0.5)
    with site.visit() as visitor:
        visitor.send(b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert site.reached.wait(PATIENCE_S)
        with site.visit() as other:
            assert other.is_let_go()  # so as much time has gone by
        site.release()
        assert visitor.answer().status == 200


def test_an_idle_connection_is_ended(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_KEEP_ALIVE_S", 0.1)
    with running(None) as site, site.visit() as visitor:
        visitor.send(GET + b"\r\n")
        assert visitor.answer().status == 200
        assert visitor.is_let_go()


def test_no_header_can_forge_a_certificate(site: Running) -> None:
    with site.visit() as visitor:
        visitor.send(b"GET / HTTP/1.1\r\nhost: localhost\r\nclient-cert: :AAAA:\r\nextensions: x\r\n\r\n")
        learned = json.loads(visitor.answer().read())
    assert learned.get("sekisho.client_certificate") is None
