"""Which coalitions to evaluate next, given all that are known: A-optimal picks under the Gaussian process.

For increments (somebody joins) and adaptive budgets. From a pool of candidates the one is taken that most lowers the summed
variance of the excess credits, then the pool is conditioned on it, then the next:

    gain_j = Σ_i C_ij² / (Var_j + σ_j²),    C = Cov(excess, f(pool))            (Chaloner & Verdinelli 1995, A-optimality)
    C ← C - C_j s_jᵀ / d_j,   S ← S - s_j s_jᵀ / d_j,   d_j = S_jj + σ_j²

Values are not needed inside a batch, for the posterior covariance does not depend on them: a whole batch can be evaluated in
parallel. Not for a first design: from scratch it is better on some games and worse on others (docs/estimators.md).
"""

from __future__ import annotations

import numpy as np

from .gp import Posterior, condition, gather
from .noise import MeasuredNoise
from .paired_design import propose_pairs
from .validate import Coalitions, Evaluations

POOL = 800  # candidates; more cost time and hardly gain


def pick_coalitions(
    evaluations: Evaluations, count: int, rng: np.random.Generator, noise: MeasuredNoise | None = None
) -> Coalitions:
    """Up to `count` proper coalitions of present players that are not known yet, best first: bool[k, n_players].

    Needs neither ∅ nor N among the evaluations, only rows that differ in value.
    """
    pool = candidates(evaluations, max(POOL, 2 * count), rng)
    whole = np.zeros((len(pool), len(evaluations.present)), dtype=bool)
    whole[:, evaluations.present] = pool
    posterior = condition(evaluations, gather(evaluations, noise))
    return pool[greedy(posterior, whole, min(count, len(pool)))]


def greedy(posterior: Posterior, pool: Coalitions, count: int) -> list[int]:
    """Positions in the pool, in the order in which they were picked."""
    told = posterior.candidates(pool)
    credits = told.credits - told.credits.mean(axis=0)  # of excess: v(∅) and the level are no reason to evaluate
    variance = np.maximum(np.diag(told.own), 0) + told.noise
    free = np.ones(len(pool), dtype=bool)
    learnt = np.zeros((count, len(pool)))  # a row each pick, s_j / √d_j: what it took off the pool's covariance
    picked: list[int] = []
    for pick in range(count):
        gain = np.where(free, (credits**2).sum(axis=0) / variance, -1.0)
        best = int(gain.argmax())
        picked.append(best)
        free[best] = False
        root = np.sqrt(variance[best])
        learnt[pick] = (told.own[best] - learnt[:pick, best] @ learnt[:pick]) / root
        credits = credits - np.outer(credits[:, best] / root, learnt[pick])
        variance = np.maximum(variance - learnt[pick] ** 2, told.noise)
    return picked


def candidates(evaluations: Evaluations, count: int, rng: np.random.Generator) -> Coalitions:
    """Distinct proper coalitions of the present players that are not known, about `count`: bool[k, n_players].

    Half as the default design would draw them, half of all sizes alike: small and large coalitions tell a newcomer's worth,
    middle ones everybody's.
    """
    n = evaluations.n_players
    known = np.unique(evaluations.proper()[0], axis=0)
    pairs = propose_pairs(n, count // 2, rng, known)
    sizes = rng.integers(1, n, size=count - len(pairs)) if n > 1 else np.zeros(0, dtype=np.int64)
    order = np.argsort(rng.random((len(sizes), n)), axis=1)
    spread = order < sizes[:, None]
    rows = np.unique(np.concatenate([pairs, spread]), axis=0)
    seen = {row.tobytes() for row in known}
    return rows[[row.tobytes() not in seen for row in rows]]
