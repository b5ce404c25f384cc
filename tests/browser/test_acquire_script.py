"""The script with which the browser alone acquires a certificate, in real browsers.

The page is `acquire_page/index.html`, the script is the product's own, and a small site on loopback stands
in for the checkpoint: it serves both under the strict policy of the public site and signs what it is asked
to sign. Certificates and files are then judged by programs that share no code with the script.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page, Playwright

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "src/sekisho/portal/static/acquire"
PAGE = Path(__file__).parent / "acquire_page/index.html"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

CONTRACT_ID = "12345678901"
USER_ID = "keiri02"
COMMON_NAME = CONTRACT_ID + USER_ID + "9990"
FILE_PASSWORD = "Correct-horse_7"
LATER = datetime.now(UTC) + timedelta(days=365)


# The site ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that says no."""

    status: int
    code: str
    fields: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        return {
            "code": self.code,
            "title": f"title of {self.code}",
            "detail": f"detail of {self.code}",
            "fields": self.fields,
        }


LOST = "lost"
"""The certificate is made, and the connection ends before the answer."""
FOREIGN = "foreign"
"""The answer holds a certificate of another key."""


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
) -> bytes:
    """Give a certificate as DER."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(minutes=5))
        .not_valid_after(LATER)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class Site:
    """The public site of a test bank: one person, any number of requests, one certificate for each key."""

    def __init__(self) -> None:
        self.key = "P-256"
        self.not_after = LATER
        self.plan: deque[Refused | str] = deque()
        self.requests: list[dict[str, str]] = []
        self.issued: dict[bytes, bytes] = {}
        self.asked = threading.Semaphore(0)
        self.hold = threading.Event()
        self.hold.set()
        root_key = ec.generate_private_key(ec.SECP256R1())
        self.issuing_key = ec.generate_private_key(ec.SECP256R1())
        root, self.issuing = _name("Test Root CA"), _name("Test Issuing CA")
        self.chain = [
            _certificate(self.issuing, self.issuing_key.public_key(), root, root_key, ca=True),
            _certificate(root, root_key.public_key(), root, root_key, ca=True),
        ]
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.serve(self)

            def do_POST(self) -> None:
                site.certify(self)

            def log_message(self, *arguments: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://localhost:{self._server.server_port}/acquire/user"

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        if path.startswith("/static/acquire/"):
            _send(handler, 200, "text/javascript", (SCRIPTS / Path(path).name).read_bytes())
        elif path.startswith("/acquire/"):
            path = path.partition("?")[0]
            html = PAGE.read_text("utf-8").replace('data-key="P-256"', f'data-key="{self.key}"')
            if path == "/acquire/administrator":
                html = html.replace("/acquire/user", path)
                html = re.sub(r'<p>\s*<label for="user_id">.*?</p>', "", html, flags=re.DOTALL)
            _send(handler, 200, "text/html; charset=utf-8", html.encode())
        else:
            _send(handler, 204, "text/plain", b"")

    def certify(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
        fields = {name: values[0] for name, values in parse_qs(body, strict_parsing=True).items()}
        fields["type"] = handler.headers["Content-Type"]
        fields["accept"] = handler.headers["Accept"]
        self.requests.append(fields)
        self.asked.release()
        planned = self.plan.popleft() if self.plan else None
        if isinstance(planned, Refused):
            document = planned.document()
            _send(handler, planned.status, "application/problem+json", json.dumps(document).encode())
            return
        csr = _csr(fields)
        public_key = csr.public_key()
        assert isinstance(public_key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
        certificate = self.issued.setdefault(
            _spki(csr), _certificate(csr.subject, public_key, self.issuing, self.issuing_key, ca=False)
        )
        self.hold.wait()
        if planned == LOST:
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if planned == FOREIGN:
            certificate = self.chain[0]
        answer = {
            "common_name": COMMON_NAME,
            "certificate": base64.b64encode(certificate).decode(),
            "chain": [base64.b64encode(der).decode() for der in self.chain],
            "file_name": f"{COMMON_NAME}.p12",
            "not_after": self.not_after.isoformat(),
        }
        _send(handler, 200, "application/json", json.dumps(answer).encode())

    def csr(self, number: int) -> x509.CertificateSigningRequest:
        return _csr(self.requests[number])

    def keys(self) -> list[bytes]:
        """Give the public key of each request, in their order."""
        return [_spki(self.csr(number)) for number in range(len(self.requests))]


def _csr(fields: dict[str, str]) -> x509.CertificateSigningRequest:
    return x509.load_der_x509_csr(base64.b64decode(fields["csr"], validate=True))


def _send(handler: BaseHTTPRequestHandler, status: int, media_type: str, body: bytes) -> None:
    try:
        handler.send_response(status)
        handler.send_header("Content-Type", media_type)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Content-Security-Policy", POLICY)
        handler.send_header("X-Content-Type-Options", "nosniff")
        handler.end_headers()
        handler.wfile.write(body)
    except ConnectionError:
        """The page was closed or reloaded while it waited; some tests do just that."""


def _spki(holder: x509.CertificateSigningRequest | x509.Certificate) -> bytes:
    return holder.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


# Fixtures ---------------------------------------------------------------------------------------------


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="module")
def driver() -> Iterator[Playwright]:
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def chromium(driver: Playwright) -> Iterator[Browser]:
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """Give the list of what pages of `context` complain of; it must be empty at the end of a test."""
    return []


@pytest.fixture
def context(chromium: Browser, complaints: list[str]) -> Iterator[BrowserContext]:
    """One computer's browser; the test fails if any page breaks the policy or throws."""
    context = chromium.new_context(locale="ja-JP")
    _listen(context, complaints)
    yield context
    context.close()
    assert complaints == []


EXPECTED = (
    "Failed to load resource",  # a refusal's status
    "Scripts may close only the windows",  # then the page says how to close it
)


def _listen(context: BrowserContext, complaints: list[str]) -> None:
    """Collect what pages of the browser complain of: broken policy, uncaught errors, warnings."""
    context.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " (event) => console.error('policy', event.violatedDirective, event.blockedURI, event.sample))"
    )
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type in {"error", "warning"} and not message.text.startswith(EXPECTED)
            else None
        ),
    )


@pytest.fixture
def page(context: BrowserContext, site: Site) -> Page:
    page = context.new_page()
    page.goto(site.url)
    return page


# What a person does -----------------------------------------------------------------------------------


def type_in(page: Page, *, user_id: str = USER_ID) -> None:
    page.get_by_label("契約者ID(利用者番号)").fill(CONTRACT_ID)
    page.get_by_label("利用者ID", exact=True).fill(user_id)
    type_pins(page)


def type_pins(page: Page) -> None:
    page.get_by_label("利用者暗証番号", exact=True).fill("keiri2pin")
    page.get_by_label("利用者確認暗証番号").fill("keiri2conf")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def acquire(page: Page) -> None:
    type_in(page)
    press(page, "電子証明書取得")


def await_step(page: Page, heading: str) -> None:
    """Wait for the step, whose heading has the focus."""
    expect(page.get_by_role("heading", name=heading)).to_be_focused()


SAVE = "電子証明書をファイルに保存します"
DONE = "電子証明書のインストールが完了しました"


def make_file(page: Page, password: str = FILE_PASSWORD, again: str | None = None) -> None:
    page.get_by_label("ファイルのパスワード", exact=True).fill(password)
    page.get_by_label("ファイルのパスワード(確認)").fill(again or password)
    press(page, "ファイルを作成")


def save_file(page: Page, folder: Path) -> Path:
    link = page.get_by_role("link", name="ファイルを保存")
    expect(link).to_be_focused(timeout=30_000)
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == f"{COMMON_NAME}.p12"
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    return file


def records(page: Page) -> int:
    """Count what the browser keeps, by its own database and not by the script."""
    count = page.evaluate(
        """() => new Promise((resolve, reject) => {
            const opening = indexedDB.open("sekisho-acquisition");
            opening.onerror = () => reject(opening.error);
            opening.onsuccess = () => {
                const database = opening.result;
                const counting = database.transaction("acquisitions").objectStore("acquisitions").count();
                counting.onsuccess = () => { database.close(); resolve(counting.result); };
            };
        })"""
    )
    assert isinstance(count, int)
    return count


def run(*command: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)


# Keys, requests, files --------------------------------------------------------------------------------

KINDS = {
    "P-256": (ec.SECP256R1, 256),
    "P-384": (ec.SECP384R1, 384),
    "RSA-2048": (None, 2048),
    "RSA-4096": (None, 4096),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_each_kind_becomes_a_file_that_other_programs_take(
    context: BrowserContext, site: Site, tmp_path: Path, kind: str
) -> None:
    site.key = kind
    page = context.new_page()
    page.goto(site.url)
    acquire(page)
    expect(page.get_by_role("heading", name=SAVE)).to_be_focused(timeout=60_000)

    csr = site.csr(0)
    curve, size = KINDS[kind]
    public_key = csr.public_key()
    assert csr.is_signature_valid
    assert csr.subject == _name(COMMON_NAME)
    assert isinstance(public_key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
    assert public_key.key_size == size
    assert isinstance(public_key, ec.EllipticCurvePublicKey) == bool(curve)
    pem = csr.public_bytes(serialization.Encoding.PEM)
    verified = run("openssl", "req", "-verify", "-noout", stdin=pem)
    assert verified.returncode == 0, verified.stderr
    assert b"verify OK" in verified.stderr + verified.stdout

    make_file(page)
    file = save_file(page, tmp_path)
    judge_file(file, site, site.issued[_spki(csr)], tmp_path)


def judge_file(file: Path, site: Site, certificate: bytes, folder: Path) -> None:
    key, leaf, others = pkcs12.load_key_and_certificates(file.read_bytes(), FILE_PASSWORD.encode())
    assert key is not None
    assert leaf is not None
    assert leaf.public_bytes(serialization.Encoding.DER) == certificate
    assert key.public_key() == leaf.public_key()
    assert {other.public_bytes(serialization.Encoding.DER) for other in others} == set(site.chain)
    with pytest.raises(ValueError, match="Invalid password"):
        pkcs12.load_key_and_certificates(file.read_bytes(), b"Correct-horse_8")

    def openssl(password: str) -> subprocess.CompletedProcess[bytes]:
        return run("openssl", "pkcs12", "-in", file, "-info", "-noout", "-passin", f"pass:{password}")

    told = openssl(FILE_PASSWORD)
    assert told.returncode == 0, told.stderr
    encryption = rb"PBES2, PBKDF2, AES-256-CBC, Iteration 300000, PRF hmacWithSHA256"
    assert len(re.findall(encryption, told.stderr)) == 2
    assert b"MAC: sha256, Iteration 100000" in told.stderr
    assert openssl("Correct-horse_8").returncode != 0

    def certtool(password: str) -> subprocess.CompletedProcess[bytes]:
        return run("certtool", "--p12-info", "--inder", "--infile", file, "--password", password)

    told = certtool(FILE_PASSWORD)
    assert told.returncode == 0, told.stderr
    assert told.stdout.count(b"BEGIN CERTIFICATE") == 3
    assert b"PRIVATE KEY-----" in told.stdout
    assert COMMON_NAME.encode() in told.stdout
    assert certtool("Correct-horse_8").returncode != 0

    nss = folder / "nss"
    nss.mkdir()
    database = f"sql:{nss}"
    assert run("certutil", "-N", "-d", database, "--empty-password").returncode == 0

    def pk12util(password: str) -> subprocess.CompletedProcess[bytes]:
        return run("pk12util", "-i", file, "-d", database, "-K", "", "-W", password)

    assert pk12util("Correct-horse_8").returncode != 0
    imported = pk12util(FILE_PASSWORD)
    assert imported.returncode == 0, imported.stdout + imported.stderr
    keys = run("certutil", "-K", "-d", database).stdout
    assert COMMON_NAME.encode() in keys  # a key that found no certificate is listed as an orphan
    assert b"orphan" not in keys
    stored = run("certutil", "-L", "-d", database, "-n", COMMON_NAME, "-r").stdout
    assert stored == certificate


def test_der_is_written_as_x690_wants_it(page: Page) -> None:
    written = page.evaluate(
        """async () => {
            const { bmpString, integer, octetString, oid, setOf, unsigned }
                = await import("/static/acquire/der.js");
            const pair = (octet) => octet.toString(16).padStart(2, "0");
            const hex = (octets) => Array.from(octets, pair).join("");
            const long = (length) => hex(octetString(new Uint8Array(length)).subarray(0, 5));
            const number = (octets) => hex(unsigned(Uint8Array.from(octets)));
            return {
                integers: [0, 127, 128, 256, 300000, 2 ** 32 - 1].map(integer).map(hex),
                unsigned: [[0, 0], [0, 1], [0, 0x80], [0x7f, 0]].map(number),
                lengths: [0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000].map(long),
                oids: ["2.5.4.3", "1.2.840.113549.1.12.10.1.2", "2.16.840.1.101.3.4.1.42"].map(oid).map(hex),
                set: hex(setOf([4, 2, 0, 0], [4, 1, 9], [4, 1, 8])),
                text: hex(bmpString("長a")),
            };
        }"""
    )
    assert written == {
        "integers": ["020100", "02017f", "02020080", "02020100", "02030493e0", "020500ffffffff"],
        "unsigned": ["020100", "020101", "02020080", "02027f00"],
        "lengths": ["047f000000", "0481800000", "0481ff0000", "0482010000", "0482ffff00", "0483010000"],
        "oids": ["0603550403", "060b2a864886f70d010c0a0102", "060960864801650304012a"],
        "set": "310a04010804010904020000",
        "text": "1e0495770061",
    }


def test_every_signature_holds_however_its_numbers_begin(page: Page) -> None:
    """One signature in 128 has a number that begins with a zero octet, three in four one with a high bit."""
    requests = page.evaluate(
        """async () => {
            const { certificationRequest, generateKeys } = await import("/static/acquire/csr.js");
            const { toBase64 } = await import("/static/acquire/der.js");
            const keys = await generateKeys("P-256");
            const requests = Array.from({ length: 1000 }, () => certificationRequest(keys, "keiri02"));
            return (await Promise.all(requests)).map(toBase64);
        }"""
    )
    assert len(requests) == 1000
    assert all(_csr({"csr": request}).is_signature_valid for request in requests)


def test_the_request_carries_what_was_typed_and_nothing_else(page: Page, site: Site) -> None:
    acquire(page)
    await_step(page, SAVE)
    (request,) = site.requests
    assert request.pop("csr")
    assert request == {
        "contract_id": CONTRACT_ID,
        "user_id": USER_ID,
        "pin": "keiri2pin",
        "confirmation_pin": "keiri2conf",
        "csrf": "test-csrf-token",
        "type": "application/x-www-form-urlencoded;charset=UTF-8",
        "accept": "application/json",
    }


# From the form to the end -----------------------------------------------------------------------------


def test_the_whole_way_leaves_nothing_in_the_browser(page: Page, site: Site, tmp_path: Path) -> None:
    site.not_after = datetime(2099, 3, 1, 23, tzinfo=UTC)  # a day later in Japan
    site.hold.clear()
    acquire(page)
    await_step(page, "電子証明書発行処理中")
    expect(page.get_by_role("status")).to_contain_text("電子証明書発行処理中")
    assert records(page) == 1  # from before the request
    site.hold.set()
    await_step(page, SAVE)
    expect(page.get_by_text(COMMON_NAME, exact=True)).to_be_visible()
    expect(page.get_by_text("2099年3月2日", exact=True)).to_be_visible()
    assert page.get_by_label("利用者暗証番号", exact=True).input_value() == ""
    make_file(page)
    expect(page.get_by_role("button", name="ファイルを保存しました")).to_be_hidden()
    save_file(page, tmp_path)
    assert records(page) == 1
    press(page, "ファイルを保存しました")
    await_step(page, DONE)
    done = page.get_by_role("status").filter(has_text=DONE)
    expect(done).to_have_attribute("data-code", "certificate-acquired")
    expect(page.get_by_role("button", name="このウィンドウを閉じる")).to_be_visible()
    assert records(page) == 0
    page.reload()
    expect(page.get_by_role("button", name="電子証明書取得")).to_be_visible()
    expect(page.get_by_text("取得の途中")).to_be_hidden()


def test_a_window_that_a_person_opened_says_how_to_close_it(page: Page, tmp_path: Path) -> None:
    page.goto(page.url + "?again")  # with a page behind it, no browser lets a script close the window
    acquire(page)
    make_file(page)
    save_file(page, tmp_path)
    press(page, "ファイルを保存しました")
    press(page, "このウィンドウを閉じる")
    expect(page.get_by_text("「×」でこのウィンドウを閉じて")).to_be_visible()


def test_a_reload_goes_on_at_the_file_without_asking_the_pins_again(page: Page, site: Site, tmp_path: Path) -> None:
    acquire(page)
    await_step(page, SAVE)
    page.reload()
    await_step(page, SAVE)
    make_file(page)
    file = save_file(page, tmp_path)
    _, leaf, _ = pkcs12.load_key_and_certificates(file.read_bytes(), FILE_PASSWORD.encode())
    assert leaf is not None
    assert [leaf.public_bytes(serialization.Encoding.DER)] == list(site.issued.values())
    assert len(site.requests) == 1


def test_a_lost_answer_is_told_and_the_same_key_gets_the_same_certificate(page: Page, site: Site) -> None:
    site.plan.append(LOST)
    acquire(page)
    alert = page.get_by_role("alert")
    expect(alert).to_have_attribute("data-code", "no-answer")
    expect(alert).to_be_focused()
    expect(alert).to_contain_text("応答を受け取れませんでした")
    expect(page.get_by_text("取得の途中")).to_be_visible()
    assert page.get_by_label("契約者ID(利用者番号)").input_value() == CONTRACT_ID
    assert page.get_by_label("利用者暗証番号", exact=True).input_value() == ""
    type_pins(page)
    press(page, "電子証明書取得")
    await_step(page, SAVE)
    expect(alert).to_be_hidden()
    first, second = site.keys()
    assert first == second
    assert len(site.issued) == 1


def test_a_reload_while_waiting_asks_for_the_pins_and_goes_on_with_the_same_key(page: Page, site: Site) -> None:
    site.hold.clear()
    acquire(page)
    assert site.asked.acquire(timeout=30)
    page.reload()
    site.hold.set()
    expect(page.get_by_text("取得の途中")).to_be_visible()
    assert page.get_by_label("契約者ID(利用者番号)").input_value() == CONTRACT_ID
    assert page.get_by_label("利用者ID", exact=True).input_value() == USER_ID
    type_pins(page)
    press(page, "電子証明書取得")
    await_step(page, SAVE)
    assert len(set(site.keys())) == 1


def test_an_answer_that_is_not_the_servers_own_keeps_the_key(page: Page, site: Site) -> None:
    page.route("**/acquire/user", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    acquire(page)
    expect(page.get_by_role("alert")).to_have_attribute("data-code", "no-answer")
    page.unroute_all()
    assert records(page) == 1


def test_a_certificate_of_another_key_is_not_taken(page: Page, site: Site, complaints: list[str]) -> None:
    site.plan.append(FOREIGN)
    acquire(page)
    expect(page.get_by_role("alert")).to_have_attribute("data-code", "page-failed")
    assert len(complaints) == 1
    assert "a certificate of another key" in complaints.pop()
    type_pins(page)
    press(page, "電子証明書取得")
    await_step(page, SAVE)
    assert len(set(site.keys())) == 1


# Refusals ---------------------------------------------------------------------------------------------


def test_a_refusal_is_told_empties_the_secrets_and_keeps_the_rest(page: Page, site: Site) -> None:
    site.plan.append(Refused(403, "not-accepted", {"contract_id": "11桁の数字で入力してください。"}))
    acquire(page)
    alert = page.get_by_role("alert")
    expect(alert).to_have_attribute("data-code", "not-accepted")
    expect(alert).to_be_focused()
    expect(alert).to_contain_text("title of not-accepted")
    expect(alert).to_contain_text("detail of not-accepted")
    contract_id = page.get_by_label("契約者ID(利用者番号)")
    expect(contract_id).to_have_attribute("aria-invalid", "true")
    expect(contract_id).to_have_accessible_description("11桁の数字で入力してください。")
    assert contract_id.input_value() == CONTRACT_ID
    assert page.get_by_label("利用者ID", exact=True).input_value() == USER_ID
    assert page.get_by_label("利用者暗証番号", exact=True).input_value() == ""
    assert page.get_by_label("利用者確認暗証番号").input_value() == ""
    assert records(page) == 0  # this key has no certificate for certain
    type_pins(page)
    press(page, "電子証明書取得")
    await_step(page, SAVE)
    expect(alert).to_be_hidden()
    expect(contract_id).not_to_have_attribute("aria-invalid", "true")


def test_a_wrong_pin_after_a_lost_answer_does_not_cost_the_key(page: Page, site: Site) -> None:
    site.plan.extend([LOST, Refused(403, "not-accepted")])
    acquire(page)
    for code in ("no-answer", "not-accepted"):
        expect(page.get_by_role("alert")).to_have_attribute("data-code", code)
        type_pins(page)
        press(page, "電子証明書取得")
    await_step(page, SAVE)
    assert len(site.requests) == 3
    assert len(set(site.keys())) == 1
    assert len(site.issued) == 1


@pytest.mark.parametrize(("status", "code"), [(503, "service-unavailable"), (429, "too-many-requests")])
def test_a_failure_of_the_server_keeps_the_key(page: Page, site: Site, status: int, code: str) -> None:
    site.plan.append(Refused(status, code))
    acquire(page)
    expect(page.get_by_role("alert")).to_have_attribute("data-code", code)
    type_pins(page)
    press(page, "電子証明書取得")
    await_step(page, SAVE)
    assert len(set(site.keys())) == 1


def test_a_key_whose_certificate_was_ended_gives_way_to_a_new_one(page: Page, site: Site) -> None:
    acquire(page)
    await_step(page, SAVE)
    press(page, "ほかの電子証明書を取得")
    site.plan.append(Refused(409, "key-reused"))
    acquire(page)
    await_step(page, SAVE)
    first, again, new = site.keys()
    assert first == again != new
    assert records(page) == 1


def test_empty_fields_are_told_next_to_them_and_nothing_is_sent(page: Page, site: Site) -> None:
    page.get_by_label("利用者ID", exact=True).fill(USER_ID)
    press(page, "電子証明書取得")
    contract_id = page.get_by_label("契約者ID(利用者番号)")
    expect(contract_id).to_be_focused()
    expect(contract_id).to_have_accessible_description("契約者ID(利用者番号)を入力してください。")
    expect(page.get_by_label("利用者暗証番号", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("利用者ID", exact=True)).not_to_have_attribute("aria-invalid", "true")
    assert site.requests == []
    assert records(page) == 0


# More than one window, person, press ------------------------------------------------------------------


def test_a_second_press_sends_nothing(page: Page, site: Site) -> None:
    type_in(page)
    site.hold.clear()
    page.evaluate("() => { for (const _ of [1, 2]) document.querySelector('form').requestSubmit() }")
    assert site.asked.acquire(timeout=30)
    site.hold.set()
    await_step(page, SAVE)
    assert len(site.requests) == 1


def test_two_windows_ask_with_one_key(context: BrowserContext, site: Site) -> None:
    windows = [context.new_page(), context.new_page()]
    for window in windows:
        window.goto(site.url)
        type_in(window)
    site.hold.clear()
    for window in windows:  # both make a key before either has an answer
        window.evaluate("() => document.querySelector('form').requestSubmit()")
    for _ in windows:
        assert site.asked.acquire(timeout=30)
    site.hold.set()
    for window in windows:
        expect(window.get_by_role("heading", name=SAVE)).to_be_visible()
    assert len(site.requests) == 2
    assert len(set(site.keys())) == 1
    assert records(windows[0]) == 1


def test_who_types_the_user_id_otherwise_is_the_same_person(page: Page, site: Site) -> None:
    site.plan.append(LOST)
    acquire(page)
    expect(page.get_by_role("alert")).to_have_attribute("data-code", "no-answer")
    page.get_by_label("契約者ID(利用者番号)").fill("１２３４５６７８９０１")
    page.get_by_label("利用者ID", exact=True).fill("Keiri02")
    type_pins(page)
    press(page, "電子証明書取得")
    await_step(page, SAVE)
    assert len(set(site.keys())) == 1


def test_an_administrator_and_a_user_at_one_computer_do_not_meet(context: BrowserContext, site: Site) -> None:
    user, administrator = context.new_page(), context.new_page()
    user.goto(site.url)
    acquire(user)
    await_step(user, SAVE)
    administrator.goto(site.url.replace("user", "administrator"))
    administrator.get_by_label("契約者ID(利用者番号)").fill(CONTRACT_ID)
    type_pins(administrator)
    press(administrator, "電子証明書取得")
    await_step(administrator, SAVE)
    assert "user_id" not in site.requests[1]
    assert site.csr(1).subject == _name(f"{CONTRACT_ID}9990")
    assert len(set(site.keys())) == 2
    assert records(user) == 2


def test_another_person_can_acquire_while_a_certificate_waits_to_be_saved(page: Page, site: Site) -> None:
    acquire(page)
    await_step(page, SAVE)
    press(page, "ほかの電子証明書を取得")
    await_step(page, "利用者の電子証明書を取得します")
    type_in(page, user_id="soumu01")
    press(page, "電子証明書取得")
    await_step(page, SAVE)
    assert len(set(site.keys())) == 2
    assert records(page) == 2


def test_a_certificate_that_has_ended_is_not_offered_any_more(page: Page, site: Site) -> None:
    site.not_after = datetime.now(UTC) - timedelta(days=1)
    acquire(page)
    await_step(page, SAVE)
    page.reload()
    expect(page.get_by_role("button", name="電子証明書取得")).to_be_visible()
    assert records(page) == 0


def test_a_key_older_than_any_permit_is_not_kept(page: Page, site: Site) -> None:
    site.plan.append(LOST)
    acquire(page)
    expect(page.get_by_role("alert")).to_have_attribute("data-code", "no-answer")
    for days, kept in ((79, 1), (81, 0)):
        page.clock.set_fixed_time(datetime.now(UTC) + timedelta(days=days))
        page.reload()
        expect(page.get_by_text("取得の途中")).to_be_visible(visible=bool(kept))
        expect(page.get_by_role("button", name="電子証明書取得")).to_be_visible()
        assert records(page) == kept


# The file's password ----------------------------------------------------------------------------------


def test_a_password_that_will_not_do_is_told_next_to_the_field(page: Page) -> None:
    acquire(page)
    await_step(page, SAVE)
    password = page.get_by_label("ファイルのパスワード", exact=True)
    make_file(page, "Elevenchars")
    expect(password).to_be_focused()
    expect(password).to_have_accessible_description("半角の英数字・記号で12文字以上 12文字以上で入力してください。")
    make_file(page, "パスワードパスワードパスワード")
    expect(password).to_have_accessible_description(re.compile("英数字と記号だけ"))
    make_file(page, FILE_PASSWORD, "Correct-horse_8")
    again = page.get_by_label("ファイルのパスワード(確認)")
    expect(again).to_be_focused()
    expect(again).to_have_accessible_description("上のパスワードと同じものを入力してください。")
    expect(page.get_by_role("link", name="ファイルを保存")).to_be_hidden()


def test_a_proposed_password_opens_the_file(page: Page, tmp_path: Path) -> None:
    acquire(page)
    await_step(page, SAVE)
    press(page, "パスワードを自動で作成")
    proposed = page.locator("output").inner_text()
    assert re.fullmatch("([a-km-np-z2-9]{5}-){3}[a-km-np-z2-9]{5}", proposed)
    press(page, "ファイルを作成")
    file = save_file(page, tmp_path)
    key, _, _ = pkcs12.load_key_and_certificates(file.read_bytes(), proposed.encode())
    assert key is not None
    expect(page.locator("output")).to_have_text(proposed)  # it can still be noted down
    page.get_by_label("ファイルのパスワード", exact=True).fill(FILE_PASSWORD)
    expect(page.locator("output")).to_be_empty()


def test_a_file_made_anew_has_the_new_password(page: Page, tmp_path: Path) -> None:
    acquire(page)
    await_step(page, SAVE)
    make_file(page, "Another-horse_9")
    save_file(page, tmp_path)
    make_file(page)
    expect(page.get_by_role("button", name="ファイルを保存しました")).to_be_hidden()
    file = save_file(page, tmp_path)
    key, _, _ = pkcs12.load_key_and_certificates(file.read_bytes(), FILE_PASSWORD.encode())
    assert key is not None


# Browsers that cannot, browsers that die, and the other browser ---------------------------------------


def test_without_the_script_the_page_says_what_it_needs(chromium: Browser, site: Site) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.url)
    notice = page.locator("noscript p")  # Playwright's search by text passes over noscript
    expect(notice).to_be_visible()
    expect(notice).to_contain_text("JavaScriptを有効にして")
    expect(page.get_by_role("button")).to_have_count(0)
    context.close()


def test_a_browser_that_keeps_no_data_for_the_site_is_told(driver: Playwright, site: Site, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    (profile / "Default").mkdir(parents=True)
    blocked = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (profile / "Default/Preferences").write_text(json.dumps(blocked))
    context = driver.chromium.launch_persistent_context(profile, executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
    complaints: list[str] = []
    _listen(context, complaints)
    page = context.new_page()
    page.goto(site.url)
    alert = page.get_by_role("alert")
    expect(alert).to_have_attribute("data-code", "no-key-store")
    expect(alert).to_be_focused()
    expect(page.get_by_role("button")).to_have_count(0)
    context.close()
    assert complaints == []


def test_a_browser_that_is_killed_finds_the_certificate_again(driver: Playwright, site: Site, tmp_path: Path) -> None:
    with Chromium(driver, tmp_path / "profile") as browser:
        page = browser.page
        page.goto(site.url)
        acquire(page)
        await_step(page, SAVE)
        browser.kill()
    with Chromium(driver, tmp_path / "profile") as browser:
        page = browser.page
        page.goto(site.url)
        await_step(page, SAVE)
        expect(page.get_by_text(COMMON_NAME, exact=True)).to_be_visible()
    assert len(site.requests) == 1


class Chromium:
    """A Chromium of our own on a profile that outlives it, so that it can be killed."""

    def __init__(self, driver: Playwright, profile: Path) -> None:
        port_file = profile / "DevToolsActivePort"
        port_file.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                CHROMIUM,
                "--headless",
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                *CHROMIUM_ARGUMENTS,
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        port = _first_line(port_file, self._process)
        self._browser = driver.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
        self.page = self._browser.contexts[0].new_page()

    def kill(self) -> None:
        """End the browser and all its processes at once, as a power failure does."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()
        self._browser.close()


def _first_line(file: Path, process: subprocess.Popen[bytes]) -> str:
    """Wait for a browser to write its port into a file; neither browser has a better sign than that."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if file.exists() and (lines := file.read_text().splitlines()):
            return lines[0]
        time.sleep(0.05)
    raise AssertionError(f"{process.args!r} did not start")


class Firefox:
    """A Firefox driven by its own Marionette protocol.

    Debian has no geckodriver, and Playwright's way to a Firefox that it did not build breaks off at the
    first page with an unknown command.
    """

    def __init__(self, profile: Path, downloads: Path) -> None:
        profile.mkdir()
        preferences = {
            "marionette.port": 0,
            "browser.download.dir": str(downloads),
            "browser.download.folderList": 2,
            "browser.download.always_ask_before_handling_new_types": False,
            "browser.shell.checkDefaultBrowser": False,
            "datareporting.policy.dataSubmissionEnabled": False,
        }
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()]
        (profile / "user.js").write_text("".join(lines))
        self._process = subprocess.Popen(
            ["firefox-esr", "--headless", "--marionette", "--no-remote", "--profile", profile],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        port = _first_line(profile / "MarionetteActivePort", self._process)
        self._socket = socket.create_connection(("127.0.0.1", int(port)), timeout=120)
        self._stream = self._socket.makefile("rb")
        self._number = 0
        self._receive()
        self.ask("WebDriver:NewSession", capabilities={})

    def _receive(self) -> list[object]:
        length = b""
        while (octet := self._stream.read(1)) != b":":
            assert octet, "Firefox has gone"
            length += octet
        message = json.loads(self._stream.read(int(length)))
        return message if isinstance(message, list) else []

    def ask(self, command: str, **parameters: object) -> object:
        self._number += 1
        message = json.dumps([0, self._number, command, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._receive()
        assert error is None, error
        return result["value"] if isinstance(result, dict) and "value" in result else result

    def wait(self, condition: str) -> None:
        """Wait until the JavaScript expression is true."""
        script = (
            "const [tell] = [...arguments].slice(-1);"
            f"const look = () => ({condition}) ? tell(true) : requestAnimationFrame(look); look();"
        )
        assert self.ask("WebDriver:ExecuteAsyncScript", script=script, args=[], scriptTimeout=90_000)

    def run(self, script: str) -> None:
        self.ask("WebDriver:ExecuteScript", script=script, args=[])

    def click(self, selector: str) -> None:
        element = self.ask("WebDriver:FindElement", using="css selector", value=selector)
        assert isinstance(element, dict)
        self.ask("WebDriver:ElementClick", id=next(iter(element.values())))

    def fill(self, selector: str, text: str) -> None:
        element = self.ask("WebDriver:FindElement", using="css selector", value=selector)
        assert isinstance(element, dict)
        self.ask("WebDriver:ElementSendKeys", id=next(iter(element.values())), text=text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()


def test_firefox_goes_the_whole_way(site: Site, tmp_path: Path) -> None:
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    with Firefox(tmp_path / "profile", downloads) as firefox:
        firefox.ask("WebDriver:Navigate", url=site.url)
        firefox.wait("document.querySelector('[data-step=form]:not([hidden])')")
        fields = {"contract_id": CONTRACT_ID, "user_id": USER_ID, "pin": "keiri2pin"}
        for name, value in (fields | {"confirmation_pin": "keiri2conf"}).items():
            firefox.fill(f"#{name}", value)
        firefox.click("form[data-acquire] button")
        firefox.wait("document.querySelector('[data-step=save]:not([hidden])')")
        firefox.ask("WebDriver:Refresh")
        firefox.wait("document.querySelector('[data-step=save]:not([hidden])')")
        for name in ("file_password", "file_password_again"):
            firefox.fill(f"#{name}", FILE_PASSWORD)
        firefox.click("form[data-save] button[type=submit]")
        firefox.wait("document.querySelector('[data-part=file]:not([hidden])')")
        firefox.click("[data-part=link]")
        file = downloads / f"{COMMON_NAME}.p12"
        end = time.monotonic() + 60
        while not (file.exists() and file.stat().st_size) and time.monotonic() < end:
            time.sleep(0.05)  # the download has no event that Marionette hands on
        firefox.click("[data-action=saved]")
        firefox.wait("document.querySelector('[data-step=done]:not([hidden])')")
    (certificate,) = site.issued.values()
    judge_file(file, site, certificate, tmp_path)
