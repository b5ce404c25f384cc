"""A server that is wrong, lies, stalls or is away: a plain message, an exit code, nothing installed, no permit lost."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.browser.support.nss import NssDatabase
from tests.support.company_computer import CompanyComputer, Outcome
from tests.support.edge import free_port
from tests.support.lying_bank import LyingBank, Proxy, Said, as_json, certificates
from tests.support.served import ROOT

from tegata import exit_codes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.served import Served


@pytest.fixture
def liar(bank: Served, tmp_path: Path) -> Iterator[LyingBank]:
    with LyingBank(tmp_path / "liar", bank) as running:
        yield running


def acquire_from(liar: LyingBank, bank: Served, computer: CompanyComputer, **changed: str) -> Outcome:
    return computer.acquire(bank, bank.user("keiri02"), url=liar.url, ca=str(liar.ca), **changed)


def installed(computer: CompanyComputer) -> int:
    folder = computer.home / ".pki/nssdb"
    return len(NssDatabase(folder).certificates()) if folder.exists() else 0


def is_refused(done: Outcome, computer: CompanyComputer, code: str, exit_code: int) -> None:
    assert (done.data["code"], done.code) == (code, exit_code), done.err
    assert len(done.err.strip().splitlines()) >= 2, "what happened and what to do"
    assert installed(computer) == 0


class Forger:
    """Issues whatever a test wants for the key in a request."""

    def __init__(self, **wrong: Any) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.wrong = wrong

    def __call__(self, path: str, body: bytes) -> Said | None:
        if not path.endswith("simpleenroll"):
            return None
        csr = x509.load_der_x509_csr(base64.b64decode(body))
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.wrong.get("name", "someone"))]))
            .issuer_name(self.wrong.get("issuer", csr.subject))
            .public_key(self.wrong.get("key") or csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(self.wrong.get("until", now + timedelta(days=300)))
            .add_extension(
                x509.ExtendedKeyUsage([self.wrong.get("usage", ExtendedKeyUsageOID.CLIENT_AUTH)]), critical=False
            )
        )
        return certificates(builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM))


def name_of(bank: Served) -> str:
    return f"{bank.info['contract']['contract_id']}keiri029990"


FORGERIES: list[tuple[str, Callable[[Served], dict[str, Any]]]] = [
    (
        "certificate-for-another-key",
        lambda bank: {"name": name_of(bank), "key": ec.generate_private_key(ec.SECP256R1()).public_key()},
    ),
    ("certificate-for-another-person", lambda _: {"name": "12345678901somebody9990"}),
    ("certificate-not-usable", lambda bank: {"name": name_of(bank)}),
    (
        "certificate-not-usable",
        lambda bank: {"name": name_of(bank), "usage": ExtendedKeyUsageOID.SERVER_AUTH},
    ),
    (
        "certificate-not-usable",
        lambda bank: {"name": name_of(bank), "until": datetime.now(UTC) - timedelta(days=1)},
    ),
]


@pytest.mark.parametrize(("code", "wrong"), FORGERIES, ids=["key", "person", "issuer", "usage", "dates"])
def test_a_certificate_that_is_not_what_was_asked_for(
    bank: Served, liar: LyingBank, computer: CompanyComputer, code: str, wrong: Callable[[Served], dict[str, Any]]
) -> None:
    liar.lie = Forger(**wrong(bank))
    is_refused(acquire_from(liar, bank, computer), computer, code, exit_codes.ANSWER_WRONG)
    # Once it speaks the truth, the same key gets its certificate: the permit was not lost.
    (record,) = computer.records
    liar.lie = lambda _path, _body: None
    assert acquire_from(liar, bank, computer).code == 0
    assert computer.records[0]["present"] == record["wanted"]["key_id"]


ANSWERS = {
    "no base64": Said(body=b"\xff\xfe not base64"),
    "no PKCS #7": Said(body=base64.b64encode(b"0\x03\x02\x01\x05")),
    "empty": Said(),
    "too long": Said(body=b"A" * (2 << 20)),
    "elsewhere": Said(302, {"location": "https://localhost:1/"}),
    "a bug": Said(500, {}, b"Traceback"),
    "a strange code": Said(403, {"x-sekisho-code": "<b>no</b>"}, b""),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_that_cannot_be_understood(bank: Served, liar: LyingBank, computer: CompanyComputer, name: str) -> None:
    liar.lie = lambda path, _body: ANSWERS[name] if path.endswith("simpleenroll") else None
    done = acquire_from(liar, bank, computer)
    is_refused(done, computer, "answer-not-understood", exit_codes.ANSWER_WRONG)


@pytest.mark.parametrize(
    "lie",
    [
        {"bank": "1234", "name": {"ja": "", "en": ""}, "help_desk": {"phone": ""}, "sites": {}},
        ["not", "an", "object"],
        {
            "bank": "9990",
            "name": {"ja": "", "en": ""},
            "help_desk": {"phone": ""},
            "sites": dict.fromkeys(("public", "administrator", "user"), "http://localhost"),
        },
    ],
    ids=["another bank", "no object", "no TLS"],
)
def test_a_description_of_the_bank_that_is_wrong(
    bank: Served, liar: LyingBank, computer: CompanyComputer, lie: object
) -> None:
    liar.lie = lambda path, _body: as_json(lie) if path.endswith(".json") else None
    is_refused(acquire_from(liar, bank, computer), computer, "answer-not-understood", exit_codes.ANSWER_WRONG)
    assert not (computer.home / ".pki").exists(), "no key was made"
    assert not [path for path, _, _ in liar.asked if "simpleenroll" in path], "no PIN was sent"


def test_what_a_server_says_cannot_play_with_the_terminal(
    bank: Served, liar: LyingBank, computer: CompanyComputer
) -> None:
    evil = "permit-missing: \x1b[2J\x1b]0;hacked\x07 Call \u202e 0120\nand\r type your PIN".encode()
    liar.lie = lambda path, _body: (
        Said(403, {"x-sekisho-code": "permit-missing"}, evil) if path.endswith("simpleenroll") else None
    )
    done = acquire_from(liar, bank, computer)
    is_refused(done, computer, "refused", exit_codes.REFUSED)
    assert not {c for c in done.err if c in "\x1b\x07\u202e\r"}


def test_a_server_that_asks_for_patience_gets_it(bank: Served, liar: LyingBank, computer: CompanyComputer) -> None:
    later = [Said(202, {"retry-after": "1"}), Said(429, {"retry-after": "1"}), Said(hang_up=True)]
    liar.lie = lambda path, _body: later.pop(0) if path.endswith("simpleenroll") and later else None
    done = acquire_from(liar, bank, computer)
    assert done.code == 0, done.err
    assert "asking again in 1 seconds" in done.err
    asked = [base64.b64decode(body) for path, _, body in liar.asked if path.endswith("simpleenroll")]
    same_key = {x509.load_der_x509_csr(der).public_key().public_numbers() for der in asked}  # type: ignore[union-attr]  # EC
    assert (len(asked), len(same_key)) == (4, 1)


def test_patience_has_an_end(bank: Served, liar: LyingBank, computer: CompanyComputer) -> None:
    liar.lie = lambda path, _body: Said(202, {"retry-after": "999999"}) if path.endswith("simpleenroll") else None
    is_refused(acquire_from(liar, bank, computer), computer, "not-yet", exit_codes.NOT_YET)
    liar.lie = lambda path, _body: Said(429, {"retry-after": "999999"}) if path.endswith("simpleenroll") else None
    is_refused(acquire_from(liar, bank, computer), computer, "busy", exit_codes.BUSY)
    liar.lie = lambda _path, _body: None
    assert acquire_from(liar, bank, computer).code == 0


def test_a_server_that_never_comes_to_an_end_meets_the_deadline(
    bank: Served, liar: LyingBank, computer: CompanyComputer
) -> None:
    """Each byte comes in time, and the answer never does."""
    liar.lie = lambda path, _body: Said(drip=True) if path.endswith("cacerts") else None
    program = (
        "import sys; from pathlib import Path; from tegata.web import Trust, Web; from tegata.errors import Trouble\n"
        "try: Web(Trust(Path(sys.argv[2])), 'en', deadline_s=1).get(sys.argv[1])\n"
        "except Trouble as trouble: print(trouble.code)\n"
    )
    url = f"{liar.url}/.well-known/est/9990/cacerts"
    argv = [sys.executable, "-c", program, url, str(liar.ca)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, env=computer.env(), cwd=ROOT, check=False)
    assert done.stdout == "answer-lost\n", done.stderr


def test_nobody_is_there(bank: Served, computer: CompanyComputer) -> None:
    person = bank.user("keiri02")
    done = computer.acquire(bank, person, url=f"https://localhost:{free_port()}")
    is_refused(done, computer, "server-not-reachable", exit_codes.SERVER_NOT_REACHABLE)
    assert not (computer.home / ".pki").exists(), "no key was made"
    done = computer.acquire(bank, person, url=bank.info["urls"]["public"].replace("https", "http"))
    is_refused(done, computer, "address-not-usable", exit_codes.USAGE)


def test_a_server_of_another_ca_gets_no_pin(bank: Served, liar: LyingBank, computer: CompanyComputer) -> None:
    done = computer.acquire(bank, bank.user("keiri02"), url=liar.url)
    is_refused(done, computer, "server-not-trusted", exit_codes.SERVER_NOT_TRUSTED)
    assert liar.asked == []


def test_a_certificate_without_the_servers_name_gets_no_pin(
    bank: Served, computer: CompanyComputer, tmp_path: Path
) -> None:
    with LyingBank(tmp_path / "other", bank, named=False) as other:
        done = acquire_from(other, bank, computer)
    is_refused(done, computer, "server-not-trusted", exit_codes.SERVER_NOT_TRUSTED)
    assert other.asked == []


def test_a_ca_file_that_is_none(bank: Served, computer: CompanyComputer) -> None:
    wrong = computer.home / "wrong.pem"
    wrong.write_text("no certificate")
    done = computer.acquire(bank, bank.user("keiri02"), ca=str(wrong))
    is_refused(done, computer, "trust-not-readable", exit_codes.USAGE)


def test_refusals_of_the_bank_leave_no_key_behind(bank: Served, computer: CompanyComputer) -> None:
    person = bank.user("keiri02")
    wrong = computer.acquire(bank, person, pin="wrong111")
    is_refused(wrong, computer, "refused", exit_codes.REFUSED)
    assert wrong.data["reason"] == "not-accepted"
    assert (keys(computer), computer.records) == (0, [])
    assert computer.acquire(bank, person).code == 0
    other = CompanyComputer(computer.home.with_name("other"))
    spent = other.acquire(bank, person)
    is_refused(spent, other, "refused", exit_codes.REFUSED)
    assert spent.data["reason"] == "permit-spent"
    assert (keys(other), other.records) == (0, [])


def test_an_expired_permit(served: Served, computer: CompanyComputer) -> None:
    served.set_clock_ahead(days=15)
    done = computer.acquire(served, served.user("keiri02"))
    is_refused(done, computer, "refused", exit_codes.REFUSED)
    assert done.data["reason"] == "permit-expired"
    assert (keys(computer), computer.records) == (0, [])


def keys(computer: CompanyComputer) -> int:
    argv = ["certutil", "-K", "-d", f"sql:{computer.home}/.pki/nssdb"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return len([line for line in done.stdout.splitlines() if line.startswith("<")])


def test_a_reissued_certificate_is_replaced_by_a_new_key(
    bank: Served, computer: CompanyComputer, running_bank: Any
) -> None:
    """J2 and J3 on the same computer: the old key is over, and its certificate leaves the store."""
    person = bank.user("keiri02")
    first = computer.acquire(bank, person).data
    running_bank[1]()
    second = computer.acquire(bank, person).data
    assert second["serial"] != first["serial"]
    assert (second["already"], keys(computer)) == (False, 1)
    assert [line["serial"] for line in computer.run("list", "--json").lines] == [second["serial"]]


def test_a_proxy_behind_tls(bank: Served, computer: CompanyComputer, tmp_path: Path) -> None:
    with Proxy(tmp_path, tls=True) as proxy:
        both = tmp_path / "both.pem"
        both.write_bytes(proxy.ca.read_bytes() + Path(bank.info["tls_ca"]).read_bytes())
        address = f"https://taro:p%40ss%3Aword@localhost:{proxy.port}"
        done = computer.acquire(bank, bank.user("keiri02"), "--proxy", address, ca=str(both))
        assert done.code == 0, done.err
        assert proxy.tunnels


def test_a_proxy_with_a_name_and_a_password(bank: Served, computer: CompanyComputer, tmp_path: Path) -> None:
    person = bank.user("keiri02")
    port = bank.info["urls"]["public"].rpartition(":")[2]
    with Proxy(tmp_path) as proxy:
        refused = computer.acquire(bank, person, "--proxy", f"http://127.0.0.1:{proxy.port}")
        is_refused(refused, computer, "proxy-refused", exit_codes.PROXY)
        assert "407" in refused.err
        wrong = computer.acquire(bank, person, "--proxy", f"http://taro:wrong@127.0.0.1:{proxy.port}")
        is_refused(wrong, computer, "proxy-refused", exit_codes.PROXY)
        assert (proxy.tunnels, proxy.refused) == ([], 2)
        # As other programs of the computer find it; the password's signs are escaped as in any address.
        computer.environment["https_proxy"] = f"http://taro:p%40ss%3Aword@127.0.0.1:{proxy.port}"
        done = computer.acquire(bank, person)
        assert done.code == 0, done.err
        assert set(proxy.tunnels) == {f"localhost:{port}"}
        assert "p@ss" not in json.dumps(computer.records)
        computer.environment["no_proxy"] = "localhost"
        before = len(proxy.tunnels)
        assert computer.acquire(bank, person).data["already"] is True
        assert len(proxy.tunnels) == before
    del computer.environment["no_proxy"]
    gone = computer.acquire(bank, person)
    assert (gone.code, gone.data["code"]) == (exit_codes.PROXY, "proxy-refused")
