"""The settings file: what it takes, what it refuses, and that it comes back as it was written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from sekisho import settings
from sekisho.settings import DataFolderDamaged, MailSettings

if TYPE_CHECKING:
    from pathlib import Path

WHOLE: dict[str, Any] = {"server": "smtp://mail.example.com", "sender": "no-reply@example.com"}


@pytest.mark.parametrize(
    ("server", "host", "port", "implicit_tls"),
    [
        ("smtp://mail.example.com", "mail.example.com", 587, False),
        ("smtp://mail.example.com:25", "mail.example.com", 25, False),
        ("smtps://mail.example.com", "mail.example.com", 465, True),
        ("smtps://[::1]:2465", "::1", 2465, True),
    ],
)
def test_a_mail_server_is_named_by_an_address(server: str, host: str, port: int, implicit_tls: bool) -> None:  # noqa: FBT001
    mail = MailSettings(**WHOLE | {"server": server})
    assert (mail.host, mail.port, mail.implicit_tls) == (host, port, implicit_tls)


@pytest.mark.parametrize(
    "wrong",
    [
        {"server": "mail.example.com"},
        {"server": "http://mail.example.com"},
        {"server": "smtp://user:secret@mail.example.com"},
        {"server": "smtp://mail.example.com/path"},
        {"server": "smtp://mail.example.com:0"},
        {"server": "smtp://mail.example.com:99999"},
        {"server": "smtp://:25"},
        {"sender": "no address"},
        {"sender": "a@b\r\nBcc: c@d"},
        {"user": "sekisho"},
        {"password_file": "secrets/mail-password"},
        {"user": "", "password_file": "secrets/mail-password"},
        {"tls": False},
    ],
    ids=str,
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MailSettings(**WHOLE | wrong)


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    more = {"user": "sekisho", "password_file": "secrets/mail-password", "authorities": "tls/ca.pem"}
    mail = MailSettings(**WHOLE | more)
    written = settings.on_localhost(tmp_path, "9990", "Mihon Shinkin Bank", 8440).model_copy(update={"mail": mail})
    written.save()
    assert settings.load(tmp_path) == written
    written.model_copy(update={"mail": None}).save()
    assert settings.load(tmp_path).mail is None


def test_what_is_wrong_in_the_file_is_named(tmp_path: Path) -> None:
    settings.on_localhost(tmp_path, "9990", "Mihon Shinkin Bank", 8440).save()
    with (tmp_path / settings.FILE).open("a") as file:
        file.write('[mail]\nserver = "smtp://mail.example.com"\n')
    with pytest.raises(DataFolderDamaged, match=re.escape("mail.sender: Field required")):
        settings.load(tmp_path)
