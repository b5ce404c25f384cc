"""The key of a journal is made once, whoever else makes it at the same moment."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sekisho.ca import keys

if TYPE_CHECKING:
    from pathlib import Path

_AT_ONCE, _TIMES = 12, 20


@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_all_who_make_it_at_once_get_the_same(tmp_path: Path, passphrase: bytes | None) -> None:
    for time in range(_TIMES if passphrase is None else 2):
        folder = tmp_path / f"{time}"
        folder.mkdir()
        start = threading.Barrier(_AT_ONCE)
        made: list[bytes | BaseException] = []

        def make(folder: Path, start: threading.Barrier, made: list[bytes | BaseException]) -> None:
            start.wait()
            try:
                made.append(keys.journal_key(folder, passphrase))
            except (OSError, ValueError) as failure:
                made.append(failure)

        threads = [threading.Thread(target=make, args=(folder, start, made)) for _ in range(_AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [keys.journal_key(folder, passphrase)] * _AT_ONCE
        assert [file.name for file in folder.iterdir()] == ["journal.key"], "nothing else is left behind"
        assert (folder / "journal.key").stat().st_mode & 0o777 == 0o600


def test_with_a_passphrase_it_never_lies_open(tmp_path: Path) -> None:
    key = keys.journal_key(tmp_path, b"correct horse")
    assert key not in (tmp_path / "journal.key").read_bytes()
    with pytest.raises(ValueError, match="passphrase"):
        keys.journal_key(tmp_path, b"wrong")
    with pytest.raises(ValueError, match="encrypted"):
        keys.journal_key(tmp_path, None)


def test_nothing_lies_open_beside_it_once_it_is_encrypted(tmp_path: Path) -> None:
    key = keys.journal_key(tmp_path, None)
    (tmp_path / ".journal.key.0123").write_bytes(key)  # as a crash leaves it
    keys.encrypt(tmp_path, b"correct horse")
    assert [file.name for file in tmp_path.iterdir()] == ["journal.key"]
    assert keys.journal_key(tmp_path, b"correct horse") == key


def test_a_journal_without_its_key_gets_no_other_one(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    with pytest.raises(ValueError, match="missing"):
        keys.journal_key(tmp_path, None)
    assert not (tmp_path / "journal.key").exists()
