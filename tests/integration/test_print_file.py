"""The print file of customer cards over real TLS, without a browser: in a bank of its own, since a card is lost."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.card_maker import Maker
from tests.support.person import Person
from tests.support.served import Served, free_port_base

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path / "data", free_port_base())
    served.start()
    yield served
    served.stop()


@pytest.fixture
def desk(demo: Served) -> Iterator[dict[str, Person]]:
    """Return people at the console by their roles, logged on."""
    people = {role: Person(demo, "console", demo.staff(role), "ja") for role in ("clerk", "approver", "operator")}
    for one in people.values():
        one.log_on_staff()
    yield people
    for one in people.values():
        one.close()


def test_the_print_file_is_a_download_that_is_kept_nowhere(
    demo: Served, desk: dict[str, Person], tmp_path: Path
) -> None:
    clerk, approver, operator = desk["clerk"], desk["approver"], desk["operator"]
    maker = Maker(tmp_path, datetime.now(UTC), rsa.generate_private_key(65537, 2048))
    assert demo.sekisho("card", "maker").returncode == 11, "none is set yet"
    assert operator.send(operator.get("/cards"), "/cards/print").outcome == "card-maker-not-usable"
    (tmp_path / "no.pem").write_text("x")
    assert demo.sekisho("card", "maker", str(tmp_path / "no.pem")).returncode == 2
    told = demo.sekisho("card", "maker", str(tmp_path / "maker.pem"), "--json")
    assert told.returncode == 0, told.stderr
    assert demo.sekisho("card", "maker", "--json").stdout == told.stdout
    assert operator.send(operator.get("/cards"), "/cards/print").outcome == "cards-none-to-print"
    new = f"/contracts/{demo.info['contract']['contract_id']}/forms"
    form = clerk.send(clerk.get(new, kind="card-reissue"), new)
    clerk.send(form, form.path, step="check-seal")
    approver.send(approver.get(form.path), form.path, step="approve")
    clerk.send(clerk.get(form.path), form.path, step="carry-out")
    page = operator.get("/cards")
    shown = " ".join(re.findall("....", json.loads(told.stdout)["sha256"]))
    assert shown in page.text
    made = [operator.http.post("/cards/print", data=page.hidden) for _ in range(2)]
    (row,), again = [maker.read(answer.content) for answer in made]
    assert again == [row]
    for answer in made:
        assert answer.status_code == 200
        assert re.fullmatch(
            r'attachment; filename="cards-9990-\d{8}-\d{6}\.p7m"', answer.headers["content-disposition"]
        )
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"].startswith("application/pkcs7-mime")
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert row["number"].encode() not in answer.content
    assert operator.send(page, "/cards/print", csrf="x").outcome == "form-expired"
    assert clerk.send(clerk.get("/forms"), "/cards/print").outcome == "role-missing"
    assert operator.http.get("/cards/print").status_code == 405
    written = demo.sekisho("card", "print", "--output", str(tmp_path / "by-command.p7m"))
    assert written.stdout == "cards: 1\n"
    assert maker.read((tmp_path / "by-command.p7m").read_bytes()) == [row]
