"""The estimator `gp`: fit the process, look for outliers, read off the credits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..estimate import Estimate
from ..noise import MeasuredNoise
from ..surrogates import Constant
from ..validate import Coalitions, Evaluations, UnidentifiedError
from .calibration import inflation
from .covariance import Space
from .evidence import Evidence, gather
from .hyperparameters import Hyperparameters
from .likelihood import fit
from .posterior import Posterior
from .tails import are_few, has_outliers, leave_one_out, trusts

ROUNDS = 3  # of expectation-maximisation, where a few rows are wild
RANK_TOLERANCE = 1e-9


def gp(evaluations: Evaluations, noise: MeasuredNoise | None) -> Estimate:
    """Posterior mean and covariance of the Shapley values, from any archive of evaluations.

    The process tells the excess credits; their level comes from the two ends as they were measured,

        credit_i = φ'_i[f] - mean φ'[f] + (v(N) - v(∅)) / n

    so that v(∅) moves no difference between players, and neither does a v(N) unlike all other values. By how much the
    process itself would have missed v(N) is the efficiency gap f̂(N) - v(N); its s.e. is that of a residual the process was
    fitted to, σ_N² √[K⁻¹]_NN.

    Intervals are the process's own, at the mode of its hyper-parameters, widened where left-out rows say that they are too
    narrow (see `calibration`), and normal; how often they cover is in docs/estimators.md.

    Where all values agree, credits are equal shares with the spread of the ends. UnidentifiedError where the coalitions
    would leave even an additive game undetermined, for then the prior would answer: players who are never parted, whom every
    coalition but N lacks or has, or fewer coalitions than players.
    """
    check_identified(evaluations)
    evidence = gather(evaluations, noise)
    n = evaluations.n_players
    level = (evaluations.grand - evaluations.empty) / n
    if evidence.scale == 0:
        of_ends = (noise.cautious_variance if noise else 0.0) * ends(evaluations)
        return Estimate(np.full(n, level), np.full((n, n), of_ends), np.inf, surrogate=Constant(evidence.centre))
    posterior = condition(evaluations, evidence)
    centre = np.eye(n) - 1 / n
    excess = centre @ posterior.credits
    covariance = centre @ posterior.covariance @ centre
    here = int(np.flatnonzero((evidence.rows == evaluations.present).all(axis=1))[0])
    return Estimate(
        values=excess + level,
        covariance=covariance + posterior.noise_variance() * ends(evaluations),
        degrees_of_freedom=np.inf,
        efficiency_gap=float(posterior.credits.sum() - evaluations.grand),
        efficiency_gap_se=posterior.residual_error(here),
        surrogate=posterior,
    )


def ends(evaluations: Evaluations) -> float:
    """Variance of the level (v(N) - v(∅)) / n for noise of variance one."""
    return (1 / evaluations.empty_times + 1 / evaluations.grand_times) / evaluations.n_players**2


def condition(evaluations: Evaluations, evidence: Evidence) -> Posterior:
    """The process at the mode of its hyper-parameters, without wild rows where a few are, its intervals calibrated."""
    space = Space.of(evaluations.present, evaluations.sizes)
    mode = fit(space, evidence)
    posterior = Posterior(space, evidence, Hyperparameters.of(mode))
    if has_outliers(leave_one_out(posterior)[0]):
        wary = posterior
        for _ in range(ROUNDS):
            evidence = replace(evidence, trust=trusts(wary))
            mode = fit(space, evidence, mode)
            wary = Posterior(space, evidence, Hyperparameters.of(mode))
        if are_few(evidence.trust):
            posterior = wary
    posterior.widen(inflation(posterior))
    return posterior


def check_identified(evaluations: Evaluations) -> None:
    """UnidentifiedError where the coalitions, former players' among them, would not determine an additive game."""
    n = evaluations.n_players
    grand = evaluations.is_own & (evaluations.counts == n)
    rows = evaluations.coalitions[np.ix_((evaluations.counts > 0) & ~grand, evaluations.present)]
    different = len(np.unique(rows, axis=0))
    advice = f"it needs at least {min(2 * n, 2**n)} in complementary pairs, and {min(3 * n, 2**n)} for good intervals"
    for verb, alike in (("has", rows.all(axis=0)), ("lacks", ~rows.any(axis=0))):
        if alike.any():
            raise UnidentifiedError(
                f"gp would answer for {n} credits from its prior: each of {different} coalitions besides the empty and the "
                f"grand one {verb} player {int(np.flatnonzero(alike)[0])} (of {int(alike.sum())} such players); {advice}"
            )
    centred = rows - rows.mean(axis=1, keepdims=True)
    spectrum = np.linalg.eigvalsh(centred.T @ centred)
    if (told := int((spectrum > RANK_TOLERANCE * spectrum[-1]).sum())) < n - 1:
        raise UnidentifiedError(
            f"gp would answer for {n} credits from its prior: {different} coalitions besides the empty and the grand one "
            f"tell {told} of {n - 1} differences between players{_twins(rows)}; {advice}"
        )


def _twins(rows: Coalitions) -> str:
    """Names a group of players who are in the same coalitions throughout, if there is one."""
    _, group, size = np.unique(rows, axis=1, return_inverse=True, return_counts=True)
    if size.max() == 1:
        return ""
    alike = np.flatnonzero(group.ravel() == int(size.argmax()))
    return f" (players {', '.join(map(str, alike[:5]))} are always together)"
