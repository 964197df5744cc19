"""From evaluations in both realisations to an audited credit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.audit.coalitions import Audited
from tasks.audit.correction import MeasuredSd, Uncertain, correction, total
from tasks.audit.types import ContributorAudit, Ends, PairValues, PropertyAudit
from tasks.estimate.noise import measure_noise
from tasks.evaluate.jobs import Job, Outcome
from tasks.partition import Partition
from tasks.plan.aside import values_of
from tasks.plan.plan import Plan
from tasks.publish.types import PropertyResult
from tasks.study import Study

Evaluated = tuple[Plan, Sequence[Outcome]]


def judge(
    study: Study,
    partition: Partition,
    audited: Sequence[Audited],
    finetuned: Evaluated,
    retrained: Evaluated,
    results: Sequence[PropertyResult],
    noise: Mapping[str, MeasuredSd],
) -> tuple[ContributorAudit, ...]:
    """Compare what each contributor adds in the two realisations, and correct their credits by the difference.

    Args:
        finetuned, retrained: plan and outcomes of the same coalitions.
        results: the study's credits. noise: by property, where it was measured.
    """
    return tuple(
        ContributorAudit(
            contributor=partition.contributors[one.player].name,
            complete=one.draw.complete,
            finetune_steps=study.coalition.steps,
            retrain_steps=study.coalition.retrain_steps,
            properties=tuple(
                _property(partition, one, result, finetuned, retrained, noise.get(result.name)) for result in results
            ),
        )
        for one in audited
    )


def measured_noise(study: Study, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> dict[str, MeasuredSd]:
    """By property, the noise of one evaluation as the study's repeats under other seeds showed it; only where they
    did. Repeats that gave the same number to the bit show a property that did not answer, not that retraining is free of
    noise."""
    found = {name: measure_noise(name, jobs, outcomes) for name in study.properties.names}
    return {name: MeasuredSd(noise.sd, noise.freedom) for name, noise in found.items() if noise.sd}


def _property(
    partition: Partition,
    one: Audited,
    result: PropertyResult,
    finetuned: Evaluated,
    retrained: Evaluated,
    noise: MeasuredSd | None,
) -> PropertyAudit:
    tuned, trained = (_contributions(one, result, *realised) for realised in (finetuned, retrained))
    ends = [_ends(result, len(partition.contributors), *realised) for realised in (finetuned, retrained)]
    credits = result.credits
    stated = Uncertain(
        value=float(credits.values[one.player]),
        se=float(np.sqrt(max(credits.covariance[one.player, one.player], 0))),
        degrees_of_freedom=float(credits.degrees_of_freedom),
    )
    found = correction(one.draw, trained, tuned, noise)
    return PropertyAudit(
        name=result.name,
        sign=result.sign,
        unit=result.unit,
        stated=stated,
        correction=found,
        audited=total(stated, found),
        finetuned=ends[0],
        retrained=ends[1],
        common=(ends[1].gain - ends[0].gain) / len(partition.contributors),
        pairs=tuple(
            PairValues(
                tuple(partition.contributors[i].name for i in np.flatnonzero(row)), float(of_tuned), float(of_trained)
            )
            for row, of_tuned, of_trained in zip(one.without, tuned, trained, strict=True)
        ),
    )


def _contributions(one: Audited, result: PropertyResult, plan: Plan, outcomes: Sequence[Outcome]) -> np.ndarray:
    """v(S ∪ i) − v(S): float64[k]."""
    difference = values_of(one.present, result.name, plan, outcomes) - values_of(
        one.without, result.name, plan, outcomes
    )
    return np.asarray(result.sign * difference, dtype=np.float64)


def _ends(result: PropertyResult, n: int, plan: Plan, outcomes: Sequence[Outcome]) -> Ends:
    rows = np.array([[False] * n, [True] * n])
    empty, everybody = result.sign * values_of(rows, result.name, plan, outcomes)
    return Ends(float(empty), float(everybody))
