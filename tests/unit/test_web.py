from __future__ import annotations

import asyncio

import pytest

from sekisho.domain.errors import TooManyRequests
from sekisho.web import cookies
from sekisho.web.csrf import FormTokens
from sekisho.web.turnstile import WAITING_AT_MOST, Turnstile


def test_a_form_fits_its_browser_session_and_site_alone() -> None:
    forms = FormTokens(b"k" * 32)
    token = forms.make("user", b"browser", b"session")
    assert forms.fits(token, "user", b"browser", b"session")
    assert not forms.fits(token, "administrator", b"browser", b"session")
    assert not forms.fits(token, "user", b"another", b"session")
    assert not forms.fits(token, "user", b"browser", None)
    assert not forms.fits(token, "user", None, b"session")
    assert not forms.fits("", "user", b"browser", b"session")
    assert not forms.fits("é", "user", b"browser", b"session")


@pytest.mark.parametrize("value", [None, "", "!", "short", "a" * 500, "é"])
def test_a_cookie_that_we_did_not_write(value: str | None) -> None:
    assert cookies.read_token(value, 32) is None


def test_a_cookie_that_we_wrote() -> None:
    assert cookies.read_token(cookies.write_token(bytes(range(32))), 32) == bytes(range(32))


class Visitors:
    """Counts who is inside, and lets them out when told."""

    def __init__(self, turnstile: Turnstile) -> None:
        self.turnstile = turnstile
        self.inside: list[str] = []
        self.refused = 0
        self.leave = asyncio.Event()

    async def visit(self, address: str) -> None:
        try:
            async with self.turnstile.passing(address):
                self.inside.append(address)
                await self.leave.wait()
        except TooManyRequests:
            self.refused += 1


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def test_one_at_a_time_for_each_address_and_so_many_for_the_site() -> None:
    async def run() -> None:
        visitors = Visitors(Turnstile(site_at_once=2))
        addresses = ["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
        tasks = [asyncio.create_task(visitors.visit(address)) for address in addresses]
        await settle()
        assert visitors.inside == ["192.0.2.1", "2001:db8::1"]
        visitors.leave.set()
        await asyncio.gather(*tasks)
        assert sorted(visitors.inside) == sorted(addresses)

    asyncio.run(run())


def test_past_a_hundred_of_one_address_are_refused_and_others_are_not() -> None:
    async def run() -> None:
        visitors = Visitors(Turnstile(site_at_once=2))
        crowd = [asyncio.create_task(visitors.visit("192.0.2.1")) for _ in range(WAITING_AT_MOST + 30)]
        await settle()
        assert visitors.refused == 29
        other = asyncio.create_task(visitors.visit("192.0.2.2"))
        await settle()
        assert visitors.inside == ["192.0.2.1", "192.0.2.2"]
        visitors.leave.set()
        await asyncio.gather(other, *crowd)
        assert visitors.turnstile._queues == {}

    asyncio.run(run())


def test_the_sites_own_bound_holds_against_many_addresses() -> None:
    async def run() -> None:
        visitors = Visitors(Turnstile(site_at_once=2, site_waiting=5))
        tasks = [asyncio.create_task(visitors.visit(f"192.0.2.{n}")) for n in range(9)]
        await settle()
        assert visitors.refused == 4
        visitors.leave.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())
