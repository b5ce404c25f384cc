"""A process that mails what is due in a test's database, for a test to kill.

Run as `python -m tests.support.mailing DATABASE PORT AUTHORITIES PASSWORD_FILE NOW`.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

from tests.support.mail_server import SENDER, USER
from tests.support.world import BANK

from sekisho.ca.client import CaClient
from sekisho.mail_server import MailServer, ServerAddress
from sekisho.store.opening import open_database
from sekisho.usecases.ports import Ports
from sekisho.vault.pins import PinHasher
from sekisho.vault.seal import CardSeal
from sekisho.web.mails import send_mails


def main(database: str, port: str, authorities: str, password_file: str, now: str) -> None:
    file, url = (Path(), database) if "://" in database else (Path(database), None)
    address = ServerAddress("localhost", int(port), False, "sekisho.test", Path(authorities), USER, Path(password_file))  # noqa: FBT003
    ports = Ports(
        db=open_database(file, url),
        cas={BANK.code: CaClient(Path("nowhere"))},
        mail=MailServer(address, SENDER),
        pins=PinHasher(b"p" * 32),
        seal=CardSeal(b"c" * 32),
        now=lambda: datetime.fromisoformat(now),
        entropy=lambda length: b"e" * length,
    )
    send_mails(ports, bank=BANK)


if __name__ == "__main__":
    main(*sys.argv[1:])
