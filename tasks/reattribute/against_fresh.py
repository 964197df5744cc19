"""How a re-attribution compares with a fresh start: what either cost, how wide its intervals are, and whether they agree."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from tasks.statements.read import PastStatement

LEVEL = "90 %"


@dataclass(frozen=True)
class Agreement:
    """One property. spearman: of the excess credits, rank by rank, over all contributors. wider: median over contributors of
    the width of the re-attribution's interval over the fresh start's. inside: how many of its excess credits lie in the
    fresh start's interval. shift: mean over those who joined of the difference of their excess, in the fresh start's
    half-widths; negative where they are credited with less than a fresh start gives them."""

    name: str
    spearman: float
    wider: float
    inside: int
    contributors: int
    shift: float


@dataclass(frozen=True)
class Comparison:
    """new, fresh: evaluations that either takes, the audit's repeats among them."""

    new: int
    fresh: int
    agreements: tuple[Agreement, ...]

    @property
    def part(self) -> float:
        """What the re-attribution cost, as a part of a fresh start."""
        return self.new / self.fresh


def compare_with_fresh(
    again: PastStatement, fresh: PastStatement, *, new: int, asked: int, joined: Collection[str]
) -> Comparison:
    """Compare two statements about the same contributors.

    Args:
        new, asked: evaluations that either takes: those that were not there before, and all that a fresh start asks for.
        joined: names of those whom the re-attribution's epoch never saw.

    Raises:
        ValueError: if they are about different people.
    """
    names = [c.name for c in again.contributors]
    if sorted(names) != sorted(c.name for c in fresh.contributors):
        raise ValueError(f"{again.where} and {fresh.where} are about different contributors")
    one, two = again.credits.set_index("contributor"), fresh.credits.set_index("contributor").loc[names]
    agreements = []
    for name in (p.name for p in again.properties):
        excess, low, high = (one[f"{name}_{kind}"].to_numpy() for kind in ("excess", "excess_low", "excess_high"))
        other, from_, to = (two[f"{name}_{kind}"].to_numpy() for kind in ("excess", "excess_low", "excess_high"))
        theirs = np.array([n in joined for n in names])
        half = (to - from_) / 2
        agreements.append(
            Agreement(
                name=name,
                spearman=float(spearmanr(excess, other).statistic),
                wider=float(np.median((high - low) / (to - from_))),
                inside=int(((from_ <= excess) & (excess <= to)).sum()),
                contributors=len(names),
                shift=float(((excess - other) / half)[theirs].mean()) if theirs.any() else 0.0,
            )
        )
    return Comparison(new, asked, tuple(agreements))


def table(comparison: Comparison) -> list[str]:
    """Rows for a terminal, a property each."""
    head = f"{'property':<18}{'Spearman':>9}{'width':>8}{'inside':>9}{'joiners':>9}"
    rows = [
        f"{a.name:<18}{a.spearman:>9.2f}{a.wider:>7.2f}×{f'{a.inside} of {a.contributors}':>9}{a.shift:>+9.1f}"
        for a in comparison.agreements
    ]
    return [head, "─" * len(head), *rows]


def legend() -> list[str]:
    """What the columns are."""
    return [
        f"Spearman: of the excess credits with a fresh start's. width: of the {LEVEL} intervals, over a fresh start's",
        "(median). inside: excess credits that lie in the fresh start's interval. joiners: their excess less the fresh",
        "start's, in its half-widths.",
    ]
