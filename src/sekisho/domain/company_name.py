"""How a company's name is compared, so that it is found however it was typed."""

from __future__ import annotations

import unicodedata

# As they stand after NFKC (a sign such as 「㈱」 is taken apart by it), in the order in which they are looked for.
_LEGAL_FORMS = (
    "株式会社",
    "有限会社",
    "合同会社",
    "合資会社",
    "合名会社",
    "カブシキガイシャ",
    "カブシキカイシャ",
    "ユウゲンガイシャ",
    "ゴウドウガイシャ",
    "(株)",
    "(有)",
    "(同)",
    "(カ)",
    "(ユ)",
    "カ)",
    "ユ)",
    "(カ",
    "(ユ",
)
_LEFT_OUT = str.maketrans("", "", " \t・･.,、。'\"")
# Hiragana stand 0x60 below their katakana.
_TO_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}


def search_key(name: str) -> str:
    """Return what names are compared by: NFKC, lower case, katakana, without blanks, dots and the company's legal form.

    Empty where nothing is left of it.
    """
    key = unicodedata.normalize("NFKC", name).lower().translate(_TO_KATAKANA).translate(_LEFT_OUT)
    for form in _LEGAL_FORMS:
        if key.startswith(form):
            key = key.removeprefix(form)
            break
    for form in _LEGAL_FORMS:
        if key.endswith(form):
            return key.removesuffix(form)
    return key
