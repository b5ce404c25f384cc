"""What the last revocation list of a name said, kept so that the next one is looked at only where it differs."""

from __future__ import annotations

from sekisho.pki import crl

_IN_A_PIECE = 1000


class LastList:
    """The entries of one list, in pieces.

    Of half a million entries nearly all stay from day to day, in their order.
    A piece that stands in the next list as it stood in the last was read then,
    and is not read again.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def take(self, entries: bytes) -> list[bytes]:
        """Return, one by one, the entries that the last list did not have where they stand, and remember all.

        Raises `crl.ListRefused` where an entry is none; then the last list stays remembered.
        """
        pieces: list[bytes] = []
        new: list[bytes] = []
        old: list[bytes] = []
        begin = at = 0
        for number, piece in enumerate(self._pieces):
            if not entries.startswith(piece, at):
                old.append(piece)
                # What stands in its place ends where the next piece begins, whose first entry has a serial of its own.
                for following in self._pieces[number + 1 : number + 2]:
                    found = entries.find(_first(following), begin, begin + 2 * sum(map(len, [*old, following])))
                    at = found if found >= 0 else at
                continue
            if at > begin:
                _read(entries[begin:at], old, pieces, new)
                old = []
            pieces.append(piece)
            at += len(piece)
            begin = at
        _read(entries[begin:], old, pieces, new)
        self._pieces = pieces
        return new


def _first(piece: bytes) -> bytes:
    """Return the first entry of a piece, which begins with a SEQUENCE of less than 128 octets."""
    return piece[: 2 + piece[1]]


def _read(changed: bytes, old: list[bytes], pieces: list[bytes], new: list[bytes]) -> None:
    """Put what stands in place of some old pieces among the pieces, and what is new of it among the new."""
    one_by_one = crl.split(changed)
    known = {entry for piece in old for entry in crl.split(piece)}
    new += [entry for entry in one_by_one if entry not in known] if known else one_by_one
    pieces += [b"".join(one_by_one[at : at + _IN_A_PIECE]) for at in range(0, len(one_by_one), _IN_A_PIECE)]
