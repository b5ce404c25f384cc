"""What the sites tell a desktop agent and believe of it: addresses, how a certificate stands, how a key is held."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.est_client import curl, enroll, new_key
from tests.support.person import Person
from tests.support.served import Served, free_port_base
from tests.support.world import BANK

from sekisho.domain.certificate import KeyHeld
from sekisho.est.agent import claimed_key_held, way_open

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("agent") / "data", free_port_base())
    served.start()
    yield served
    served.stop()


def test_the_public_site_leads_to_the_secure_ones(demo: Served) -> None:
    answer = curl(demo, demo.info["urls"]["public"] + "/.well-known/sekisho/9990.json")
    told = json.loads(answer.body)
    assert answer.status == 200
    assert told["bank"] == "9990"
    assert told["name"] == BANK.name
    assert told["sites"] == {name: demo.info["urls"][name] for name in ("public", "administrator", "user")}
    assert told["ways"] == {"tegata": True, "browser": True, "est": True}


def test_another_bank_is_not_known(demo: Served) -> None:
    answer = curl(demo, demo.info["urls"]["public"] + "/.well-known/sekisho/1234.json")
    assert (answer.status, answer.code) == (404, "page-unknown")
    assert json.loads(answer.body)["code"] == "page-unknown"


def standing(demo: Served, site: str, person: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
    shown = () if person is None else ("--cert", person["certificate"], "--key", person["key"])
    answer = curl(demo, f"{demo.info['urls'][site]}/.well-known/sekisho/9990/certificate", *shown)
    return answer.status, json.loads(answer.body)


def test_a_certificate_hears_how_it_stands(demo: Served) -> None:
    keiri01 = demo.user("keiri01")
    status, told = standing(demo, "user", keiri01)
    assert (status, told["code"], told["key_held_claimed"]) == (200, "certificate-in-force", "file")
    assert told["renewal_opens"] < told["not_after"]
    assert standing(demo, "administrator", keiri01)[1]["code"] == "certificate-wrong-kind"
    status, told = standing(demo, "user", None)
    assert (status, told["code"]) == (403, "certificate-missing")
    assert told["detail"], "with words"


@pytest.mark.parametrize(
    ("claim", "believed"),
    [
        ({"sekisho-key-held": "token"}, KeyHeld.TOKEN),
        ({"sekisho-key-held": " TPM "}, KeyHeld.TPM),
        ({"sekisho-key-held": "os-not-exportable"}, KeyHeld.OS_NOT_EXPORTABLE),
        ({"sekisho-key-held": "file"}, KeyHeld.FILE),
        ({"sekisho-key-held": "hsm"}, KeyHeld.FILE),
        ({}, KeyHeld.FILE),
    ],
)
def test_a_claim_is_one_of_four_words_and_the_least_otherwise(claim: dict[str, str], believed: KeyHeld) -> None:
    assert claimed_key_held(claim) is believed


@pytest.mark.parametrize("tegata", [True, False])
@pytest.mark.parametrize("est", [True, False])
def test_a_bank_may_switch_off_either_way(tegata: bool, est: bool) -> None:  # noqa: FBT001 - a table of yes and no
    policy = replace(BANK.policy, way_tegata=tegata, way_est=est)
    site = SimpleNamespace(bank=replace(BANK, policy=policy))
    for headers, opened in (({"sekisho-agent": "tegata/0.1.0"}, tegata), ({}, est), ({"sekisho-agent": "x"}, est)):
        assert way_open(SimpleNamespace(site=site, headers=headers)) is opened  # type: ignore[arg-type]  # all it reads


def test_a_claim_is_recorded_and_shown_as_claimed(demo: Served, tmp_path: Path) -> None:
    keiri02 = demo.user("keiri02")
    key = new_key(tmp_path, "token")
    name = f"{demo.info['contract']['contract_id']}/keiri02"
    pins = f"{keiri02['user_pin']}:{keiri02['user_confirmation_pin']}"
    url = demo.info["urls"]["public"] + "/.well-known/est/9990/simpleenroll"
    answer = curl(demo, url, "-u", f"{name}:{pins}", "-H", "Sekisho-Key-Held: token", body=key.csr())
    assert answer.status == 200
    key.save(answer)
    holder = keiri02 | {"certificate": str(key.certificate), "key": str(key.key)}
    user = Person(demo, "user", holder)
    administrator = Person(demo, "administrator", demo.info["administrator"])
    try:
        assert "トークン(取得に使ったソフトの申告)" in user.log_on_user().text
        administrator.log_on_administrator()
        assert (
            "トークン(取得に使ったソフトの申告)" in administrator.get("/contract/users/change", user_id="keiri02").text
        )
    finally:
        user.close()
        administrator.close()
    listed = [json.loads(line) for line in demo.sekisho("certificates", "list", "--json").stdout.splitlines()]
    assert (listed[-1]["held"], listed[-1]["held_is"]) == ("token", "claimed")
    # The same key again changes nothing: what counts is what was claimed when it was certified.
    assert enroll(demo, key, keiri02).status == 200
    listed = [json.loads(line) for line in demo.sekisho("certificates", "list", "--json").stdout.splitlines()]
    assert listed[-1]["held"] == "token"


def test_the_acquisition_page_opens_tegata(demo: Served) -> None:
    page = curl(demo, demo.info["urls"]["public"] + "/acquire/user?lang=en").body.decode()
    port = demo.info["urls"]["public"].rpartition(":")[2]
    assert f'href="tegata:acquire?url=https%3A//localhost%3A{port}&amp;bank=9990&amp;for=user"' in page
    assert "Open Tegata" in page
