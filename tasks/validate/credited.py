"""Credits by every method that is compared, for one property, from what the study and its models have."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import numpy as np

from tasks.estimate.observations import observations
from tasks.evaluate.jobs import Outcome
from tasks.partition import Partition
from tasks.plan.design import Coalitions, first_round, images_of
from tasks.plan.plan import Plan
from tasks.publish.types import PropertyResult
from tasks.shapley import UnidentifiedError
from tasks.study import Study
from tasks.validate.judge import OURS, Credited, Evaluated, Floats
from tasks.validate.worlds import without_one
from tasks.validation.baselines import leave_one_out
from tasks.validation.papers_estimator import papers_credits
from tasks.validation.replicates import drawn_credits, resampled_evaluations
from tasks.validation.surrogate import surrogate_credits
from tasks.validation_spec import ValidationSpec

TREES = "boosted trees on this study's evaluations"
LEAVE_ONE_OUT = "leave one out, fine-tuned"


def papers_rows(study: Study, partition: Partition, count: int) -> Coalitions:
    """`count` coalitions by the paper's draw, neither nobody nor everybody; repeats are repeated: bool[count, n]."""
    estimation = study.estimation.model_copy(
        update={
            "design": "kernelshap",
            "estimator": "kernelshap",
            "budget": count + 2,
            "stop_width": None,
            "stop_relative_width": None,
            "stop_top": None,
        }
    )
    rows = first_round(estimation, images_of(partition))
    return rows[rows.any(axis=1) & ~rows.all(axis=1)][:count]


def credited(
    study: Study,
    partition: Partition,
    asked: ValidationSpec,
    result: PropertyResult,
    plan: Plan,
    outcomes: Sequence[Outcome],
    own: Evaluated,
    drawn: Coalitions,
    free: Mapping[str, Floats],
) -> tuple[dict[str, Credited], list[str]]:
    """All methods' credits for one property, ours first; and which methods are left out, in words.

    Args:
        plan, outcomes: the study's evaluations. own: evaluations made beside them in the study's way: those without one
            contributor, and `drawn`, the paper's draw. free: methods that evaluate nothing, by name.
    """
    found = {OURS: Credited("ours", result.credits.values, _drawn(result, asked), in_unit=True)}
    left_out: list[str] = []
    n = len(partition.contributors)
    if asked.paper:
        empty, grand = own.values(np.array([[False] * n, [True] * n]), result)
        values = own.values(drawn, result)
        mine, known = drawn[np.isfinite(values)], values[np.isfinite(values)]
        different = len(np.unique(mine, axis=0))
        name = f"the paper's estimator, {len(mine)} draws ({different} different)"
        try:
            credits = papers_credits(mine, known, empty, grand)
        except UnidentifiedError as error:  # too few contributors or draws for this estimator
            left_out.append(f"{result.name}: {name} is left out: {error}")
        else:
            found[name] = Credited("paper", credits, _papers_replicates(mine, known, empty, grand, asked), in_unit=True)
    used = observations(result.name, result.sign, n, plan.jobs, outcomes, None)
    replicates = [
        surrogate_credits(used.coalitions[chosen], used.values[chosen])
        for chosen in resampled_evaluations(used.coalitions, asked.replicates, seed=asked.seed)
    ]
    found[TREES] = Credited(
        "trains", surrogate_credits(used.coalitions, used.values), np.array(replicates), in_unit=True
    )
    if asked.leave_one_out:
        rows = np.concatenate([np.ones((1, n), bool), without_one(n)])
        alone = own.values(rows, result)
        if np.isfinite(alone).all():
            found[LEAVE_ONE_OUT] = Credited("trains", leave_one_out(rows, alone), in_unit=True)
        else:
            left_out.append(f"{result.name}: {LEAVE_ONE_OUT} is left out: an evaluation that it needs has failed")
    found |= {name: Credited("free", np.asarray(credits, dtype=np.float64)) for name, credits in free.items()}
    return found, left_out


def _drawn(result: PropertyResult, asked: ValidationSpec) -> Floats | None:
    covariance = result.credits.covariance
    if not np.isfinite(covariance).all():
        return None
    return drawn_credits(result.credits.values, covariance, asked.replicates, seed=asked.seed)


def _papers_replicates(
    rows: Coalitions, values: Floats, empty: float, grand: float, asked: ValidationSpec
) -> Floats | None:
    replicates = []
    for chosen in resampled_evaluations(rows, asked.replicates, seed=asked.seed):
        with contextlib.suppress(UnidentifiedError):
            replicates.append(papers_credits(rows[chosen], values[chosen], empty, grand))
    return np.array(replicates) if len(replicates) >= asked.replicates // 2 else None
