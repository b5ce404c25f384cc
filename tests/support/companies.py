"""A bank of a million companies to be looked for: common names, rare ones, a branch of three, forms that have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sekisho.bench import synthetic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.world import World

# One in ten is called this, so that a page of them may begin far behind the first.
COMMON, COMMON_KEY, COMMON_KANA = "田中商店", "田中商店", "タナカショウテン"
RARE_BRANCH = "999"
_AT_ONCE = 20_000
_SERIES = {
    "sqlite": "WITH RECURSIVE s(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM s WHERE i < {last}) ",
    "postgresql": "WITH s AS (SELECT i FROM generate_series({first}, {last}) AS of(i)) ",
}
_DIGITS = {"sqlite": "printf('%011d', i)", "postgresql": "to_char(i, 'FM00000000000')"}
_FORMS = (
    "INSERT INTO request_forms (bank, kind, state, branch, contract_id, detail, filed_at, moved_at, reason) {series}"
    "SELECT '9990', 'pin-reset', 'withdrawn', {branch}, {digits}, '{{}}', '{now}', '{now}', 'x' FROM s"
)


def contract_id_of(number: int) -> str:
    return f"{number:011d}"


def fill(bank: World, count: int) -> None:
    """Register companies numbered from 1: the last three are the rare branch's; each has a form that has ended."""
    engine = bank.db.writing.dialect.name
    now = bank.clock[0].strftime("%Y-%m-%d %H:%M:%S.%f")
    branch = f"CASE WHEN i > {count} - 3 THEN '{RARE_BRANCH}' ELSE CAST(101 + i - i / 39 * 39 AS varchar(3)) END"
    digits = _DIGITS[engine]
    kanji = f"CASE WHEN i / 10 * 10 = i THEN '{COMMON_KEY}' ELSE '見本' || i || '商事' END"
    kana = f"CASE WHEN i / 10 * 10 = i THEN '{COMMON_KANA}' ELSE 'ミホン' || i || 'ショウジ' END"

    def statements() -> Iterator[str]:
        for first in range(1, count + 1, _AT_ONCE):
            series = _SERIES[engine].format(first=first, last=min(first + _AT_ONCE - 1, count))
            yield (
                f"INSERT INTO contracts (bank, contract_id, name, registered_at, opened_at, branch) {series}"  # noqa: S608 - of here
                f"SELECT '9990', {digits}, {kanji}, '{now}', '{now}', {branch} FROM s"
            )
            for key in (kanji, kana):
                yield (
                    f"INSERT INTO contract_names (bank, key, contract_id, branch) {series}"  # noqa: S608 - of here
                    f"SELECT '9990', {key}, {digits}, {branch} FROM s"
                )
            yield _FORMS.format(series=series, branch=branch, digits=digits, now=now)

    for statement in statements():
        bank.change(statement)
    synthetic.settle(bank.db)
