"""The CA's process and its client, as they speak to each other."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.ocsp import load_der_ocsp_response
from tests.support.authority import BANK, NOW, PATIENCE_S, PKI_URL, Running, new_hierarchy, order, running, spki
from tests.support.trace import Trace

from sekisho.ca import keys, process, wire
from sekisho.ca.authority import RETENTION, Authority
from sekisho.ca.blocks import JournalBroken
from sekisho.ca.client import CaClient, CaRefused
from sekisho.ca.journal import Journal
from sekisho.ca.record import StillKept
from sekisho.ca.sealing import Known
from sekisho.ca.signer import Signer
from sekisho.ca.wire import Ask
from sekisho.domain.certificate import Reason
from sekisho.domain.errors import CaAway
from sekisho.domain.person import Kind
from sekisho.pki import crl as lists
from sekisho.pki import ocsp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sekisho.pki.profile import Order


def serials(signed: list[bytes | Exception]) -> list[int]:
    assert all(isinstance(der, bytes) for der in signed)
    return [x509.load_der_x509_certificate(der).serial_number for der in signed if isinstance(der, bytes)]


@pytest.fixture
def ca(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "ca") as started:
        yield started


@pytest.fixture
def client(ca: Running) -> Iterator[CaClient]:
    made = CaClient(ca.socket, deadline_s=PATIENCE_S)
    yield made
    made.close()


def test_a_crowd_of_threads_gets_each_its_own(client: CaClient) -> None:
    asked = [[order() for _ in range(n % 5)] for n in range(100)]
    with ThreadPoolExecutor(40) as pool:
        signed = list(pool.map(client.sign_all, asked, timeout=PATIENCE_S))
    for orders, ders in zip(asked, signed, strict=True):
        assert serials(ders) == [one.serial for one in orders]


def test_a_contract_is_kept_and_erased_over_the_socket(client: CaClient) -> None:
    asked = order()
    assert client.sign_all([asked])[0]
    name = asked.common_name
    with pytest.raises(StillKept) as kept:
        client.erase(name[-4:], name[:11])
    assert kept.value.until == asked.not_after + RETENTION
    assert not client.erase(name[-4:], "99999999999"), "it has nothing of that one"
    with pytest.raises(JournalBroken):
        client.erase(name[-4:], "")  # which it refuses to answer
    assert client.sign_all([asked])[0]


def test_a_machine_that_has_no_room_for_a_caller_for_a_while_does_not_make_the_ca_deaf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [OSError(errno.EMFILE, "Too many open files"), OSError(errno.ENOMEM, "Cannot allocate memory")]

    class Crowded(socket.socket):
        def accept(self) -> Any:
            if full:
                raise full.pop()
            return super().accept()

    start = threading.Thread.start
    no_thread = [RuntimeError("can't start new thread")]

    def refused_once(thread: threading.Thread) -> None:
        if thread.name == "ca-answer" and no_thread:
            raise no_thread.pop()
        start(thread)

    monkeypatch.setattr(process, "_PAUSE_S", 0.01)
    monkeypatch.setattr(threading.Thread, "start", refused_once)
    journal = Journal(tmp_path / "journal", b"k" * 32)
    authority = Authority(Signer(BANK, new_hierarchy().cas, PKI_URL, now=lambda: NOW), journal, now=lambda: NOW)
    with closing(journal), Crowded(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "ca.sock"))
        listener.listen()
        accepting = threading.Thread(target=process.accept, args=(listener, authority, frozenset({os.getuid()})))
        accepting.start()
        with closing(CaClient(tmp_path / "ca.sock", deadline_s=PATIENCE_S)) as client:
            with pytest.raises(CaAway):
                client.sign_all([order()])  # for whom there was no thread
            assert isinstance(client.sign_all([order()])[0], bytes)
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(PATIENCE_S)
        assert not accepting.is_alive(), "it ends with its socket"


def test_more_orders_than_go_into_one_question(client: CaClient) -> None:
    one = order()
    asked = [replace(one, serial=n + 1) for n in range(wire.MOST_ORDERS * 2 + 3)]
    assert serials(client.sign_all(asked)) == [order.serial for order in asked]


def test_many_orders_in_one_question_and_one_refused_alone(ca: Running) -> None:
    asked = [order(), order(common_name="nobody"), order(not_after=NOW + timedelta(days=4000)), order()]
    parts = [*map(wire.order_part, asked), b"no order at all"]
    connection = socket.socket(socket.AF_UNIX)
    with connection:
        connection.connect(str(ca.socket))
        for _ in range(2):  # one connection, many questions
            wire.send(connection, wire.question(Ask.SIGN, parts), PATIENCE_S)
            results = wire.read_answer(wire.receive(connection, PATIENCE_S), len(parts))
            assert [result is None for result in results] == [False, True, True, False, True]


@pytest.mark.parametrize(
    "changed",
    [
        # What the client itself cannot write,
        {"serial": 1 << 128},
        {"serial": -1},
        {"common_name": "1" * 256},
        {"not_after": NOW.replace(microsecond=1)},
        # and what the CA's own process refuses, whoever asks.
        {"kind": Kind.ADMINISTRATOR},
        {"common_name": "12345678901keiri019991"},
        {"common_name": "12345678901keiri_019990"},
        {"serial": 0},
        {"spki": spki(ec.generate_private_key(ec.SECP521R1()))},
        {"spki": spki(rsa.generate_private_key(65537, 1024))},  # noqa: S505 - that is the point
        {"spki": b"no key"},
        {"not_after": NOW + timedelta(days=398)},
        {"not_before": NOW - timedelta(days=30), "not_after": NOW},
    ],
    ids="-".join,
)
def test_what_the_profile_does_not_allow_is_refused_alone(client: CaClient, changed: dict[str, object]) -> None:
    before, refused, after = client.sign_all([order(), order(**changed), order()])
    assert isinstance(refused, CaRefused)
    assert isinstance(before, bytes)
    assert isinstance(after, bytes)


def test_what_begins_in_the_future_waits_alone(client: CaClient) -> None:
    """One of the clocks is wrong, which passes: the order is not refused, and keeps no other waiting."""
    before, waits, after = client.sign_all([order(), order(not_before=NOW + timedelta(days=2)), order()])
    assert isinstance(waits, CaAway)
    assert isinstance(before, bytes)
    assert isinstance(after, bytes)


def test_a_ca_that_was_started_anew_is_asked_again_and_signs_the_same(ca: Running, client: CaClient) -> None:
    asked = [order()]
    before = client.sign_all(asked)
    ca.kill()
    with pytest.raises(CaAway):
        client.sign_all(asked)
    ca.start()
    assert client.sign_all(asked) == before
    ca.kill()
    ca.start()
    # The kept connection is broken now, and nobody is told.
    assert client.sign_all(asked) == before


def test_a_ca_that_does_not_answer_is_away_after_the_deadline(tmp_path: Path) -> None:
    silent = socket.socket(socket.AF_UNIX)
    with silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        client = CaClient(tmp_path / "silent.sock", deadline_s=0.2)
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(client.sign_all, [order()]) for _ in range(4)]
        for future in futures:
            with pytest.raises(CaAway):
                future.result()
        client.close()


def test_an_answer_that_comes_late_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    late = socket.socket(socket.AF_UNIX)
    with late:
        late.bind(str(tmp_path / "late.sock"))
        late.listen()
        go = threading.Event()

        def answer_late() -> None:
            first, _ = late.accept()
            with first:
                wire.receive(first, PATIENCE_S)
                assert go.wait(PATIENCE_S)
                second, _ = late.accept()
                with second:
                    wire.receive(second, PATIENCE_S)
                    wire.send(second, wire.answer([b"second"]), PATIENCE_S)

        thread = threading.Thread(target=answer_late)
        thread.start()
        client = CaClient(tmp_path / "late.sock", deadline_s=2)
        with pytest.raises(CaAway):
            client.sign_all([order()])
        go.set()
        assert client.sign_all([order()]) == [b"second"]
        thread.join(PATIENCE_S)
        client.close()


def test_nonsense_ends_its_own_connection_alone(ca: Running, client: CaClient) -> None:
    for nonsense in (b"", b"\x09", b"\x01\x00\x00\x00\x09abc", b"\x02\x00\x00\x00\x01a"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(ca.socket))
            wire.send(connection, nonsense, PATIENCE_S)
            connection.settimeout(PATIENCE_S)
            # Hung up on, or told that the one list is refused.
            assert connection.recv(100) in {b"", b"\x00\x00\x00\x04\x00\x00\x00\x00"}
    assert client.sign_all([order()])


def test_whatever_was_answered_before_a_kill_stands_in_the_journal(ca: Running, client: CaClient) -> None:
    """Kill it again and again in the middle of its work."""
    answered: dict[int, tuple[Order, bytes]] = {}
    stop = threading.Event()
    lock = threading.Lock()

    def ask() -> None:
        while not stop.is_set():
            asked = [order() for _ in range(3)]
            try:
                signed = client.sign_all(asked)
            except CaAway:
                stop.wait(0.01)
                continue
            with lock:
                answered.update(
                    {one.serial: (one, der) for one, der in zip(asked, signed, strict=True) if isinstance(der, bytes)}
                )

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(4):
            goal = len(answered) + 30
            deadline = time.monotonic() + PATIENCE_S
            while len(answered) < goal:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            ca.kill()
            ca.start()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    ca.kill()
    journal = Journal(ca.journal, keys.journal_key(ca.folder, None))
    kept = journal.known([(Kind.USER, serial) for serial in answered])
    upto = journal.verify()
    journal.close()
    assert {serial: one.der for (_, serial), one in kept.items() if isinstance(one, Known)} == {
        serial: der for serial, (_, der) in answered.items()
    }
    assert upto.certificates >= len(answered)
    ca.start()
    assert client.sign_all([asked for asked, _ in answered.values()]) == [der for _, der in answered.values()]


def test_no_certificate_leaves_the_ca_before_its_journal_is_on_the_disk(
    ca: Running, client: CaClient, tmp_path: Path
) -> None:
    """Seen from outside, in what the process asks of the kernel."""
    with Trace(tmp_path / "trace", [ca.pid]) as trace:
        signed = client.sign_all([order(), order()])
    written = [call for call in trace.calls if call.name == "pwrite64" and call.about.endswith(".journal")]
    flushed = [call for call in trace.calls if call.name == "fdatasync" and call.about.endswith(".journal")]
    answered = [call for call in trace.calls if call.name == "sendto"]
    assert [len(calls) for calls in (written, flushed, answered)] == [1, 1, 1]
    assert all(isinstance(der, bytes) for der in signed)
    assert written[0].ended < flushed[0].begun
    assert flushed[0].ended < answered[0].begun


def test_a_journal_that_does_not_hold_stops_the_ca_with_a_word(ca: Running, client: CaClient) -> None:
    assert client.sign_all([order()])
    ca.kill()
    first = next(ca.journal.glob("*.journal"))
    first.write_bytes(first.read_bytes()[:-1] + b"\0")
    with pytest.raises(AssertionError):
        ca.start()
    assert "JournalBroken" in ca.said()
    with pytest.raises(CaAway):
        client.sign_all([order()])


@pytest.mark.parametrize("shard", [None, 3])
def test_a_list_is_signed_beside_the_orders(client: CaClient, shard: int | None) -> None:
    entries = b"".join(lists.entry(n + 1, NOW, list(Reason)[n % len(Reason)]) for n in range(1000))
    asked: dict[str, Any] = {"number": int(NOW.timestamp()), "this_update": NOW, "next_update": NOW + timedelta(days=1)}
    crl = x509.load_der_x509_crl(client.sign_crl(Kind.USER, shard, entries, **asked))
    assert [one.serial_number for one in crl] == list(range(1, 1001))
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == int(NOW.timestamp())
    assert client.sign_all([order()])


@pytest.mark.parametrize(
    ("entries", "changed"),
    [
        (b"no entries", {}),
        (b"\x30\x03\x02\x01\x01", {}),
        (lists.entry(1, NOW, Reason.UNSPECIFIED)[:-1], {}),
        (b"", {"number": int(NOW.timestamp()) - 1}),
        (b"", {"next_update": NOW}),
        (b"", {"next_update": NOW + timedelta(days=11)}),
        (b"", {"shard": 1000}),
    ],
)
def test_a_list_that_is_none_is_refused(client: CaClient, entries: bytes, changed: dict[str, Any]) -> None:
    asked: dict[str, Any] = {
        "kind": Kind.USER,
        "shard": None,
        "number": int(NOW.timestamp()),
        "this_update": NOW,
        "next_update": NOW + timedelta(days=1),
    }
    with pytest.raises(CaRefused):
        client.sign_crl(entries=entries, **(asked | changed))
    assert client.sign_crl(entries=b"", **asked)


def asked_about(**changed: Any) -> ocsp.Answer:
    made = ocsp.Answer(Kind.USER, ocsp.Digest.SHA256, 7, ocsp.Status.GOOD, timedelta(hours=1))
    return replace(made, **changed)


def test_answers_about_certificates_are_signed_many_in_one_question(client: CaClient) -> None:
    revoked = {"status": ocsp.Status.REVOKED, "revoked": (NOW, Reason.CERTIFICATE_HOLD)}
    asked = [
        asked_about(serial=n + 1, kind=list(Kind)[n % 2], nonce=b"n" * (n % 129) or None, **(revoked if n % 3 else {}))
        for n in range(wire.MOST_ORDERS + 10)
    ]
    for one, der in zip(asked, client.answer_all(asked), strict=True):
        assert isinstance(der, bytes)
        answer = load_der_ocsp_response(der)
        assert answer.serial_number == one.serial
        assert answer.certificate_status.name == one.status.name
        assert [extension.value.nonce for extension in answer.extensions] == ([one.nonce] if one.nonce else [])
        if one.revoked is not None:
            assert answer.revocation_time_utc == NOW


@pytest.mark.parametrize(
    "changed",
    [
        {"life": timedelta(days=2)},
        {"life": timedelta(0)},
        {"status": ocsp.Status.REVOKED},
        {"nonce": b"n" * 129},
        {"serial": 1 << 160},
        {"serial": -1},
    ],
)
def test_an_answer_that_is_none_is_refused_alone(client: CaClient, changed: dict[str, Any]) -> None:
    before, refused, after = client.answer_all([asked_about(), asked_about(**changed), asked_about()])
    assert isinstance(refused, CaRefused)
    assert isinstance(before, bytes)
    assert isinstance(after, bytes)


def test_the_dates_of_an_answer_are_the_cas_own(client: CaClient) -> None:
    """Whoever asks cannot have one signed for tomorrow; and one that was revoked tomorrow is revoked now."""
    tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    asked = asked_about(status=ocsp.Status.REVOKED, revoked=(tomorrow, Reason.SUPERSEDED))
    (der,) = client.answer_all([asked])
    assert isinstance(der, bytes)
    answer = load_der_ocsp_response(der)
    assert answer.this_update_utc < tomorrow
    assert answer.revocation_time_utc == answer.this_update_utc
