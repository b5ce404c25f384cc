"""What the tests of Tegata share: a demo to acquire from, and computers to acquire on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.company_computer import CompanyComputer
from tests.support.served import Served, free_port_base

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path / "bank" / "data", free_port_base())
    one.data_dir.parent.mkdir()
    one.start()
    yield one
    one.stop()


@pytest.fixture
def computer(tmp_path: Path) -> CompanyComputer:
    return CompanyComputer(tmp_path / "home")
