"""At night a bank's customers look and stop; everything else waits until it opens."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.support.person import Person
from tests.support.served import Served, free_port_base
from tests.support.world import KEIRI01, World, new_csr

from sekisho.domain.errors import OutOfHours
from sekisho.domain.service_hours import JAPAN, read_hours
from sekisho.usecases.service_hours import check_open

if TYPE_CHECKING:
    from pathlib import Path


def closed(bank: World) -> None:
    """Move the clock to three at night, at a bank that opens at seven."""
    policy = replace(bank.bank.policy, service_hours=read_hours("mon-sun 7:00-23:00"))
    bank.bank = replace(bank.bank, policy=policy)
    here = bank.clock[0].astimezone(JAPAN)
    bank.clock[0] = here.replace(hour=3, minute=0, second=0, microsecond=0) + timedelta(days=1)


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
    demo.stop()
    now = datetime.now(JAPAN)
    # The bank has closed an hour ago, or opens in an hour: whichever the day has room for.
    hours = f"0:00-{now.hour - 1}:00" if now.hour > 1 else f"{now.hour + 2}:00-24:00"
    done = demo.sekisho("policy", "set", "--service-hours", f"mon-sun,holidays {hours}", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["service_hours"].endswith(hours)
    demo.start()
    try:
        with httpx.Client(verify=demo.context(None), base_url=demo.info["urls"]["public"]) as anybody:
            front = anybody.get("/", headers={"accept-language": "ja"})
            assert "ただいまサービス時間外です" in front.text
            asked = anybody.post(
                f"/.well-known/est/{demo.info['bank']['code']}/simpleenroll",
                auth=("12345678901/x", "a:b"), content=b"", headers={"content-type": "application/pkcs10"},
            )  # fmt: skip
            assert asked.status_code in {400, 503}
        administrator = Person(demo, "administrator", demo.info["administrator"])
        page = administrator.log_on_administrator()
        assert (page.status, page.outcome) == (200, None)
        assert "ただいまサービス時間外です" in page.text
        new = administrator.get("/contract/users/new")
        assert new.status == 200
        refused = administrator.send(new, "/contract/users/new", user_id="keiri77", name="見本")
        assert (refused.status, refused.outcome) == (503, "out-of-hours")
        assert 0 < int(refused.headers["retry-after"]) <= 24 * 3600
        stop = administrator.get("/contract/users/confirm", user_id="keiri02", step="stop")
        stopped = administrator.send(stop, "/contract/users/confirm?user_id=keiri02&step=stop")
        assert stopped.outcome == "user-stopped"
        administrator.close()
    finally:
        demo.stop()
