from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.world import World, world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as opened:
        yield opened
