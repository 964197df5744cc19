"""Games whose Shapley values are known exactly: what estimators are held against.

Closed forms where there are any (Owen's integral is a polynomial's, so Gauss-Legendre gives it exactly); a full table
otherwise. Sizes follow a power law and quality is independent of them, so that size predicts credit only in part, as
with real contributors. Written apart from tasks.shapley, so that a mistake there is not repeated here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Coalitions = NDArray[np.bool_]


@dataclass(frozen=True)
class Game:
    """value: bool[m, n] -> float64[m]. credits: float64[n], exact. sizes: float64[n], images of each player."""

    name: str
    value: Callable[[Coalitions], Floats]
    credits: Floats
    sizes: Floats

    @property
    def n_players(self) -> int:
        return len(self.credits)

    @property
    def excess(self) -> Floats:
        return self.credits - self.credits.mean()


def all_coalitions(n_players: int) -> Coalitions:
    """bool[2^n, n]; row number = Σ 2^i [i ∈ S]."""
    return (np.arange(2**n_players)[:, None] >> np.arange(n_players) & 1).astype(bool)


def row_numbers(coalitions: Coalitions) -> NDArray[np.int64]:
    """Where each coalition stands in `all_coalitions`."""
    return coalitions @ (1 << np.arange(coalitions.shape[1]))


def additive(weights: Floats) -> Game:
    """v(S) = Σ w_i; the credit is the weight."""
    return Game("additive", lambda rows: rows @ weights, weights, weights)


def saturating(weights: Floats) -> Game:
    """v(S) = 1 - exp(-Σ w_i), by Owen's integral."""
    return class_coverage(weights[:, None], np.ones(1), name="saturating")


def class_coverage(exposure: Floats, classes: Floats, name: str = "class coverage") -> Game:
    """v(S) = Σ_c π_c (1 - exp(-Σ_i A_ic)); exposure A: float64[n, c], classes π: float64[c].

    φ_i = Σ_c π_c ∫ (1 - e^{-A_ic}) Π_{d≠i} (1 - t + t e^{-A_dc}) dt  (Owen 1972).
    """
    n_players = len(exposure)
    nodes, node_weights = np.polynomial.legendre.leggauss(n_players // 2 + 2)
    left = np.exp(-exposure)
    credits = np.zeros(n_players)
    for t, weight in zip((nodes + 1) / 2, node_weights / 2, strict=True):
        factor = 1 - t + t * left
        credits += weight * ((1 - left) / factor * factor.prod(axis=0)) @ classes
    return Game(name, lambda rows: (1 - np.exp(-(rows @ exposure))) @ classes, credits, exposure.sum(axis=1))


def table(values: Floats, name: str = "table") -> Game:
    """Any game by its 2^n values; φ_i = Σ_S (v(S + i) - v(S)) / (n C(n-1, |S|)), player by player."""
    n_players = int(np.log2(len(values)))
    rows = all_coalitions(n_players)
    size = rows.sum(axis=1)
    credits = np.zeros(n_players)
    for player in range(n_players):
        without = np.flatnonzero(~rows[:, player])
        weights = np.array([1 / (n_players * comb(n_players - 1, int(s))) for s in size[without]])
        credits[player] = weights @ (values[without + 2**player] - values[without])
    return Game(name, lambda asked: values[row_numbers(asked)], credits, np.ones(n_players))


def random_table(n_players: int, seed: int) -> Game:
    """Every coalition's value drawn by itself: nothing to exploit."""
    return table(np.random.default_rng(seed).standard_normal(2**n_players), "random table")


def pooled_entropy(labels: Floats) -> Game:
    """Entropy of the pooled labels, labels: float64[n, c] counts; v(∅) = 0. By its table, so n <= 20."""
    rows = all_coalitions(len(labels))
    pooled = rows @ labels
    share = pooled / np.maximum(pooled.sum(axis=1, keepdims=True), 1e-300)
    entropy = -(share * np.log2(np.where(share > 0, share, 1))).sum(axis=1)
    game = table(entropy, "pooled entropy")
    return Game(game.name, game.value, game.credits, labels.sum(axis=1))


def thresholded(weights: Floats) -> Game:
    """A steep rise once enough data are there: strong interactions of all orders. By its table, so n <= 20."""
    pooled = all_coalitions(len(weights)) @ (weights / weights.sum())
    game = table(1 / (1 + np.exp(-8 * (pooled - 0.4))), "thresholded")
    return Game(game.name, game.value, game.credits, weights)


def family(n_players: int, seed: int) -> list[Game]:
    """Five kinds of game on players with Zipf-like sizes and log-normal quality."""
    rng = np.random.default_rng(seed)
    sizes = rng.permutation(1 / np.arange(1, n_players + 1) ** 0.7)
    worth = sizes * np.exp(0.5 * rng.standard_normal(n_players))
    worth /= worth.sum()
    classes = rng.dirichlet(np.full(6, 3.0))
    labels = rng.dirichlet(np.full(6, 0.4), n_players) * sizes[:, None]
    return [
        additive(worth),
        saturating(3 * worth),
        class_coverage(12 * labels / sizes.sum() * 3, classes),
        pooled_entropy(labels),
        thresholded(worth),
    ]
