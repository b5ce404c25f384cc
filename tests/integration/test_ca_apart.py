"""The CA under a user of its own: who may ask it, what it can reach, and what happens while it is away."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.support.authority import NOW, PATIENCE_S, order
from tests.support.est_client import enroll, new_key
from tests.support.patience import wait_until
from tests.support.person import Page
from tests.support.served import ROOT, Served, free_port_base
from tests.support.world import csr_der

from sekisho import settings
from sekisho.ca import wire
from sekisho.ca.client import CaClient
from sekisho.ca.wire import Ask
from sekisho.domain.errors import CaAway

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOBODY = 65534
_AS_ROOT = [] if os.getuid() == 0 else ["sudo"]
# Sends what it is given in hexadecimal digits and prints how many octets came back. Perl is on every Debian.
# A door that is shut before the question is written must not end it: writing then fails, and nothing comes back.
_ASK = r"""
use IO::Socket::UNIX;
$SIG{PIPE} = "IGNORE";
my $s = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $ARGV[0]) or die "no way in: $!\n";
print $s pack("H*", $ARGV[1]); $s->flush;
my $n = sysread($s, my $answer, 65536);
print defined $n ? $n : 0, "\n";
"""


class Apart:
    """A CA with a folder of its own, moved out of a demo's, and the command that runs it."""

    def __init__(self, folder: Path, run_dir: Path) -> None:
        self.folder = folder
        self.socket = run_dir / "ca.sock"
        self.process: subprocess.Popen[str] | None = None
        self.said = run_dir / "said"

    def start(self, *allowed: str) -> None:
        argv = [sys.executable, "-m", "sekisho", "ca", "--data-dir", str(self.folder), "--socket", str(self.socket)]
        argv += [part for name in allowed for part in ("--allow", name)]
        notified = self.socket.with_name("notify")
        notified.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, self.said.open("a") as said:
            manager.bind(str(notified))
            manager.settimeout(60)
            env = os.environ | {"NOTIFY_SOCKET": str(notified)}
            self.process = subprocess.Popen(argv, cwd=ROOT, env=env, stderr=said, text=True)
            assert manager.recv(100) == b"READY=1"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        return code


def move_out(served: Served, to: Path, ca_socket: Path) -> None:
    """Do what docs/how-to/run-the-ca-apart.md says."""
    (to / "ca").mkdir(parents=True)
    shutil.copy(served.data_dir / settings.FILE, to)
    for name in ("journal", "journal.key", "administrator.key.pem", "user.key.pem", "root.key.pem"):
        shutil.move(served.data_dir / "ca" / name, to / "ca" / name)
    for certificate in (served.data_dir / "ca").glob("*.pem"):
        shutil.copy(certificate, to / "ca")
    with (served.data_dir / settings.FILE).open("a") as file:
        file.write(f'\n[ca]\nsocket = "{ca_socket}"\n')


@contextmanager
def short_folder() -> Iterator[Path]:
    """Make a folder that others may look into, with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="sekisho-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Apart]]:
    base = tmp_path_factory.mktemp("apart")
    served = Served(base / "data", free_port_base())
    served.start()
    served.stop()
    with short_folder() as run_dir:
        ca = Apart(base / "ca-data", run_dir)
        move_out(served, ca.folder, ca.socket)
        yield served, ca
        served.stop()
        ca.stop()


def as_nobody(ca_socket: Path) -> subprocess.CompletedProcess[str]:
    question = wire.question(Ask.SIGN, [wire.order_part(order())])
    hexadecimal = (len(question).to_bytes(4) + question).hex()
    setpriv = ["setpriv", f"--reuid={_NOBODY}", "--clear-groups"]
    argv = [*_AS_ROOT, *setpriv, "perl", "-e", _ASK, str(ca_socket), hexadecimal]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_the_kernel_says_who_asks_and_nobody_else_is_answered(apart: tuple[Served, Apart]) -> None:
    _, ca = apart
    ca.start()
    try:
        assert ca.socket.stat().st_mode & 0o777 == 0o600
        # The socket's own permissions are opened, so that the second lock is what is looked at.
        ca.socket.chmod(0o666)
        assert as_nobody(ca.socket).stdout == "0\n"
        assert "somebody else" in ca.said.read_text()
    finally:
        assert ca.stop() == 0
    assert not ca.socket.exists()
    ca.start("nobody")
    try:
        ca.socket.chmod(0o666)
        answered = as_nobody(ca.socket)
        assert int(answered.stdout) > 4, answered.stderr
        client = CaClient(ca.socket, deadline_s=PATIENCE_S)
        assert len(client.sign_all([order()])) == 1, "its own user may always ask"
        client.close()
    finally:
        ca.stop()


def test_it_listens_and_speaks_to_no_network(apart: tuple[Served, Apart]) -> None:
    _, ca = apart
    ca.start()
    try:
        client = CaClient(ca.socket, deadline_s=PATIENCE_S)
        assert client.sign_all([order(not_before=NOW)])
        assert ca.process is not None
        held = [str(one.readlink()) for one in Path(f"/proc/{ca.process.pid}/fd").iterdir() if one.is_symlink()]
        inodes = {one[8:-1] for one in held if one.startswith("socket:")}
        assert inodes, "there is a socket at all"
        network = Path(f"/proc/{ca.process.pid}/net")
        tables = "".join((network / name).read_text() for name in ("tcp", "tcp6", "udp", "udp6", "raw"))
        assert not inodes & set(tables.split())
        client.close()
    finally:
        ca.stop()


def test_a_socket_that_belongs_to_somebody_else_is_no_ca() -> None:
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "ca.sock"))
        listener.listen()
        with pytest.raises(CaAway):
            CaClient(folder / "ca.sock", deadline_s=PATIENCE_S, owner=_NOBODY).sign_all([order()])


def told_by_the_page(served: Served, key: object) -> httpx.Response:
    """Do what the script of the acquisition page does for keiri02."""
    person = served.user("keiri02")
    with httpx.Client(base_url=served.info["urls"]["public"], verify=served.context(), timeout=60) as client:
        form = client.get("/acquire/user?lang=ja")
        page = Page(form.status_code, "/acquire/user", form.text, form.headers)
        entries = {
            "contract_id": served.info["contract"]["contract_id"],
            "user_id": person["user_id"],
            "pin": person["user_pin"],
            "confirmation_pin": person["user_confirmation_pin"],
            "csr": base64.b64encode(csr_der(key)).decode(),
        }
        return client.post("/acquire/user", data={**page.hidden, **entries})


def test_orders_wait_while_the_ca_is_away_and_nothing_is_lost(apart: tuple[Served, Apart], tmp_path: Path) -> None:
    served, ca = apart
    served.start()
    assert not (served.data_dir / "run" / "ca.sock").exists(), "no child was started"
    key, person = new_key(tmp_path, "new"), served.user("keiri02")
    in_page = told_by_the_page(served, load_pem_private_key(key.key.read_bytes(), None))
    assert (in_page.status_code, in_page.json()["code"]) == (503, "ca-away")
    assert "取得許可は無駄になりません" in in_page.json()["detail"]
    assert int(in_page.headers["retry-after"]) > 0
    first = enroll(served, key, person)
    assert (first.status, first.code) == (202, "ca-away")
    assert int(first.headers["retry-after"]) > 0
    away = served.sekisho("orders", "resume")
    assert away.returncode == 12
    ca.start()
    done = served.sekisho("orders", "resume", "--json")
    assert done.returncode == 0
    # The server looks for such orders by itself and may have been first.
    assert done.stdout.strip() in {'{"finished": 1}', '{"finished": 0}'}
    again = enroll(served, key, person)
    assert again.status == 200
    der = key.save(again)
    # Killed and started again: the sites find it by themselves, and the journal gives the same bytes.
    ca.stop(signal.SIGKILL)
    ca.start()
    listed = served.sekisho("certificates", "list", "--json")
    assert listed.stdout.count('"user"') == 2
    assert key.save(enroll(served, key, person)) == der
    served.stop()
    ca.stop()


def test_the_units_are_sound_and_shut_the_ca_in(tmp_path: Path) -> None:
    for name, most in (("sekisho-ca.service", 5), ("sekisho.service", 30)):
        unit = (ROOT / "deploy" / "systemd" / name).read_text()
        assert "/opt/sekisho/bin/sekisho " in unit
        # Whatever is there and can be run: that the program is installed is not what is looked at.
        (tmp_path / name).write_text(unit.replace("/opt/sekisho/bin/sekisho ", "/bin/true "))
        argv = ["systemd-analyze", "verify", str(tmp_path / name)]
        verified = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert (verified.returncode, verified.stdout + verified.stderr) == (0, ""), name
        argv = ["systemd-analyze", "security", "--offline=true", f"--threshold={most}", str(tmp_path / name)]
        judged = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert judged.returncode == 0, judged.stdout
    ca = (ROOT / "deploy" / "systemd" / "sekisho-ca.service").read_text()
    assert "PrivateNetwork=yes" in ca
    assert "RestrictAddressFamilies=AF_UNIX\n" in ca


def test_two_cas_on_one_folder(apart: tuple[Served, Apart]) -> None:
    _, ca = apart
    ca.start()
    try:
        other = subprocess.run(
            [sys.executable, "-m", "sekisho", "ca", "--data-dir", str(ca.folder), "--socket", f"{ca.socket}2"],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            check=False,
        )
        assert other.returncode == 24
        assert "another process" in other.stderr
    finally:
        ca.stop()
    wait_until(lambda: not ca.socket.exists())
