"""Estimators by name, and the rules that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from tasks.estimator_facts import COMPLETE, ESTIMATOR_FACTS

from .credits import Credits
from .definition import definition, is_complete
from .estimate import Estimate
from .gp import gp
from .kernelshap import kernelshap
from .kernelshap_sizes import kernelshap_sizes
from .mean import mean
from .noise import MeasuredNoise
from .one_thread import one_thread
from .ridge_odd import ridge_odd
from .validate import Evaluations, check_evaluations

Estimator = Callable[[Evaluations, MeasuredNoise | None], Estimate]

ESTIMATORS: dict[str, Estimator] = {
    "default": mean,
    "gp": gp,
    "ridge_odd": ridge_odd,
    "kernelshap_sizes": kernelshap_sizes,
    "kernelshap": kernelshap,
}


@one_thread()
def estimate_credits(
    coalitions: ArrayLike,
    values: ArrayLike,
    *,
    sizes: ArrayLike | None = None,
    estimator: str = "default",
    noise: MeasuredNoise | None = None,
    former: ArrayLike | None = None,
) -> Credits:
    """Shapley values from evaluations of one property.

    coalitions: bool[m, n], the empty and the grand one among them, in any order; evaluations that failed are left out.
    Rows may repeat: with another value it is a repeat under another seed, and averaged; with the same one it is the same
    evaluation met twice, and counts once (in `kernelshap` as often as it was drawn).
    values: float64[m], finite, more is better. sizes: float64[n] > 0, images of each contributor (for estimators with a
    prior). estimator: `default`, `gp`, `ridge_odd`, `kernelshap_sizes`, or `kernelshap`, the paper's, for rows of the design
    of that name.
    noise: of one evaluation, from replicates; see each estimator for what it adds.
    former: bool[n], True for a player who left. Credits are then those of the game among the present players, in the
    order of their columns; the grand coalition is everybody present and nobody else, and must have been evaluated. Rows
    with former players are used by estimators with a surrogate that can and left out by the others.

    With all 2^n coalitions the definition is used whatever the estimator, and `Credits.estimator` says `definition`;
    its covariance is zero unless noise is given. Constant values give zero credits with no spread.
    Raises ValueError for bad input (it names what) and UnidentifiedError (a ValueError) where rows are too few.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"unknown estimator {estimator!r}; there are: {', '.join(ESTIMATORS)}")
    if noise is not None and not isinstance(noise, MeasuredNoise):
        raise ValueError(f"noise must be a MeasuredNoise (variance and degrees of freedom) or None, not {noise!r}")
    evaluations = check_evaluations(coalitions, values, sizes, former)
    name, run, facts = estimator, ESTIMATORS[estimator], ESTIMATOR_FACTS[estimator]
    if is_complete(evaluations):
        name, run, facts = "definition", definition, COMPLETE
    if not facts.every_draw:
        evaluations = evaluations.without_copies()
    estimate = run(evaluations, noise)
    used = evaluations.coalitions if facts.any_rows else evaluations.own().coalitions
    return Credits(
        values=estimate.values,
        covariance=(estimate.covariance + estimate.covariance.T) / 2,
        degrees_of_freedom=estimate.degrees_of_freedom,
        grand=evaluations.grand,
        empty=evaluations.empty,
        n_evaluations=len(np.unique(used, axis=0)),
        estimator=name,
        efficiency_gap=estimate.efficiency_gap,
        efficiency_gap_se=estimate.efficiency_gap_se,
        surrogate=estimate.surrogate,
        present=evaluations.present,
    )
