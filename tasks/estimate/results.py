"""Step 6: from evaluations to credits, property by property, with how much of what was measured is signal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.evaluate.jobs import Job, Outcome
from tasks.partition import Partition
from tasks.properties import resolve_property
from tasks.publish import PropertyResult
from tasks.shapley import estimate_credits
from tasks.study import Study


class TooManyFailures(RuntimeError):
    """More evaluations failed than the study tolerates, or one that no estimate can do without."""


@dataclass(frozen=True)
class Noise:
    """What repeating coalitions under other seeds showed."""

    sd: float | None  # of one evaluation, each seed's main effect removed
    correlation: float | None  # between seeds, over the repeated coalitions; mean over pairs of seeds
    coalitions: int


def property_results(
    study: Study, partition: Partition, jobs: Sequence[Job], outcomes: Sequence[Outcome]
) -> tuple[PropertyResult, ...]:
    """Credits of every property of the study.

    Raises:
        TooManyFailures: see `check_failures`.
        ValueError: from `estimate_credits`, if the evaluations identify nothing.
    """
    check_failures(study, jobs, outcomes)
    sizes = np.array([c.images for c in partition.contributors])
    return tuple(_result(study, name, sizes, jobs, outcomes) for name in study.properties.names)


def check_failures(study: Study, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
    """Decide whether what failed can be lived without.

    Raises:
        TooManyFailures: if the failed share is above `execution.failure_tolerance`, or the empty or grand coalition has no
            value; names the coalitions and their reasons.
    """
    failed = [(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True) if outcome.failures]
    ends = [(job, outcome) for job, outcome in failed if job.role in ("baseline", "grand")]
    allowed = math.floor(study.execution.failure_tolerance * len(jobs) + 1e-9)
    if not ends and len(failed) <= allowed:
        return
    why = (
        "the empty or the grand coalition has no value, and no credit can be had without"
        if ends
        else f"{len(failed)} of {len(jobs)} evaluations failed, more than execution.failure_tolerance allows ({allowed})"
    )
    lines = [
        f"- {job.role} of {len(job.members)} contributors, seed {job.seed} "
        f"({', '.join(repr(name) for name in job.names[:5])}{' …' if len(job.names) > 5 else ''}): "
        + "; ".join(f"{name}: {reason}" for name, reason in outcome.failures.items())
        for job, outcome in (ends or failed)[:20]
    ]
    more = len(ends or failed) - len(lines)
    lines += [f"- and {more} more"] if more else []
    lines.append("What was evaluated is kept: remove the cause, and start the study again.")
    raise TooManyFailures("\n".join([f"{why}:", *lines]))


def measure_noise(name: str, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> Noise:
    """Two-way layout of the repeated coalitions (rows) and seeds (columns): noise is what is left after both main effects.

    A seed's main effect shifts every coalition alike and cancels in excess credits; it is not counted as noise.
    """
    by_model: dict[tuple[int, ...], dict[int, float]] = {}
    repeated = {job.members for job in jobs if job.role == "audit"}
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.members in repeated and name in outcome.values:
            by_model.setdefault(job.members, {})[job.seed] = outcome.values[name]
    seeds = {job.seed for job in jobs if job.members in repeated}
    rows = [[values[seed] for seed in sorted(seeds)] for values in by_model.values() if set(values) == seeds]
    if len(rows) < 2 or len(seeds) < 2:
        return Noise(None, None, len(rows))
    table = np.array(rows)  # [coalitions, seeds]
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + table.mean()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    sd = float(np.sqrt((residual**2).sum() / freedom))
    if (table.std(axis=0) == 0).any():
        return Noise(sd, None, len(rows))
    correlations = np.corrcoef(table.T)
    return Noise(sd, float(correlations[np.triu_indices(len(seeds), 1)].mean()), len(rows))


def _result(
    study: Study, name: str, sizes: np.ndarray, jobs: Sequence[Job], outcomes: Sequence[Outcome]
) -> PropertyResult:
    wanted = resolve_property(name, study.properties)
    used = [
        (job, outcome.values[name])
        for job, outcome in zip(jobs, outcomes, strict=True)
        if job.role != "audit" and name in outcome.values
        for _ in range(job.draws)
    ]
    coalitions = np.zeros((len(used), len(sizes)), dtype=bool)
    for row, (job, _) in enumerate(used):
        coalitions[row, list(job.members)] = True
    values = wanted.sign * np.array([value for _, value in used])
    noise = measure_noise(name, jobs, outcomes)
    credits = estimate_credits(
        coalitions,
        values,
        sizes=sizes,
        estimator=study.estimation.estimator,
        noise_variance=None if noise.sd is None else noise.sd**2,
    )
    inner = [value for job, value in used if job.members]
    return PropertyResult(
        name=name,
        sign=wanted.sign,
        unit=wanted.unit,
        description=wanted.description,
        credits=credits,
        spread=float(np.std(inner, ddof=1)) if len(inner) > 1 else 0.0,
        seed_noise=noise.sd,
        seed_correlation=noise.correlation,
        audit_rows=noise.coalitions,
    )
