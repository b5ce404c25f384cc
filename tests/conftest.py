from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def _shared_cluster_ends() -> Iterator[None]:
    """End the PostgreSQL cluster that tests share, if any of them started it."""
    yield
    postgres.close_shared()
