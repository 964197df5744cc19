"""The estimator `gp`: fit the process, look for outliers, read off the credits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..estimate import Estimate
from ..noise import MeasuredNoise
from ..surrogates import Constant
from ..validate import Evaluations, UnidentifiedError
from .calibration import inflation
from .covariance import Space
from .evidence import Evidence, gather
from .hyperparameters import Hyperparameters
from .likelihood import fit
from .posterior import Posterior
from .tails import is_heavy, leave_one_out, trusts

ROUNDS = 3  # of expectation-maximisation, where tails are heavy


def gp(evaluations: Evaluations, noise: MeasuredNoise | None) -> Estimate:
    """Posterior mean and covariance of the Shapley values, from any archive of evaluations.

    v(∅) enters the level only: credit_i = φ'_i[f] - v(∅)/n, so that it moves no difference between players. Intervals are
    the process's own, at the mode of its hyper-parameters, widened where left-out rows say that they are too narrow (see
    `calibration`), and normal; how often they cover is in docs/estimators.md. Efficiency is not enforced: the gap is
    f̂(N) - v(N), and its s.e. that of f̂(N).

    Where all values agree, credits are equal shares with no spread. UnidentifiedError where there are fewer coalitions
    than players besides ∅ and N, or a player whom no coalition but N has, or none lacks: the prior would answer then.
    """
    check_identified(evaluations)
    evidence = gather(evaluations, noise)
    n = evaluations.n_players
    if evidence.scale == 0:
        level = (evaluations.grand - evaluations.empty) / n
        return Estimate(np.full(n, level), np.zeros((n, n)), np.inf, surrogate=Constant(evidence.centre))
    posterior = condition(evaluations, evidence)
    values = posterior.credits - evaluations.empty / n
    of_empty = posterior.noise_variance() / (evaluations.empty_times * n**2)
    return Estimate(
        values=values,
        covariance=posterior.covariance + of_empty,
        degrees_of_freedom=np.inf,
        efficiency_gap=float(values.sum() - (evaluations.grand - evaluations.empty)),
        efficiency_gap_se=float(np.sqrt(max(posterior.covariance.sum(), 0.0))),
        surrogate=posterior,
    )


def condition(evaluations: Evaluations, evidence: Evidence) -> Posterior:
    """The process at the mode of its hyper-parameters; wild rows are trusted less where the rows show heavy tails."""
    space = Space.of(evaluations.present, evaluations.sizes)
    mode = fit(space, evidence)
    posterior = Posterior(space, evidence, Hyperparameters.of(mode))
    if is_heavy(leave_one_out(posterior)[0]):
        for _ in range(ROUNDS):
            evidence = replace(evidence, trust=trusts(posterior))
            mode = fit(space, evidence, mode)
            posterior = Posterior(space, evidence, Hyperparameters.of(mode))
    posterior.widen(inflation(posterior))
    return posterior


def check_identified(evaluations: Evaluations) -> None:
    """UnidentifiedError where the answer would be the prior's and not the evaluations'."""
    rows, _ = evaluations.proper()
    rows = np.unique(rows, axis=0)
    n = evaluations.n_players
    if len(rows) < n and len(rows) < 2**n - 2:
        raise UnidentifiedError(
            f"gp would answer from its prior: there are {len(rows)} different evaluations besides the empty and the grand "
            f"one for {n} credits; it needs at least {n}, and {3 * n} for intervals to be trusted"
        )
    inside = (evaluations.counts > 0) & ~(evaluations.is_own & (evaluations.counts == n))
    told = evaluations.coalitions[np.ix_(inside, evaluations.present)]
    for verb, alike in (("has", told.all(axis=0)), ("lacks", ~told.any(axis=0))):
        if alike.any():
            raise UnidentifiedError(
                f"gp would answer from its prior: every coalition besides the empty and the grand one {verb} player "
                f"{int(np.flatnonzero(alike)[0])} (of {int(alike.sum())} such players); evaluate some that differ in them"
            )
