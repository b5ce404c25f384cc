"""The root's list in an installation: made with it, renewed, brought from elsewhere, and what it revokes."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from tests.cli.test_ceremony import PARTS, PEOPLE, PKI, WORDS, make_root, requests_of, run, sign
from tests.support.authority import order
from tests.support.served import Served, free_port_base

from sekisho import settings, wiring, wiring_ca
from sekisho.ca import root_list_file
from sekisho.cli import exit_codes, root_lists
from sekisho.domain.errors import CaAway
from sekisho.store import crls, revoked_cas

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TWICE = [part for part in PARTS for _ in range(2)]
YES = ["yes", "yes"]


def said(data: Path) -> dict[str, dict[str, Any]]:
    done = run("ca", "status", "--data-dir", data, "--json")
    assert done.exit_code == 0, done.output
    return {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}


def lists_of(data: Path) -> tuple[int, int]:
    """Return the numbers of the lists in the folder and in the database."""
    loaded = settings.load(data)
    found = root_lists.find(loaded)
    with wiring.open_ports(loaded) as ports, ports.db.read() as tx:
        published = crls.find(tx, loaded.bank, "root")
    return (0 if found is None else found.number), (0 if published is None else published.number)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    done = run("init", "--data-dir", folder, "--bank", "9991", *WORDS)
    assert done.exit_code == 0, done.output
    return folder


def revoke(data: Path, out: Path, name: str = "user", typed: list[str] | None = None) -> Any:
    lines = [*PEOPLE, *YES, *YES, *YES] if typed is None else typed
    return run(
        *("ca", "revoke", name, "--reason", "cACompromise", "--out", out, "--data-dir", data),
        typed=lines,
    )


def test_it_is_made_with_the_root_and_renewed(data: Path) -> None:
    first, published = lists_of(data)
    assert (first > 0, published) == (True, 0), "published by the first start"
    done = run("ca", "root-list", "--days", "90", "--data-dir", data)
    assert done.exit_code == 0, done.output
    assert lists_of(data) == (first + 1, first + 1) or lists_of(data)[0] > first
    assert said(data)["root"]["state"].startswith("list until ")
    assert said(data)["user"]["state"] == "signs"


def test_two_people_revoke_an_issuing_ca_with_the_root_at_hand(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "records"
    done = revoke(data, out)
    assert done.exit_code == 0, done.output
    assert "nothing is issued for users until another follows it" in done.output
    record = next(out.glob("record-*.txt")).read_text()
    assert all(f"Signature of {name}" in record for name in PEOPLE)
    assert "cACompromise" in record
    issuing = x509.load_pem_x509_certificate((data / "ca/user.pem").read_bytes())
    assert f"{issuing.serial_number:032x}" in record
    row = said(data)["user"]
    assert (row["state"], row["reason"]) == ("revoked", "cACompromise")
    assert said(data)["administrator"]["state"] == "signs"
    with wiring_ca.open_authority(settings.load(data)) as authority:
        assert {ca.name for ca in authority._signer._revoked()} == {"user"}
    again = revoke(data, tmp_path / "again")
    assert again.exit_code == exit_codes.REFUSED
    assert "revoked before" in again.output


@pytest.mark.parametrize(
    "typed",
    [["Sato Hanako", "sato hanako"], [*PEOPLE, "yes", "no"], [*PEOPLE, *YES, "yes", "no"], [*PEOPLE, *YES, *YES, "no"]],
    ids=["one person", "not the newest", "not confirmed", "not written down"],
)
def test_without_two_people_who_agree_nothing_is_revoked(data: Path, tmp_path: Path, typed: list[str]) -> None:
    before = lists_of(data)
    done = revoke(data, tmp_path / "records", typed=typed)
    assert done.exit_code == exit_codes.NOT_CONFIRMED
    assert lists_of(data) == before
    assert not (tmp_path / "records").exists()
    assert said(data)["user"]["state"] == "signs"


def test_an_issuing_ca_that_there_is_not(data: Path, tmp_path: Path) -> None:
    done = revoke(data, tmp_path / "records", name="user7")
    assert done.exit_code == exit_codes.REFUSED
    assert "there is no issuing CA user7" in done.output


def test_the_keys_of_the_folder_are_encrypted(tmp_path: Path) -> None:
    """The passphrase is the installation's: nobody types a part of it."""
    secret = tmp_path / "passphrase"
    secret.write_text("a long passphrase\n")
    secret.chmod(0o600)
    folder = tmp_path / "data"
    done = run("init", "--data-dir", folder, "--bank", "9991", *WORDS, "--ca-passphrase-file", secret)
    assert done.exit_code == 0, done.output
    assert b"ENCRYPTED" in (folder / "ca/root.key.pem").read_bytes()
    done = revoke(folder, tmp_path / "records")
    assert done.exit_code == 0, done.output
    assert said(folder)["user"]["state"] == "revoked"


@pytest.fixture
def elsewhere(tmp_path: Path) -> tuple[Path, Path]:
    """Return the folder of a root that is elsewhere, and that of an installation under it."""
    root, folder, signed = tmp_path / "safe", tmp_path / "data", tmp_path / "signed"
    assert make_root(root).exit_code == 0
    assert (
        run("init", "--data-dir", folder, "--bank", "9991", *WORDS, "--root", root / "root.pem").exit_code
        == exit_codes.DONE
    )
    listed = run("ca", "install", root / "root.crl", "--data-dir", folder)
    assert listed.exit_code == 0, "a list may come before the certificates"
    assert sign(root, requests_of(folder), signed).exit_code == 0
    done = run("ca", "install", signed / "administrator.pem", signed / "user.pem", "--data-dir", folder)
    assert done.exit_code == 0, done.output
    return root, folder


def ceremony(root: Path, kind: str, out: Path, *more: str | Path, typed: list[str] | None = None) -> Any:
    lines = [*PEOPLE, *YES, *YES, *PARTS, *YES] if typed is None else typed
    return run("ca", "ceremony", kind, "--root", root, "--out", out, *more, typed=lines)


def test_a_root_that_is_elsewhere_revokes_by_files(elsewhere: tuple[Path, Path], tmp_path: Path) -> None:
    root, folder = elsewhere
    refused = revoke(folder, tmp_path / "no")
    assert refused.exit_code == exit_codes.REFUSED
    assert "sekisho ca ceremony revoke" in refused.output
    named = ("--certificate", folder / "ca/user.pem", "--reason", "superseded", "--last", root / "root.crl")
    done = ceremony(root, "revoke", tmp_path / "revoked", *named)
    assert done.exit_code == 0, done.output
    assert not any(part in done.output for part in PARTS)
    installed = run("ca", "install", tmp_path / "revoked/root.crl", "--data-dir", folder)
    assert installed.exit_code == 0, installed.output
    assert "user is revoked" in installed.output
    assert said(folder)["user"]["reason"] == "superseded"
    # The next list keeps it, one that forgot it is not taken.
    renewed = ceremony(root, "list", tmp_path / "renewed", "--last", tmp_path / "revoked/root.crl")
    assert renewed.exit_code == 0, renewed.output
    forgot = ceremony(root, "list", tmp_path / "forgot")
    assert forgot.exit_code == 0, forgot.output
    assert run("ca", "install", tmp_path / "renewed/root.crl", "--data-dir", folder).exit_code == 0
    before = lists_of(folder)
    for file in (tmp_path / "forgot/root.crl", root / "root.crl"):
        done = run("ca", "install", file, "--data-dir", folder)
        assert done.exit_code == exit_codes.REFUSED, done.output
    assert lists_of(folder) == before


def test_a_list_of_another_root_is_not_taken(elsewhere: tuple[Path, Path], tmp_path: Path) -> None:
    root, folder = elsewhere
    assert make_root(tmp_path / "other").exit_code == 0
    done = run("ca", "install", tmp_path / "other/root.crl", "--data-dir", folder)
    assert done.exit_code == exit_codes.REFUSED
    assert "not signed by this bank's root" in done.output
    wrong = ceremony(
        root, "revoke", tmp_path / "x", "--certificate", tmp_path / "other/root.pem", "--reason", "superseded"
    )
    assert wrong.exit_code == exit_codes.REFUSED
    assert not (tmp_path / "x").exists()


def test_openssl_reads_the_list_of_a_ceremony(elsewhere: tuple[Path, Path]) -> None:
    root, _ = elsewhere
    argv = ["openssl", "crl", "-in", str(root / "root.crl"), "-CAfile", str(root / "root.pem"), "-noout", "-text"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "verify OK" in done.stderr
    assert "No Revoked Certificates" in done.stdout
    assert PKI not in done.stdout


def test_a_start_brings_folder_and_database_together(data: Path, tmp_path: Path) -> None:
    """After a restore of either: what the other knows to be revoked stays revoked."""
    loaded = settings.load(data)
    older = (loaded.ca_dir / root_list_file.NAME).read_bytes()
    assert revoke(data, tmp_path / "records").exit_code == 0
    newest = lists_of(data)[0]
    (loaded.ca_dir / root_list_file.NAME).write_bytes(older)
    with wiring.open_ports(loaded) as ports:
        root_lists.follow(loaded, ports)
    assert lists_of(data) == (newest, newest)

    def forget(tx: Any) -> None:
        tx.exec_driver_sql("DELETE FROM revoked_cas")
        tx.exec_driver_sql("DELETE FROM crls WHERE name = 'root'")

    with wiring.open_ports(loaded) as ports:
        ports.db.write(forget)
        root_lists.follow(loaded, ports)
        with ports.db.read() as tx:
            assert {ca.name for ca in revoked_cas.of_bank(tx, loaded.bank)} == {"user"}
    assert lists_of(data) == (newest, newest)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("revoking") / "data", free_port_base())
    served.start()
    yield served
    served.stop()


def test_beside_a_running_server_it_counts_at_once_and_after_a_rotation_there_is_another(
    demo: Served, tmp_path: Path
) -> None:
    pki = demo.info["urls"]["pki"]

    def fetched() -> x509.CertificateRevocationList:
        der = subprocess.run(
            ["curl", "--silent", "--fail", f"{pki}/9990/root.crl"], capture_output=True, check=True
        ).stdout
        return x509.load_der_x509_crl(der)

    def entered() -> str:
        user = demo.user("keiri01")
        argv = ["curl", "--silent", "--cacert", demo.info["tls_ca"], "--cert", user["certificate"]]
        argv += ["--key", user["key"], f"{demo.info['urls']['user']}/?lang=en"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    assert len(fetched()) == 0
    assert "certificate-issuer-revoked" not in entered()
    assert revoke(demo.data_dir, tmp_path / "records").exit_code == 0
    assert len(fetched()) == 1
    assert 'data-code="certificate-issuer-revoked"' in entered()
    loaded = settings.load(demo.data_dir)
    with closing(wiring.ca_client(loaded)) as client:
        (refused,) = client.sign_all([order()])
    assert isinstance(refused, Exception)
    assert not isinstance(refused, CaAway)
    assert demo.sekisho("ca", "rotate", "--kind", "user").returncode == 0
    demo.stop()
    demo.start()
    assert said(demo.data_dir)["user2"]["state"] == "signs"
    assert 'data-code="certificate-issuer-revoked"' in entered()
