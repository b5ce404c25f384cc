"""`sekisho`: the commands. Each imports what it needs when it runs, so that help is at hand at once."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sekisho.cli import revocation
from sekisho.cli.audit import audit
from sekisho.cli.authority import ca, ca_keys_options, ceremony
from sekisho.cli.card import card
from sekisho.cli.certificates import certificates
from sekisho.cli.contract import contract
from sekisho.cli.database import database
from sekisho.cli.log import start_log
from sekisho.cli.mails import mails
from sekisho.cli.options import data_dir_option, json_option
from sekisho.cli.policy import policy
from sekisho.cli.printed import opened, pages, print_rows
from sekisho.cli.staff import staff

if TYPE_CHECKING:
    from sekisho.settings import CaSettings
    from sekisho.store.orders import PlacedOrder


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="sekisho")
def main() -> None:
    """Sekisho (関所): decides which company computers may enter business internet banking."""
    start_log()


main.add_command(audit)
ca.add_command(revocation.revoke_here)
ca.add_command(revocation.renew_here)
ca.add_command(revocation.status)
ceremony.add_command(revocation.revoke_elsewhere)
ceremony.add_command(revocation.renew_elsewhere)
main.add_command(ca)
main.add_command(certificates)
main.add_command(database)
main.add_command(mails)
main.add_command(staff)
main.add_command(card)
main.add_command(contract)
main.add_command(policy)


@main.command()
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), default=Path(".demo"), show_default=True)
@click.option("--port-base", type=click.IntRange(1024, 65530), default=8440, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when everything answers.")
@click.option(
    "--keepers", is_flag=True, help="Add two policy keepers; from then on the rules take two people. They stay."
)
def demo(data_dir: Path, port_base: int, *, as_json: bool, keepers: bool) -> None:
    """Open the checkpoint of a sample bank on this machine."""
    from sekisho.cli import demo as sample
    from sekisho.cli.failure import told
    from sekisho.cli.running import serve

    with told():
        settings = sample.prepare_folder(data_dir, port_base)
        tls_ca = sample.make_server_certificate(settings)

        def ready() -> None:
            described = sample.describe(settings, tls_ca)
            click.echo(json.dumps(described, ensure_ascii=False) if as_json else _where_to_go(described))

        serve(settings, ready, prepare=sample.fill(settings, keepers=keepers))


def _where_to_go(described: dict[str, Any]) -> str:
    bank, contract, administrator = described["bank"], described["contract"], described["administrator"]
    lines = [
        "",
        f"{bank['name_ja']} ({bank['name_en']}) is open: {described['urls']['public']}",
        "",
        f"Trust in your browser     {described['tls_ca']}",
        f"Import into your browser  {administrator['p12']}   password {administrator['p12_password']}",
        *(
            f"                          {user['p12']}   password {user['p12_password']}"
            for user in described["users"]
            if user["p12"]
        ),
        "",
        f"契約者ID(利用者番号) {contract['contract_id']}",
        f"  管理者   ご契約先暗証番号 {contract['contract_pin']}",
        f"           ご契約先確認暗証番号 {contract['contract_confirmation_pin']}",
        "           確認用パスワード " + _table(contract["card"]),
        *(
            f"  {user['user_id']}  利用者暗証番号 {user['user_pin']}"
            f"   利用者確認暗証番号 {user['user_confirmation_pin']}"
            + ("" if user["p12"] else "   (may acquire a certificate)")
            for user in described["users"]
        ),
        *_unopened(described["unopened_contract"]),
        *_staff(described["staff"]),
        "",
        f"Mails are put into {described['outbox']}. Ctrl-C stops it; the data stays.",
    ]
    return "\n".join(lines)


def _unopened(contract: dict[str, Any] | None) -> list[str]:
    """Say what the administrator of the contract that waits for its opening has on paper; a folder may have none."""
    if contract is None:
        return []
    return [
        "",
        f"契約者ID(利用者番号) {contract['contract_id']}   (not open yet: acquire, log on, 開通確認)",
        f"  管理者   ご契約先暗証番号 {contract['contract_pin']}",
        f"           ご契約先確認暗証番号 {contract['contract_confirmation_pin']}",
        f"           登録用暗証番号 {contract['registration_pin']}",
        "           確認用パスワード " + _table(contract["card"]),
    ]


def _staff(staff: list[dict[str, Any]]) -> list[str]:
    """Say with what the bank's own people log on at the console; a folder may have none."""
    return [
        "",
        *(
            f"{one['staff_id']} ({one['role']})  暗証番号 {one['pin']}   {one['p12']}   password {one['p12_password']}"
            for one in staff
        ),
    ]


def _table(card: dict[str, str]) -> str:
    return "  ".join(f"{position}:{digit}" for position, digit in card.items())


@main.command()
@data_dir_option
@click.option("--bank", required=True, help="The bank's 4-digit code.")
@click.option("--name-ja", required=True, help="The bank's name in Japanese.")
@click.option("--name-en", required=True, help="The bank's name in English; it stands in every certificate.")
@click.option("--service-ja", required=True, help="The service name in Japanese.")
@click.option("--service-en", required=True, help="The service name in English.")
@click.option("--phone", required=True, help="The help desk's telephone number.")
@click.option("--hours-ja", required=True, help="The help desk's hours in Japanese.")
@click.option("--hours-en", required=True, help="The help desk's hours in English.")
@click.option("--port-base", type=click.IntRange(1024, 65530), default=8440, show_default=True)
@click.option(
    "--root",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Certificate of a root whose key is kept elsewhere; it signs the requests that are written then.",
)
@ca_keys_options
def init(data_dir: Path, bank: str, port_base: int, ca_keys: CaSettings, root: Path | None, **words: str) -> None:
    """Set up a new installation: keys, secrets, database and settings file."""
    from sekisho.cli.failure import fail, told
    from sekisho.cli.installation import set_up
    from sekisho.domain.contract import Bank
    from sekisho.domain.policy import Policy
    from sekisho.settings import on_localhost

    if not (bank.isascii() and bank.isdigit() and len(bank) == 4):  # noqa: PLR2004 - a bank code
        fail("--bank takes four digits", 2)
    if not (words["name_en"].isprintable() and 0 < len(words["name_en"].strip()) == len(words["name_en"]) <= 64):  # noqa: PLR2004 - ub-organization-name
        fail("--name-en stands in every certificate: 1 to 64 printable characters, no spaces at the ends", 2)
    with told():
        set_up(
            on_localhost(data_dir, bank, words["name_en"], port_base).model_copy(update={"ca": ca_keys}),
            Bank(
                code=bank,
                name={"ja": words["name_ja"], "en": words["name_en"]},
                service_name={"ja": words["service_ja"], "en": words["service_en"]},
                help_desk_phone=words["phone"],
                help_desk_hours={"ja": words["hours_ja"], "en": words["hours_en"]},
                policy=Policy(),
            ),
            root,
        )
    if root is not None:
        click.echo(f"Have the root sign {data_dir}/ca/*.csr.pem (sekisho ca ceremony sign), then: sekisho ca install")
    click.echo(f"{data_dir} is set up. Put the server's certificate and key into {data_dir}/tls, then: sekisho serve")


@main.command()
@data_dir_option
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that answer visitors."
)
@click.option("--no-worker", is_flag=True, help="Leave the work that nobody waits for to `sekisho worker`.")
def serve(data_dir: Path, workers: int, *, no_worker: bool) -> None:
    """Serve an installation until Ctrl-C or SIGTERM. With workers, SIGHUP replaces them one by one."""
    from sekisho import settings
    from sekisho.cli import running
    from sekisho.cli.failure import told

    with told():
        loaded = settings.load(data_dir)
        ready = partial(logging.getLogger("sekisho").info, "every site answers")
        running.serve(loaded, ready, workers=workers, behind=not no_worker)


@main.command()
@data_dir_option
@click.option("--once", is_flag=True, help="Do what there is to do now, say what that was, and end.")
@json_option
def worker(data_dir: Path, *, once: bool, as_json: bool) -> None:
    """Do the work that nobody waits for: mails, reminders, ends of permits and overlaps, revocation lists ...

    `sekisho serve` does it by itself. Of all who would, one does: the others
    stand by until it ends. Ctrl-C or SIGTERM ends it.
    """
    from sekisho import settings
    from sekisho.cli import exit_codes, running
    from sekisho.cli.failure import fail, told

    if as_json and not once:
        fail("--json goes with --once", exit_codes.USAGE)
    with told():
        loaded = settings.load(data_dir)
        if not once:
            running.work(loaded, partial(logging.getLogger("sekisho").info, "the worker works"))
            return
        outcomes = running.work_once(loaded)
        if outcomes is None:
            click.echo(json.dumps({"lead": False}) if as_json else "another process does this work")
            return
        print_rows(outcomes, as_json=as_json, show=asdict)
    if any(outcome.waits_for or outcome.failed for outcome in outcomes):
        raise SystemExit(exit_codes.WORK_LEFT)


@main.group()
def orders() -> None:
    """Finish orders that a crash or an absent CA left unfinished, and list those that the CA refused."""


@orders.command()
@data_dir_option
@json_option
def resume(data_dir: Path, *, as_json: bool) -> None:
    """Have unfinished orders signed by the running CA and store what comes of them."""
    from datetime import timedelta

    from sekisho.cli.failure import told
    from sekisho.usecases.resume_orders import resume_orders

    with told(), opened(data_dir) as ports:
        finished = refused = 0
        while (some := resume_orders(ports, left_alone=timedelta(0))).done:
            finished, refused = finished + some.finished, refused + some.refused
    told_refused = {"refused": refused} if refused else {}
    if as_json:
        click.echo(json.dumps({"finished": finished, **told_refused}))
    else:
        click.echo(f"{finished} orders finished" + (f", {refused} refused by the CA" if refused else ""))


@orders.command("refused")
@data_dir_option
@json_option
def list_refused(data_dir: Path, *, as_json: bool) -> None:
    """List the orders that the CA refused to sign: a bug, or an intruder. Its log says why."""
    from sekisho.cli.failure import told
    from sekisho.store import orders as store

    with told(), opened(data_dir) as ports:
        print_rows(pages(ports, store.refused, lambda order: order.id), as_json=as_json, show=_refused)


def _refused(order: PlacedOrder) -> dict[str, Any]:
    return {
        "serial": f"{order.order.serial:032x}",
        "bank": order.who.bank,
        "contract_id": order.who.contract_id,
        "user_id": order.who.user_id,
        "refused_at": None if order.refused_at is None else order.refused_at.isoformat(),
    }


@main.command()
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.5, 600), default=2.0, show_default=True, help="Of each measurement.")
@click.option(
    "--engines", default="postgresql,sqlite", show_default=True, help="Which databases; PostgreSQL is started."
)
@click.option("--certificates", default="10000", show_default=True, help="How many there are; several sizes by commas.")
@click.option("--lists", default="10000,100000,500000", show_default=True, help="Entries of revocation lists to make.")
@click.option("--profile", is_flag=True, help="Also tell where the time of one logon and one issuance goes.")
@click.option("--only-profile", is_flag=True, help="Tell that alone, without any rounds.")
@click.option(
    "--write", type=click.Path(path_type=Path, dir_okay=False), help="Also write it there as JSON, and as .md."
)
@json_option
def bench(
    rounds: int,
    seconds: float,
    engines: str,
    certificates: str,
    lists: str,
    write: Path | None,
    *,
    profile: bool,
    only_profile: bool,
    as_json: bool,
) -> None:
    """Measure what Sekisho does on this machine against what the machine could do at best."""
    from sekisho.bench import report
    from sekisho.bench import rounds as measured
    from sekisho.cli.failure import told

    plan = measured.Plan(
        0 if only_profile else rounds,
        seconds,
        measured.read_engines(engines),
        measured.read_sizes(certificates, 0 if only_profile else rounds),
        measured.read_entries(lists),
        profile=profile or only_profile,
    )
    with told():
        result = measured.run(plan, lambda line: click.echo(line, err=True))
        if write is not None:
            report.write(result, write)
    click.echo(json.dumps(result, ensure_ascii=False) if as_json else report.tables(result))
