"""The CA's keys in a token (SoftHSM 2) and in encrypted files."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.support.authority import NOW, order
from tests.support.served import ROOT
from tests.support.tokens import PIN, SOFTHSM, SoftHsm

from sekisho import settings, wiring_ca
from sekisho.ca import token
from sekisho.ca.token import KeyNotUsable, PinRefused, Token, TokenAway, TokenSpec, make_key, point_of
from sekisho.domain.certificate import Reason
from sekisho.domain.errors import CaAway
from sekisho.domain.person import Kind
from sekisho.pki import crl as lists
from sekisho.settings import DataFolderDamaged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sekisho.ca.authority import Authority
    from sekisho.settings import Settings

PATIENCE_S = 30


# What a thief with the PIN would try: read the key, let it out, wrap it under a key of their own.
_TAKE_OUT = """
import sys, pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
token = next(pkcs11.lib(sys.argv[1]).get_tokens(token_label=sys.argv[2]))
session = token.open(rw=True, user_pin=sys.argv[3])
key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=sys.argv[4])
own = session.generate_key(KeyType.AES, 256, store=False)
for attempt in (
    lambda: key[Attribute.VALUE],
    lambda: key.__setitem__(Attribute.EXTRACTABLE, True),
    lambda: own.wrap_key(key, mechanism=Mechanism.AES_KEY_WRAP_PAD),
):
    try:
        attempt()
    except pkcs11.PKCS11Error as refused:
        print(type(refused).__name__)
    else:
        print("taken")
"""


@contextmanager
def changed_environment(values: dict[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


def sekisho(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "sekisho", *arguments]
    environment = os.environ | (env or {})
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=ROOT, env=environment, check=False)


def secret(file: Path, content: str) -> Path:
    file.write_text(content + "\n")
    file.chmod(0o600)
    return file


def init(data: Path, *options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    words = ["--name-ja", "例示", "--name-en", "Mihon Shinkin Bank", "--service-ja", "例示", "--service-en", "Reiji"]
    words += ["--phone", "0120-000-000", "--hours-ja", "平日", "--hours-en", "Weekdays"]
    return sekisho("init", "--data-dir", str(data), "--bank", "9990", *words, *options, env=env)


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    made = SoftHsm(tmp_path_factory.mktemp("hsm"), label="sekisho")
    with changed_environment(made.environment):
        yield made


@pytest.fixture(scope="module")
def installation(hsm: SoftHsm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("in-token")
    pin = secret(base / "pin", PIN)
    token = ["--token-module", SOFTHSM, "--token-label", hsm.label, "--token-pin-file", str(pin)]
    done = init(base / "data", *token)
    assert done.returncode == 0, done.stderr
    return base / "data"


@pytest.fixture
def loaded(installation: Path, hsm: SoftHsm) -> Settings:
    shutil.rmtree(installation / "ca" / "journal", ignore_errors=True)
    (installation / "ca" / "pin-refused").unlink(missing_ok=True)
    return settings.load(installation)


def with_processes(loaded: Settings, count: int, **changed: Any) -> Settings:
    assert loaded.ca.token is not None
    token = loaded.ca.token.model_copy(update={"processes": count, **changed})
    return loaded.model_copy(update={"ca": loaded.ca.model_copy(update={"token": token})})


def signed(authority: Authority, count: int = 1) -> list[x509.Certificate]:
    outcomes = authority.sign_all([order() for _ in range(count)])
    assert all(isinstance(der, bytes) for der in outcomes), outcomes
    return [x509.load_der_x509_certificate(der) for der in outcomes if isinstance(der, bytes)]


def test_the_keys_are_made_in_the_token_and_never_come_out(hsm: SoftHsm, loaded: Settings) -> None:
    assert sorted(file.name for file in loaded.ca_dir.glob("*.key.pem")) == ["root.key.pem"]
    listed = hsm.tool("--list-objects", "--type", "privkey").stdout
    assert listed.count("sensitive, always sensitive, never extractable, local") >= 2
    for kind in Kind:
        argv = [sys.executable, "-c", _TAKE_OUT, SOFTHSM, hsm.label, PIN, f"sekisho 9990 {kind.value} 1"]
        tried = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
        assert tried.stdout.split() == ["AttributeSensitive", "AttributeReadOnly", "KeyUnextractable"]


@pytest.mark.parametrize("processes", [1, 3])
def test_certificates_and_lists_are_signed_in_the_token(loaded: Settings, processes: int) -> None:
    asked = [order() for _ in range(40)]
    with wiring_ca.open_authority(with_processes(loaded, processes), now=lambda: NOW) as authority:
        first = authority.sign_all(asked)
        again = authority.sign_all(asked)
        dates: dict[str, Any] = {"this_update": NOW, "next_update": NOW + timedelta(days=1)}
        named = lists.entry(1, NOW, Reason.SUPERSEDED)
        signed_list = authority.sign_crl(Kind.USER, None, named, number=int(NOW.timestamp()), **dates)
    crl = x509.load_der_x509_crl(signed_list)
    issuer = x509.load_pem_x509_certificate((loaded.ca_dir / "user.pem").read_bytes())
    for one, der in zip(asked, first, strict=True):
        assert isinstance(der, bytes)
        certificate = x509.load_der_x509_certificate(der)
        assert certificate.serial_number == one.serial
        certificate.verify_directly_issued_by(issuer)
    # The token draws another nonce each time; the journal has what was handed out.
    assert again == first
    issuer_key = issuer.public_key()
    assert isinstance(issuer_key, ec.EllipticCurvePublicKey)
    assert crl.is_signature_valid(issuer_key)


def kill_signing(number: signal.Signals) -> None:
    """Send a signal to the processes that hold a session; this test's process started them."""
    for child in multiprocessing.active_children():
        if child.name == "token" and child.pid is not None:
            os.kill(child.pid, number)


def test_a_process_that_dies_in_the_module_is_replaced(loaded: Settings) -> None:
    with wiring_ca.open_authority(with_processes(loaded, 2), now=lambda: NOW) as authority:
        signed(authority, 4)
        kill_signing(signal.SIGSEGV)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                assert len(signed(authority, 4)) == 4
                break
            except TokenAway:
                assert time.monotonic() < deadline
                time.sleep(0.1)


def test_a_process_that_was_left_with_a_question_is_replaced(loaded: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer would be taken for that to the next question."""
    with wiring_ca.open_authority(with_processes(loaded, 1), now=lambda: NOW) as authority:
        signed(authority)
        (before,) = [child.pid for child in multiprocessing.active_children() if child.name == "token"]
        with monkeypatch.context() as patch:
            patch.setattr(token, "_asked", ask_and_fail)
            assert [type(outcome) for outcome in authority.sign_all([order()])] == [CaAway]
        assert len(signed(authority, 3)) == 3
        assert before not in [child.pid for child in multiprocessing.active_children()]


def test_a_refused_pin_is_not_tried_again_while_another_process_signs(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token would close for good after a few."""
    spec = TokenSpec(SOFTHSM, hsm.label, PIN)
    made = Token(spec, [make_key(spec, "of two")], processes=2)
    tries: list[None] = []

    def refuse() -> token._Signing:
        tries.append(None)
        raise PinRefused("changed meanwhile")

    try:
        point = made._points[0]
        monkeypatch.setattr(made, "_start", refuse)
        with ThreadPoolExecutor(2) as pool:
            for _ in range(5):
                for signed in [pool.submit(made.sign, point, bytes(32)) for _ in range(2)]:
                    assert signed.exception(PATIENCE_S) is None or isinstance(signed.exception(), TokenAway)
        assert len(tries) <= 1
        assert len(made.sign(point, bytes(32))) == 64, "the process that logged in before is asked first"
    finally:
        made.close()


def ask_and_fail(signing: token._Signing, question: bytes) -> bytes:
    signing.pipe.send_bytes(question)
    raise ValueError("a fault")


def test_a_token_that_goes_away_and_comes_back(
    hsm: SoftHsm, loaded: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sekisho.ca")
    tokens = hsm.folder / "tokens"
    asked = [order()]
    with wiring_ca.open_authority(loaded, now=lambda: NOW) as authority:
        signed(authority)
        tokens.rename(hsm.folder / "taken")
        tokens.mkdir()
        kill_signing(signal.SIGKILL)
        try:
            for _ in range(3):
                with pytest.raises(TokenAway):
                    authority.sign_all(asked)
            assert authority.journal.upto.certificates == 1
        finally:
            tokens.rmdir()
            (hsm.folder / "taken").rename(tokens)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                assert isinstance(authority.sign_all(asked)[0], bytes)
                break
            except TokenAway:
                assert time.monotonic() < deadline
                time.sleep(0.1)
    told = [record.getMessage() for record in caplog.records]
    assert any("there is no token with the label sekisho" in line for line in told)
    assert any("signs again" in line for line in told)
    assert not any(PIN in line for line in told)


def test_a_wrong_pin_is_tried_once(hsm: SoftHsm, loaded: Settings, tmp_path: Path) -> None:
    wrong = with_processes(loaded, 1, pin_file=secret(tmp_path / "wrong", "000000"))
    messages = []
    for _ in range(3):
        with pytest.raises(DataFolderDamaged) as told, wiring_ca.open_authority(wrong):
            pass
        messages.append(str(told.value))
    assert "refuses the PIN" in messages[0]
    assert "refused this PIN before" in messages[1] == messages[2]
    assert "000000" not in "".join(messages)
    with wiring_ca.open_authority(loaded, now=lambda: NOW) as authority:
        assert signed(authority), "the right one opens it"


def test_a_key_that_could_be_taken_out_is_not_used(hsm: SoftHsm, tmp_path: Path) -> None:
    spec = TokenSpec(SOFTHSM, hsm.label, PIN)
    key, pem = tmp_path / "key.der", tmp_path / "key.pem"
    made = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(pem)], check=True
    )
    assert made.returncode == 0
    subprocess.run(["openssl", "pkey", "-in", str(pem), "-outform", "DER", "-out", str(key)], check=True)
    for kind in ("privkey", "pubkey"):
        extract = ["--extractable"] if kind == "privkey" else []
        half = key
        if kind == "pubkey":
            half = tmp_path / "public.der"
            argv = ["openssl", "pkey", "-in", str(pem), "-pubout", "-outform", "DER", "-out", str(half)]
            subprocess.run(argv, check=True)
        hsm.tool("--write-object", str(half), "--type", kind, "--id", "77", "--label", "brought", *extract)
    private = load_pem_private_key(pem.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    with pytest.raises(KeyNotUsable, match="taken out"):
        Token(spec, [private.public_key()])
    with pytest.raises(KeyNotUsable, match="has not the key"):
        Token(spec, [ec.generate_private_key(ec.SECP256R1()).public_key()])


def test_a_key_in_the_token_is_used_and_not_shown(hsm: SoftHsm) -> None:
    spec = TokenSpec(SOFTHSM, hsm.label, PIN)
    public = make_key(spec, "another")
    token = Token(spec, [public])
    try:
        key = token.key(public)
        assert key.public_key() == public
        assert PIN not in repr(spec)
        with pytest.raises(TypeError, match="stays there"):
            key.private_numbers()
        with pytest.raises(TypeError, match="stays there"):
            key.private_bytes(None, None, None)
        assert len(token.sign(point_of(public), bytes(32))) == 64
    finally:
        token.close()
    with pytest.raises(TokenAway, match="missing"):
        Token(TokenSpec("/nowhere.so", "x", PIN), [public])
    with pytest.raises(PinRefused):
        Token(TokenSpec(SOFTHSM, hsm.label, "9999"), [public])


def test_encrypted_files_are_opened_by_a_credential(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    secret(credentials / "ca-passphrase", "correct horse battery staple")
    data = tmp_path / "data"
    assert init(data).returncode == 0
    before = (data / "ca" / "user.key.pem").read_bytes()
    with (data / settings.FILE).open("a") as file:
        file.write('\n[ca]\npassphrase_file = "ca-passphrase"\n')
    missing = sekisho("ca", "encrypt-keys", "--data-dir", str(data))
    assert missing.returncode == 22
    assert (data / "ca" / "user.key.pem").read_bytes() == before
    env = {"CREDENTIALS_DIRECTORY": str(credentials)}
    done = sekisho("ca", "encrypt-keys", "--data-dir", str(data), env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is encrypted") == 4
    again = sekisho("ca", "encrypt-keys", "--data-dir", str(data), env=env)
    assert (again.returncode, again.stdout) == (0, ""), "what is encrypted stays as it is"
    for encrypted in (data / "ca").glob("*.key.pem"):
        assert encrypted.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        assert encrypted.stat().st_mode & 0o077 == 0
    loaded = settings.load(data)
    with changed_environment(env), wiring_ca.open_authority(loaded, now=lambda: NOW) as authority:
        asked = [order()]
        der = authority.sign_all(asked)
    with changed_environment(env), wiring_ca.open_authority(loaded, now=lambda: NOW) as authority:
        assert authority.sign_all(asked) == der
    secret(credentials / "ca-passphrase", "wrong")
    with (
        changed_environment(env),
        pytest.raises(DataFolderDamaged, match="passphrase does not open"),
        wiring_ca.open_authority(loaded),
    ):
        pass
    (credentials / "ca-passphrase").chmod(0o644)
    with (
        changed_environment(env),
        pytest.raises(DataFolderDamaged, match="chmod 600"),
        wiring_ca.open_authority(loaded),
    ):
        pass
    assert settings.load(data).ca.passphrase_file is not None


def test_an_installation_may_begin_encrypted(tmp_path: Path) -> None:
    passphrase = secret(tmp_path / "passphrase", "correct horse battery staple")
    done = init(tmp_path / "data", "--ca-passphrase-file", str(passphrase))
    assert done.returncode == 0, done.stderr
    keys = list((tmp_path / "data" / "ca").glob("*.key.pem"))
    assert len(keys) == 3
    assert all(b"ENCRYPTED" in file.read_bytes() for file in keys)
    with wiring_ca.open_authority(settings.load(tmp_path / "data"), now=lambda: NOW) as authority:
        assert signed(authority)
    wrong = init(tmp_path / "other", "--token-label", "x")
    assert wrong.returncode == 2
    assert not (tmp_path / "other").exists()
