"""A key ceremony: two people, a root that is elsewhere, files that go between."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from tests.support.authority import NOW, order
from tests.support.tokens import PIN, SOFTHSM, SoftHsm

from sekisho import settings, wiring_ca
from sekisho.cli import main
from sekisho.domain.person import Kind
from sekisho.pki import hierarchy, profile

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

PEOPLE = ["Sato Hanako", "Suzuki Ichiro"]
PARTS = ["a long part of one", "a long part of the other"]
PKI = "http://localhost:8444"
WORDS = ["--name-ja", "例示", "--name-en", "Reiji Bank", "--service-ja", "例示", "--service-en", "Reiji"]
WORDS += ["--phone", "0120-000-000", "--hours-ja", "平日", "--hours-en", "Weekdays"]


def run(*arguments: str | Path, typed: list[str] | None = None) -> Result:
    lines = "".join(f"{line}\n" for line in typed or [])
    return CliRunner().invoke(main, [str(one) for one in arguments], input=lines, catch_exceptions=False)


def make_root(out: Path, typed: list[str] | None = None) -> Result:
    twice = [part for part in PARTS for _ in range(2)]
    lines = [*PEOPLE, "yes", "yes", *twice, "yes", "yes"] if typed is None else typed
    return run("ca", "ceremony", "root", "--bank", "9991", "--organization", "Reiji Bank", "--out", out, typed=lines)


def sign(root: Path, requests: list[Path], out: Path, typed: list[str] | None = None) -> Result:
    asked = [part for request in requests for part in ("--request", request)]
    lines = [*PEOPLE, "yes", "yes", *PARTS, "yes", "yes"] if typed is None else typed
    return run("ca", "ceremony", "sign", "--root", root, *asked, "--pki-url", PKI, "--out", out, typed=lines)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("root") / "safe"
    done = make_root(out)
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture
def waiting(root: Path, tmp_path: Path) -> Path:
    data = tmp_path / "data"
    done = run("init", "--data-dir", data, "--bank", "9991", *WORDS, "--root", root / "root.pem")
    assert done.exit_code == 0, done.output
    assert "sekisho ca install" in done.output
    return data


def requests_of(data: Path) -> list[Path]:
    return sorted((data / "ca").glob("*.csr.pem"))


def openssl(*arguments: str | Path) -> str:
    argv = ["openssl", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_the_root_its_key_and_the_record(root: Path) -> None:
    record = next(root.glob("record-*.txt")).read_text()
    for name in PEOPLE:
        assert f"person  {name}" in record
        assert len(re.findall(rf"\d\d:\d\d:\d\d {name}: .* yes", record)) == 2
        assert f"Signature of {name}: ____" in record
    assert not any(part in record for part in PARTS)
    shown = openssl("x509", "-in", root / "root.pem", "-noout", "-fingerprint", "-sha256", "-serial")
    digits = shown.splitlines()[0].partition("=")[2].replace(":", "").lower()
    assert digits in re.sub(r"\s", "", record)
    assert shown.splitlines()[1].partition("=")[2].lower() in record
    assert "CN=Sekisho 9991 Root CA" in openssl(
        "x509", "-in", root / "root.pem", "-noout", "-subject", "-nameopt", "RFC2253"
    )
    key = root / "root.key.pem"
    assert key.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert key.stat().st_mode & 0o077 == 0
    for passphrase in PARTS:
        with pytest.raises(ValueError, match=r"(?i)password|decrypt"):
            load_pem_private_key(key.read_bytes(), passphrase.encode())


@pytest.mark.parametrize(
    "typed",
    [
        ["Sato Hanako", "ｓａｔｏ  hanako"],
        [*PEOPLE, "yes", "no"],
        [*PEOPLE, "yes", "yes", "short", "short", "short"],
        [*PEOPLE, "yes", "yes", PARTS[0], PARTS[0], PARTS[0], PARTS[0], PARTS[0]],
        [*PEOPLE, "yes", "yes", *(part for part in PARTS for _ in range(2)), "yes", "later"],
    ],
    ids=["one person", "no", "short parts", "the same part twice", "not written down"],
)
def test_without_two_people_who_agree_nothing_is_made(tmp_path: Path, typed: list[str]) -> None:
    done = make_root(tmp_path / "root", typed)
    assert done.exit_code == 29, done.output
    assert "Nothing was written" in done.stderr
    assert not (tmp_path / "root").exists()


def test_nothing_that_is_there_is_replaced(root: Path) -> None:
    before = {file.name: file.read_bytes() for file in root.iterdir()}
    assert make_root(root).exit_code == 21
    assert {file.name: file.read_bytes() for file in root.iterdir()} == before


def test_a_request_out_a_certificate_in(root: Path, waiting: Path, tmp_path: Path) -> None:
    assert not (waiting / "ca" / "root.key.pem").exists(), "the root's key was never here"
    loaded = settings.load(waiting)
    with pytest.raises(settings.DataFolderDamaged, match="sekisho ca install"), wiring_ca.open_authority(loaded):
        pass
    out = tmp_path / "signed"
    done = sign(root, requests_of(waiting), out)
    assert done.exit_code == 0, done.output
    for request in requests_of(waiting):
        openssl("req", "-in", request, "-noout", "-verify")
    for kind in Kind:
        openssl("verify", "-CAfile", root / "root.pem", out / f"{kind.value}.pem")
    installed = run("ca", "install", out / "administrator.pem", out / "user.pem", "--data-dir", waiting)
    assert installed.exit_code == 0, installed.output
    assert requests_of(waiting) == []
    with wiring_ca.open_authority(loaded, now=lambda: NOW) as authority:
        der = authority.sign_all([order(common_name="12345678901keiri019991")])[0]
    assert isinstance(der, bytes)
    issuer = x509.load_pem_x509_certificate((waiting / "ca" / "user.pem").read_bytes())
    x509.load_der_x509_certificate(der).verify_directly_issued_by(issuer)


def test_issuing_keys_in_a_token_under_a_root_elsewhere(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hsm = SoftHsm(tmp_path / "hsm", label="sekisho")
    for name, value in hsm.environment.items():
        monkeypatch.setenv(name, value)
    pin = tmp_path / "pin"
    pin.write_text(PIN)
    pin.chmod(0o600)
    token = ["--token-module", SOFTHSM, "--token-label", "sekisho", "--token-pin-file", str(pin)]
    argv = ["init", "--data-dir", str(tmp_path / "data"), "--bank", "9991", *WORDS, "--root", str(root / "root.pem")]
    done = subprocess.run([sys.executable, "-m", "sekisho", *argv, *token], env=os.environ, check=False)
    assert done.returncode == 0
    assert list((tmp_path / "data" / "ca").glob("*.key.pem")) == []
    assert sign(root, requests_of(tmp_path / "data"), tmp_path / "out").exit_code == 0
    files = [tmp_path / "out" / "administrator.pem", tmp_path / "out" / "user.pem"]
    assert run("ca", "install", *files, "--data-dir", tmp_path / "data").exit_code == 0
    with wiring_ca.open_authority(settings.load(tmp_path / "data"), now=lambda: NOW) as authority:
        assert isinstance(authority.sign_all([order(common_name="12345678901keiri019991")])[0], bytes)


def test_a_wrong_part_of_the_passphrase_signs_nothing(root: Path, waiting: Path, tmp_path: Path) -> None:
    typed = [*PEOPLE, "yes", "yes", PARTS[1], PARTS[0]]
    done = sign(root, requests_of(waiting), tmp_path / "out", typed)
    assert done.exit_code == 29
    assert "passphrase does not open" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_root_signs_nothing_for_another_bank(root: Path, waiting: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert run("init", "--data-dir", other, "--bank", "9992", *WORDS, "--root", root / "root.pem").exit_code == 10
    assert not other.exists()
    stranger = tmp_path / "stranger.csr.pem"
    key = tmp_path / "key.pem"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    openssl("req", "-new", "-key", key, "-subj", "/CN=Sekisho 9991 Users CA", "-out", stranger)
    done = sign(root, [stranger], tmp_path / "out")
    assert done.exit_code == 10
    assert "no issuing CA of this bank" in done.stderr
    broken = tmp_path / "broken.csr.pem"
    shutil.copy(requests_of(waiting)[0], broken)
    broken.write_text(broken.read_text().replace("A", "B", 3))
    assert sign(root, [broken], tmp_path / "out").exit_code == 10
    twice = sign(root, [requests_of(waiting)[0]] * 2, tmp_path / "out")
    assert twice.exit_code == 10


def test_only_what_was_requested_is_installed(root: Path, waiting: Path, tmp_path: Path) -> None:
    out = tmp_path / "signed"
    assert sign(root, requests_of(waiting), out).exit_code == 0
    bank = profile.BankName("9991", "Reiji Bank")
    forged_root = hierarchy.make_root(bank, now=NOW, entropy=os.urandom)
    loaded = x509.load_pem_x509_certificate((out / "user.pem").read_bytes())
    key = loaded.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    forged = profile.issuing(
        bank,
        Kind.USER,
        key,
        7,
        NOW,
        root_certificate=forged_root.certificate,
        root_addresses=hierarchy.root_addresses("9991", PKI),
    ).sign(forged_root.key, hashes.SHA384())
    (tmp_path / "forged.pem").write_bytes(forged.public_bytes(Encoding.PEM))
    refused = run("ca", "install", tmp_path / "forged.pem", "--data-dir", waiting)
    assert (refused.exit_code, "not signed by this bank's root" in refused.stderr) == (10, True)
    both = run("ca", "install", out / "user.pem", tmp_path / "forged.pem", "--data-dir", waiting)
    assert both.exit_code == 10
    assert len(requests_of(waiting)) == 2, "all or none"
    elsewhere = run("ca", "install", root / "root.pem", "--data-dir", waiting)
    assert "nothing that waits here" in elsewhere.stderr
    file = waiting / settings.FILE
    file.write_text(file.read_text().replace("http://localhost:8444", "http://pki.example.com"))
    moved = run("ca", "install", out / "user.pem", "--data-dir", waiting)
    assert "something else than the profile" in moved.stderr


def test_a_newer_issuing_ca_by_a_root_elsewhere(root: Path, waiting: Path, tmp_path: Path) -> None:
    early = run("ca", "rotate", "--data-dir", waiting)
    assert (early.exit_code, "sekisho ca install" in early.stderr) == (22, True), early.output
    assert sign(root, requests_of(waiting), tmp_path / "first").exit_code == 0
    files = [tmp_path / "first" / f"{kind.value}.pem" for kind in Kind]
    assert run("ca", "install", *files, "--data-dir", waiting).exit_code == 0
    loaded = settings.load(waiting)
    done = run("ca", "rotate", "--kind", "user", "--data-dir", waiting)
    assert (done.exit_code, "have the root sign it" in done.output) == (0, True), done.output
    assert requests_of(waiting) == [waiting / "ca" / "user2.csr.pem"]
    assert run("ca", "rotate", "--data-dir", waiting).exit_code == 21
    assert not (waiting / "ca" / "administrator2.key.pem").exists(), "both or none"
    signed = sign(root, requests_of(waiting), tmp_path / "second")
    assert "for users, generation 2" in signed.output
    openssl("verify", "-CAfile", root / "root.pem", tmp_path / "second" / "user2.pem")
    installed = run("ca", "install", tmp_path / "second" / "user2.pem", "--data-dir", waiting)
    assert installed.exit_code == 0, installed.output
    newer = order(common_name="12345678901keiri019991", generation=2)
    with wiring_ca.open_authority(loaded, now=lambda: NOW) as authority:
        assert isinstance(authority.sign_all([newer])[0], Exception), "not before the next start"
    wiring_ca.take_prepared(loaded)
    with wiring_ca.open_authority(loaded, now=lambda: NOW) as authority:
        der = authority.sign_all([newer])[0]
        old = authority.sign_all([order(common_name="12345678901keiri019991")])[0]
    assert isinstance(der, bytes)
    assert isinstance(old, bytes)
    for leaf, name in ((der, "user2"), (old, "user")):
        issuer = x509.load_pem_x509_certificate((waiting / "ca" / f"{name}.pem").read_bytes())
        x509.load_der_x509_certificate(leaf).verify_directly_issued_by(issuer)


def test_a_newer_issuing_ca_with_its_key_in_a_token_and_one_in_an_encrypted_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hsm = SoftHsm(tmp_path / "hsm", label="sekisho")
    for name, value in hsm.environment.items():
        monkeypatch.setenv(name, value)
    for name, content in (("pin", PIN), ("passphrase", "a passphrase for keys")):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    token = ["--token-module", SOFTHSM, "--token-label", "sekisho", "--token-pin-file", str(tmp_path / "pin")]
    for folder, where in (("token", token), ("file", ["--ca-passphrase-file", str(tmp_path / "passphrase")])):
        data = str(tmp_path / folder)
        for argv in (["init", "--bank", "9991", *WORDS, *where], ["ca", "rotate"]):
            command = [sys.executable, "-m", "sekisho", *argv, "--data-dir", data]
            done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        keys = sorted((tmp_path / folder / "ca").glob("*2.key.pem"))
        assert len(keys) == (0 if folder == "token" else 2)
        assert all(b"ENCRYPTED" in key.read_bytes() for key in keys)
        loaded = settings.load(tmp_path / folder)
        wiring_ca.take_prepared(loaded)
        with wiring_ca.open_authority(loaded, now=lambda: NOW) as authority:
            der = authority.sign_all([order(common_name="12345678901keiri019991", generation=2)])[0]
        assert isinstance(der, bytes)
        issuer = x509.load_pem_x509_certificate((loaded.ca_dir / "user2.pem").read_bytes())
        x509.load_der_x509_certificate(der).verify_directly_issued_by(issuer)
