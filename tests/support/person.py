"""A person at a site without a browser: reads forms out of pages and sends them back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from tests.support.served import Served


class _Outcomes(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.hidden: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if named.get("role") in {"alert", "status"} and named.get("data-code"):
            self.found.append((str(named["role"]), str(named["data-code"])))
        if tag == "input" and named.get("type") == "hidden":
            self.hidden[str(named.get("name"))] = str(named.get("value"))


@dataclass
class Page:
    """What a site answered, redirects followed."""

    status: int
    path: str
    text: str
    headers: httpx.Headers

    @property
    def outcome(self) -> str | None:
        """The published code of the page's alert or status."""
        reader = _Outcomes()
        reader.feed(self.text)
        return reader.found[0][1] if reader.found else None

    @property
    def hidden(self) -> dict[str, str]:
        reader = _Outcomes()
        reader.feed(self.text)
        return reader.hidden

    @property
    def heading(self) -> str:
        match = re.search(r"<h1[^>]*>(.*?)</h1>", self.text, re.DOTALL)
        return unescape(re.sub(r"<[^>]+>", "", match[1])).strip() if match else ""


class Person:
    """One person's computer and browser, at one site."""

    def __init__(self, served: Served, site: str, holder: dict[str, Any] | None, lang: str = "ja") -> None:
        self.served = served
        self.holder = holder
        self.http = httpx.Client(
            base_url=served.info["urls"][site],
            verify=served.context(holder if holder and holder.get("certificate") else None),
            headers={"accept-language": lang},
            follow_redirects=True,
            timeout=60,
        )

    def close(self) -> None:
        self.http.close()

    def get(self, path: str, **query: str) -> Page:
        return self._page(self.http.get(path, params=query))

    def send(self, page: Page, path: str, **fields: str) -> Page:
        """Send the form of a page."""
        return self._page(self.http.post(path, data={**page.hidden, **fields}))

    def _page(self, answer: httpx.Response) -> Page:
        return Page(answer.status_code, answer.url.path, answer.text, answer.headers)

    def log_on_user(self, pin: str | None = None) -> Page:
        assert self.holder is not None
        return self.send(self.get("/"), "/", pin=pin or self.holder["user_pin"])

    def log_on_staff(self, pin: str | None = None) -> Page:
        assert self.holder is not None
        return self.send(self.get("/"), "/", staff_pin=pin or self.holder["pin"])

    def log_on_administrator(self, pin: str | None = None) -> Page:
        contract = (self.holder or {}).get("contract") or self.served.info["contract"]
        card = self.send(self.get("/"), "/", pin=pin or contract["contract_pin"])
        assert card.path == "/card", card.outcome
        positions = re.findall(r">(\d+)番目の数字<", card.text)
        digits = {f"digit_{n}": contract["card"][position] for n, position in enumerate(positions, 1)}
        return self.send(card, "/card", **digits)
