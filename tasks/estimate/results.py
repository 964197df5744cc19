"""Step 6: from evaluations to credits, property by property, with how much of what was measured is signal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.estimate.noise import measure_noise
from tasks.evaluate.failures import TooManyFailures, check_failures
from tasks.evaluate.jobs import Job, Outcome
from tasks.partition import Partition
from tasks.properties import resolve_property
from tasks.publish import PropertyResult
from tasks.shapley import estimate_credits
from tasks.study import Study

__all__ = ["TooManyFailures", "property_results"]


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
        noise=noise.measured,
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
