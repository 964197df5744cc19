"""What every figure of the proof asks of its arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
TIE = 1e-12  # differences below this share of the largest value are rounding, not order (as in `tasks.shapley.credits`)


def check_credits(credits: ArrayLike, n_contributors: int, what: str = "credits") -> Floats:
    """Finite float64[n_contributors], else ValueError that says what is wrong with `what`."""
    checked = np.asarray(credits, dtype=np.float64)
    if checked.shape != (n_contributors,):
        raise ValueError(f"{what} have shape {checked.shape}, but there are {n_contributors} contributors")
    bad = np.flatnonzero(~np.isfinite(checked))
    if len(bad):
        raise ValueError(f"{what} of contributor {bad[0]} (column) are {checked[bad[0]]}; every contributor needs one")
    return checked


def check_replicates(replicates: ArrayLike, n_contributors: int) -> Floats:
    """Credits of bootstrap replicates as finite float64[b, n_contributors] with b >= 2, else ValueError."""
    checked = np.asarray(replicates, dtype=np.float64)
    if checked.ndim != 2 or checked.shape[1] != n_contributors or len(checked) < 2:
        raise ValueError(
            f"replicates have shape {checked.shape}; they must be a table of at least 2 rows (one a bootstrap replicate) "
            f"and {n_contributors} columns (one a contributor)"
        )
    if not np.isfinite(checked).all():
        row = int(np.flatnonzero(~np.isfinite(checked).all(axis=1))[0])
        raise ValueError(f"replicate {row} holds credits that are not finite; leave out replicates that failed")
    return checked


def check_whole(number: int, least: int, what: str) -> int:
    """A whole number of at least `least`, else ValueError."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
        raise ValueError(f"{what} must be a whole number of at least {least}, not {number!r}")
    return int(number)


def check_level(level: float) -> float:
    """A level strictly between 0 and 1, else ValueError."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    return level


def order_numbers(values: Floats, tolerance: Floats | float) -> NDArray[np.int64]:
    """Values as numbers of their order from 0, equal where neighbours differ by no more than tolerance: int64[..., m].

    values: float64[..., m]; tolerance: broadcasts against [..., 1]. Sums of the same credits in another order differ in
    their last bits; without this they would be ranked.
    """
    order = np.argsort(values, axis=-1, kind="stable")
    steps = np.diff(np.take_along_axis(values, order, axis=-1), axis=-1) > tolerance
    numbers = np.zeros(values.shape, dtype=np.int64)
    np.cumsum(steps, axis=-1, out=numbers[..., 1:])
    found = np.empty_like(numbers)
    np.put_along_axis(found, order, numbers, axis=-1)
    return found
