"""At night a bank's customers look and stop; everything else waits until it opens."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from html import unescape
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.support.est_client import enroll, new_key
from tests.support.person import Person
from tests.support.served import Served, free_port_base
from tests.support.world import KEIRI01, World, new_csr

from sekisho.domain.errors import OutOfHours
from sekisho.domain.service_hours import JAPAN, read_hours
from sekisho.usecases.service_hours import check_open

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.person import Page


def closed(bank: World) -> None:
    """Move the clock to three at night, at a bank that opens at seven."""
    policy = replace(bank.bank.policy, service_hours=read_hours("mon-sun 7:00-23:00"))
    bank.bank = replace(bank.bank, policy=policy)
    here = bank.clock[0].astimezone(JAPAN)
    bank.clock[0] = here.replace(hour=3, minute=0, second=0, microsecond=0) + timedelta(days=1)


def action_of(page: Page) -> str:
    """Return where the form goes that a page shows above all."""
    (found,) = re.findall(r'<form class="entry card" method="post" action="([^"]*)"', page.text)
    return unescape(found)


def test_nothing_is_issued_at_night_and_the_refusal_says_until_when(bank: World) -> None:
    closed(bank)
    with pytest.raises(OutOfHours) as refused:
        bank.acquire(KEIRI01)
    opens = refused.value.values["opens"]
    assert isinstance(opens, datetime)
    assert opens - bank.clock[0] == timedelta(hours=4)
    assert refused.value.values["seconds"] == 4 * 3600 + 1
    assert bank.rows("SELECT id FROM orders") == []
    bank.later(hours=4)
    check_open(bank.bank.policy, bank.clock[0])


def test_nothing_is_renewed_at_night(bank: World) -> None:
    held = bank.acquire(KEIRI01)
    bank.later(days=340)
    closed(bank)
    with pytest.raises(OutOfHours):
        bank.renew(held, new_csr(), at=bank.bank)


def test_at_night_one_looks_and_stops(tmp_path: Path) -> None:
    demo = Served(tmp_path / "data", free_port_base())
    demo.start()
    unopened = {"contract": demo.info["unopened_contract"]}
    key = new_key(tmp_path, "unopened")
    answer = enroll(demo, key, unopened)
    assert answer.status == 200, answer.code
    key.save(answer)
    demo.stop()
    done = demo.sekisho("policy", "set", "--service-hours", "mon-sun,holidays 7:00-23:00", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["service_hours"].endswith("7:00-23:00")
    now = datetime.now(JAPAN)
    three = now.replace(hour=3, minute=0, second=0) + timedelta(days=now.hour >= 3)
    demo.set_clock_ahead(seconds=(three - now).total_seconds())
    demo.start()
    try:
        with httpx.Client(verify=demo.context(None), base_url=demo.info["urls"]["public"], timeout=60) as anybody:
            front = anybody.get("/", headers={"accept-language": "ja"})
            assert "ただいまサービス時間外です" in front.text
        asked = enroll(demo, new_key(tmp_path, "night"), demo.user("keiri02"))
        assert (asked.status, asked.code) == (503, "out-of-hours")
        assert 3 * 3600 < int(asked.headers["retry-after"]) <= 4 * 3600 + 1
        waiting = Person(demo, "administrator", {**unopened, "certificate": str(key.certificate), "key": str(key.key)})
        assert waiting.log_on_administrator().path == "/opening"
        assert (waiting.get("/emergency").path, waiting.get("/status").path) == ("/emergency", "/opening")
        waiting.close()
        administrator = Person(demo, "administrator", demo.info["administrator"])
        page = administrator.log_on_administrator()
        assert (page.status, page.outcome) == (200, None)
        assert "ただいまサービス時間外です" in page.text
        new = administrator.get("/contract/users/new")
        assert new.status == 200
        refused = administrator.send(new, "/contract/users/new", user_id="keiri77", name="見本")
        assert (refused.status, refused.outcome) == (503, "out-of-hours")
        assert 3 * 3600 < int(refused.headers["retry-after"]) <= 4 * 3600 + 1
        stop = administrator.get("/contract/users/confirm", user_id="keiri02", step="stop")
        confirmed = action_of(stop)
        assert confirmed == "/contract/users/confirm"
        for other in ("delete", "lift", "withdraw"):
            # What is done is what the form says; an address that speaks of a stop opens nothing else.
            for address in (confirmed, f"{confirmed}?user_id=keiri02&step=stop"):
                refused = administrator.send(stop, address, step=other, confirmation_pin="wrong111")
                assert (refused.status, refused.outcome) == (503, "out-of-hours"), (other, address)
        stopped = administrator.send(stop, confirmed)
        assert stopped.outcome == "user-stopped"
        administrator.close()
    finally:
        demo.stop()
