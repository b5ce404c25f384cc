"""Why a site cannot be served; apart from what serves it, so that a command which serves nothing loads no server."""

from __future__ import annotations


class AddressInUse(Exception):  # noqa: N818 - names what happened
    """A site cannot listen where it should."""


class ServerCertificateUnusable(Exception):  # noqa: N818 - names what happened
    """A site's certificate or key is missing or broken, or one does not fit the other."""
