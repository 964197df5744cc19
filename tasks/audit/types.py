"""What an audit found: the nouns that the flow, the statement and the Prefect UI share. Plain data.

All values are those of the game, sign × raw, in the property's unit: more is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tasks.audit.correction import Uncertain


@dataclass(frozen=True)
class Ends:
    """v(∅) and v(N) of one realisation. ∅ is the same untrained model in both."""

    empty: float
    everybody: float

    @property
    def gain(self) -> float:
        """v(N) − v(∅), what all credits add up to."""
        return self.everybody - self.empty


@dataclass(frozen=True)
class PairValues:
    """One coalition of the others, and what the contributor adds to it. members: names, sorted as in the partition.

    finetuned, retrained: v(S ∪ i) − v(S); NaN where an evaluation failed.
    """

    members: tuple[str, ...]
    finetuned: float
    retrained: float


@dataclass(frozen=True)
class PropertyAudit:
    """One contributor's credit for one property, as stated and as audited.

    stated: the study's credit. correction: to be added to it. audited: the sum. finetuned, retrained: the ends of both
    realisations. common: how much the gain differs for each contributor, (gain retrained − gain fine-tuned) / n; that part
    of the correction every contributor would have. pairs: all that were drawn.
    """

    name: str
    sign: int
    unit: str
    stated: Uncertain
    correction: Uncertain
    audited: Uncertain
    finetuned: Ends
    retrained: Ends
    common: float
    pairs: tuple[PairValues, ...]

    @property
    def used(self) -> int:
        """Pairs with all their values."""
        return sum(math.isfinite(pair.finetuned + pair.retrained) for pair in self.pairs)


@dataclass(frozen=True)
class ContributorAudit:
    """One contributor. complete: whether all coalitions of the others were looked at. steps: gradient steps of a
    coalition fine-tuned and retrained."""

    contributor: str
    complete: bool
    finetune_steps: int
    retrain_steps: int
    properties: tuple[PropertyAudit, ...]
