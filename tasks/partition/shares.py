"""Reads one cell of the contributor column: a single name, or owners with shares.

Grammar: `name:number` pieces joined by `;`. A cell without any `:number` at the end of a piece is a single name, so
`Studio: North` is a name. A name that ends in a colon and a number needs its share written out: `Studio 4:20:1`.
"""

from __future__ import annotations

import math
import re

from tasks.partition.names import clean, quoted
from tasks.partition.types import Shares

TOLERANCE = 1e-3  # three thirds may be written 0.333; shares are then scaled to sum to one exactly

LONGEST_CELL = 10_000  # characters; normalising a hostile text of megabytes takes minutes

# What people write where a number belongs. Percent signs and decimal commas are recognised in order to be refused
# with a reason, instead of making a contributor named "alice:70%;bob:30%".
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?%?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE
)


class ShareError(ValueError):
    """The cell cannot be read as owners with shares; the message says why, as a sentence's end after "the cell …"."""


def parse_shares(cell: str) -> Shares:
    """Owners of one image as (cleaned name, share) sorted by name, shares in (0, 1] and summing to one.

    An empty cell gives no owners. Raises ShareError, and nothing else, whatever the text.
    """
    if not cell.strip():
        return ()
    if len(cell) > LONGEST_CELL:
        raise ShareError(f"has {len(cell)} characters, more than {LONGEST_CELL}")
    pieces = [piece.strip() for piece in cell.split(";") if piece.strip()]
    split = [_split(piece) for piece in pieces]
    if not any(split):
        return ((clean(cell), 1.0),)
    shares: dict[str, float] = {}
    for piece, parts in zip(pieces, split, strict=True):
        if parts is None:
            raise ShareError(f"gives no share for {quoted(piece)}; write name:share for every owner")
        name, number = parts
        if "%" in number or "," in number:
            raise ShareError(f"has {quoted(number)} as a share; write a fraction with a point, such as 0.7")
        share = float(number)
        if not math.isfinite(share) or not 0 < share <= 1 + TOLERANCE:
            hint = f"; is {quoted(piece)} a name? then write {quoted(piece + ':1')}" if len(pieces) == 1 else ""
            raise ShareError(f"has the share {quoted(number)}, which is not above 0 and at most 1{hint}")
        if not name:
            raise ShareError(f"has the share {quoted(number)} without a name")
        if name in shares:
            raise ShareError(f"names {quoted(name)} twice")
        shares[name] = share
    total = math.fsum(shares.values())
    if abs(total - 1) > TOLERANCE + 1e-9:
        raise ShareError(f"has shares that sum to {total:g}, not to one")
    return tuple(sorted((name, share / total) for name, share in shares.items()))


def _split(piece: str) -> tuple[str, str] | None:
    """A piece as (cleaned name, number as written); None if it does not end in a colon and a number."""
    name, colon, number = piece.rpartition(":")
    number = number.strip().replace(" %", "%")
    return (clean(name), number) if colon and _NUMBER.fullmatch(number) else None
