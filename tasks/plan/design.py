"""Which coalitions a study asks for, round by round: from the study alone, before any model is there.

    no stop rule    the whole budget at once
    a stop rule     3n ─▶ enough? ─▶ n more ─▶ enough? ─▶ … until the budget ends             n: contributors
    a_optimal       what the ledger has, or 3n as above ─▶ n picks ─▶ …      (the picks need values: see `course`)

Rounds of the designs `default` and `kernelshap` depend on the study and on the rounds before, never on the ledger: a run
that was killed asks for the same coalitions again and finds them; a larger budget goes on where the smaller one ended.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tasks.estimation_spec import EstimationSpec
from tasks.partition import Partition
from tasks.shapley import UnidentifiedError, estimate_credits, propose_coalitions
from tasks.study import Study

Coalitions = NDArray[np.bool_]
Floats = NDArray[np.float64]

FIRST = 3  # evaluations a contributor in the first of several rounds; with fewer, `Credits.low_budget` warns
SHOWN = 8  # a_optimal: everybody is in at least one of so many evaluations of the budget, however full the ledger is


def check_budget(study: Study, partition: Partition) -> None:
    """Raises ValueError if the whole budget could not tell the credits apart, or the stop rule asks for what cannot be."""
    n, estimation = len(partition.contributors), study.estimation
    if estimation.stop_top is not None and estimation.stop_top >= n:
        raise ValueError(
            f"estimation.stop_top {estimation.stop_top} cannot be settled among {n} contributors; at most {n - 1} can"
        )
    sizes = images_of(partition)
    try:
        check_identified(_draw(estimation, sizes, estimation.budget), estimation, sizes)
    except UnidentifiedError as error:
        raise ValueError(f"estimation.budget {estimation.budget} is too small for {n} contributors: {error}") from error


def images_of(partition: Partition) -> Floats:
    """Training images by contributor: float64[contributors]."""
    return np.array([c.images for c in partition.contributors], dtype=np.float64)


def first_round(estimation: EstimationSpec, sizes: Floats) -> Coalitions:
    """The coalitions of the first round, the empty and the grand one first: bool[k, contributors], k at most the budget.

    Where several rounds will follow, as many as it takes to tell all credits apart, and three a contributor at least.
    """
    size = round_size(estimation, len(sizes), 0)
    while True:
        rows = _draw(estimation, sizes, size)
        if size >= estimation.budget or is_identified(rows, estimation, sizes):
            return rows
        size = min(estimation.budget, size + batch_size(estimation, len(sizes)))


def next_round(estimation: EstimationSpec, sizes: Floats, asked: Coalitions, draws: int) -> Coalitions:
    """The coalitions of the next round of design `default` or `kernelshap`; none where the budget or the coalitions end.

    asked: bool[m, contributors], all coalitions of the rounds before. draws: how many that were, repeats counted.
    """
    size = round_size(estimation, len(sizes), draws)
    # Drawn in full and then cut, so that the last round of a small budget is the beginning of a larger one's.
    return upcoming(estimation, sizes, asked, draws, max(size, batch_size(estimation, len(sizes))))[:size]


def upcoming(estimation: EstimationSpec, sizes: Floats, known: Coalitions, draws: int, count: int) -> Coalitions:
    """`count` coalitions that would come next whatever the budget says, or all that are left: bool[k, contributors].

    known: bool[m, contributors], none of which is wanted again; design `kernelshap` repeats as its draw has it.
    """
    if estimation.design == "kernelshap":
        return _draw(estimation, sizes, draws + count)[draws:]  # a longer draw begins with the shorter one
    seed = int(np.random.SeedSequence([estimation.seed, draws]).generate_state(1)[0])
    return propose_coalitions(len(sizes), count, seed=seed, sizes=sizes, known=(known, np.zeros(len(known))))


def round_size(estimation: EstimationSpec, contributors: int, draws: int) -> int:
    """How many coalitions the next round of a design draws, when `draws` were drawn before; 0 where the budget is spent."""
    if not estimation.in_rounds:
        size = estimation.budget
    elif draws == 0:
        size = _even(FIRST * contributors)
    else:
        size = batch_size(estimation, contributors)
    return max(0, min(size, estimation.budget - draws))


def batch_size(estimation: EstimationSpec, contributors: int) -> int:
    """Evaluations of a round after the first."""
    return estimation.batch or _even(contributors)


def opening(
    estimation: EstimationSpec,
    sizes: Floats,
    repeated: Coalitions,
    archive: Coalitions,
    unscored: Coalitions | None = None,
) -> Coalitions:
    """What a_optimal asks for first where the ledger is full already: both ends, the coalitions that the audit repeats,
    those that were trained and lack a property, and, should a contributor be new, as much of the first round as it takes for
    every credit to be seen at all.

    archive, unscored: bool[m, contributors], evaluations of today's contributors that are there, whole and in part.
    """
    n = len(sizes)
    whole = first_round(estimation, sizes)
    ends = np.array([np.ones(n, dtype=bool), np.zeros(n, dtype=bool)])
    unscored = np.zeros((0, n), dtype=bool) if unscored is None else unscored
    for count in range(2, len(whole) + 1, 2):
        rows = distinct(np.concatenate([ends, repeated, unscored, whole[:count]]))
        there = np.concatenate([rows, archive])
        proper = there[there.any(axis=1) & ~there.all(axis=1)]
        seen = proper.any(axis=0).all() and not proper.all(axis=0).any()  # everybody in some and not in others
        if seen and is_identified(there, estimation, sizes):
            break
    return rows[: estimation.budget]


def picks_left(estimation: EstimationSpec, evaluated: Coalitions, draws: int) -> int:
    """How many evaluations a_optimal may still ask for: a function of what is there, so a study run again asks for none.

    evaluated: bool[m, contributors], distinct coalitions of today's contributors, asked for or reused. draws: asked for
    in this run. Reused ones count, but who has just joined is in none of them: whoever is in fewer than an eighth of the
    budget gets two evaluations for each that is missing, since about every other one will hold them; not under a hard
    budget.
    """
    if estimation.hard_budget:
        return max(0, estimation.budget - len(evaluated))
    proper = evaluated[evaluated.any(axis=1) & ~evaluated.all(axis=1)]
    least_shown = int(proper.sum(axis=0).min()) if len(proper) else 0
    for_newcomers = 2 * (math.ceil(estimation.budget / SHOWN) - least_shown)
    return max(0, min(max(estimation.budget - len(evaluated), for_newcomers), estimation.budget - draws))


def audit_rows(study: Study, coalitions: Coalitions) -> list[Coalitions]:
    """The coalitions to repeat under other seeds: everybody, and evenly through the sizes of the design, small to large."""
    count = study.coalition.audit_coalitions
    if count == 0:
        return []
    size = coalitions.sum(axis=1)
    inner = np.flatnonzero((size > 0) & (size < coalitions.shape[1]))
    ranked = inner[np.argsort(size[inner], kind="stable")]
    places = (np.arange(count - 1) + 0.5) / max(1, count - 1) * len(ranked)
    chosen = list(dict.fromkeys(int(ranked[int(p)]) for p in places)) if len(ranked) else []
    return [np.ones(coalitions.shape[1], dtype=bool), *(coalitions[i] for i in chosen)]


def distinct(rows: Coalitions) -> Coalitions:
    """Each coalition once, in the order in which they came."""
    first = np.unique(rows, axis=0, return_index=True)[1]
    return rows[np.sort(first)]


def with_ends(rows: Coalitions) -> Coalitions:
    """The empty and the grand coalition, which every design asks for, then these: bool[2 + k, contributors]."""
    n = rows.shape[1]
    return np.concatenate([np.zeros((1, n), bool), np.ones((1, n), bool), rows])


def is_identified(rows: Coalitions, estimation: EstimationSpec, sizes: Floats) -> bool:
    """Whether these coalitions tell all credits apart."""
    try:
        check_identified(rows, estimation, sizes)
    except UnidentifiedError:
        return False
    return True


def check_identified(rows: Coalitions, estimation: EstimationSpec, sizes: Floats) -> None:
    """Raises UnidentifiedError if these coalitions leave a credit undetermined, whatever their values are.

    Which credits are determined depends on the rows alone, so made-up values will do to find out: equal ones where the
    estimator then has nothing to fit, different ones for those that would call equal values an answer.
    """
    flat = estimation.takes_any_rows
    values = np.zeros(len(rows)) if flat else np.random.default_rng(0).standard_normal(len(rows))
    estimate_credits(rows, values, sizes=sizes, estimator=estimation.estimator)


def _draw(estimation: EstimationSpec, sizes: Floats, size: int) -> Coalitions:
    design = "kernelshap" if estimation.design == "kernelshap" else "default"
    return propose_coalitions(len(sizes), size, seed=estimation.seed, sizes=sizes, design=design)


def _even(count: int) -> int:
    return count + count % 2
