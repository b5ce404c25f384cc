"""A key that somebody else has opens no door: the list that a bank brought is asked before anything else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.world import KEIRI01, new_csr, new_key

from sekisho.domain.errors import KeyWeak
from sekisho.pki.compromised_keys import CompromisedKeys, key_hash
from sekisho.settings import DataFolderDamaged, on_localhost
from sekisho.wiring import _compromised_keys

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.world import World


def record(key: Any) -> bytes:
    return key_hash(key.public_key().public_numbers().x) + b"\x00"


def test_no_certificate_is_acquired_or_renewed_for_it(bank: World) -> None:
    known = new_key()
    bank.ports = replace(bank.ports, compromised=CompromisedKeys(record(known)))
    with pytest.raises(KeyWeak):
        bank.acquire(KEIRI01, new_csr(known))
    assert bank.rows("SELECT count(*) AS n FROM orders")[0].n == 0
    held = bank.acquire(KEIRI01)
    bank.later(days=336)
    with pytest.raises(KeyWeak):
        bank.renew(held, new_csr(known))
    assert bank.renew(held)


def test_the_list_is_taken_from_the_data_folder(tmp_path: Path) -> None:
    settings = on_localhost(tmp_path, "9990", "Mihon Shinkin Bank", 8440)
    assert len(_compromised_keys(settings)) == 0
    settings.compromised_keys.write_bytes(record(new_key()))
    assert len(_compromised_keys(settings)) == 1
    for damaged in (b"", b"a web page that says no"):
        settings.compromised_keys.write_bytes(damaged)
        with pytest.raises(DataFolderDamaged, match="compromised-keys"):
            _compromised_keys(settings)
