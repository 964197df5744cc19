"""From evaluations to findings: fidelity of each way, LDS of each method, exact credits where all coalitions are there.

No Prefect and no models: values come in by coalition, figures go out. The mathematics is `tasks.validation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.evaluate.jobs import Outcome
from tasks.plan.aside import values_of
from tasks.plan.design import Coalitions, with_ends
from tasks.plan.plan import Plan
from tasks.publish.types import PropertyResult
from tasks.validate.types import RANDOM, Against, Estimate, Method, PropertyFound, Repeat, Way
from tasks.validate.worlds import Asked, Chosen
from tasks.validation.correlation import Correlation
from tasks.validation.counterfactual import Counterfactuals
from tasks.validation.exact import Method as Compared
from tasks.validation.exact import compare_with_exact, exact_credits
from tasks.validation.fidelity import agreement, pearson_difference, slope
from tasks.validation.lds import against_chance, chance_reach, lds_difference, linear_datamodeling_score, random_lds
from tasks.validation_spec import ValidationSpec

Floats = NDArray[np.float64]
Kind = Literal["ours", "paper", "free", "trains"]
OURS = "this study"
_ONE_SIZE = Estimate(value=None, low=None, high=None, count=0, reason="all of one size")


@dataclass(frozen=True)
class Evaluated:
    """Evaluations that were made in one way. macs: multiply-accumulates of one forward pass of one image, None where that
    was not counted."""

    plan: Plan
    outcomes: Sequence[Outcome]
    macs: float | None = None

    def values(self, rows: Coalitions, result: PropertyResult) -> Floats:
        """float64[k] of coalitions bool[k, n], more is better; NaN where one failed."""
        return result.sign * values_of(rows, result.name, self.plan, self.outcomes)

    @property
    def seconds(self) -> float | None:
        """Of a coalition's training, median; None if none was trained."""
        found = [
            outcome.seconds["fine_tune"]
            for job, outcome in zip(self.plan.jobs, self.outcomes, strict=True)
            if job.members and outcome.seconds.get("fine_tune")
        ]
        return median(found) if found else None


@dataclass(frozen=True)
class Credited:
    """One method's credits for one property: float64[n], with replicates float64[b, n] where it rests on evaluations."""

    kind: Kind
    credits: Floats
    replicates: Floats | None = None
    in_unit: bool = False


@dataclass(frozen=True)
class Evidence:
    """All that one property is judged by. cuts: which coalitions the counterfactuals ask for, None without them.
    repeat: some of the truth's, under another seed."""

    result: PropertyResult
    chosen: Chosen
    own: tuple[Asked, Evaluated]
    truth: Evaluated
    ways: Sequence[tuple[Asked, Evaluated]]
    methods: Mapping[str, Credited]
    cuts: Counterfactuals | None = None
    repeat: tuple[Asked, Evaluated] | None = None
    asked: ValidationSpec = field(default_factory=ValidationSpec)


def judge(evidence: Evidence) -> PropertyFound:
    """Everything that is known of one property."""
    result, chosen = evidence.result, evidence.chosen
    retrained = evidence.truth.values(chosen.one_size, result)
    there = np.isfinite(retrained)
    rows, values = chosen.one_size[there], retrained[there]
    by_chance = None if len(values) < 4 or np.ptp(values) == 0 else random_lds(rows, values, seed=evidence.asked.seed)
    exact = _exact(evidence) if chosen.complete else None
    return PropertyFound(
        name=result.name,
        unit=result.unit,
        spread=float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
        noise=result.seed_noise,
        chance_sd=None if by_chance is None else float(np.std(by_chance)),
        chance=None if by_chance is None else chance_reach(by_chance),
        ways=tuple(_way(evidence, way, evaluated) for way, evaluated in (evidence.own, *evidence.ways)),
        methods=_methods(evidence, rows, values, by_chance),
        repeat=None if evidence.repeat is None else _repeat(evidence, *evidence.repeat),
        exact=None if exact is None else exact[1],
        exact_credits=None if exact is None else tuple(map(float, exact[0])),
    )


def _way(evidence: Evidence, way: Asked, evaluated: Evaluated) -> Way:
    rows = evidence.chosen.rows if way.own else way.rows
    values, retrained = evaluated.values(rows, evidence.result), evidence.truth.values(rows, evidence.result)
    there = np.isfinite(values) & np.isfinite(retrained)
    sizes = rows.sum(axis=1)
    alike, seed = there & (sizes == evidence.chosen.size), evidence.asked.seed
    several = len(np.unique(sizes[there])) > 1
    within, across = (agreement(values[some], retrained[some], seed=seed) for some in (alike, there))
    ahead = None
    if not way.own:
        own = evidence.own[1].values(rows, evidence.result)
        both = alike & np.isfinite(own)
        ahead = _estimate(pearson_difference(values[both], own[both], retrained[both], seed=seed))
    return Way(
        mode=way.study.coalition.mode,
        steps=way.steps,
        ratio=way.study.pruning.ratio,
        study=way.own,
        seconds=evaluated.seconds,
        work=None if evaluated.macs is None else evaluated.macs * way.steps * way.study.coalition.batch_size,
        ahead=ahead,
        pearson=_estimate(within.pearson),
        spearman=_estimate(within.spearman),
        scale=_estimate(slope(values[alike], retrained[alike], seed=seed)),
        pearson_across=_estimate(across.pearson) if several else _ONE_SIZE,
        spearman_across=_estimate(across.spearman) if several else _ONE_SIZE,
        points=tuple(
            (int(size), float(value), float(true))
            for size, value, true in zip(sizes[there], values[there], retrained[there], strict=True)
        ),
    )


def _repeat(evidence: Evidence, way: Asked, evaluated: Evaluated) -> Repeat:
    result, seed, ours = evidence.result, evidence.asked.seed, evidence.methods[OURS]
    made = evidence.truth, evidence.own[1], evaluated
    values = np.array([each.values(way.rows, result) for each in made])
    there = np.isfinite(values).all(axis=0)
    first, own, again = values[:, there]
    alike = agreement(again, first, seed=seed)
    score = linear_datamodeling_score(way.rows[there], again, ours.credits, seed=seed, replicates=ours.replicates)
    return Repeat(
        pearson=_estimate(alike.pearson),
        spearman=_estimate(alike.spearman),
        noise=float(np.std(again - first, ddof=1) / np.sqrt(2)) if len(first) > 1 else None,
        own=_estimate(agreement(own, again, seed=seed).pearson),
        shared=_estimate(pearson_difference(first, again, own, seed=seed)),
        lds=_estimate(score.combined),
    )


def _methods(evidence: Evidence, rows: Coalitions, values: Floats, by_chance: Floats | None) -> tuple[Method, ...]:
    seed, ours = evidence.asked.seed, evidence.methods[OURS]
    changes = _changes(evidence)
    found = []
    for name, method in evidence.methods.items():
        score = linear_datamodeling_score(rows, values, method.credits, seed=seed, replicates=method.replicates)
        ahead = None
        if name != OURS:
            mine, theirs = _as_many(ours.replicates, method.replicates)
            ahead = lds_difference(
                rows,
                values,
                ours.credits,
                method.credits,
                seed=seed,
                replicates=mine,
                other_replicates=theirs,
            )
        value = score.combined.value
        # One random draw is shown for what it is: a verdict on it would say nothing.
        chance = None
        if by_chance is not None and value is not None and name != RANDOM:
            chance = against_chance(value, by_chance)
        cut = None if changes is None else changes[changes["method"] == name]
        found.append(
            Method(
                name=name,
                kind=method.kind,
                credits=tuple(map(float, method.credits)),
                lds=_estimate(score.combined),
                ahead=None
                if ahead is None
                else Estimate(
                    value=ahead.value, low=ahead.low, high=ahead.high, count=ahead.count, reason=ahead.reason
                ),
                probability_ours=None if ahead is None else ahead.probability_greater,
                better_than_chance=None if chance is None else bool(chance.better and (score.combined.low or -1) > 0),
                removed=_by_share(cut, "remove"),
                kept=_by_share(cut, "keep"),
            )
        )
    return tuple(found)


def _as_many(ours: Floats | None, theirs: Floats | None) -> tuple[Floats | None, Floats | None]:
    """Replicates of two methods, as many of each: they are of evaluations made independently, so any pairs will do."""
    if ours is None or theirs is None:
        return ours, theirs
    count = min(len(ours), len(theirs))
    return ours[:count], theirs[:count]


def _changes(evidence: Evidence) -> pd.DataFrame | None:
    cuts = evidence.cuts
    if cuts is None or not len(cuts.coalitions):
        return None
    n = cuts.coalitions.shape[1]
    values = evidence.truth.values(cuts.coalitions, evidence.result)
    grand = float(evidence.truth.values(np.ones((1, n), bool), evidence.result)[0])
    spread = float(np.std(evidence.truth.values(evidence.chosen.one_size, evidence.result)))
    if not np.isfinite(grand) or abs(grand) <= spread:  # relative to next to nothing, any change is large
        return None
    missing = ~np.isfinite(values)
    table = cuts.changes(np.where(missing, grand, values), grand)
    return table[~table["coalition"].isin(np.flatnonzero(missing))]


def _by_share(changes: pd.DataFrame | None, kind: str) -> dict[str, float | None]:
    if changes is None:
        return {}
    mine = changes[changes["kind"] == kind]
    return {f"{share:g}": float(change) for share, change in zip(mine["share"], mine["change"], strict=True)}


def _exact(evidence: Evidence) -> tuple[Floats, tuple[Against, ...]] | None:
    n = evidence.chosen.rows.shape[1]
    rows = with_ends(evidence.chosen.rows)
    values = evidence.truth.values(rows, evidence.result)
    if not np.isfinite(values).all():
        return None
    exact = exact_credits(rows, values)
    low, high = evidence.result.credits.excess_interval(0.9)
    methods: dict[str, Compared] = {}
    for name, method in evidence.methods.items():
        excess = method.credits - method.credits.mean()
        known = name == OURS and np.isfinite(low).all() and np.isfinite(high).all()
        ends = {"low": low, "high": high} if known else {}
        methods[name] = Compared(excess, **ends, in_unit=method.in_unit)
    table = compare_with_exact(exact - exact.mean(), methods, seed=evidence.asked.seed, level=0.95)
    found = tuple(
        Against(
            method=row["method"],
            pearson=_of_row(row, "pearson", n),
            spearman=_of_row(row, "spearman", n),
            error=row["error"],
            covered=row["covered"],
        )
        for _, row in table.iterrows()
    )
    return exact, found


def _of_row(row: pd.Series, what: str, count: int) -> Estimate:
    value, low, high = row[what], row[f"{what}_low"], row[f"{what}_high"]
    return Estimate(value=value, low=low, high=high, count=count, reason=row["reason"] if value is None else "")


def _estimate(found: Correlation) -> Estimate:
    return Estimate(value=found.value, low=found.low, high=found.high, count=found.count, reason=found.reason)
