"""What a statement says about the last one, and about the epoch on which it stands: plain records, to be written out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from tasks.statements.people import People

Status = Literal["moved", "new", "gone", "within noise", "not known"]
STATUSES: tuple[Status, ...] = ("moved", "new", "gone", "within noise", "not known")


class Excess(NamedTuple):
    """An excess credit with its 90 % interval, in the property's unit; infinite ends where there is no interval."""

    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Move:
    """One contributor and one property, in the last statement and in this one.

    formerly: name in the last statement where it was another. changed: whether the images are others. before, now: as
    published; None where the contributor is not in that statement. difference: now less before, each re-centred on the
    contributors who are in both; half: what it has to exceed. Both None where there is nothing to compare.
    """

    name: str
    status: Status
    before: Excess | None
    now: Excess | None
    difference: float | None = None
    half: float | None = None
    formerly: str | None = None
    changed: bool = False


@dataclass(frozen=True)
class PropertyMoves:
    """Everybody's moves for one property: movers first, the largest difference first; then new, gone, and the rest.

    centre_before, centre_now: mean excess of the contributors who are in both statements, in each of them.
    incomparable: why nothing is compared, as the end of the sentence "not comparable because …"; then there are no rows.
    """

    name: str
    unit: str
    rows: tuple[Move, ...] = ()
    centre_before: float = 0.0
    centre_now: float = 0.0
    incomparable: str | None = None

    @property
    def counts(self) -> dict[Status, int]:
        """How many contributors have each status; those that nobody has are left out."""
        found = {status: sum(row.status == status for row in self.rows) for status in STATUSES}
        return {status: count for status, count in found.items() if count}


@dataclass(frozen=True)
class Since:
    """What changed since the last statement.

    created: ISO 8601. epoch_before: None where that statement is older than epochs. notes: whole sentences that belong
    beside the figures.
    """

    run: str
    created: str
    people: People
    properties: tuple[PropertyMoves, ...]
    notes: tuple[str, ...]
    epoch_before: int | None
    epoch_now: int


@dataclass(frozen=True)
class EpochStanding:
    """On which epoch a statement stands, and what that costs.

    opened: ISO 8601; empty for an epoch that was never opened. drift: part of the images that has come, gone or changed
    hands since, 0 to 1. unseen: contributors of whose training images, by weight, less than half were there -> the part that
    was. left: part of the epoch's images, by weight, that nobody of today owns, 0 to 1.
    """

    number: int
    opened: str
    why: str
    drift: float
    unseen: Mapping[str, float]
    left: float
