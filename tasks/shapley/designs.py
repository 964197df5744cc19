"""Which coalitions to evaluate: designs, and the rules that hold for all of them.

A design never sees a model; it proposes rows, the plan prices them. `budget` counts rows that the ledger lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .kernel import size_masses
from .paired_design import propose_pairs
from .validate import Coalitions, check_coalitions, check_players, check_sizes, check_values

Design = Callable[[int, int, np.random.Generator, Coalitions], Coalitions]


def draw_kernelshap(n_players: int, budget: int, rng: np.random.Generator, known: Coalitions) -> Coalitions:
    """The paper's draw: ∅ and N, then sizes iid from the Shapley kernel and uniform subsets of that size.

    Rows may repeat, and may be known already: an iid sample must not avoid them. Every row counts against the budget,
    a repeat just costs nothing to evaluate. A longer draw with the same seed starts with the shorter one.
    Source: Lin et al. 2025, section 3; Covert & Lee 2021.
    """
    rows = missing_ends(n_players, known)[:budget]
    masses = size_masses(n_players)
    draws = np.zeros((budget - len(rows), n_players), dtype=bool)
    for row in draws:
        size = rng.choice(n_players + 1, p=masses)
        row[rng.permutation(n_players)[:size]] = True
    return np.concatenate([rows, draws])


def draw_pairs(n_players: int, budget: int, rng: np.random.Generator, known: Coalitions) -> Coalitions:
    """The default: complementary pairs, stratified and balanced, without replacement (see `paired_design`)."""
    rows = missing_ends(n_players, known)[:budget]
    inside = known[(known.any(axis=1)) & (~known.all(axis=1))]
    return np.concatenate([rows, propose_pairs(n_players, budget - len(rows), rng, inside)])


DESIGNS: dict[str, Design] = {"default": draw_pairs, "kernelshap": draw_kernelshap}


def missing_ends(n_players: int, known: Coalitions) -> Coalitions:
    """The grand and the empty coalition, as far as they are not known: no estimator can do without them."""
    ends = np.stack([np.ones(n_players, dtype=bool), np.zeros(n_players, dtype=bool)])
    return ends[[not bool((known == end).all(axis=1).any()) for end in ends]]


def propose_coalitions(
    n_players: int,
    budget: int,
    *,
    seed: int,
    sizes: ArrayLike | None = None,
    known: tuple[ArrayLike, ArrayLike] | None = None,
    design: str = "default",
) -> Coalitions:
    """Coalitions to evaluate next: bool[k, n_players] with k <= budget.

    budget: new evaluations, the grand and the empty coalition (always first) among them unless they are known.
    seed: of the draw; the same arguments give the same rows.
    sizes: float[n_players] > 0, images of each contributor; checked, and there for designs that use a prior.
    known: (bool[m, n_players], float[m]), what the ledger holds. `default` proposes none of it again, completes pairs
        of which it holds one half, and counts it when sizes are balanced.
    design: `default`, or `kernelshap`: the paper's iid draw, whose rows may repeat and may be known.

    `default` returns min(budget, 2^n - known) rows, so all the missing ones where the budget allows; after the ends,
    rows come in complementary pairs. Raises ValueError for bad shapes, a negative budget, an unknown design.
    """
    players = check_players(n_players)
    if isinstance(budget, bool) or not isinstance(budget, int | np.integer) or budget < 0:
        raise ValueError(f"budget must be a whole number of evaluations, not {budget!r}")
    check_sizes(sizes, players)
    if design not in DESIGNS:
        raise ValueError(f"unknown design {design!r}; there are: {', '.join(sorted(DESIGNS))}")
    return DESIGNS[design](players, int(budget), np.random.default_rng(seed), _known_rows(players, known))


def _known_rows(n_players: int, known: Any) -> Coalitions:
    if known is None:
        return np.zeros((0, n_players), dtype=bool)
    coalitions, values = known
    rows = check_coalitions(coalitions, n_players)
    check_values(values, len(rows))
    return np.unique(rows, axis=0)
