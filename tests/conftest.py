from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis
import pytest
from tests.support import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

# A busy machine makes no test fail.
hypothesis.settings.register_profile("sekisho", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("sekisho")


@pytest.fixture(scope="session", autouse=True)
def _shared_cluster_ends() -> Iterator[None]:
    """End the PostgreSQL cluster that tests share, if any of them started it."""
    yield
    postgres.close_shared()
