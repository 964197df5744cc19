"""The paper's own estimator as one more method to compare with, on evaluations of its own draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tasks.shapley.kernelshap import kernelshap
from tasks.shapley.one_thread import one_thread
from tasks.shapley.validate import check_coalitions, check_evaluations, check_values

from .checks import Floats


@one_thread()
def papers_credits(coalitions: ArrayLike, values: ArrayLike, v_empty: float, v_full: float) -> Floats:
    """Credits float64[n] by unweighted constrained least squares (Lin et al. 2025, section 3; `tasks.shapley.kernelshap`).

    coalitions: bool[m, n] drawn from the Shapley kernel (design `kernelshap`), repeats as often as they were drawn;
    values: float[m]. Unlike `estimate_credits` this never turns to the definition, though all coalitions be there: on
    rows of another design the formula is not right, and it is the caller's to give it rows of its own.
    Raises UnidentifiedError where the rows do not tell all credits apart.
    """
    rows = check_coalitions(coalitions)
    n = rows.shape[1]
    ends = np.stack([np.zeros(n, dtype=bool), np.ones(n, dtype=bool)])
    everything = np.concatenate([check_values(values, len(rows)), check_values([v_empty, v_full], 2)])
    return kernelshap(check_evaluations(np.concatenate([rows, ends]), everything, None), None).values
