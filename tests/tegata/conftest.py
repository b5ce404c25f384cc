"""What the tests of Tegata share: one bank that grants keiri02 a new permit for each test, and computers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.company_computer import CompanyComputer
from tests.support.person import Person
from tests.support.served import Served, free_port_base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def reissue(served: Served, user_id: str) -> None:
    """J2: the administrator chooses 「再発行」 for a user."""
    administrator = Person(served, "administrator", served.info["administrator"])
    try:
        administrator.log_on_administrator()
        page = administrator.get("/contract/users/change", user_id=user_id)
        done = administrator.send(
            page,
            "/contract/users/change",
            action="reissue",
            confirmation_pin=served.info["contract"]["contract_confirmation_pin"],
        )
        assert done.outcome == "certificate-reissued"
    finally:
        administrator.close()


@pytest.fixture(scope="session")
def running_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Callable[[], None]]]:
    served = Served(tmp_path_factory.mktemp("bank") / "data", free_port_base())
    served.start()

    yield served, lambda: reissue(served, "keiri02")
    served.stop()


@pytest.fixture
def bank(running_bank: tuple[Served, Callable[[], None]]) -> Served:
    """Return a running bank that waits for keiri02. It is shared: it is not to be stopped."""
    served, grant = running_bank
    grant()
    return served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Return a bank of the test's own."""
    one = Served(tmp_path / "bank" / "data", free_port_base())
    one.data_dir.parent.mkdir()
    one.start()
    yield one
    one.stop()


@pytest.fixture
def computer(tmp_path: Path) -> CompanyComputer:
    return CompanyComputer(tmp_path / "home")
