"""What `sekisho.edge.openssl` promises, on the running Python, with handshakes in memory."""

from __future__ import annotations

import _ssl
import gc
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.edge import Pair, issue

from sekisho.edge import context, openssl, self_check
from sekisho.edge.choice import ChoiceBook
from sekisho.edge.connection import ServerContext
from sekisho.edge.context import MISSED, SiteTls, server_context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(_ssl, "__file__"), reason="this Python has ssl built in")
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def stranger(tmp_path: Path) -> Pair:
    return issue(tmp_path, "a stranger", days=(-3, -2))


@pytest.fixture
def afresh() -> Iterator[None]:
    """Have what is found out once for a process found out anew, before and after."""
    for cached in (openssl._library, openssl._watch, context.everything_holds):
        cached.cache_clear()
    yield
    for cached in (openssl._library, openssl._watch, context.everything_holds):
        cached.cache_clear()


def test_everything_holds_on_this_python() -> None:
    assert self_check.find_fault() is None


@pytest.mark.parametrize(
    ("function", "instead", "fault"),
    [
        ("accept_any_client_certificate", lambda *_: None, "did not come through"),
        ("ask_for_certificates_of", lambda *_: None, "not told which CA"),
        ("keep_no_sessions", lambda *_: None, "could be resumed"),
    ],
)
def test_the_self_check_finds_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, function: str, instead: Any, fault: str
) -> None:
    monkeypatch.setattr(openssl, function, instead)
    assert fault in (self_check.find_fault() or "")


def test_the_self_check_finds_that_nobody_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = openssl.accept_any_client_certificate
    monkeypatch.setattr(
        openssl, "accept_any_client_certificate", lambda pointer, _, fits: accept(pointer, lambda _: False, fits)
    )
    assert "was to be refused" in (self_check.find_fault() or "")


def test_the_self_check_finds_that_keys_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = openssl.accept_any_client_certificate
    monkeypatch.setattr(openssl, "accept_any_client_certificate", lambda pointer, refused, _: accept(pointer, refused))
    assert "key that does not fit" in (self_check.find_fault() or "")


@pytest.mark.usefixtures("afresh")
def test_where_ssl_is_built_in_the_public_api_is_taken_and_what_is_missed_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, stranger: Pair
) -> None:
    monkeypatch.delattr(_ssl, "__file__")
    tls = SiteTls(stranger.file, stranger.file, [stranger.der], ChoiceBook())
    made = [server_context(tls), server_context(tls)]
    assert [one.keeps_alive for one in made] == [None, None]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert MISSED in caplog.text
    assert "__file__" in caplog.text


@pytest.mark.usefixtures("afresh")
def test_a_file_that_does_not_lead_to_openssl_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ssl, "__file__", "libc.so.6")
    assert "AttributeError" in (self_check.find_fault() or "")


def test_a_context_that_openssl_did_not_name_is_not_touched() -> None:
    def object_instead(_protocol: int) -> Any:
        return object()

    # As with another copy of the library: it names its own contexts and never this one.
    openssl.make_context(ssl.SSLContext)
    with pytest.raises(RuntimeError, match="another OpenSSL"):
        openssl.make_context(object_instead)  # type: ignore[arg-type]


def test_a_site_that_asks_for_no_certificate_does_without(monkeypatch: pytest.MonkeyPatch, stranger: Pair) -> None:
    monkeypatch.setattr(openssl, "make_context", None)
    assert server_context(SiteTls(stranger.file, stranger.file, None, ChoiceBook())).verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize("version", VERSIONS)
def test_an_error_in_the_book_keeps_the_door_shut(
    version: ssl.TLSVersion, stranger: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_fingerprint: bytes) -> bool:
        raise ZeroDivisionError

    server, pointer = openssl.make_context(ssl.SSLContext)
    server.load_cert_chain(stranger.file)
    server.verify_mode = ssl.CERT_OPTIONAL
    server.minimum_version = server.maximum_version = version
    callback = openssl.accept_any_client_certificate(pointer, broken)
    assert self_check._shake_hands(server, stranger.file)[0] is None
    assert "ZeroDivisionError" in caplog.text
    del callback


def test_the_callback_lives_as_long_as_its_context(stranger: Pair) -> None:
    tls = SiteTls(stranger.file, stranger.file, [stranger.der], ChoiceBook())
    server = server_context(tls)
    server.sslobject_class = ssl.SSLObject
    gc.collect()
    assert self_check._shake_hands(server, stranger.file)[0] == stranger.der
    tls.choices.mark(stranger.fingerprint)
    assert self_check._shake_hands(server, stranger.file)[0] is None
    assert self_check._shake_hands(server, stranger.file)[0] == stranger.der


def test_contexts_and_their_callbacks_are_collected(stranger: Pair) -> None:
    def count() -> int:
        gc.collect()
        return sum(isinstance(one, ServerContext) for one in gc.get_objects())

    before = count()
    for _ in range(5):
        server_context(SiteTls(stranger.file, stranger.file, [stranger.der], ChoiceBook()))
    assert count() == before


def test_every_thread_gets_the_pointer_of_its_own_context() -> None:
    made: list[tuple[ssl.SSLContext, int]] = []
    start = threading.Barrier(8)

    def make() -> None:
        start.wait()
        made.extend(openssl.make_context(ssl.SSLContext) for _ in range(50))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({pointer for _, pointer in made}) == len(made) == 400


def test_a_broken_issuing_ca_is_said_and_leaves_nothing_behind(stranger: Pair) -> None:
    made, pointer = openssl.make_context(ssl.SSLContext)
    with pytest.raises(ValueError, match="issuing CA"):
        openssl.ask_for_certificates_of(pointer, [b"no certificate"])
    made.load_verify_locations(cadata=stranger.der)  # fails where OpenSSL still holds the error from before
