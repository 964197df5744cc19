"""What repeating a few coalitions under other seeds shows: how much of a value is chance.

The audit's rows are kept out of the estimate itself: for that, a new coalition is always worth more than a repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.evaluate.jobs import Job, Outcome
from tasks.shapley import MeasuredNoise

# Fewer degrees of freedom say too little of how noise goes with size: with the 6 of a small audit, estimates told of it
# were worse by a fifth and their 90 % intervals covered 88 %, whether noise grew or not; with 80, nothing was lost.
LEAST_BY_SIZE = 60


@dataclass(frozen=True)
class Noise:
    """What repeating coalitions under other seeds showed."""

    sd: float | None  # of one evaluation, each seed's main effect removed
    correlation: float | None  # between seeds, over the repeated coalitions; mean over pairs of seeds
    coalitions: int
    freedom: int = 0  # degrees of freedom of `sd`
    by_size: tuple[tuple[int, float, float], ...] = ()  # number of contributors, variance, degrees of freedom

    @property
    def measured(self) -> MeasuredNoise | None:
        """What estimators are told of it; None without repeats. By size only where the repeats are many."""
        if self.sd is None:
            return None
        return MeasuredNoise(self.sd**2, self.freedom, self.by_size if self.freedom >= LEAST_BY_SIZE else ())

    @property
    def cautious_variance(self) -> float | None:
        """Upper 90 % confidence limit of the variance of one evaluation: what intervals are made with."""
        return None if self.measured is None else self.measured.cautious_variance


def measure_noise(name: str, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> Noise:
    """Two-way layout of the repeated coalitions (rows) and seeds (columns): noise is what is left after both main effects.

    A seed's main effect shifts every coalition alike and cancels in excess credits; it is not counted as noise.

    By size, each coalition's residuals have an equal part of the degrees of freedom. The seed's main effect, a mean over all
    coalitions, carries some of the others' noise into each: of 4 coalitions, a third of the way to the common variance.
    So sizes look more alike than they are, never less; the mean over them is the variance of all.
    """
    by_model: dict[tuple[int, ...], dict[int, float]] = {}
    repeated = {job.members for job in jobs if job.role == "audit"}
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.members in repeated and name in outcome.values:
            by_model.setdefault(job.members, {})[job.seed] = outcome.values[name]
    seeds = {job.seed for job in jobs if job.members in repeated}
    complete = {members: values for members, values in by_model.items() if set(values) == seeds}
    rows = [[values[seed] for seed in sorted(seeds)] for values in complete.values()]
    if len(rows) < 2 or len(seeds) < 2:
        return Noise(None, None, len(rows))
    table = np.array(rows)  # [coalitions, seeds]
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + table.mean()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    sd = float(np.sqrt((residual**2).sum() / freedom))
    by_size = _by_size([len(members) for members in complete], (residual**2).sum(axis=1), freedom)
    if (table.std(axis=0) == 0).any():
        return Noise(sd, None, len(rows), freedom, by_size)
    correlations = np.corrcoef(table.T)
    correlation = float(correlations[np.triu_indices(len(seeds), 1)].mean())
    return Noise(sd, correlation, len(rows), freedom, by_size)


def _by_size(sizes: Sequence[int], squares: np.ndarray, freedom: int) -> tuple[tuple[int, float, float], ...]:
    """(size, variance, degrees of freedom) from each coalition's sum of squared residuals."""
    each = freedom / len(sizes)
    found = {size: [float(q) for s, q in zip(sizes, squares, strict=True) if s == size] for size in sorted(set(sizes))}
    return tuple((size, sum(q) / (each * len(q)), each * len(q)) for size, q in found.items() if size)
