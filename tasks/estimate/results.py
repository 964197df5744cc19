"""Step 6: from evaluations to credits, property by property, with how much of what was measured is signal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.estimate.noise import measure_noise
from tasks.estimate.observations import observations
from tasks.evaluate.failures import TooManyFailures, check_failures
from tasks.evaluate.jobs import Job, Outcome
from tasks.partition import Partition
from tasks.plan.archive import Archive
from tasks.progress import Say, silent
from tasks.properties import resolve_property
from tasks.publish import PropertyResult
from tasks.shapley import estimate_credits
from tasks.study import Study

__all__ = ["TooManyFailures", "property_results"]


def property_results(
    study: Study,
    partition: Partition,
    jobs: Sequence[Job],
    outcomes: Sequence[Outcome],
    archive: Archive | None = None,
    sizes: np.ndarray | None = None,
    *,
    say: Say = silent,
) -> tuple[PropertyResult, ...]:
    """Credits of every property of the study.

    Args:
        archive: evaluations that no design of this study asked for.
        sizes: float64 [contributors + former ones of the archive], training images.
        say: is told of each property before its credits are estimated, which may take a minute with many contributors.

    Raises:
        TooManyFailures: see `check_failures`; what the archive lacks is no failure.
        ValueError: from `estimate_credits`, if the evaluations identify nothing.
    """
    check_failures(study, jobs, outcomes)
    images = np.array([c.images for c in partition.contributors]) if sizes is None else sizes
    n = len(partition.contributors)
    results = []
    for name in study.properties.names:
        say(f"estimating {name} …")
        results.append(_result(study, name, n, images, jobs, outcomes, archive))
    return tuple(results)


def _result(
    study: Study,
    name: str,
    contributors: int,
    sizes: np.ndarray,
    jobs: Sequence[Job],
    outcomes: Sequence[Outcome],
    archive: Archive | None,
) -> PropertyResult:
    wanted = resolve_property(name, study.properties)
    used = observations(name, wanted.sign, contributors, jobs, outcomes, archive)
    noise = measure_noise(name, jobs, outcomes)
    credits = estimate_credits(
        used.coalitions,
        used.values,
        sizes=sizes,
        estimator=study.estimation.estimator,
        noise=noise.measured,
        former=used.former if used.former.any() else None,
    )
    asked = len(used.values) - used.reused
    # Where every coalition is there, the definition needs no others, and takes none with somebody who has left.
    with_former = 0 if credits.estimator == "definition" else used.with_former
    inner = used.values[:asked][used.coalitions[:asked].any(axis=1)]
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
        reused=used.reused - used.with_former + with_former,
        reused_with_former=with_former,
    )
