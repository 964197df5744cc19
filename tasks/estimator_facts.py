"""What is known of each estimator by its name: one entry for each, asked by the form of a study and by the library itself.

It stands outside `tasks.shapley` and imports nothing, so that a form can be checked without loading numerical libraries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

EstimatorName = Literal["default", "gp", "ridge_odd", "kernelshap_sizes", "kernelshap"]


@dataclass(frozen=True)
class Facts:
    """One estimator.

    any_rows: uses evaluations that no design of its own drew, and those with former players.
    predicts: has a model of v, so that its credits can say what a coalition would be worth.
    every_draw: a coalition drawn twice counts twice, though it is evaluated once.
    stops: its intervals are wide enough to stop a study by.
    only_design: the one design whose rows it is right for; None: any.
    """

    any_rows: bool = False
    predicts: bool = True
    every_draw: bool = False
    stops: bool = True
    only_design: str | None = None


ESTIMATOR_FACTS: Mapping[str, Facts] = {
    "default": Facts(any_rows=True),
    "gp": Facts(any_rows=True),
    "ridge_odd": Facts(predicts=False, stops=False),
    "kernelshap_sizes": Facts(),
    "kernelshap": Facts(every_draw=True, only_design="kernelshap"),
}
COMPLETE = Facts()  # the definition, which answers for every estimator once all coalitions are there
PREDICTING = tuple(name for name, facts in ESTIMATOR_FACTS.items() if facts.predicts)
