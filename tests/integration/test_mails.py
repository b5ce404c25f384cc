"""Each notice is mailed once, whatever fails in between."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.mail_server import PASSWORD, SENDER, TestServer, mail_server
from tests.support.served import ROOT
from tests.support.world import ADDRESS, ADMINISTRATOR, BANK, KEIRI01, KEIRI02, world

from sekisho.domain.errors import StoreAway
from sekisho.domain.mailing import wait_after
from sekisho.domain.person import Kind
from sekisho.store import notices, outgoing, people
from sekisho.store.audit import Actor
from sekisho.store.sqlite import SqliteDatabase
from sekisho.usecases.log_on import enter_pin
from sekisho.usecases.ports import MailServerAway
from sekisho.usecases.retry_mails import retry_mails
from sekisho.web.mails import LEASE, send_mails

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from tests.support.world import World

    from sekisho.domain.person import PersonId
    from sekisho.mail_server import MailServer


@dataclass
class Breaking:
    """Takes so many mails and then none."""

    takes: int
    keys: list[str] = field(default_factory=list)
    sender: str = SENDER

    @contextmanager
    def line(self) -> Iterator[Breaking]:
        yield self

    def send(self, message: EmailMessage, key: str) -> str:  # noqa: ARG002 - what it says is looked at elsewhere
        if len(self.keys) == self.takes:
            raise MailServerAway("the disk is full")
        self.keys.append(key)
        return "250 OK"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TestServer]:
    with mail_server(tmp_path) as up:
        yield up


@pytest.fixture
def one_bank(tmp_path: Path) -> Iterator[World]:
    """Open a bank on SQLite alone, for what no database has a part in."""
    with world(tmp_path) as bank:
        yield bank


def tell(bank: World, who: PersonId = KEIRI01, code: str = "certificate-revoked") -> int:
    """Tell a person something, and return the notice's row."""

    def add(tx: Any) -> int:
        person = people.find(tx, who)
        assert person is not None
        notices.add(tx, person.id, code, bank.ports.now())
        return notices.of(tx, person.id, 1)[0].id

    return bank.db.write(add)


def mail(bank: World, through: MailServer, **more: Any) -> int:
    return send_mails(replace(bank.ports, mail=through), bank=BANK, **more)


def row(bank: World, notice_id: int) -> Any:
    (found,) = bank.rows("SELECT * FROM notices WHERE id = :id", id=notice_id)
    return found


def waiting(bank: World) -> list[outgoing.Mailing]:
    with bank.db.read() as tx:
        return outgoing.listed(tx, given_up=False)


def given_up(bank: World) -> list[outgoing.Mailing]:
    with bank.db.read() as tx:
        return outgoing.listed(tx, given_up=True)


def message_ids(server: TestServer) -> list[str]:
    return [str(taken["Message-ID"]) for taken in server.taken]


# The outbox.


def test_what_was_handed_over_is_not_handed_over_again(bank: World) -> None:
    bank.acquire(KEIRI01)
    bank.acquire(KEIRI02)
    breaking = Breaking(takes=3)
    with pytest.raises(MailServerAway, match="full"):
        send_mails(replace(bank.ports, mail=breaking), bank=BANK)
    assert [one.tries for one in waiting(bank)] == [0], "it was not tried, so it is no try"
    assert send_mails(bank.ports, bank=BANK) == 1
    assert send_mails(bank.ports, bank=BANK) == 0
    everything = [f"{row.id:012d}" for row in bank.rows("SELECT id FROM notices ORDER BY id")]
    assert [*breaking.keys, *bank.mailbox.mails] == everything
    assert len(everything) == 4, "each user, and the administrator of each"


def test_whoever_has_no_address_is_told_in_the_inbox_alone(bank: World) -> None:
    bank.change("UPDATE people SET mail_address = NULL WHERE user_id = 'keiri01'")
    bank.acquire(KEIRI01)
    assert send_mails(bank.ports, bank=BANK) == 2
    assert len(bank.mailbox.mails) == 1
    assert send_mails(bank.ports, bank=BANK) == 0
    assert [r.mail_said for r in bank.rows("SELECT mail_said FROM notices ORDER BY id")].count("no address") == 1


def test_those_without_an_address_are_left_together_but_not_what_another_has_taken(bank: World) -> None:
    bank.change("UPDATE people SET mail_address = NULL")
    for _ in range(4):
        tell(bank)
    bank.change("UPDATE notices SET mail_tries = 2 WHERE id IN (SELECT id FROM notices ORDER BY id LIMIT 2)")
    until = bank.ports.now() + LEASE
    taken = bank.db.write(lambda tx: outgoing.take_due(tx, bank.ports.now(), until=until, most=10))
    assert sorted(one.tries for one in taken) == [1, 1, 3, 3]
    lost = taken[0].notice.id
    bank.change(f"UPDATE notices SET mail_tries = mail_tries + 1 WHERE id = {lost}")  # noqa: S608 - a number
    bank.db.write(lambda tx: outgoing.leave_unmailed(tx, taken))
    left = bank.rows("SELECT id FROM notices WHERE mail_said = 'no address' AND mail_due_at IS NULL ORDER BY id")
    assert [row.id for row in left] == sorted({one.notice.id for one in taken} - {lost})


def test_a_mail_goes_where_the_notice_says(bank: World) -> None:
    def add(tx: Any) -> None:
        person = people.find(tx, KEIRI01)
        assert person is not None
        notices.add(tx, person.id, "certificate-revoked", bank.ports.now(), mail_to="old@example.com")

    bank.db.write(add)
    send_mails(bank.ports, bank=BANK)
    assert [str(sent["To"]) for sent in bank.mailbox.mails.values()] == ["old@example.com"]


def test_many_who_mail_at_once_hand_each_mail_over_once(bank: World, tmp_path: Path) -> None:
    for _ in range(70):
        tell(bank)
    with mail_server(tmp_path) as server:
        clients = [server.client() for _ in range(4)]
        failed: list[BaseException] = []

        def all_day(client: MailServer) -> None:
            try:
                while waiting(bank):
                    mail(bank, client)
            except BaseException as failure:  # noqa: BLE001 - looked at below
                failed.append(failure)

        threads = [threading.Thread(target=all_day, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failed == []
        assert len(server.taken) == 70
        assert len(set(message_ids(server))) == 70


def test_what_a_killed_process_had_taken_is_mailed_again_under_the_same_message_id(bank: World, tmp_path: Path) -> None:
    """SIGKILL between the server's having it and our commit: nobody can know, so it goes twice and can be told."""
    notice_id = tell(bank)
    with mail_server(tmp_path, holds=True) as server:
        database = str(bank.db.file) if isinstance(bank.db, SqliteDatabase) else database_url(bank)
        argv = [database, str(server.port), str(server.certificate), str(tmp_path / "mail-password")]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.mailing", *argv, bank.ports.now().isoformat()], cwd=ROOT
        )
        try:
            assert server.holding.wait(60), "the mail is with the server, and not answered"
        finally:
            process.kill()
            process.wait(30)
        server.holds = False
        server.go_on.set()
        assert row(bank, notice_id).mailed_at is None
        assert mail(bank, server.client()) == 0, "nobody else takes it while the lease lasts"
        bank.later(seconds=LEASE.total_seconds() + 1)
        assert mail(bank, server.client()) == 1
        assert mail(bank, server.client()) == 0
        assert len(server.taken) == 2
        assert len(set(message_ids(server))) == 1
        assert row(bank, notice_id).mailed_at is not None


def database_url(bank: World) -> str:
    return bank.db.writing.url.render_as_string(hide_password=False)


def test_where_the_database_goes_after_the_server_took_a_mail_it_is_marked_later_and_not_mailed_again(
    bank: World, tmp_path: Path
) -> None:
    notice_id = tell(bank)
    with mail_server(tmp_path) as server:
        broken = replace(bank.ports, db=AwayAt(bank.db, 2), mail=server.client())
        unmarked: dict[int, str] = {}
        with pytest.raises(StoreAway):
            send_mails(broken, bank=BANK, unmarked=unmarked)
        assert list(unmarked) == [notice_id]
        bank.later(seconds=LEASE.total_seconds() + 1)
        assert mail(bank, server.client(), unmarked=unmarked) == 0
        assert row(bank, notice_id).mailed_at is not None
        assert len(server.taken) == 1


class AwayAt:
    """A database whose writes work so many times less one, and never after."""

    def __init__(self, db: Any, number: int) -> None:
        self._db = db
        self._left = number
        self.read = db.read
        self.write_all = db.write_all
        self.holds_lead = db.holds_lead

    def write(self, work: Callable[[Any], Any]) -> Any:
        self._left -= 1
        if self._left <= 0:
            raise StoreAway
        return self._db.write(work)


# The mail server.


@pytest.mark.parametrize("implicit_tls", [False, True], ids=["STARTTLS", "TLS from the first byte"])
def test_a_mail_goes_over_tls_with_the_password(tmp_path: Path, one_bank: World, implicit_tls: bool) -> None:  # noqa: FBT001
    tell(one_bank)
    with mail_server(tmp_path, implicit_tls=implicit_tls) as server:
        assert mail(one_bank, server.client()) == 1
        (taken,) = server.taken
        with pytest.raises(MailServerAway, match="535") as refused, server.client(user="nobody").line():
            pass
    assert PASSWORD not in str(refused.value)
    assert str(taken["Subject"]) == "【みほんビジネスバンキング】電子証明書が失効しました"
    assert str(taken["From"]) == "みほんビジネスバンキング <no-reply@mihon.example>"
    assert str(taken["To"]) == "keiri01@example.com"
    assert "もうログオンできません" in taken.get_content()
    assert taken["Auto-Submitted"] == "auto-generated"
    (sent,) = one_bank.rows("SELECT mail_said, mailed_at FROM notices")
    assert sent.mail_said == "250 OK taken"


def test_nothing_goes_to_a_server_that_does_not_prove_who_it_is(tmp_path: Path, one_bank: World) -> None:
    tell(one_bank)
    with mail_server(tmp_path, host_name="another.test") as server:
        changes: list[dict[str, Any]] = [{}, {"authorities": None}]
        for changed in changes:
            with pytest.raises(MailServerAway, match="certificate verify failed"):
                mail(one_bank, server.client(**changed))
        assert server.taken == []
    assert [one.tries for one in waiting(one_bank)] == [0]


def test_nothing_goes_to_a_server_without_tls(tmp_path: Path, one_bank: World) -> None:
    tell(one_bank)
    with mail_server(tmp_path, offers_tls=False) as server:
        with pytest.raises(MailServerAway, match="STARTTLS"):
            mail(one_bank, server.client())
        assert server.taken == []


def test_a_server_that_is_away_for_a_day_costs_no_mail_and_no_try(server: TestServer, one_bank: World) -> None:
    client_before = server.client()
    server.stop()
    told = [tell(one_bank) for _ in range(3)]
    for _ in range(24):
        with pytest.raises(MailServerAway, match="cannot be used"):
            mail(one_bank, client_before)
        one_bank.later(hours=1)
    assert {one.tries for one in waiting(one_bank)} == {0}
    server.start()
    assert mail(one_bank, server.client()) == 3
    assert [int(one.split("-")[1]) for one in message_ids(server)] == told


def test_what_is_put_off_is_tried_again_later_each_time_and_keeps_no_other_waiting(
    server: TestServer, one_bank: World
) -> None:
    late = tell(one_bank)
    in_time = tell(one_bank, ADMINISTRATOR)
    server.refusals["keiri01@example.com"] = ["451 4.7.1 come back later", "452 4.2.2 mailbox full"]
    client = server.client()
    assert mail(one_bank, client) == 2
    assert row(one_bank, in_time).mailed_at is not None
    assert [(one.id, one.tries, one.said) for one in waiting(one_bank)] == [(late, 1, "451 4.7.1 come back later")]
    assert mail(one_bank, client) == 0, "it is not due yet"
    one_bank.later(minutes=1)
    assert mail(one_bank, client) == 1
    assert [(one.tries, one.said) for one in waiting(one_bank)] == [(2, "452 4.2.2 mailbox full")]
    one_bank.later(minutes=1)
    assert mail(one_bank, client) == 0, "the second wait is longer"
    one_bank.later(minutes=1)
    assert mail(one_bank, client) == 1
    assert waiting(one_bank) == []
    assert len(server.taken) == 2


def test_what_is_refused_for_good_is_given_up_and_can_be_tried_again(server: TestServer, bank: World) -> None:
    notice_id = tell(bank)
    server.refusals["keiri01@example.com"] = ["550 5.1.1 no such mailbox"]
    assert mail(bank, server.client()) == 1
    (lost,) = given_up(bank)
    assert (lost.id, lost.who, lost.tries, lost.said) == (notice_id, KEIRI01, 1, "550 5.1.1 no such mailbox")
    bank.later(days=30)
    assert mail(bank, server.client()) == 0
    with bank.db.read() as tx:
        person = people.find(tx, KEIRI01)
        assert person is not None
        assert [notice.id for notice in notices.of(tx, person.id, 5)] == [notice_id], "the inbox has it all the same"
    again = retry_mails(bank.ports, notice_ids=None, actor=Actor("operator:test"))
    assert [one.id for one in again] == [notice_id]
    assert retry_mails(bank.ports, notice_ids=[notice_id], actor=Actor("operator:test")) == []
    assert mail(bank, server.client()) == 1
    assert given_up(bank) == waiting(bank) == []
    actions = [r.action for r in bank.rows("SELECT action FROM audit WHERE action LIKE 'mail-%' ORDER BY id")]
    assert actions == ["mail-given-up", "mail-retried"]


def test_one_that_is_put_off_for_five_days_is_given_up(server: TestServer, one_bank: World) -> None:
    began = one_bank.ports.now()
    tell(one_bank)
    server.refusals["keiri01@example.com"] = ["450 4.2.0 later"] * 100
    client = server.client()
    while not given_up(one_bank):
        assert mail(one_bank, client) == 1
        due = [one.due_at for one in waiting(one_bank)]
        if due and due[0] is not None:
            one_bank.clock[0] = due[0]
    assert timedelta(days=4.5) < one_bank.ports.now() - began <= timedelta(days=5)
    assert given_up(one_bank)[0].said == "450 4.2.0 later"


def test_a_refused_sender_is_the_settings_fault_and_no_mails(server: TestServer, one_bank: World) -> None:
    tell(one_bank)
    server.refuses_sender = "554 5.7.1 relay access denied"
    with pytest.raises(MailServerAway, match="554"):
        mail(one_bank, server.client())
    assert [one.tries for one in waiting(one_bank)] == [0]
    assert given_up(one_bank) == []


def test_a_line_cut_after_the_text_may_mean_the_same_mail_twice_and_never_none(
    server: TestServer, one_bank: World
) -> None:
    first, second = tell(one_bank), tell(one_bank, ADMINISTRATOR)
    server.cuts_after_data = 1
    client = server.client()
    assert mail(one_bank, client) == 1
    assert [(one.id, one.tries) for one in waiting(one_bank)] == [(first, 1), (second, 0)]
    assert "lost at DATA" in (waiting(one_bank)[0].said or "")
    assert mail(one_bank, client) == 1
    one_bank.later(minutes=1)
    assert mail(one_bank, client) == 1
    ids = message_ids(server)
    assert len(ids) == 3
    assert ids[0] == ids[2] != ids[1]


def test_a_server_that_never_comes_to_an_end_holds_nobody_up(server: TestServer, one_bank: World) -> None:
    tell(one_bank)
    server.drips = True
    assert mail(one_bank, server.client(mail_s=1.0)) == 1
    assert [one.tries for one in waiting(one_bank)] == [1]
    assert "lost at DATA" in (waiting(one_bank)[0].said or "")


def test_an_address_that_is_none_is_given_up_alone(server: TestServer, one_bank: World) -> None:
    one_bank.change("UPDATE people SET mail_address = 'not an address' WHERE user_id = 'keiri01'")
    one_bank.change("UPDATE people SET mail_address = '経理@example.com' WHERE user_id = 'keiri02'")
    for who in (KEIRI01, KEIRI02, ADMINISTRATOR):
        tell(one_bank, who)
    assert mail(one_bank, server.client()) == 3
    assert len(server.taken) == 1
    assert [one.said for one in given_up(one_bank)] == ["this is no mail address"] * 2


# The words.


def test_a_person_is_mailed_in_the_language_that_they_chose_last_at_a_logon(bank: World) -> None:
    certificate = bank.acquire(KEIRI01)

    def log_on(language: str | None) -> None:
        enter_pin(
            bank.ports, bank=BANK, kind=Kind.USER, der=certificate.der, pin="keiri1aa", address=ADDRESS,
            language=language,
        )  # fmt: skip

    log_on("en")
    tell(bank)
    log_on(None)
    tell(bank)
    log_on("ja")
    tell(bank)
    while send_mails(bank.ports, bank=BANK):
        pass
    revoked = [str(m["Subject"]) for m in bank.mailbox.mails.values() if m["To"] == "keiri01@example.com"][1:]
    # All of them were composed after the last choice.
    assert set(revoked[-3:]) == {"【みほんビジネスバンキング】電子証明書が失効しました"}
    bank.later(seconds=1)
    log_on("en")
    tell(bank)
    send_mails(bank.ports, bank=BANK)
    assert str(list(bank.mailbox.mails.values())[-1]["Subject"]) == (
        "[Mihon Business Banking] Your certificate has been revoked"
    )


def test_waits_grow_to_a_bound_and_end_after_five_days() -> None:
    waits: list[timedelta] = []
    while (wait := wait_after(len(waits) + 1)) is not None:
        waits.append(wait)
    assert waits[:4] == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4), timedelta(minutes=8)]
    assert waits == sorted(waits)
    assert max(waits) == timedelta(hours=4)
    assert timedelta(days=4, hours=20) < sum(waits, timedelta()) <= timedelta(days=5)
