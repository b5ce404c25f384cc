"""After a rotation both browsers offer certificates of both issuing CAs: the handshake names both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.browser import journey
from tests.support.est_client import curl, enroll, new_key, run
from tests.support.served import Served, free_port_base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.conftest import Firefoxes
    from tests.browser.support.chromium import Computer
    from tests.support.est_client import Key

FILE_PASSWORD = "a file password"


@pytest.fixture(scope="module")
def rotated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Key]]:
    """Serve a bank that was rotated, with a key of keiri02 that was certified after it; keiri01's is from before."""
    folder = tmp_path_factory.mktemp("rotated")
    served = Served(folder / "data", free_port_base())
    served.start()
    try:
        done = served.sekisho("ca", "rotate")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("the CA takes it at its next start") == 2
        again = served.sekisho("ca", "rotate", "--kind", "user")
        assert (again.returncode, "waits already" in again.stderr) == (21, True)
        assert served.stop() == 0
        served.start()
        key = new_key(folder, "after")
        answer = enroll(served, key, served.user("keiri02"))
        assert answer.status == 200
        key.save(answer)
        yield served, key
    finally:
        served.stop()


def test_the_pki_site_has_both(rotated: tuple[Served, Key]) -> None:
    served, key = rotated
    for name in ("user", "user2"):
        told = curl(served, f"{served.info['urls']['pki']}/{served.info['bank']['code']}/{name}.cer")
        assert told.status == 200
        shown = run("openssl", "x509", "-inform", "DER", "-noout", "-subject", stdin=told.body).decode()
        assert shown.strip().endswith("Users CA" if name == "user" else "Users CA 2")
    issuer = run("openssl", "x509", "-in", str(key.certificate), "-noout", "-issuer").decode()
    assert issuer.strip().endswith("Users CA 2")


def test_chromium_offers_both(rotated: tuple[Served, Key], computers: Callable[..., Computer]) -> None:
    served, key = rotated
    keiri01 = served.user("keiri01")
    for name, user, file, password in (
        ("old", keiri01, Path(keiri01["p12"]), keiri01["p12_password"]),
        ("new", served.user("keiri02"), key.p12, FILE_PASSWORD),
    ):
        computer = computers(name, ca=Path(served.info["tls_ca"]))
        computer.certificates.import_p12(file, password)
        computer.choose({served.info["urls"]["user"]: {}})  # whichever fits the CAs that the handshake names
        page = computer.page()
        journey.log_on_user(page, served, user)
        journey.see_heading(page, "利用者ステータス")


def test_firefox_offers_both(rotated: tuple[Served, Key], firefox: Firefoxes) -> None:
    served, key = rotated
    keiri01 = served.user("keiri01")
    for name, user, file, password in (
        ("old", keiri01, Path(keiri01["p12"]), keiri01["p12_password"]),
        ("new", served.user("keiri02"), key.p12, FILE_PASSWORD),
    ):
        computer = firefox(name, ca=Path(served.info["tls_ca"]))
        computer.certificates.import_p12(file, password)
        page = computer.page()
        journey.log_on_user(page, served, user)
        journey.see_heading(page, "利用者ステータス")
