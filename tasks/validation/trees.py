"""Gradient-boosted regression trees on coalitions, and their exact Shapley values.

Features are binary (a contributor is in or not), so a split needs no threshold and a leaf is a conjunction: all of P are in
and none of A is. The whole ensemble is a sum of such leaves,

    f(S) = base + Σ_leaves w [P ⊆ S] [A ∩ S = ∅]

               c2?                  leaf   P      A      w
           no /   \\ yes             0      –      2      w0
            w0    c0?       ─▶      1      2      0      w1
               no /  \\ yes          2      0 2    –      w2
               w1     w2

and by linearity so is its Shapley value. One leaf's: let all contributors come in a random order. Only those of P ∪ A
matter, p = |P| and a = |A|. Who of P comes switches the leaf on iff the rest of P is there and nobody of A is: of the
(p + a)! orders those with P's others first, i, then A: (p - 1)! a! of them. Who of A comes switches it off iff all of P
and nobody else of A is there: p! (a - 1)! orders. So

    φ_i = w (p - 1)! a! / (p + a)!  for i in P,     φ_i = - w p! (a - 1)! / (p + a)!  for i in A,     else 0.

With A empty it is the unanimity game's w / p. What trees give in general needs an enumeration over the features of each
(interventional TreeSHAP, Lundberg et al. 2020, with nobody as baseline); here it is this closed form.

Boosting: Friedman 2001 with squared error, second-order leaf weights with an L2 penalty (Chen & Guestrin 2016).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from tasks.shapley.one_thread import one_thread
from tasks.shapley.validate import Coalitions

from .checks import Floats, check_whole


@dataclass(frozen=True)
class Leaf:
    """weight: what it adds where all of `present` are in and none of `absent` is; both are columns."""

    present: tuple[int, ...]
    absent: tuple[int, ...]
    weight: float


@dataclass(frozen=True)
class Ensemble:
    """base + sum of leaves, on n contributors. present, absent: bool[leaves, n]; weights: float64[leaves]."""

    base: float
    present: NDArray[np.bool_]
    absent: NDArray[np.bool_]
    weights: Floats

    @classmethod
    def of(cls, base: float, leaves: list[Leaf], n_contributors: int) -> Ensemble:
        """From single leaves."""
        present, absent = np.zeros((2, len(leaves), n_contributors), dtype=bool)
        for row, leaf in enumerate(leaves):
            present[row, list(leaf.present)] = True
            absent[row, list(leaf.absent)] = True
        return cls(base, present, absent, np.array([leaf.weight for leaf in leaves], dtype=np.float64))

    def predict(self, coalitions: Coalitions) -> Floats:
        """f(S) of bool[m, n]: float64[m]."""
        inside = coalitions.astype(np.float64)
        # Broken literals of every leaf: those of P that are out and those of A that are in.
        broken = (1 - inside) @ self.present.T.astype(np.float64) + inside @ self.absent.T.astype(np.float64)
        return self.base + (broken < 0.5) @ self.weights

    def shapley(self) -> Floats:
        """Exact Shapley values of f: float64[n], sums to f(N) - f(∅)."""
        p, a = self.present.sum(axis=1).astype(np.float64), self.absent.sum(axis=1).astype(np.float64)
        # (p - 1)! a! / (p + a)! = B(p, a + 1) and p! (a - 1)! / (p + a)! = B(p + 1, a); each only where p or a is there.
        switches_on = np.where(p > 0, np.exp(betaln(np.maximum(p, 1), a + 1)), 0) * self.weights
        switches_off = np.where(a > 0, np.exp(betaln(p + 1, np.maximum(a, 1))), 0) * self.weights
        return np.asarray(switches_on @ self.present - switches_off @ self.absent)


@one_thread()
def boost(
    coalitions: Coalitions,
    values: Floats,
    *,
    trees: int = 100,
    depth: int = 3,
    rate: float = 0.1,
    penalty: float = 1.0,
    fewest: int = 1,
) -> Ensemble:
    """Fit v(S) from membership: coalitions bool[m, n], values float64[m], m >= 1.

    trees: how many; depth: splits on the way to a leaf at most, so interactions of up to so many contributors; rate: share
    of each tree that is used; penalty: λ on leaf weights, in rows; fewest: rows a leaf must hold. Nothing is drawn at
    random; of equally good splits the first column's is taken.
    """
    check_whole(trees, 0, "trees")
    check_whole(depth, 1, "depth")
    check_whole(fewest, 1, "fewest rows of a leaf")
    if not 0 < rate <= 1 or not penalty >= 0:
        raise ValueError(f"rate must lie in (0, 1] and penalty must not be negative, not {rate} and {penalty}")
    base = float(values.mean())
    inside = coalitions.astype(np.float64)
    left = values - base
    leaves: list[Leaf] = []
    for _ in range(trees):
        for rows, leaf in _grow(inside, left, depth, penalty, fewest):
            shrunk = Leaf(leaf.present, leaf.absent, rate * leaf.weight)
            left[rows] -= shrunk.weight
            leaves.append(shrunk)
    return Ensemble.of(base, leaves, coalitions.shape[1])


def _grow(
    inside: Floats, target: Floats, depth: int, penalty: float, fewest: int
) -> list[tuple[NDArray[np.int64], Leaf]]:
    """One tree: (rows that fall into the leaf, leaf), for each leaf."""
    grown = []
    nodes = [(np.arange(len(target)), Leaf((), (), 0.0))]
    while nodes:
        rows, node = nodes.pop()
        split = _best_split(inside[rows], target[rows], penalty, fewest)
        if len(node.present) + len(node.absent) == depth or split is None:
            weight = float(target[rows].sum() / (len(rows) + penalty))
            grown.append((rows, Leaf(node.present, node.absent, weight)))
            continue
        has = inside[rows, split] > 0
        nodes.append((rows[~has], Leaf(node.present, (*node.absent, split), 0.0)))
        nodes.append((rows[has], Leaf((*node.present, split), node.absent, 0.0)))
    return grown


def _best_split(inside: Floats, target: Floats, penalty: float, fewest: int) -> int | None:
    """Column whose split lowers the penalised squared error most; None where none does."""
    count, total = inside.sum(axis=0), float(target.sum())
    with_it = target @ inside
    rest, without = len(target) - count, total - with_it
    allowed = (count >= fewest) & (rest >= fewest)
    before = total**2 / (len(target) + penalty)
    gain = np.full(len(count), -np.inf)
    after = with_it**2 / (np.maximum(count, 1) + penalty) + without**2 / (np.maximum(rest, 1) + penalty)
    gain[allowed] = after[allowed] - before
    best = int(gain.argmax())
    # A gain that is rounding of the sums would split on noise of the last bits.
    return best if gain[best] > 1e-12 * float(target @ target) else None
