"""J3: the permit is spent once, the same key asks again, and nobody learns what was wrong."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from tests.support.world import ADMINISTRATOR, KEIRI01, KEIRI02, new_csr, new_key

from sekisho.ca.client import CaClient
from sekisho.domain.errors import (
    CaAway,
    KeyReused,
    NotAccepted,
    PermitExpired,
    PermitMissing,
    PermitSpent,
    PermitWithdrawn,
    Refusal,
    SigningRefused,
    StoreAway,
    TooManyRequests,
)
from sekisho.domain.person import Kind
from sekisho.store import audit, orders, people, permits
from sekisho.store.audit import Actor
from sekisho.usecases.finish_order import Unfinished, finish_orders
from sekisho.usecases.resume_orders import Resumed, resume_orders

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.world import CheapPins, World


def test_acquiring_gives_the_certificate_of_the_journeys(bank: World) -> None:
    certificate = bank.acquire(KEIRI01)
    assert certificate.person == KEIRI01
    assert certificate.exportable
    assert (certificate.not_after - bank.clock[0]).days == 365
    assert certificate.serial.bit_length() <= 128


def test_the_same_key_gets_the_same_bytes_and_another_is_told_since_when(bank: World) -> None:
    key = new_key()
    first = bank.acquire(KEIRI01, new_csr(key))
    spent_at = bank.clock[0]
    bank.later(hours=3)
    assert bank.acquire(KEIRI01, new_csr(key)).der == first.der
    with pytest.raises(PermitSpent) as told:
        bank.acquire(KEIRI01)
    assert told.value.values["since"] == spent_at


def test_full_width_entry_and_a_user_id_in_capitals_work(bank: World) -> None:
    assert bank.acquire(KEIRI01, contract_id="１２３４５６７８９０１", user_id="ＫＥＩＲＩ０１", pin="ｋｅｉｒｉ１ａａ")


def test_a_key_certified_for_another_person_is_refused(bank: World) -> None:
    key = new_key()
    bank.acquire(KEIRI01, new_csr(key))
    with pytest.raises(KeyReused):
        bank.acquire(KEIRI02, new_csr(key))
    assert bank.acquire(KEIRI02), "the refusal must not burn the permit"


def test_a_key_whose_certificate_is_over_is_refused(bank: World) -> None:
    key = new_key()
    bank.acquire(KEIRI01, new_csr(key))
    bank.later(days=366)
    with pytest.raises(KeyReused):
        bank.acquire(KEIRI01, new_csr(key))


def test_without_a_permit_or_after_its_window_the_person_is_told(bank: World) -> None:
    with bank.db.read() as tx:
        person = people.find(tx, KEIRI02)
    assert person is not None
    bank.db.write(lambda tx: permits.withdraw_open(tx, person.id, bank.clock[0]))
    with pytest.raises(PermitWithdrawn):
        bank.acquire(KEIRI02)
    bank.later(days=14)
    with pytest.raises(PermitExpired):
        bank.acquire(KEIRI01)


def test_a_person_who_never_had_a_permit_is_told(bank: World) -> None:
    bank.change("DELETE FROM permits")
    with pytest.raises(PermitMissing):
        bank.acquire(KEIRI01)


def test_seven_misses_end_the_permit_and_not_the_logon(bank: World) -> None:
    held = bank.acquire(ADMINISTRATOR)
    for _ in range(7):
        with pytest.raises(NotAccepted):
            bank.acquire(KEIRI01, pin="wrong111")
    with pytest.raises(PermitWithdrawn):
        bank.acquire(KEIRI01)
    told = bank.rows("SELECT user_key FROM notices JOIN people ON people.id = person_id WHERE code = 'permit-ended'")
    assert sorted(row.user_key for row in told) == ["", "keiri01"]
    assert bank.rows("SELECT count(*) AS n FROM people WHERE closed_at IS NOT NULL")[0].n == 0
    assert bank.resume(held, bank.log_on(held))


def test_six_misses_leave_the_permit_open(bank: World) -> None:
    for _ in range(6):
        with pytest.raises(NotAccepted):
            bank.acquire(KEIRI01, confirmation_pin="wrong111")
    assert bank.acquire(KEIRI01)


def test_without_an_open_permit_nothing_is_counted_that_closes_anything(bank: World) -> None:
    bank.acquire(KEIRI01)
    before = bank.rows("SELECT sum(misses) AS n FROM permits")[0].n
    for _ in range(9):
        with pytest.raises(NotAccepted):
            bank.acquire(KEIRI01, pin="wrong111")
    assert bank.rows("SELECT sum(misses) AS n FROM permits")[0].n == before
    assert bank.rows("SELECT sum(misses) AS n FROM secrets")[0].n == 0


def guessed(bank: World) -> list[str]:
    told = bank.rows(
        "SELECT user_key, mail_due_at FROM notices JOIN people ON people.id = person_id WHERE code = 'pins-guessed'"
    )
    assert all(row.mail_due_at is None for row in told)
    return [row.user_key for row in told]


def guess(bank: World, times: int) -> None:
    for _ in range(times):
        with pytest.raises(NotAccepted):
            bank.acquire(KEIRI01, confirmation_pin="wrong111")


@pytest.mark.parametrize("state", ["spent", "missing", "expired", "withdrawn"])
def test_who_guesses_without_an_open_permit_learns_nothing_from_the_limit_on(bank: World, state: str) -> None:
    refusals: dict[str, type[Refusal]] = {
        "spent": PermitSpent,
        "missing": PermitMissing,
        "expired": PermitExpired,
        "withdrawn": PermitWithdrawn,
    }
    if state == "spent":
        bank.acquire(KEIRI01)
    if state == "missing":
        bank.change("DELETE FROM permits")
    if state == "expired":
        bank.later(days=15)
    if state == "withdrawn":
        bank.change("UPDATE permits SET withdrawn_at = granted_at")
    guess(bank, 6)
    with pytest.raises(refusals[state]):
        bank.acquire(KEIRI01)
    assert guessed(bank) == []
    guess(bank, 1)
    with pytest.raises(NotAccepted):
        bank.acquire(KEIRI01)
    guess(bank, 9)
    assert guessed(bank) == ["keiri01"], "they are told once"
    bank.later(hours=23)
    with pytest.raises(NotAccepted):
        bank.acquire(KEIRI01)
    bank.later(hours=1)
    with pytest.raises(refusals[state]):
        bank.acquire(KEIRI01)
    guess(bank, 7)
    assert guessed(bank) == ["keiri01"] * 2, "the count began anew"


def test_guesses_touch_neither_an_open_permit_nor_a_key_that_was_ordered_nor_the_logon(bank: World) -> None:
    key, others = new_key(), new_key()
    held = bank.acquire(KEIRI01, new_csr(key))
    bank.acquire(KEIRI02, new_csr(others))
    guess(bank, 8)
    assert bank.acquire(KEIRI01, new_csr(key)).der == held.der
    assert bank.resume(held, bank.log_on(held))
    with pytest.raises(NotAccepted):  # `key-reused` would say that both PINs are right
        bank.acquire(KEIRI01, new_csr(others))
    bank.change(
        "UPDATE permits SET spent_at = NULL WHERE person_id = (SELECT id FROM people WHERE user_key = 'keiri01')",
        "UPDATE orders SET permit_id = NULL",
    )
    with pytest.raises(KeyReused):
        bank.acquire(KEIRI01, new_csr(others))
    assert bank.acquire(KEIRI01)
    assert bank.rows("SELECT count(*) AS n FROM people WHERE closed_at IS NOT NULL")[0].n == 0


def test_guesses_that_reach_the_limit_while_the_pins_are_checked_count(bank: World) -> None:
    bank.acquire(KEIRI01)
    pins, begun = bank.ports.pins, threading.Event()

    class Slow:
        def verify(self, verifier: str | None, entry: str) -> bool:
            if not begun.is_set():
                begun.set()
                guess(bank, 7)
            return pins.verify(verifier, entry)

    bank.ports = replace(bank.ports, pins=Slow())  # type: ignore[arg-type]
    with pytest.raises(NotAccepted):
        bank.acquire(KEIRI01)
    assert len(bank.rows("SELECT id FROM audit WHERE action = 'acquisition-not-accepted'")) == 8


def _closed(bank: World) -> None:
    with bank.db.read() as tx:
        person = people.find(tx, KEIRI01)
    assert person is not None
    bank.db.write(lambda tx: people.close(tx, person.id, bank.clock[0]))


@pytest.mark.parametrize(
    "changed",
    [
        {"contract_id": "99999999999"},
        {"contract_id": "not a number"},
        {"user_id": "nobody"},
        {"user_id": "../../etc"},
        {"pin": "wrong111"},
        {"confirmation_pin": "wrong111"},
        {"pin": "x" * 5000},
        {"pin": ""},
        {"closed": True},
        {"no permit": True},
        {"right after guesses": True},
    ],
    ids=str,
)
def test_whatever_is_wrong_the_answer_and_the_work_are_the_same(bank: World, changed: dict[str, Any]) -> None:
    pins: CheapPins = bank.ports.pins  # type: ignore[assignment]
    changed = dict(changed)
    if changed.pop("closed", False):
        _closed(bank)
    if changed.pop("no permit", False):
        bank.change("DELETE FROM permits")
        changed["pin"] = "wrong111"
    if changed.pop("right after guesses", False):
        bank.change("DELETE FROM permits")
        for _ in range(7):
            with pytest.raises(NotAccepted):
                bank.acquire(KEIRI01, pin="wrong111")
    statements: list[str] = []
    pins.checks = 0
    for engine in (bank.db.reading, bank.db.writing):
        event.listen(engine, "begin", lambda _connection: statements.append("begin"))
        event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2].split()[0]))
    with pytest.raises(NotAccepted) as refused:
        bank.acquire(KEIRI01, **changed)
    assert refused.value.args == ("not-accepted",)
    assert not refused.value.values
    assert pins.checks == 2
    statements = [one for one in statements if one != "BEGIN"]
    assert statements[:6] == ["begin", "SELECT", "SELECT"] * 2
    assert statements[6:] == ["begin", *["UPDATE", "INSERT"], *["UPDATE"] * 2, *["INSERT"] * 2]


def test_forty_at_once_with_forty_keys_give_one_certificate_and_no_closed_door(bank: World) -> None:
    csrs = [new_csr() for _ in range(40)]
    outcomes: list[object] = []
    gate = threading.Barrier(len(csrs))

    def ask(index: int) -> None:
        gate.wait()
        try:
            outcomes.append(bank.acquire(KEIRI01, csrs[index]).serial)
        except Refusal as refusal:
            outcomes.append(refusal.code)

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(csrs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes))[1:] == ["permit-spent"] * 39
    assert bank.rows("SELECT count(*) AS n FROM certificates")[0].n == 1
    assert bank.rows("SELECT count(*) AS n FROM orders")[0].n == 1
    assert bank.rows("SELECT sum(misses) AS n FROM secrets")[0].n == 0
    assert bank.rows("SELECT sum(misses) AS n FROM permits")[0].n == 0


def test_forty_at_once_with_one_key_get_the_same_bytes(bank: World) -> None:
    csr = new_csr()
    outcomes: list[bytes] = []
    gate = threading.Barrier(40)

    def ask() -> None:
        gate.wait()
        outcomes.append(bank.acquire(KEIRI01, csr).der)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 40
    assert len(set(outcomes)) == 1
    assert bank.rows("SELECT count(*) AS n FROM certificates")[0].n == 1
    assert bank.rows("SELECT count(*) AS n FROM audit WHERE action='certificate-issued'")[0].n == 1


def test_each_change_stands_with_its_audit_row(bank: World) -> None:
    certificate = bank.acquire(KEIRI01)
    rows = bank.rows("SELECT action, actor, address, serial FROM audit WHERE serial IS NOT NULL ORDER BY id")
    assert [(row.action, row.actor, row.address) for row in rows] == [
        ("certificate-ordered", "user:12345678901/keiri01", "192.0.2.7"),
        ("certificate-issued", "user:12345678901/keiri01", "192.0.2.7"),
    ]
    assert {row.serial for row in rows} == {f"{certificate.serial:032x}"}


def test_the_database_itself_refuses_to_change_what_is_for_good(bank: World) -> None:
    from sqlalchemy.exc import IntegrityError

    bank.acquire(KEIRI01)
    for sql in (
        "UPDATE audit SET actor='nobody'",
        "DELETE FROM audit",
        "UPDATE certificate_bytes SET der=''",
        "DELETE FROM certificate_bytes",
        "UPDATE certificates SET person_id=person_id+1",
        "DELETE FROM certificates",
    ):
        with pytest.raises(IntegrityError):
            bank.change(sql)


def test_nothing_is_left_to_resume(bank: World) -> None:
    bank.acquire(KEIRI01)
    bank.later(minutes=5)
    assert resume_orders(bank.ports).done == 0


def broken_signer(bank: World) -> None:
    """Have the CA make certificates that its linter refuses, as a bug in the profile would."""
    from sekisho.ca.signer import Signer
    from sekisho.domain.issuing_ca import IssuingCa
    from sekisho.pki import hierarchy
    from sekisho.pki.issuance import Issuance
    from sekisho.pki.profile import BankName

    signer = bank.ports.cas["9990"]
    assert isinstance(signer, Signer)
    issuer = bank.made.issuing[Kind.USER].certificate
    elsewhere = hierarchy.addresses("9990", Kind.USER, "http://elsewhere.example")
    signer._issuances[IssuingCa(Kind.USER)] = Issuance(
        BankName("9990", bank.bank.name["en"]), Kind.USER, issuer=issuer, addresses=elsewhere
    )


def refusals_noted(bank: World) -> list[dict[str, object]]:
    with bank.db.read() as tx:
        return [row for row in audit.listed(tx) if row["action"] == "signing-refused"]


def test_an_order_that_the_ca_will_not_sign_ends_as_refused(bank: World, caplog: pytest.LogCaptureFixture) -> None:
    """A certificate that breaks a rule of its profile comes of a bug: told once, to all, and not tried for ever."""
    broken_signer(bank)
    key = new_key()
    with pytest.raises(SigningRefused):
        bank.acquire(KEIRI01, new_csr(key))
    (noted,) = refusals_noted(bank)
    assert f"{noted['serial']:032x}" in caplog.text
    assert "sekisho orders refused" in caplog.text

    bank.later(minutes=5)
    assert resume_orders(bank.ports, left_alone=timedelta(0)).done == 0, "nobody tries it again"
    assert len(refusals_noted(bank)) == 1
    with bank.db.read() as tx:
        (listed,) = orders.refused(tx, after=0)
    assert listed.order.serial == noted["serial"]
    told = bank.rows("SELECT person_id, detail FROM notices WHERE code='certificate-not-issued'")
    assert len(told) == 2, "the user and their administrator"
    with pytest.raises(SigningRefused):
        bank.acquire(KEIRI01, new_csr(key))
    with pytest.raises(PermitSpent):
        bank.acquire(KEIRI01)
    assert bank.rows("SELECT count(*) AS n FROM certificates")[0].n == 0


def test_who_is_late_after_the_order_is_never_told_that_nothing_was_begun(bank: World) -> None:
    """A page that is told so throws the key away."""

    class Busy:
        def __init__(self) -> None:
            self.write_all_left = 1

        def __getattr__(self, name: str) -> Any:
            return getattr(bank.db, name)

        def write_all(self, work: Any, items: Any) -> Any:
            self.write_all_left -= 1
            if self.write_all_left < 0:
                raise TooManyRequests
            return bank.db.write_all(work, items)

    right, busy = bank.ports, Busy()
    key = new_key()
    bank.ports = replace(right, db=busy)
    with pytest.raises(StoreAway):
        bank.acquire(KEIRI01, new_csr(key))
    bank.ports = right
    assert bank.acquire(KEIRI01, new_csr(key)).in_force(bank.clock[0])


def test_an_order_that_waited_for_the_ca_and_is_refused_ends_in_the_background(bank: World, tmp_path: Path) -> None:
    right, bank.ports = bank.ports, replace(bank.ports, cas={"9990": CaClient(tmp_path / "nobody")})
    with pytest.raises(CaAway):
        bank.acquire(KEIRI01)
    bank.ports = right
    assert refusals_noted(bank) == [], "a CA that is away has refused nothing"
    broken_signer(bank)
    bank.later(minutes=5)
    assert resume_orders(bank.ports) == Resumed(finished=0, refused=1)
    assert [row["actor"] for row in refusals_noted(bank)] == ["system"]
    assert resume_orders(bank.ports) == Resumed()


def test_what_is_signed_after_all_for_a_refused_order_is_stored_as_ended(bank: World, tmp_path: Path) -> None:
    """Another process may have had it signed meanwhile: it exists, so it stands on the list and opens no door."""
    right = bank.ports
    bank.ports = replace(right, cas={"9990": CaClient(tmp_path / "nobody")})
    with pytest.raises(CaAway):
        bank.acquire(KEIRI01)
    bank.ports = right
    with bank.db.read() as tx:
        (placed,) = orders.unfinished(tx, before=bank.later(minutes=5), most=9)
    assert bank.db.write(lambda tx: orders.refuse(tx, placed.id, bank.clock[0]))
    (outcome,) = finish_orders(bank.ports, [Unfinished(placed, Actor("system"))])
    assert isinstance(outcome, KeyReused)
    (stored,) = bank.rows("SELECT ended_at, reason FROM certificates")
    assert stored.ended_at is not None
    assert not bank.db.write(lambda tx: orders.refuse(tx, placed.id, bank.clock[0])), "it is finished"
