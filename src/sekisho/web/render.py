"""Pages from templates.

One Jinja environment for all pages: everything is escaped, and a
name that the handler did not give is an error, not a blank. Templates take
their words from the catalogue by `t("key", name=value)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined, pass_context
from markupsafe import Markup

from sekisho.web import messages

if TYPE_CHECKING:
    from datetime import datetime

    from jinja2.runtime import Context

_SERIAL_GROUP = 4


class Renderer:
    """Renders the pages in `sekisho/portal/templates`, and as "console/..." those in `sekisho/console/templates`."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=ChoiceLoader(
                [
                    PackageLoader("sekisho", "portal/templates"),
                    PrefixLoader({"console": PackageLoader("sekisho", "console/templates")}),
                ]
            ),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals["t"] = _t
        self._environment.filters |= {
            "date": _date,
            "datetime": _datetime,
            "days_left": _days_left,
            "moment": _moment,
            "serial": serial,
        }

    def page(self, template: str, lang: messages.Language, **context: Any) -> str:
        """Return the page `template` (such as "pin.html") in `lang`.

        What `context` has to hold stands at the top of base.html and of each
        template. A missing name raises jinja2.UndefinedError, a missing text KeyError.
        """
        return self._environment.get_template(template).render(context, lang=lang)


def serial(number: int | str) -> str:
    """Return a serial number as hexadecimal digits in groups of four, the way it is read out on the telephone."""
    digits = f"{number:x}" if isinstance(number, int) else number
    digits = digits.zfill(-(-len(digits) // _SERIAL_GROUP) * _SERIAL_GROUP)
    return " ".join(digits[at : at + _SERIAL_GROUP] for at in range(0, len(digits), _SERIAL_GROUP))


@pass_context
def _t(context: Context, key: str, /, **values: object) -> Markup:
    # The text is escaped first and then filled: Markup.format escapes each
    # value on its own and leaves a value that is markup already as it is.
    language = _language(context)
    told = {name: messages.spoken(language, value) for name, value in values.items()}
    return Markup.escape(messages.pattern(language, key)).format(**told)


@pass_context
def _date(context: Context, at: datetime) -> str:
    return messages.date_text(_language(context), at)


@pass_context
def _datetime(context: Context, at: datetime) -> str:
    return messages.datetime_text(_language(context), at)


@pass_context
def _days_left(context: Context, days: int) -> str:
    return messages.days_left_text(_language(context), days)


def _moment(at: datetime) -> str:
    """Return `at` as HTML's time element takes it, which knows no more than three digits of a second."""
    return at.isoformat(timespec="seconds")


def _language(context: Context) -> messages.Language:
    language: messages.Language = context["lang"]
    return language
