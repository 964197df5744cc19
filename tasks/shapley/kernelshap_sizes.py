"""KernelSHAP with a free curve over coalition sizes: our least-squares estimator.

Why: v(∅) lies far below every fine-tuned model and v saturates in |S|. The paper's estimator forces a line through
v(∅) and carries that curve as error. A curve of |S| alone is a symmetric game: it holds no difference between players.
So it is fitted freely and thrown away, and neither v(∅) nor v(N) is asked for anything but the level:

    credit_i = excess_i + (v(N) - v(∅)) / n        excess from rows 0 < |S| < n only

Rows become independent ones first. Complementary rows share every even-order interaction, which a Shapley value does
not contain, so a pair is rotated into

    odd   (v(S) - v(N-S)) / √2   centred row (x_S - x_N-S) / √2   all of the pair's information
    even  (v(S) + v(N-S)) / √2   zero                             tells the size curve, and how large the even part is

and a row whose other half failed or was never asked stays as it is, trusted less by as much as the even part is
larger than the odd. How much narrower the intervals get, and whether they cover: tests/shapley/coverage.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from .estimate import Estimate
from .kernel import contrast_basis, size_masses
from .least_squares import RANK_TOLERANCE, Fit, orthonormal, pooled_variances, solve
from .noise import MeasuredNoise
from .pairs import match_pairs
from .surrogates import SizeSurrogate, residual_sd
from .validate import Coalitions, Evaluations, Floats, UnidentifiedError, distinct, is_constant

PRIOR_DEGREES = 6.0  # weight of all sizes' error variance against a size's own
EVEN_PRIOR_DEGREES = 2.0  # weight of 'a row alone is worth half a pair' while few pairs tell otherwise
# Size curves by richness, and the residual degrees of freedom below which the next poorer one is taken: measured at
# n = 10 and 14, a curve that leaves fewer costs more than it saves. Up to 8 players the rich one is every curve.
CURVES = (("rich", 8.0), ("middle", 5.0), ("line", 0.0))


@dataclass(frozen=True)
class Rows:
    """Independent rows, odd, even and single ones below each other.

    coalition: float64[rows, n], centred (zero for even rows). size, other: int64[rows], |S| and n - |S|; sign: +1 even,
    -1 odd, 0 single: how `other` enters. target, weight: float64[rows]. drawn: float64[rows], the share of all
    coalitions of the size that was evaluated. trust: float64[rows], error variance of an odd row over this row's.
    """

    coalition: Floats
    size: NDArray[np.int64]
    other: NDArray[np.int64]
    sign: NDArray[np.int64]
    target: Floats
    weight: Floats
    drawn: Floats
    trust: Floats

    @property
    def n_players(self) -> int:
        return int(self.coalition.shape[1])

    def curve(self, richness: str) -> Floats:
        """Columns of the size curve, rotated as the rows are: float64[rows, columns]."""
        own, other = (curve_columns(size, self.n_players, richness) for size in (self.size, self.other))
        mixed = (own + self.sign[:, None] * other) / math.sqrt(2)
        return np.where(self.sign[:, None] == 0, own, mixed)


def kernelshap_sizes(evaluations: Evaluations, noise: MeasuredNoise | None) -> Estimate:
    """Credits from any archive of distinct rows, paired or not; a coalition that repeats enters once, by its mean.

    Weight of a row: kernel mass of its size / number of rows of its size. Covariance: of the weighted fit, with one
    error variance a pair of sizes (shrunk toward the common one) and t quantiles at the residual degrees of freedom;
    coverage measured in tests/shapley/coverage.py. The residuals hold both the noise and what sampling coalitions
    leaves open. Given `noise`, the second part shrinks with the share of coalitions that were evaluated, down to none for
    a complete table. The level's variance is 2 σ² / n², from v(N) and v(∅); σ² is the cautious variance of `noise`, or
    without it taken from the residuals, an upper estimate. Rows with former players are not used.

    Where all values agree, credits are equal shares with no spread. UnidentifiedError where rows are too few.
    """
    coalitions, values = evaluations.proper()
    coalitions, values, _ = distinct(coalitions, values)
    n = evaluations.n_players
    level = (evaluations.grand - evaluations.empty) / n
    middle = values.mean() if len(values) else 0.0
    constant = is_constant(values)
    values = np.zeros(len(values)) if constant else values - middle

    rows = independent_rows(coalitions, values)
    found = fit_richest(rows)
    if found is None:
        raise UnidentifiedError(
            f"kernelshap_sizes cannot tell {n} credits apart from {len(coalitions)} different evaluations besides the "
            f"empty and the grand one; plan for at least {min(3 * n, 2**n)}"
            f" (in complementary pairs {min(2 * n + 2, 2**n)} are the least)"
        )
    fit, richness = found
    informative = rows.sign <= 0
    degrees = float(fit.slack[informative].sum())
    if fit.residual_degrees < 1 or degrees < 0.5:
        return Estimate(fit.contrasts + level, np.full((n, n), np.nan), 0.0)
    groups = np.minimum(rows.size, n - rows.size) + n * (1 + rows.sign)
    variances = pooled_variances(fit, groups, informative, PRIOR_DEGREES)
    if noise is None:
        chance = float((fit.residuals[informative] ** 2 / rows.weight[informative]).sum() / degrees)
    else:
        chance = noise.cautious_variance
        floor = chance * rows.trust
        variances = np.maximum(variances - floor, 0) * (1 - rows.drawn) + floor
    covariance = (fit.influence.T * (variances * rows.weight)) @ fit.influence
    by_size = np.array([evaluations.empty, *(middle + fitted_curve(rows, fit, richness)), evaluations.grand])
    size = coalitions.sum(axis=1)
    residuals = values + middle - by_size[size] - (coalitions - size[:, None] / n) @ fit.contrasts
    rest = np.full(n + 1, residual_sd(residuals, fit.hat.shape[1]))
    rest[[0, n]] = math.sqrt(chance)
    surrogate = SizeSurrogate(evaluations.present, by_size, fit.contrasts, covariance, rest)
    return Estimate(fit.contrasts + level, covariance + 2 * chance / n**2, degrees, surrogate=surrogate)


def independent_rows(coalitions: Coalitions, values: Floats) -> Rows:
    """Rotate pairs into odd and even rows; coalitions distinct and proper bool[m, n], values float64[m]."""
    n = coalitions.shape[1]
    size = coalitions.sum(axis=1)
    number = np.bincount(size, minlength=n + 1)
    weight = size_masses(n)[size] / number[size]
    weight = weight / weight.mean() if len(weight) else weight
    drawn = number[size] * np.exp(gammaln(size + 1.0) + gammaln(n - size + 1.0) - gammaln(n + 1.0))
    centred = coalitions - size[:, None] / n

    first, second, single = match_pairs(coalitions)
    pairs, root = len(first), math.sqrt(2)

    # A row and its complement weigh the same, so that odd and even stay independent.
    pair_weight = (weight[first] + weight[second]) / 2
    rows = Rows(
        coalition=np.concatenate([(centred[first] - centred[second]) / root, np.zeros((pairs, n)), centred[single]]),
        size=np.concatenate([size[first], size[first], size[single]]),
        other=n - np.concatenate([size[first], size[first], size[single]]),
        sign=np.repeat(np.array([-1, 1, 0]), [pairs, pairs, len(single)]),
        target=np.concatenate(
            [(values[first] - values[second]) / root, (values[first] + values[second]) / root, values[single]]
        ),
        weight=np.concatenate([pair_weight, pair_weight, weight[single]]),
        drawn=np.concatenate([drawn[first], drawn[first], drawn[single]]),
        trust=np.ones(2 * pairs + len(single)),
    )
    ratio = odd_over_even(rows)
    trust = np.select([rows.sign < 0, rows.sign > 0], [1.0, ratio], 2 * ratio / (1 + ratio))
    return Rows(**{**rows.__dict__, "trust": trust, "weight": rows.weight * trust})


def odd_over_even(rows: Rows) -> float:
    """Error variance of odd rows over that of even ones, at most 1 (noise alone); 1 where pairs are too few to tell."""
    odd, even = rows.sign < 0, rows.sign > 0
    curve = rows.curve("middle")
    design = np.concatenate([rows.coalition[odd], curve[odd]], axis=1)
    odd_rest, odd_degrees = _rest(design, rows.target[odd])
    even_rest, even_degrees = _rest(curve[even], rows.target[even])
    if even_degrees < 1 or even_rest <= 0:
        return 1.0
    even_variance = even_rest / even_degrees
    odd_variance = (odd_rest + EVEN_PRIOR_DEGREES * even_variance) / (odd_degrees + EVEN_PRIOR_DEGREES)
    return min(1.0, odd_variance / even_variance)


def _rest(design: Floats, target: Floats) -> tuple[float, int]:
    """(sum of squared residuals, rows minus rank)."""
    basis = orthonormal(design)
    rest = target - basis @ (basis.T @ target)
    return float(rest @ rest), len(target) - basis.shape[1]


def fit_richest(rows: Rows) -> tuple[Fit, str] | None:
    """Fit with the richest size curve that the rows can afford, and which; None where not even a line identifies the
    credits."""
    design = rows.coalition @ contrast_basis(rows.n_players)
    informative = rows.sign <= 0
    for richness, least in CURVES:
        fit = solve(design, rows.target, rows.weight, rows.curve(richness))
        if fit is not None and fit.slack[informative].sum() >= least:
            return fit, richness
    return None


def fitted_curve(rows: Rows, fit: Fit, richness: str) -> Floats:
    """The size curve that the fit threw away, at sizes 1 … n-1: float64[n-1], NaN where the rows do not determine it."""
    root = np.sqrt(rows.weight)
    left, singular, right = np.linalg.svd(rows.curve(richness) * root[:, None], full_matrices=False)
    seen = singular > RANK_TOLERANCE * singular[0]
    coordinates = left[:, seen].T @ ((rows.target - rows.coalition @ fit.contrasts) * root) / singular[seen]
    columns = curve_columns(np.arange(1, rows.n_players), rows.n_players, richness)
    inside = columns @ right[seen].T
    unseen = np.linalg.norm(columns - inside @ right[seen], axis=1) > 1e-6 * np.linalg.norm(columns, axis=1)
    return np.where(unseen, np.nan, inside @ coordinates)


def curve_columns(size: NDArray[np.int64], n_players: int, richness: str) -> Floats:
    """Functions of |S| for 0 < |S| < n: float64[rows, 2, 4 or 7]. Saturating and steep ends are what models show."""
    t = (2.0 * size - n_players) / n_players
    columns = [np.ones(len(size)), t]
    if richness != "line":
        columns += [1 / size, 1 / (n_players - size)]
    if richness == "rich":
        columns += [t**2, t**3, np.log(size / (n_players - size))]
    return np.stack(columns, axis=1)
