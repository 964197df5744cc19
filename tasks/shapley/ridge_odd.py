"""Paired KernelSHAP with a free size curve and shrinkage toward the sizes: a point estimate for few evaluations.

Least squares on pairs is unbiased and, near as many pairs as players, useless: each credit carries the noise of a few
rows. Shrinking all of them toward what the sizes alone would say costs little where that is wrong, because how far to
shrink, and toward which power of the sizes, is itself read off the rows. One row a pair (S, N - S) of weight w:

    (v(S) - v(N-S)) / 2  =  (x_S - |S|/n) · φ  +  curve(|S|)  +  error,   variance σ² / w
    φ_i  =  n u_i z_i,     u ∝ size^gamma, Σ u = 1
    z_i  =  κ + τ · (a standard normal for each player),     κ normal with variance rho τ²

w: the Shapley kernel's mass of the size over the number of pairs of that size. curve: odd functions of the size, free;
they hold no difference between players (a symmetric game has equal credits), and with them v(∅) and v(N) drop out: both
enter the level alone, (v(N) - v(∅)) / n each. κ is the allocation by size; its scale is free, for v(N) - v(∅), the
obvious one, is anything where ∅ is an untrained network.

gamma, rho and λ = σ²/τ² are averaged over a grid by their marginal likelihood, which has a closed form in the singular
vectors of each gamma's rows. Prior: flat in gamma and log rho, half-Cauchy in √(1/λ) (Gelman 2006); σ² profiled.
Sources: Lundberg & Lee 2017 (kernel), Covert & Lee 2021 (pairs), OddSHAP, arXiv 2602.01399 (odd part),
MacKay 1992 (evidence). That it is no worse than the maximum of the evidence was measured at n = 12 … 20, m = 2n … 10n.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .estimate import Estimate
from .kernel import size_masses
from .least_squares import RANK_TOLERANCE, orthonormal
from .noise import MeasuredNoise
from .pairs import match_pairs
from .validate import Evaluations, Floats, UnidentifiedError, distinct

GAMMAS = (0.0, 0.25, 0.5, 0.75, 1.0)
LAMBDAS = np.logspace(-10, 4, 57)  # noise over signal, of the average row
RHOS = np.array([0.0, 1.0, 10.0, 1e2, 1e3, 1e4])
CURVES = ((4, 8), (2, 0), (1, 0))  # columns of the size curve, and the rows that must be left over to afford them
NEGLIGIBLE = 1e-9  # points of the grid that weigh less are left out
CONSTANT = 1e-12


@dataclass(frozen=True)
class Pairs:
    """One row a pair. coalitions: bool[p, n], one half of each; odd: float64[p]; weight: float64[p], mean one."""

    coalitions: np.ndarray
    odd: Floats
    weight: Floats


@dataclass(frozen=True)
class Posterior:
    """credits: float64[n], sums to zero. covariance: float64[n, n] of it. error: variance of a row of weight one."""

    credits: Floats
    covariance: Floats
    error: float


def ridge_odd(evaluations: Evaluations, noise: MeasuredNoise | None) -> Estimate:
    """Shrunk credits from complementary pairs; rows without their other half, or with former players, are not used.

    Coalitions that repeat are averaged first. The covariance is the ridge posterior's and takes the error for pure
    chance: it covers too little where interactions are strong, so trust the values and not the intervals. degrees: inf.
    The level's variance is 2 σ² / n², σ² the cautious variance of `noise`, or an upper estimate from the residuals.

    No excess and no spread where the values follow the size curve to rounding, constant ones included.
    UnidentifiedError where pairs are fewer than credits with the poorest curve, or never part two players: there the
    answer would be the prior's. No surrogate.
    """
    pairs = pair_up(evaluations)
    n = evaluations.n_players
    projected = project_curve(pairs)
    if projected is None:
        raise UnidentifiedError(
            f"ridge_odd cannot tell {n} credits apart from {len(pairs.odd)} complementary pairs; it needs at least {n} "
            f"that part all players, so plan for at least {min(3 * n, 2**n)} evaluations of the design `default`"
        )
    design, target, degrees = projected
    level = (evaluations.grand - evaluations.empty) / n
    scale = np.abs(evaluations.proper()[1]).max()
    if np.abs(target).max() <= CONSTANT * scale:
        of_ends = 2 * (noise.cautious_variance if noise else 0.0) / n**2
        return Estimate(np.full(n, level), np.full((n, n), of_ends), np.inf)
    powers = GAMMAS if evaluations.sizes is not None else (0.0,)
    sizes = evaluations.own().sizes
    allocations = [np.ones(n) if sizes is None else (sizes / sizes.max()) ** power for power in powers]
    posterior = average(design, target, degrees, [n * u / u.sum() for u in allocations])
    chance = noise.cautious_variance if noise else float(2 * posterior.error * (1 / pairs.weight).mean())
    return Estimate(posterior.credits + level, posterior.covariance + 2 * chance / n**2, np.inf)


def pair_up(evaluations: Evaluations) -> Pairs:
    """Pairs of the present players' game, repeats averaged, weighted by the kernel."""
    rows, values, _ = distinct(*evaluations.proper())
    first, second, _ = match_pairs(rows)
    n, size = evaluations.n_players, rows[first].sum(axis=1)
    smaller = np.minimum(size, n - size)
    masses = size_masses(n)
    mass = np.where(2 * smaller == n, masses[smaller], 2 * masses[smaller])  # a pair stands for both of its sizes
    weight = mass / np.bincount(smaller, minlength=n + 1)[smaller]
    return Pairs(rows[first], (values[first] - values[second]) / 2, weight / weight.mean() if len(weight) else weight)


def project_curve(pairs: Pairs) -> tuple[Floats, Floats, int] | None:
    """Weighted rows with the richest size curve taken out that leaves all credits told apart; None if none does.

    Returns (design float64[p, n], target float64[p], rows left after the curve).
    """
    p, n = pairs.coalitions.shape
    size = pairs.coalitions.sum(axis=1)
    root = np.sqrt(pairs.weight)
    rows = (pairs.coalitions - size[:, None] / n) * root[:, None]
    target = pairs.odd * root
    for columns, spare in CURVES:
        curve = orthonormal(odd_curve(size, n)[:, :columns] * root[:, None])
        degrees = p - curve.shape[1]
        if degrees < n - 1 + spare:
            continue
        left = rows - curve @ (curve.T @ rows)
        singular = np.linalg.svd(np.linalg.qr(left, mode="r"), compute_uv=False)
        if singular[n - 2] > RANK_TOLERANCE * np.linalg.norm(rows):  # n - 1 contrasts; equal credits are never seen
            return left, target - curve @ (curve.T @ target), degrees
    return None


def odd_curve(size: np.ndarray, n_players: int) -> Floats:
    """Odd functions of the size, |S| = s to n - s changes their sign: float64[rows, 4], the most needed first."""
    t = (2.0 * size - n_players) / n_players
    other = n_players - size
    return np.stack([t, t**3, np.log(size / other), 1 / other - 1 / size], axis=1)


@dataclass(frozen=True)
class Power:
    """The rows under one allocation u, in the singular vectors of design · n u, and the grid's evidence there.

    scale: float64[n], n u. vectors: float64[n, n], columns right singular. singular, along: float64[n], singular values
    and the target's coordinates. flat: float64[n], coordinates of (1, …, 1). lambdas: float64[L].
    log_evidence, kappa, kappa_spread, error: float64[R, L] over rho and λ; the mean of κ, its variance over σ², and σ².
    """

    scale: Floats
    vectors: Floats
    singular: Floats
    along: Floats
    flat: Floats
    lambdas: Floats
    log_evidence: Floats
    kappa: Floats
    kappa_spread: Floats
    error: Floats

    @staticmethod
    def of(scale: Floats, triangle: Floats, rotated: Floats, rest: float, degrees: int) -> Power:
        """triangle, rotated: R and Qᵀ target of the design's QR; rest: the target's squares that no credits explain.

        Marginally the target is normal with covariance σ² (I + B Bᵀ / λ + rho B 1 1ᵀ Bᵀ / λ), B = design · n u: diagonal
        in B's singular vectors but for the last term, which is of rank one (Sherman-Morrison).
        """
        left, singular, right = np.linalg.svd(triangle * scale)
        along, flat = left.T @ rotated, right.sum(axis=1)
        lambdas = LAMBDAS * (singular**2).sum() / degrees
        spread = 1 + singular[:, None] ** 2 / lambdas  # [n, L], variances over σ² without κ
        by_kappa = singular * flat  # B 1
        alone = (along[:, None] ** 2 / spread).sum(axis=0) + rest
        inner = (by_kappa[:, None] ** 2 / spread).sum(axis=0)
        cross = ((by_kappa * along)[:, None] / spread).sum(axis=0)
        prior = RHOS[:, None] / lambdas  # [R, L], variance of κ over σ²
        squares = np.maximum(alone - prior * cross**2 / (1 + prior * inner), np.finfo(float).tiny)
        determinant = np.log(spread).sum(axis=0) + np.log1p(prior * inner)
        half_cauchy = 0.5 * np.log(LAMBDAS) - np.log1p(LAMBDAS)  # of λ^-1/2, as a density of log λ
        return Power(
            scale=scale,
            vectors=right.T,
            singular=singular,
            along=along,
            flat=flat,
            lambdas=lambdas,
            log_evidence=-0.5 * (degrees * np.log(squares) + determinant) + half_cauchy,
            kappa=prior * cross / (1 + prior * inner),
            kappa_spread=prior / (1 + prior * inner),
            error=squares / degrees,
        )

    def moments(self, weight: Floats, centre: Floats | None) -> Floats:
        """Weighted sum over the grid (weight float64[R, L]) of the credits, float64[n]; with a centre (float64[n], the
        mean over all powers), of the credits' covariance and squared distance to it, float64[n, n]."""
        rho, at = np.nonzero(weight > NEGLIGIBLE)
        share, kappa = weight[rho, at], self.kappa[rho, at]
        lambdas = self.lambdas[at]
        shrink = self.singular[:, None] / (self.singular[:, None] ** 2 + lambdas)
        response = self.flat[:, None] - shrink * (self.singular * self.flat)[:, None]  # of z to κ
        means = shrink * self.along[:, None] + response * kappa  # z in singular vectors, one column a point
        if centre is None:
            return np.asarray(self.scale * (self.vectors @ (means @ share)))
        apart = means - (self.vectors.T @ (centre / self.scale))[:, None]
        chance = share * self.error[rho, at]
        inner = (apart * share) @ apart.T + (response * (chance * self.kappa_spread[rho, at])) @ response.T
        inner[np.diag_indices_from(inner)] += (1 / (self.singular[:, None] ** 2 + lambdas)) @ chance
        outer = self.scale[:, None] * self.vectors
        return np.asarray(outer @ inner @ outer.T)


def average(design: Floats, target: Floats, degrees: int, scales: Iterable[Floats]) -> Posterior:
    """Credits averaged over gamma (each a scale n u), rho and λ by evidence; see `project_curve` for the arguments."""
    basis, triangle = np.linalg.qr(design)
    rotated = basis.T @ target
    rest = target - basis @ rotated
    powers = [Power.of(scale, triangle, rotated, float(rest @ rest), degrees) for scale in scales]
    top = max(power.log_evidence.max() for power in powers)
    weights = [np.exp(power.log_evidence - top) for power in powers]
    total = sum(weight.sum() for weight in weights)
    weights = [weight / total for weight in weights]
    mean = np.sum([power.moments(weight, None) for power, weight in zip(powers, weights, strict=True)], axis=0)
    mean = mean - mean.mean()
    covariance = np.sum([power.moments(weight, mean) for power, weight in zip(powers, weights, strict=True)], axis=0)
    rows = covariance - covariance.mean(axis=0)
    error = sum(float((weight * power.error).sum()) for power, weight in zip(powers, weights, strict=True))
    return Posterior(mean, rows - rows.mean(axis=1, keepdims=True), error)
