"""`sekisho mails`: which notices wait to be mailed, which were given up, and to try those again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sekisho.cli.options import data_dir_option, json_option
from sekisho.cli.printed import opened, pages, print_rows

if TYPE_CHECKING:
    from pathlib import Path

    from sekisho.store.outgoing import Mailing


@click.group()
def mails() -> None:
    """List the mails that wait or were given up, and try those again."""


@mails.command("list")
@click.option("--given-up", is_flag=True, help="Those that the mail server refused for good, or for five days.")
@data_dir_option
@json_option
def list_mails(data_dir: Path, *, given_up: bool, as_json: bool) -> None:
    """List the mails that wait to be handed over, or those that were given up. Every one stands in the inbox."""
    from sekisho.cli.failure import told
    from sekisho.store import outgoing

    with told(), opened(data_dir) as ports:
        found = pages(ports, lambda tx, after: outgoing.listed(tx, given_up=given_up, after=after), lambda m: m.id)
        print_rows(found, as_json=as_json, show=_mailing)


@mails.command()
@click.argument("notices", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All that were given up.")
@data_dir_option
@json_option
def retry(notices: tuple[int, ...], data_dir: Path, *, everything: bool, as_json: bool) -> None:
    """Have mails that were given up tried again, by the numbers of their NOTICES."""
    import getpass

    from sekisho.cli.exit_codes import USAGE
    from sekisho.cli.failure import fail, told
    from sekisho.store.audit import Actor
    from sekisho.usecases.retry_mails import retry_mails

    if bool(notices) == everything:
        fail("name the notices, or take --all", USAGE)
    with told(), opened(data_dir) as ports:
        actor = Actor(f"operator:{getpass.getuser()}")
        wanted = None if everything else list(notices)
        print_rows(retry_mails(ports, notice_ids=wanted, actor=actor), as_json=as_json, show=_retried)


def _mailing(mailing: Mailing) -> dict[str, Any]:
    return {
        "notice": mailing.id,
        "code": mailing.code,
        "bank": mailing.who.bank,
        "contract_id": mailing.who.contract_id,
        "user_id": mailing.who.user_id,
        "at": mailing.at.isoformat(),
        "state": mailing.state,
        "tries": mailing.tries,
        "due_at": None if mailing.due_at is None else mailing.due_at.isoformat(),
        "given_up_at": None if mailing.given_up_at is None else mailing.given_up_at.isoformat(),
        "said": mailing.said,
    }


def _retried(mailing: Mailing) -> dict[str, Any]:
    return {"notice": mailing.id, "code": mailing.code, "state": "waiting"}
