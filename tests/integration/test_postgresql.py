"""PostgreSQL as a bank runs it: the sites' role has the least rights, and the way to the server is TLS and SCRAM."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy.exc import ProgrammingError
from tests.integration.test_cards import log_on_with
from tests.integration.test_renew_unattended import renew
from tests.integration.test_systems import Systems
from tests.support.card_maker import Maker
from tests.support.counter import Counter
from tests.support.edge import issue
from tests.support.keepers import Keepers
from tests.support.nodes import Node, nodes
from tests.support.person import Person
from tests.support.postgres import Cluster, shared_cluster
from tests.support.served import ROOT
from tests.support.staff import OPERATOR, Office
from tests.support.world import ADMINISTRATOR, BANK, CONTRACT, KEIRI01, KEIRI02, World, world

from sekisho.background import reason
from sekisho.domain.certificate import KeyHeld
from sekisho.domain.errors import CardMakerNotUsable
from sekisho.domain.policy_changes import ProposalStep
from sekisho.domain.request_forms import FormKind
from sekisho.domain.staff import Role
from sekisho.settings import DATABASE_URL
from sekisho.store.postgresql import PostgresDatabase, read_url
from sekisho.usecases.card_desk import PrintDesk, read_print_desk
from sekisho.usecases.cards import post_cards, print_cards
from sekisho.usecases.change_policy import CommandNotAllowed, PolicyChange, change_policy
from sekisho.usecases.clean_up import clean_up
from sekisho.usecases.export_audit import begin_export
from sekisho.usecases.keep_tallies import add_up, count_waiting, remove_old_tallies
from sekisho.usecases.read_overview import read_overview
from sekisho.usecases.remove_contracts import RemovalNotAllowed, kept_for, remove_contracts
from sekisho.usecases.search_audit import Wanted, search_audit
from sekisho.usecases.set_card_maker import set_card_maker
from sekisho.wiring import upgrade_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.edge import Pair

ROLE = "sekisho_web"
_PASSWORD = "a password of the tests"


def sekisho(*arguments: str, url: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "sekisho", *arguments]
    env = os.environ | {DATABASE_URL: url}
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=ROOT, env=env, check=False)


def name_of(url: str) -> str:
    return url.split("/")[3].split("?", maxsplit=1)[0]


@pytest.fixture(scope="module", autouse=True)
def _role() -> None:
    shared_cluster().run(f"DO $$ BEGIN CREATE ROLE {ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")


@pytest.fixture
def as_web(tmp_path: Path) -> Iterator[World]:
    """Open a bank with a certificate, whose database is used in the sites' role."""
    with world(tmp_path, "postgresql") as bank:
        bank.acquire(KEIRI01)
        owner = bank.db
        url = owner.writing.url
        upgrade_database(url.render_as_string(hide_password=False), ROLE)
        web = PostgresDatabase(url.set(username=ROLE))
        bank.db = web
        try:
            yield bank
        finally:
            web.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "ALTER TABLE audit DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_refuses_update ON audit",
        "UPDATE certificate_bytes SET der = ''",
        "DELETE FROM certificate_bytes",
        "UPDATE certificates SET fingerprint = ''",
        "UPDATE certificates SET not_after = now()",
        "DELETE FROM certificates",
        "UPDATE orders SET spki = ''",
        "UPDATE secrets SET verifier = ''",
        "UPDATE people SET bank = '0000'",
        "DELETE FROM people",
        "UPDATE banks SET way_browser = true",
        "UPDATE alembic_version SET version_num = ''",
        "CREATE TABLE mine (id integer)",
        "UPDATE policy_approvals SET holds_from = now()",
        "UPDATE policy_proposals SET rules = '{}'",
        "DELETE FROM policy_proposals",
        "INSERT INTO policy_commands (bank, rules, was, set_by, set_at) SELECT code, '{}', '{}', 'x', now() FROM banks",
        "INSERT INTO card_makers (bank, certificate, set_by, set_at) SELECT code, 'x', 'x', now() FROM banks",
        "INSERT INTO removed_contracts SELECT bank, contract_id, now(), now(), '{}', '' FROM contracts",
        "DELETE FROM contracts",
    ],
)
def test_the_sites_role_cannot(as_web: World, sql: str) -> None:
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
        as_web.change(sql)


def test_the_sites_role_says_that_removal_waits_for_the_owner(as_web: World) -> None:
    as_web.change("UPDATE contracts SET ended_at = registered_at")
    as_web.clock[0] += kept_for(9)
    with pytest.raises(RemovalNotAllowed, match="sekisho contract purge") as refused:
        remove_contracts(replace(as_web.ports, db=as_web.db), bank=BANK, actor=OPERATOR)
    assert reason(refused.value) == str(refused.value), "the log says so once, in a line"


def test_two_people_change_rules_in_the_sites_role(as_web: World) -> None:
    as_web.ports = replace(as_web.ports, db=as_web.db)
    keepers = Keepers(as_web)
    keepers.change(misses_before_closed=5)
    keepers.decide(keepers.propose(misses_before_closed=6), ProposalStep.REFUSE)
    assert keepers.policy().misses_before_closed == 5
    change = PolicyChange(rules={"misses_before_closed": 6})
    with pytest.raises(CommandNotAllowed, match="the role that owns the tables"):
        change_policy(as_web.ports, bank=BANK.code, change=change, actor=OPERATOR, emergency="x")
    assert keepers.policy().misses_before_closed == 5


def test_counts_and_the_auditor_need_no_more_than_the_sites_role(as_web: World) -> None:
    as_web.ports = replace(as_web.ports, db=as_web.db)
    as_web.log_on(as_web.acquire(KEIRI02))
    auditor = Office(as_web).add("kansa01", Role.AUDITOR).at_work()
    for _ in range(2):
        as_web.later(minutes=2)
        assert add_up(as_web.ports) > 0
        count_waiting(as_web.ports)
        as_web.change("UPDATE people SET closed_at = registered_at WHERE user_id = 'keiri01'")
        search_audit(as_web.ports, at_work=auditor, wanted=Wanted(contract_id=CONTRACT))
    assert sum(number for _, number in read_overview(as_web.ports, staff=auditor.staff).ends) == 0
    as_web.later(days=330)
    assert sum(number for _, number in read_overview(as_web.ports, staff=auditor.staff).ends) == 2
    assert sum(len(piece) for piece in begin_export(as_web.ports, bank="9990", actor=auditor.actor).pieces()) > 0
    assert remove_old_tallies(as_web.ports) > 0


def test_cards_systems_and_renewals_need_no_more_than_the_sites_role(as_web: World, tmp_path: Path) -> None:
    as_web.ports = replace(as_web.ports, db=as_web.db)
    maker = Maker(tmp_path, as_web.clock[0], rsa.generate_private_key(65537, 2048))
    counter, held = Counter(as_web), as_web.acquire(ADMINISTRATOR)
    as_web.log_on(held)
    counter.through(FormKind.CARD_REISSUE)
    with pytest.raises(CommandNotAllowed, match="the role that owns the tables"):
        set_card_maker(as_web.ports, bank=BANK, certificate=maker.pem, actor=OPERATOR)
    with pytest.raises(CardMakerNotUsable):
        print_cards(as_web.ports, bank=BANK, actor=OPERATOR)
    encrypted, _ = print_cards(as_web.ports, bank=BANK, maker=maker.pem, actor=OPERATOR)
    operator = counter.office.add("senta01", Role.OPERATOR, branch=None)
    assert read_print_desk(as_web.ports, staff=operator.at_work().staff) == PrintDesk(0, 1, None)
    post_cards(as_web.ports, bank=BANK, contract_ids=[CONTRACT], actor=OPERATOR)
    log_on_with(as_web, held, maker.read(encrypted)[0])
    systems = Systems(as_web)
    assert systems.register().secrets == systems.register().secrets
    assert systems.file() == systems.file()
    as_web.bank = replace(as_web.bank, policy=replace(as_web.bank.policy, renewal_without_pin=True))
    old = as_web.acquire(KEIRI02, held=KeyHeld.TOKEN)
    as_web.later(days=340)
    new = renew(as_web, old)
    as_web.log_on(old)
    as_web.log_on(new)
    assert clean_up(as_web.ports) > 0


def test_the_sites_serve_in_their_role(tmp_path: Path) -> None:
    """Everything that the demo's people do works with these rights alone."""
    with nodes(tmp_path, 1, "postgresql") as (node,):
        owner = node.env[DATABASE_URL]
        node.stop()
        assert sekisho("database", "upgrade", "--web-role", ROLE, url=owner).returncode == 0
        node.env[DATABASE_URL] = owner.replace("postgres@", f"{ROLE}@")
        node.start()
        _live(node)
        assert "permission denied" not in node.log()


def _live(node: Node) -> None:
    administrator = Person(node, "administrator", node.info["administrator"])
    user = Person(node, "user", node.user("keiri01"))
    try:
        assert user.log_on_user("wrong111").outcome == "entry-wrong"
        assert user.log_on_user().path == "/status"
        assert user.get("/inbox").status == 200
        assert administrator.log_on_administrator().path == "/status"
        page = administrator.get("/contract/users/change", user_id="keiri01")
        pin = node.info["contract"]["contract_confirmation_pin"]
        done = administrator.send(
            page, "/contract/users/change", user_id="keiri01", action="reissue", confirmation_pin=pin
        )
        assert done.outcome == "certificate-reissued"
        assert user.get("/status").outcome == "certificate-reissued"
        administrator.send(administrator.get("/status"), "/logoff")
    finally:
        administrator.close()
        user.close()


def test_a_role_that_may_not_migrate_says_who_has_to(tmp_path: Path) -> None:
    with nodes(tmp_path, 1, "postgresql") as (node,):
        node.stop()
        owner = node.env[DATABASE_URL]
        assert sekisho("database", "upgrade", "--web-role", ROLE, url=owner).returncode == 0
        shared_cluster().run("UPDATE alembic_version SET version_num = '0001'", name_of(owner))
        node.env[DATABASE_URL] = owner.replace("postgres@", f"{ROLE}@")
        done = node.sekisho("serve")
        assert done.returncode == 26
        assert "sekisho database upgrade" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://nobody@/nowhere?host=/nonexistent", "cannot be used"),
        ("mysql://root@localhost/x", "only postgresql://"),
        ("no address, with a secret in it", "is not an address"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line_and_an_exit_code(tmp_path: Path, url: str, words: str) -> None:
    done = sekisho("demo", "--data-dir", str(tmp_path / "data"), url=url)
    assert done.returncode == 26
    assert words in done.stderr.splitlines()[-1]
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_sqlite_needs_no_upgrade_command(tmp_path: Path) -> None:
    done = sekisho("database", "upgrade", url="")
    assert done.returncode == 2
    assert "SEKISHO_DATABASE_URL is not set" in done.stderr


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Pair, Pair]]:
    """Start a server on a port, which wants TLS and SCRAM; with the CA of its certificate and a stranger."""
    folder = tmp_path_factory.mktemp("postgres-tls")
    ca, stranger = issue(folder, "the server's CA"), issue(folder, "a stranger")
    server = issue(folder, "server", ca)
    cluster = Cluster()
    try:
        cluster.stop()
        own = cluster.folder / "server.pem"
        shutil.copy(server.file, own)
        account = pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        os.chown(own, account.pw_uid, account.pw_gid)
        own.chmod(0o600)
        hba = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        (cluster.data / "pg_hba.conf").write_text(hba)
        cluster.settings |= {
            "listen_addresses": "127.0.0.1",
            "port": str(free_port()),
            "password_encryption": "scram-sha-256",
            "ssl": "on",
            "ssl_cert_file": str(own),
            "ssl_key_file": str(own),
        }
        cluster.start()
        yield cluster, ca, stranger
    finally:
        cluster.remove()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def over_tls(cluster: Cluster, ca: Pair, *, password: str = _PASSWORD) -> str:
    query = f"sslmode=verify-full&sslrootcert={ca.file}"
    user = f"guard:{password.replace(' ', '%20')}"
    return f"postgresql://{user}@127.0.0.1:{cluster.settings['port']}/guarded?{query}"


@pytest.fixture(scope="module")
def owner(guarded: tuple[Cluster, Pair, Pair]) -> None:
    cluster = guarded[0]
    cluster.run(f"CREATE ROLE guard LOGIN PASSWORD '{_PASSWORD}'")
    cluster.run("CREATE DATABASE guarded OWNER guard")


def test_over_tls_with_scram(guarded: tuple[Cluster, Pair, Pair], owner: None) -> None:
    cluster, ca, _ = guarded
    url = over_tls(cluster, ca)
    assert sekisho("database", "upgrade", url=url).returncode == 0
    db = PostgresDatabase(read_url(url))
    try:
        with db.read() as tx:
            row = tx.exec_driver_sql("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").one()
    finally:
        db.close()
    assert (row.ssl, row.version) == (True, "TLSv1.3")


def test_a_wrong_password_is_refused_and_not_told(guarded: tuple[Cluster, Pair, Pair], owner: None) -> None:
    cluster, ca, _ = guarded
    done = sekisho("database", "upgrade", url=over_tls(cluster, ca, password="not this one"))
    assert done.returncode == 26
    assert "password authentication failed" in done.stderr
    assert "not this one" not in done.stderr
    assert "not%20this" not in done.stderr


def test_another_server_is_refused(guarded: tuple[Cluster, Pair, Pair], owner: None) -> None:
    cluster, _, stranger = guarded
    done = sekisho("database", "upgrade", url=over_tls(cluster, stranger))
    assert done.returncode == 26
    assert "certificate verify failed" in done.stderr


def test_without_tls_the_server_lets_nobody_in(guarded: tuple[Cluster, Pair, Pair], owner: None) -> None:
    cluster, ca, _ = guarded
    plain = over_tls(cluster, ca).replace("sslmode=verify-full", "sslmode=disable")
    assert sekisho("database", "upgrade", url=plain).returncode == 26
