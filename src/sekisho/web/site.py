"""A site: what all requests to one host name share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sekisho.domain.contract import Bank
    from sekisho.domain.person import Kind
    from sekisho.usecases.ports import Ports
    from sekisho.web.csrf import FormTokens
    from sekisho.web.render import Renderer
    from sekisho.web.turnstile import Turnstile


class Choices(Protocol):
    """The edge's book of certificates whose next handshake it refuses, so that the browser forgets its choice."""

    def mark(self, fingerprint: bytes) -> None:
        """Refuse the next handshake with the certificate of this SHA-256."""

    def take(self, fingerprint: bytes) -> bool:
        """Refuse it no more; tell whether it would have been."""


@dataclass(frozen=True, slots=True)
class Site:
    """One host name of one bank.

    `in_force` gives the bank with the policy that is in force when it is
    called. A request may ask more than once and get another one: what
    belongs together takes it once.
    `name` is "public", "administrator", "user", "console", "app" or "pki";
    `kind` is whose door it is, None where no certificate is asked for.
    `urls` maps every site's name to its address without a trailing slash.
    """

    name: str
    in_force: Callable[[], Bank]
    kind: Kind | None
    urls: Mapping[str, str]
    ports: Ports
    renderer: Renderer
    forms: FormTokens
    turnstile: Turnstile
    choices: Choices

    @property
    def bank(self) -> Bank:
        """The bank as it is now."""
        return self.in_force()
