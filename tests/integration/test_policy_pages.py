"""The bank's rules at the console over real TLS, and servers that follow them while they run."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.integration.test_console_pages import added
from tests.support.nodes import nodes
from tests.support.patience import wait_until
from tests.support.person import Page, Person
from tests.support.served import Served, free_port_base

from sekisho.cli import exit_codes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("policy") / "data", free_port_base())
    served.start()
    yield served
    served.stop()


@pytest.fixture(scope="module")
def keepers(demo: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Person, Person]]:
    """Two policy keepers, logged on."""
    both = [added(demo, tmp_path_factory.mktemp(name), name, "--role", "keeper") for name in ("kisoku01", "kisoku02")]
    one, other = (Person(demo, "console", holder, "ja") for holder in both)
    began = [person.log_on_staff() for person in (one, other)]
    yield one, other
    one.close()
    other.close()
    assert [page.path for page in began] == ["/policy"] * 2, [page.outcome for page in began]


def propose(person: Person, group: str, **typed: str) -> Page:
    """Send the form as it is shown, with what is typed over it."""
    path = f"/policy/new/{group}"
    page = person.get(path)
    return person.send(page, path, **{**filled(page), "reason": "見直し", **typed})


def filled(page: Page) -> dict[str, str]:
    """Return the fields of a page as a browser sends them: texts as they stand, and what is checked."""
    texts = re.findall(r'name="([\w.]+)" type="(?:text|date)" value="([^"]*)"', page.text)
    checked = re.findall(r'type="(?:radio|checkbox)" name="([\w.]+)"(?: value="(\w+)")? checked', page.text)
    return dict(texts) | {name: value or "on" for name, value in checked}


def test_who_only_changes_rules_sees_no_contract(demo: Served, keepers: tuple[Person, Person]) -> None:
    one, _ = keepers
    contract = demo.info["contract"]["contract_id"]
    assert one.get("/contracts").path == "/policy"
    for path in (f"/contracts/{contract}", "/forms", f"/contracts/{contract}/forms", f"/contracts/{contract}/guide"):
        assert one.get(path).outcome == "role-missing", path
    assert one.get(f"/api/v1/contracts/{contract}").status == 403


def test_everybody_reads_the_rules_and_keepers_alone_propose(demo: Served, keepers: tuple[Person, Person]) -> None:
    for role in ("clerk", "approver", "operator", "auditor"):
        person = Person(demo, "console", demo.staff(role))
        person.log_on_staff()
        page = person.get("/policy")
        assert (page.status, page.heading) == (200, "運用規則")
        assert "変更を提案する" not in page.text
        assert person.get("/policy/new/pins").outcome == "role-missing"
        person.close()
    assert "「暗証番号」の変更を提案する" in keepers[0].get("/policy").text
    assert keepers[0].get("/policy/new/nothing").outcome == "page-unknown"


def test_what_was_typed_stays_after_a_refusal(keepers: tuple[Person, Person]) -> None:
    page = propose(keepers[0], "pins", misses_before_closed="12", pin_age_days="９０", pins_remembered="x", reason="")
    assert (page.status, page.outcome) == (400, "rules-not-allowed")
    for words in (
        "閉塞までの誤入力は3〜10回で入力してください。",
        "使い回せない過去の暗証番号は数字で入力してください。",
        "理由を入力してください。",
        'value="12"',
        'value="９０"',
        'value="x"',
    ):
        assert words in page.text, words


def test_what_is_not_chosen_is_not_off(keepers: tuple[Person, Person]) -> None:
    one, _ = keepers
    path = "/policy/new/acquisition"
    page = one.get(path)
    fields = filled(page)
    del fields["way_tegata"]
    refused = one.send(page, path, **{**fields, "reason": "見直し"})
    assert refused.outcome == "rules-not-allowed"
    assert "Tegataで取得を選んでください。" in refused.text


def test_a_form_of_another_session_proposes_nothing(keepers: tuple[Person, Person]) -> None:
    assert propose(keepers[0], "pins", csrf="0", misses_before_closed="5").outcome == "form-expired"


def test_a_change_goes_its_way_and_the_server_follows(demo: Served, keepers: tuple[Person, Person]) -> None:
    one, other = keepers
    page = propose(one, "acquisition", way_est="off", reason="Tegataに揃える")
    assert (page.outcome, page.heading) == ("policy-proposed", "提案番号 " + page.path.rsplit("/", 1)[1])
    assert "ESTで取得" in page.text
    assert other.send(page, page.path, step="approve").outcome == "form-expired", "with the form of another"
    assert one.send(page, page.path, step="approve").outcome == "proposal-own"
    assert one.send(page, page.path, step="nothing").outcome == "choice-missing"
    assert ways(demo)["est"]
    shown = other.get(page.path)
    assert other.send(shown, page.path, step="approve").outcome == "policy-in-force"
    assert other.send(shown, page.path, step="approve").outcome == "proposal-decided"
    wait_until(lambda: not ways(demo)["est"])
    rules = one.get("/policy")
    assert "kisoku01（提案）・kisoku02（承認）" in rules.text
    assert json.loads(demo.sekisho("policy", "show", "--json").stdout)["way_est"] is False


def test_the_command_steps_back_for_two_keepers(demo: Served, keepers: tuple[Person, Person]) -> None:
    refused = demo.sekisho("policy", "set", "--grace-days", "30")
    assert refused.returncode == exit_codes.REFUSED
    assert "(policy-by-two)" in refused.stderr
    for reason in ("", "x" * 201):
        assert demo.sekisho("policy", "set", "--grace-days", "30", "--emergency", reason).returncode == exit_codes.USAGE
    done = demo.sekisho("policy", "set", "--grace-days", "30", "--emergency", "年末の障害", "--json")
    assert (done.returncode, json.loads(done.stdout)["grace_days"]) == (0, 30)
    assert "within a second" in done.stderr
    assert "緊急の変更: 年末の障害" in keepers[0].get("/policy").text


def test_a_proposal_is_not_taken_over_rules_that_moved(demo: Served, keepers: tuple[Person, Person]) -> None:
    one, _ = keepers
    path = "/policy/new/service"
    page = one.get(path)
    command = ("policy", "set", "--users-of-contract", "80", "--retention-years", "8", "--emergency", "試験")
    assert demo.sekisho(*command).returncode == 0
    typed = {"users_of_contract": "70", "retention_years": "7", "service_hours": "常時", "reason": "見直し"}
    refused = one.send(page, path, **typed)
    assert (refused.status, refused.outcome) == (400, "proposal-outdated")
    assert 'name="users_of_contract" type="text" value="70"' in refused.text, "what was meant to change stays"
    assert 'name="retention_years" type="text" value="8"' in refused.text, "and the rest is as it is now"
    typed["retention_years"] = "8"
    assert one.send(refused, path, **typed).outcome == "policy-proposed"


def ways(served: Served) -> dict[str, bool]:
    """Return by which ways a site says that one can acquire, over a connection of its own."""
    with httpx.Client(verify=served.context(None), base_url=served.info["urls"]["public"], timeout=60) as anybody:
        told: dict[str, bool] = anybody.get("/.well-known/sekisho/9990.json").json()["ways"]
        return told


@pytest.mark.parametrize(
    ("engine", "count", "workers"), [("sqlite", 1, 2), ("postgresql", 2, 2)], ids=["sqlite", "postgresql"]
)
def test_every_process_of_every_node_follows_without_a_restart(
    tmp_path: Path, engine: str, count: int, workers: int
) -> None:
    with nodes(tmp_path, count, engine, workers=workers) as serving:
        pids = [node.worker_pids() for node in serving]
        for on in (False, True):
            done = serving[0].sekisho("policy", "set", f"--{'' if on else 'no-'}est")
            assert done.returncode == 0, done.stderr
            # Connections go to whichever process takes them: so many in a row show all of them.
            wait_until(lambda on=on: all(ways(node)["est"] is on for _ in range(8) for node in serving))  # type: ignore[misc]
        assert [node.worker_pids() for node in serving] == pids
