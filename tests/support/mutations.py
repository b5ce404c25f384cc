"""Bytes that are almost what was expected: a good message, cut, flipped, repeated, lengthened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TAGS = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x13, 0x16, 0x17, 0x18, 0x1E, 0x30, 0x31, 0x80, 0xA0, 0xA3]
_LENGTHS = [b"\x00", b"\x7f", b"\x80", b"\x81\xff", b"\x82\xff\xff", b"\x84\xff\xff\xff\xff", b"\x88" + b"\xff" * 8]


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Draw one of the seeds with up to eight changes; none of them is a good one too."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 8))):
        at = draw(st.integers(0, len(data)))
        start, end, new = draw(st.sampled_from(_CHANGES))(draw, data, at)
        data[start:end] = new if new is not None else draw(st.sampled_from(seeds))[at:]
    return bytes(data)


# Each says which octets go, and what comes in their place; None stands for the rest of another seed.
_CHANGES: list[Callable[[st.DrawFn, bytearray, int], tuple[int, int, bytes | None]]] = [
    lambda draw, data, at: (at, at + 1, bytes([octet ^ 1 << draw(st.integers(0, 7)) for octet in data[at : at + 1]])),
    lambda draw, _data, at: (at, at + 1, bytes([draw(st.integers(0, 255))])),
    lambda draw, _data, at: (at, at + 1, bytes([draw(st.sampled_from(_TAGS))])),
    lambda draw, _data, at: (at, at + 1, draw(st.sampled_from(_LENGTHS))),
    lambda draw, _data, at: (at, at + draw(st.integers(1, 40)), b""),
    lambda draw, _data, at: (at, at, draw(st.binary(min_size=1, max_size=40))),
    lambda draw, data, at: (at, at, bytes(data[at : at + draw(st.integers(1, 200))])),
    lambda _draw, data, at: (at, len(data), b""),
    lambda _draw, data, at: (at, len(data), None),
]


def anything(seeds: Sequence[bytes], longest: int = 2000) -> st.SearchStrategy[bytes]:
    """Draw mostly mutated seeds, and sometimes what has nothing to do with them."""
    return st.one_of(mutated(seeds), mutated(seeds), mutated(seeds), st.binary(max_size=longest))
