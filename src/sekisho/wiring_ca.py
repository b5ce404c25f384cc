"""Puts the CA of its own process together: keys, token and journal."""

from __future__ import annotations

import hmac
import logging
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sekisho.ca import keys
from sekisho.ca.authority import Authority
from sekisho.ca.blocks import JournalBroken
from sekisho.ca.journal import Journal
from sekisho.ca.root_list_file import RevokedCas
from sekisho.ca.signer import Signer
from sekisho.ca.token import KeyNotUsable, PinRefused, Token, TokenAway, TokenSpec
from sekisho.pki import hierarchy
from sekisho.pki.authority_request import NotOfThisBank
from sekisho.pki.profile import BankName
from sekisho.settings import DataFolderDamaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sekisho.settings import Settings, TokenSettings

log = logging.getLogger("sekisho")


def take_prepared(settings: Settings) -> None:
    """Take issuing CAs that `sekisho ca rotate` prepared into use. For a start from nothing, before anything else."""
    for taken in keys.take_prepared(settings.ca_dir):
        log.info("the issuing CA %s signs from now on", taken.name)


@contextmanager
def open_authority(
    settings: Settings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Iterator[Authority]:
    """Open the CA of its own process, which goes by its own clock.

    Raises `DataFolderDamaged` where its keys cannot be used or its journal
    does not hold, and `JournalInUse`.
    """
    with ExitStack() as closing:
        try:
            keys.check_installed(settings.ca_dir)
            passphrase = ca_passphrase(settings)
            key = keys.journal_key(settings.ca_dir, passphrase)
            token = _open_token(settings, key)
            if token is not None:
                closing.callback(token.close)
            issuing = keys.load_issuing(settings.ca_dir, passphrase, token)
            root = keys.load_certificate(settings.ca_dir, hierarchy.ROOT)
            revoked = RevokedCas(settings.ca_dir, root, {ca: pair.certificate for ca, pair in issuing.items()})
        except (OSError, ValueError, TokenAway, PinRefused, KeyNotUsable, NotOfThisBank) as unusable:
            raise DataFolderDamaged(f"the keys in {settings.ca_dir} cannot be used: {unusable}") from unusable
        at_once = 1 if token is None else token.processes
        bank = BankName(settings.bank, settings.organization)
        signer = Signer(bank, issuing, settings.sites["pki"].url, now=now, at_once=at_once, revoked=revoked)
        try:
            journal = Journal(settings.ca_dir / "journal", key)
        except JournalBroken as broken:
            raise DataFolderDamaged(f"the CA's journal does not hold, so nothing is signed: {broken}") from broken
        closing.callback(journal.close)
        yield Authority(signer, journal, now=now)


def ca_passphrase(settings: Settings) -> bytes | None:
    """Return what opens the CA's keys in encrypted files. Raises `DataFolderDamaged`."""
    file = settings.ca.passphrase_file
    return None if file is None else settings.read_secret(file).encode()


def token_spec(settings: TokenSettings, pin: str) -> TokenSpec:
    """Return which token the settings name."""
    return TokenSpec(str(settings.module), settings.label, pin)


def _open_token(settings: Settings, journal_key: bytes) -> Token | None:
    """Open the token where keys lie in one. A PIN that it refused once is not tried again: it closes after a few."""
    in_token = keys.public_keys(settings.ca_dir)
    if settings.ca.token is None or not in_token:
        return None
    pin = settings.read_secret(settings.ca.token.pin_file)
    refused = settings.ca_dir / "pin-refused"
    tag = hmac.digest(journal_key, pin.encode(), "sha256")
    if refused.exists() and refused.read_bytes() == tag:
        raise PinRefused(f"the token refused this PIN before; put the right one into {settings.ca.token.pin_file}")
    try:
        spec = token_spec(settings.ca.token, pin)
        return Token(spec, list(in_token.values()), processes=settings.ca.token.processes)
    except PinRefused:
        refused.write_bytes(tag)
        raise
