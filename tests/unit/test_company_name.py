"""A company is found however its name was typed."""

from __future__ import annotations

import pytest

from sekisho.domain.company_name import search_key


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("見本商事株式会社", "見本商事"),
        ("株式会社見本商事", "見本商事"),
        ("㈱見本商事", "見本商事"),
        ("見本 商事 (株)", "見本商事"),
        ("ﾐﾎﾝｼｮｳｼﾞ", "ミホンショウジ"),
        ("みほんしょうじ", "ミホンショウジ"),
        ("ミホンショウジ　カブシキガイシャ", "ミホンショウジ"),
        ("ｶ)ﾐﾎﾝｼｮｳｼﾞ", "ミホンショウジ"),
        ("ＡＢＣ・サービス", "abcサービス"),
        ("abc service", "abcservice"),
        ("株式会社", ""),
        (" ・ ", ""),
    ],
)
def test_width_kana_and_legal_form_do_not_matter(typed: str, key: str) -> None:
    assert search_key(typed) == key


def test_names_that_differ_stay_apart() -> None:
    assert len({search_key(name) for name in ("見本商事", "見本商店", "ミホン商事", "ミホンショウシ")}) == 4
