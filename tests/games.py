"""Games whose Shapley values are known exactly: what estimators are held against.

Closed forms where there are any (Owen's integral is a polynomial's, so Gauss-Legendre gives it exactly); a full table
otherwise. Sizes follow a power law and quality is independent of them, so that size predicts credit only in part, as
with real contributors. Written apart from tasks.shapley, so that a mistake there is not repeated here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
    bytes_of = np.arange(2**n_players, dtype="<u4").view(np.uint8).reshape(-1, 4)
    return np.unpackbits(bytes_of, axis=1, count=n_players, bitorder="little").view(np.bool_)


def row_numbers(coalitions: Coalitions) -> NDArray[np.int64]:
    """Where each coalition stands in `all_coalitions`."""
    return coalitions @ (1 << np.arange(coalitions.shape[1]))


def owen_nodes(n_players: int) -> list[tuple[float, float]]:
    """(t, weight) of a Gauss-Legendre rule on [0, 1], exact for the polynomials of degree n - 1 that Owen's integral has.

    An even number of nodes: t = 1/2, where a factor 1 - t + t e^{iω} can vanish, is never among them.
    """
    nodes, weights = np.polynomial.legendre.leggauss(2 * (n_players // 4 + 2))
    return [(float(t + 1) / 2, float(weight) / 2) for t, weight in zip(nodes, weights, strict=True)]


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
    left = np.exp(-exposure)
    credits = np.zeros(n_players)
    for t, weight in owen_nodes(n_players):
        factor = 1 - t + t * left
        credits += weight * ((1 - left) / factor * factor.prod(axis=0)) @ classes
    return Game(name, lambda rows: (1 - np.exp(-(rows @ exposure))) @ classes, credits, exposure.sum(axis=1))


def table(values: Floats, name: str = "table") -> Game:
    """Any game by its 2^n values; φ_i = Σ_S (v(S + i) - v(S)) / (n C(n-1, |S|)), player by player."""
    n_players = int(np.log2(len(values)))
    rows = all_coalitions(n_players)
    size = rows.sum(axis=1)
    credits = np.zeros(n_players)
    by_size = np.array([1 / (n_players * comb(n_players - 1, s)) for s in range(n_players)])
    for player in range(n_players):
        without = np.flatnonzero(~rows[:, player])
        credits[player] = by_size[size[without]] @ (values[without + 2**player] - values[without])
    return Game(name, lambda asked: values[row_numbers(asked)], credits, np.ones(n_players))


def random_table(n_players: int, seed: int) -> Game:
    """Every coalition's value drawn by itself: nothing to exploit."""
    return table(np.random.default_rng(seed).standard_normal(2**n_players), "random table")


def pooled_entropy(labels: Floats) -> Game:
    """Entropy of the pooled labels, labels: float64[n, c] counts; v(∅) = 0. By its table, so n <= 20."""
    rows = all_coalitions(len(labels)).astype(np.float64)
    total = np.maximum(rows @ labels.sum(axis=1), 1e-300)
    entropy = np.zeros(len(rows))
    for column in labels.T:
        share = rows @ column / total
        entropy -= share * np.log2(share, where=share > 0, out=np.zeros(len(rows)))
    game = table(entropy, "pooled entropy")
    return Game(game.name, game.value, game.credits, labels.sum(axis=1))


def of_amount(units: NDArray[np.int64], curve: Floats, name: str = "of amount") -> Game:
    """v(S) = curve[Σ_{i∈S} units_i]: any function of the pooled amount, exact at any n.

    units: int64[n] >= 1; curve: float64[Σ units + 1]. With the discrete Fourier transform of the curve, L its length,
    curve[a] = 1/L Σ_k c_k e_k^a with e_k = exp(2πik/L), every term is a product over players and Owen's integral is

        φ_i = 1/L Σ_k c_k ∫ (e_k^{u_i} - 1) Π_{d≠i} (1 - t + t e_k^{u_d}) dt
    """
    n_players, length = len(units), len(curve)
    frequency = np.arange(length // 2 + 1)
    wave = np.exp(2j * np.pi * (np.outer(units, frequency) % length) / length)
    both = np.where((frequency == 0) | (2 * frequency == length), 1.0, 2.0)  # the curve is real: c_k and c_L-k together
    coefficient = both * np.fft.rfft(curve) / length
    credits = np.zeros(n_players)
    for t, weight in owen_nodes(n_players):
        factor = 1 - t + t * wave
        credits += weight * (((wave - 1) / factor * factor.prod(axis=0)) @ coefficient).real
    return Game(name, lambda rows: curve[rows @ units], credits, units.astype(np.float64))


def thresholded(weights: Floats) -> Game:
    """A steep rise once 40 % of the data are there: strong interactions of all orders. Weights to 1 / 2,000 of all."""
    units = np.maximum(np.rint(2000 * weights / weights.sum()), 1).astype(np.int64)
    amount = np.arange(units.sum() + 1) / units.sum()
    return replace(of_amount(units, 1 / (1 + np.exp(-8 * (amount - 0.4))), "thresholded"), sizes=weights)


def signed(weights: Floats) -> Game:
    """Saturating, and some contributors harm: v(S) = 1 - exp(-Σ w_i) with weights of both signs."""
    return replace(class_coverage(weights[:, None], np.ones(1), "signed"), sizes=np.abs(weights))


def nearest(quality: Floats, classes: Floats) -> Game:
    """Each class is served by the best who is there: v(S) = Σ_c π_c max_{i∈S} q_ic, q: float64[n, c] >= 0, v(∅) = 0.

    By class, players in order of quality share each step up among all who are at least as good (the airport game,
    Littlechild & Owen 1973).
    """
    n_players = len(quality)
    credits = np.zeros(n_players)
    for share, column in zip(classes, quality.T, strict=True):
        order = np.argsort(column)
        steps = np.diff(column[order], prepend=0.0) / np.arange(n_players, 0, -1)
        credits[order] += share * np.cumsum(steps)

    def value(rows: Coalitions) -> Floats:
        return np.stack([(rows * column).max(axis=1) for column in quality.T], axis=1) @ classes

    return Game("nearest", value, credits, quality.sum(axis=1))


def pairwise(interactions: Floats) -> Game:
    """v(S) = Σ_{i,j∈S} P_ij; each interaction is shared by its two players equally."""
    credits = (interactions.sum(axis=0) + interactions.sum(axis=1)) / 2
    return Game(
        "pairwise",
        lambda rows: np.asarray(((rows @ interactions) * rows).sum(axis=1), dtype=np.float64),
        credits,
        np.ones(len(credits)),
    )


def mixture(parts: Sequence[tuple[float, Game]]) -> Game:
    """Σ share · game: credits are linear in the game."""
    return Game(
        "mixture",
        lambda rows: np.sum([share * game.value(rows) for share, game in parts], axis=0),
        np.sum([share * game.credits for share, game in parts], axis=0),
        parts[0][1].sizes,
    )


NAMED = ("additive", "saturating", "class coverage", "pooled entropy", "thresholded")
OTHERS = ("signed", "nearest", "mixture")  # kinds no estimator here was built on
LARGEST = {"pooled entropy": 20, "random table": 12}  # kinds that need the full table


def build(kind: str, n_players: int, seed: int) -> Game:
    """A game of one kind on players with Zipf-like sizes and log-normal quality, independent of the sizes."""
    if n_players > LARGEST.get(kind, n_players):
        raise ValueError(f"{kind} needs the full table, so at most {LARGEST[kind]} players, not {n_players}")
    rng = np.random.default_rng(seed)
    sizes = rng.permutation(1 / np.arange(1, n_players + 1) ** 0.7)
    worth = sizes * np.exp(0.5 * rng.standard_normal(n_players))
    worth /= worth.sum()
    classes = rng.dirichlet(np.full(6, 3.0))
    labels = rng.dirichlet(np.full(6, 0.4), n_players) * sizes[:, None]
    exposure = 36 * labels / sizes.sum()
    if kind == "additive":
        game = additive(worth)
    elif kind == "saturating":
        game = saturating(3 * worth)
    elif kind == "class coverage":
        game = class_coverage(exposure, classes)
    elif kind == "pooled entropy":
        game = pooled_entropy(labels)
    elif kind == "thresholded":
        game = thresholded(worth)
    elif kind == "signed":
        game = signed(4 * worth * np.where(rng.random(n_players) < 0.25, -1, 1))
    elif kind == "nearest":
        game = nearest(1 - np.exp(-labels * np.exp(0.5 * rng.standard_normal(n_players))[:, None]), classes)
    elif kind == "mixture":
        met = rng.random((n_players, n_players)) < 3 / n_players
        pairs = pairwise(rng.standard_normal((n_players, n_players)) * met / n_players)
        game = mixture([(0.5, class_coverage(exposure, classes)), (0.3, thresholded(worth)), (0.2, pairs)])
    elif kind == "random table":
        game = random_table(n_players, seed)
    else:
        raise ValueError(f"unknown kind of game {kind!r}; there are: {', '.join([*NAMED, *OTHERS, 'random table'])}")
    return replace(game, sizes=sizes)


def family(n_players: int, seed: int) -> list[Game]:
    """The five named kinds on the same players (n <= 20)."""
    return [build(kind, n_players, seed) for kind in NAMED]
