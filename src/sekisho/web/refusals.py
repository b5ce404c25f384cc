"""What the sites themselves refuse, before any rule of the domain is asked."""

from __future__ import annotations

from sekisho.domain.errors import Refusal


class RequestRefused(Refusal):
    """The request is none that this site answers."""

    code = "page-unknown"


class PageUnknown(RequestRefused):
    """No page stands there."""

    code = "page-unknown"


class MethodNotAllowed(RequestRefused):
    """The page is not asked for in this way."""

    code = "method-not-allowed"


class OperationNotOffered(RequestRefused):
    """EST knows the operation, and this site does not offer it."""

    code = "operation-not-offered"


class RequestTooLarge(RequestRefused):
    """More was sent than any form of ours holds."""

    code = "request-too-large"


class NotOpenYet(RequestRefused):
    """The site is announced and does not work yet."""

    code = "not-open-yet"
