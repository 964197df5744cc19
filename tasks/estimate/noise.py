"""What repeating a few coalitions under other seeds shows: how much of a value is chance.

The audit's rows are kept out of the estimate itself: for that, a new coalition is always worth more than a repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.evaluate.jobs import Job, Outcome
from tasks.shapley import MeasuredNoise


@dataclass(frozen=True)
class Noise:
    """What repeating coalitions under other seeds showed."""

    sd: float | None  # of one evaluation, each seed's main effect removed
    correlation: float | None  # between seeds, over the repeated coalitions; mean over pairs of seeds
    coalitions: int
    freedom: int = 0  # degrees of freedom of `sd`

    @property
    def measured(self) -> MeasuredNoise | None:
        """What estimators are told of it; None without repeats."""
        return None if self.sd is None else MeasuredNoise(self.sd**2, self.freedom)

    @property
    def cautious_variance(self) -> float | None:
        """Upper 90 % confidence limit of the variance of one evaluation: what intervals are made with."""
        return None if self.measured is None else self.measured.cautious_variance


def measure_noise(name: str, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> Noise:
    """Two-way layout of the repeated coalitions (rows) and seeds (columns): noise is what is left after both main effects.

    A seed's main effect shifts every coalition alike and cancels in excess credits; it is not counted as noise.
    """
    by_model: dict[tuple[int, ...], dict[int, float]] = {}
    repeated = {job.members for job in jobs if job.role == "audit"}
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.members in repeated and name in outcome.values:
            by_model.setdefault(job.members, {})[job.seed] = outcome.values[name]
    seeds = {job.seed for job in jobs if job.members in repeated}
    rows = [[values[seed] for seed in sorted(seeds)] for values in by_model.values() if set(values) == seeds]
    if len(rows) < 2 or len(seeds) < 2:
        return Noise(None, None, len(rows))
    table = np.array(rows)  # [coalitions, seeds]
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + table.mean()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    sd = float(np.sqrt((residual**2).sum() / freedom))
    if (table.std(axis=0) == 0).any():
        return Noise(sd, None, len(rows), freedom)
    correlations = np.corrcoef(table.T)
    return Noise(sd, float(correlations[np.triu_indices(len(seeds), 1)].mean()), len(rows), freedom)
