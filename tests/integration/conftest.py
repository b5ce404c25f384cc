from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.world import World, world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    """Run the test on both databases."""
    name: str = request.param
    return name


@pytest.fixture
def bank(tmp_path: Path, engine: str) -> Iterator[World]:
    with world(tmp_path, engine) as opened:
        yield opened
