"""J8: renewal over mutual TLS with the key in its store; the old certificate leaves after the new one's first logon."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.company_computer import CompanyComputer
from tests.support.served import ROOT, Served, free_port_base
from tests.support.tokens import PIN, SoftHsm
from tests.tegata.conftest import reissue

from tegata import exit_codes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# A logon with a certificate whose key stays in its store: what a browser does, through the same signatures.
LOG_ON = """
import re, ssl, sys, urllib.parse
from pathlib import Path
import sslcontext, urllib3
from tegata.stores.spec import open_store, parse
from tegata.web import _TlsSigner
store, key_id, url, ca, pin, token_pin = sys.argv[1:]
with open_store(parse(store), lambda _: token_pin) as opened:
    entry = next(e for e in opened.entries() if e.key_id.hex() == key_id)
    context = ssl.create_default_context(cafile=ca)
    sslcontext.load_identity(context, sslcontext.Identity(entry.der, _TlsSigner(opened.key(entry.key_id))))
    with urllib3.PoolManager(ssl_context=context) as http:
        page = http.request("GET", url + "/")
        text = page.data.decode()
        cookies = "; ".join(c.split(";")[0] for c in page.headers.getlist("set-cookie"))
        hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', text))
        done = http.request("POST", url + "/", headers={"cookie": cookies, "origin": url,
            "content-type": "application/x-www-form-urlencoded"},
            body=urllib.parse.urlencode(hidden | {"pin": pin}), redirect=False)
        print(done.status, done.headers.get("location"))
"""


def log_on(
    served: Served, computer: CompanyComputer, person: dict[str, Any], token_pin: str = "", key: str | None = None
) -> str:
    (record,) = computer.records
    argv = [sys.executable, "-c", LOG_ON, record["store"], key or record["present"], served.info["urls"]["user"]]
    done = subprocess.run(
        [*argv, served.info["tls_ca"], person["user_pin"], token_pin],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env=computer.env(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def serials(computer: CompanyComputer, *options: str, typed: tuple[str, ...] = ()) -> set[str]:
    return {line["serial"] for line in computer.run("list", "--json", *options, typed=typed).lines}


@pytest.mark.parametrize("kind", ["nss", "token"])
def test_a_renewal(served: Served, tmp_path: Path, kind: str) -> None:
    person = served.user("keiri02")
    token = SoftHsm(tmp_path / "hsm") if kind == "token" else None
    computer = CompanyComputer(tmp_path / "home", {} if token is None else token.environment)
    store_pin = None if token is None else PIN
    store = () if token is None else ("--store", token.store)
    ask = () if token is None else ("--pin-stdin",)
    lines = () if token is None else (PIN,)
    first = computer.acquire(served, person, *store, store_pin=store_pin).data

    early = computer.renew(person, store_pin=store_pin)
    assert (early.code, early.data["reason"]) == (exit_codes.REFUSED, "renewal-not-open")
    assert computer.records[0]["wanted"] is None
    served.set_clock_ahead(days=340)
    wrong = computer.renew(person, pin="wrong111", store_pin=store_pin)
    assert (wrong.code, wrong.data["reason"]) == (exit_codes.REFUSED, "entry-wrong")
    done = computer.renew(person, store_pin=store_pin)
    assert (done.code, done.data["code"]) == (0, "certificate-renewed"), done.err
    second = done.data
    assert second["serial"] != first["serial"]
    assert second["key_held_claimed"] == ("file" if token is None else "token")

    # Until the first completed logon both are there, and the browser may take either.
    assert "Several certificates" in computer.run("doctor", *ask, typed=lines).out
    assert serials(computer, *store, *ask, typed=lines) == {first["serial"], second["serial"]}
    assert log_on(served, computer, person, PIN if token else "") == "303 /status"
    shown = computer.run("list", "--json", *store, *ask, typed=lines)
    assert first["serial"] in shown.err, "told that it is gone"
    assert {line["serial"] for line in shown.lines} == {second["serial"]}
    assert computer.records[0]["former"] == []
    state = {m[0]: m[1] for m in re.findall(r"(\w{32}) .*?(superseded|in-force)", _listed(served))}
    assert state[first["serial"]] == "superseded"


def test_a_renewal_without_the_pin_waits_for_a_logon(tmp_path: Path) -> None:
    served = Served(tmp_path / "data", free_port_base())
    served.start()
    try:
        token, person = SoftHsm(tmp_path / "hsm"), served.user("keiri02")
        computer = CompanyComputer(tmp_path / "home", token.environment)
        computer.acquire(served, person, "--store", token.store, store_pin=PIN)
        served.set_clock_ahead(days=340)

        def renew() -> Any:
            options = ("renew", "--user", "keiri02", "--without-pin", "--pin-stdin", "--json")
            return computer.run(*options, typed=(PIN,))

        refused = renew()
        assert (refused.code, refused.data["reason"]) == (exit_codes.REFUSED, "not-accepted")
        assert served.sekisho("policy", "set", "--renewal-without-pin").returncode == 0
        served.stop()
        served.start()
        done = renew()
        assert (done.code, done.data["code"]) == (0, "certificate-renewed"), done.err
        (record,) = computer.records
        present, (former,) = record["present"], record["former"]
        assert log_on(served, computer, person, PIN).startswith("403"), "it waits"
        assert log_on(served, computer, person, PIN, key=former) == "303 /status"
        assert log_on(served, computer, person, PIN, key=present) == "303 /status"
    finally:
        served.stop()


def _listed(served: Served) -> str:
    return served.sekisho("certificates", "list").stdout


@pytest.mark.parametrize("step", ["key-made", "asking", "answered", "installed"])
def test_a_killed_renewal_goes_on_with_the_same_key(
    renewable: tuple[Served, CompanyComputer, Callable[[], None]], tmp_path: Path, step: str
) -> None:
    served, computer, another_year = renewable
    another_year()
    person = served.user("keiri02")
    before = _listed(served).count("keiri02")
    died = subprocess.run(
        [sys.executable, "-m", "tests.support.dying_tegata", "renew", "--user", "keiri02", "--pin-stdin"],
        input=f"{person['user_pin']}\n",
        capture_output=True,
        text=True,
        timeout=90,
        cwd=ROOT,
        env=computer.env() | {"TEGATA_DIES_AT": step, "TEGATA_DIED": str(tmp_path / "died")},
        check=False,
    )
    assert died.returncode == -9, died.stderr
    assert (tmp_path / "died").read_text() == step
    wanted = computer.records[0]["wanted"]
    done = computer.renew(person)
    assert done.code == 0, done.err
    assert computer.records[0]["present"] == wanted["key_id"]
    assert _listed(served).count("keiri02") == before + 1


def test_a_renewal_whose_answer_was_lost_is_found_by_acquiring(
    renewable: tuple[Served, CompanyComputer, Callable[[], None]], tmp_path: Path
) -> None:
    served, computer, another_year = renewable
    another_year()
    person = served.user("keiri02")
    before = _listed(served).count("keiri02")
    first = _lose_an_answer(computer, person, tmp_path)
    assert _listed(served).count("keiri02") == before + 1
    done = computer.acquire(served, person)
    assert done.code == 0, done.err
    assert computer.records[0]["present"] == first["key_id"], "the key that was asked with"
    assert _listed(served).count("keiri02") == before + 1


def test_a_renewal_that_was_lost_and_has_ended_makes_way_for_a_new_key(tmp_path: Path) -> None:
    served, computer = Served(tmp_path / "data", free_port_base()), CompanyComputer(tmp_path / "home")
    served.start()
    try:
        person = served.user("keiri02")
        assert computer.acquire(served, person).code == 0
        served.set_clock_ahead(days=340)
        lost = _lose_an_answer(computer, person, tmp_path)
        reissue(served, "keiri02")
        done = computer.acquire(served, person)
        assert done.code == 0, done.err
        (record,) = computer.records
        assert (record["wanted"], record["present"] == lost["key_id"]) == (None, False)
    finally:
        served.stop()


def _lose_an_answer(computer: CompanyComputer, person: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Renew and die before the certificate is stored; return what is written down of the key."""
    died = subprocess.run(
        [sys.executable, "-m", "tests.support.dying_tegata", "renew", "--user", "keiri02", "--pin-stdin"],
        input=f"{person['user_pin']}\n",
        capture_output=True,
        text=True,
        timeout=90,
        cwd=ROOT,
        env=computer.env() | {"TEGATA_DIES_AT": "answered", "TEGATA_DIED": str(folder / "died")},
        check=False,
    )
    assert died.returncode == -9, died.stderr
    wanted: dict[str, Any] = computer.records[0]["wanted"]
    return wanted


@pytest.fixture(scope="module")
def renewable(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a bank, the computer of keiri02, and what moves the bank's clock to the next renewal window."""
    from tests.support.served import Served, free_port_base

    folder = tmp_path_factory.mktemp("renewable")
    served = Served(folder / "data", free_port_base())
    served.start()
    computer = CompanyComputer(folder / "home")
    assert computer.acquire(served, served.user("keiri02")).code == 0
    days = itertools.count(340, 340)
    yield served, computer, lambda: served.set_clock_ahead(days=next(days))
    served.stop()


def test_without_a_certificate_there_is_nothing_to_renew(computer: CompanyComputer) -> None:
    done = computer.renew({"user_id": "keiri02", "user_pin": "x"})
    assert (done.code, done.data["code"]) == (exit_codes.NOT_FOUND, "certificate-not-found")
