"""Estimators by name, and the rules that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from .credits import Credits
from .definition import definition, is_complete
from .estimate import Estimate
from .kernelshap import kernelshap
from .kernelshap_sizes import kernelshap_sizes
from .validate import Evaluations, check_evaluations

Estimator = Callable[[Evaluations, float | None], Estimate]

ESTIMATORS: dict[str, Estimator] = {"kernelshap": kernelshap, "kernelshap_sizes": kernelshap_sizes}
DEFAULT = "kernelshap_sizes"


def estimate_credits(
    coalitions: ArrayLike,
    values: ArrayLike,
    *,
    sizes: ArrayLike | None = None,
    estimator: str = "default",
    noise_variance: float | None = None,
) -> Credits:
    """Shapley values from evaluations of one property.

    coalitions: bool[m, n], the empty and the grand one among them, in any order; evaluations that failed are left out.
    values: float64[m], finite, more is better. sizes: float64[n] > 0, images of each contributor (for estimators with a
    prior). estimator: `default`, `kernelshap_sizes`, or `kernelshap`, the paper's, for rows of the design of that name.
    noise_variance: of one evaluation, from replicates; see each estimator for what it adds.

    With all 2^n coalitions the definition is used whatever the estimator, and `Credits.estimator` says `definition`;
    its covariance is zero unless noise_variance is given. Constant values give zero credits with no spread.
    Raises ValueError for bad input (it names what) and UnidentifiedError (a ValueError) where rows are too few.
    """
    if estimator != "default" and estimator not in ESTIMATORS:
        raise ValueError(f"unknown estimator {estimator!r}; there are: {', '.join(sorted(['default', *ESTIMATORS]))}")
    if noise_variance is not None and not (np.isfinite(noise_variance) and noise_variance >= 0):
        raise ValueError(f"noise_variance must be finite and not negative, not {noise_variance!r}")
    evaluations = check_evaluations(coalitions, values, sizes)
    name = "definition" if is_complete(evaluations) else DEFAULT if estimator == "default" else estimator
    run = definition if name == "definition" else ESTIMATORS[name]
    estimate = run(evaluations, noise_variance)
    return Credits(
        values=estimate.values,
        covariance=(estimate.covariance + estimate.covariance.T) / 2,
        degrees_of_freedom=estimate.degrees_of_freedom,
        grand=evaluations.grand,
        empty=evaluations.empty,
        n_evaluations=len(np.unique(evaluations.coalitions, axis=0)),
        estimator=name,
        efficiency_gap=estimate.efficiency_gap,
        efficiency_gap_se=estimate.efficiency_gap_se,
    )
