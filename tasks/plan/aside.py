"""Evaluations beside a study's own design, in the study's way or another one: for audits, and for the proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from infra.ledger import Ledger
from tasks.evaluate.jobs import Outcome
from tasks.partition import Partition
from tasks.plan.design import Coalitions
from tasks.plan.plan import NOTHING_REUSED, Plan, extend
from tasks.recipe import Recipe
from tasks.study import Study


def plan_aside(
    study: Study,
    partition: Partition,
    pruned: Recipe,
    statistics: Mapping[str, str | None],
    ledger: Ledger,
    rows: Coalitions,
    purpose: Literal["audit", "validation"],
) -> Plan:
    """The coalitions bool[k, contributors], each once and in their order, held against the ledger. purpose: what their
    progress is shown under."""
    different = np.array(list(dict.fromkeys(map(tuple, rows.tolist()))), dtype=bool)
    nothing = Plan((), {}, frozenset(), 0, NOTHING_REUSED, np.zeros(0), purpose=purpose)
    return extend(nothing, study, partition, pruned, statistics, ledger, different)


def values_of(rows: Coalitions, name: str, plan: Plan, outcomes: Sequence[Outcome]) -> np.ndarray:
    """Raw values of one property: float64[k], NaN where the evaluation failed. rows: bool[k, contributors]."""
    known = {job.members: out.values.get(name, np.nan) for job, out in zip(plan.jobs, outcomes, strict=True)}
    return np.array([known[tuple(int(i) for i in np.flatnonzero(row))] for row in rows], dtype=np.float64)
