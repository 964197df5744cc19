"""Step 4: which coalitions to evaluate, and what of them is in the ledger already.

The design is drawn first, from the study alone; the ledger is asked afterwards. So the same study always asks for the same
coalitions, and a run that was killed finds everything that it had finished.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from infra.ledger import Ledger, ModelRecord, SamplesRecord, ScoreRecord
from tasks.evaluate.jobs import Job, Outcome, Role
from tasks.partition import Partition
from tasks.properties import resolve_property
from tasks.recipe import Recipe, model_recipe, samples_recipe, score_recipe
from tasks.shapley import UnidentifiedError, estimate_credits, propose_coalitions
from tasks.study import Study


@dataclass(frozen=True)
class Plan:
    """All evaluations a statement needs, in the order in which they are worth having."""

    jobs: tuple[Job, ...]
    known: Mapping[int, Outcome]  # by position in jobs: those that the ledger answers completely
    trained: int  # of the rest, how many need no training: their weights or images are kept, and only scored anew

    @property
    def missing(self) -> tuple[int, ...]:
        """Positions of the jobs that have to be submitted."""
        return tuple(i for i in range(len(self.jobs)) if i not in self.known)


def make_plan(
    study: Study, partition: Partition, pruned: Recipe, statistics: Mapping[str, str | None], ledger: Ledger
) -> Plan:
    """Design, baseline and audit of a study as jobs, held against the ledger.

    Args:
        statistics: by property, the digest of its reference statistics.

    Raises:
        ValueError: if the budget is too small for the number of contributors.
    """
    coalitions = draw_coalitions(study, partition)
    # One evaluation a distinct coalition, in the order of the design; the paper's iid draw repeats some.
    draws = Counter(row.tobytes() for row in coalitions)
    rows = [np.frombuffer(row, dtype=bool) for row in draws]
    main = study.coalition.seed
    jobs = [make_job(study, partition, pruned, statistics, row, _role(row), main, draws[row.tobytes()]) for row in rows]
    for row in audit_rows(study, np.array(rows)):
        for seed in study.coalition.audit_seeds:
            jobs.append(make_job(study, partition, pruned, statistics, row, "audit", seed))
    records = _look_up(jobs, ledger)
    known = _known(jobs, records)
    trained = sum(_needs_no_training(job, records) for i, job in enumerate(jobs) if i not in known)
    return Plan(tuple(jobs), known, trained)


def draw_coalitions(study: Study, partition: Partition) -> np.ndarray:
    """The design of a study: bool[k, contributors], the empty and the grand coalition among them. Needs no model.

    Raises:
        ValueError: if credits could not be told apart even if none of these evaluations failed.
    """
    n, estimation = len(partition.contributors), study.estimation
    sizes = np.array([c.images for c in partition.contributors])
    rows = propose_coalitions(n, estimation.budget, seed=estimation.seed, sizes=sizes, design=estimation.design)
    # Which credits are determined depends on the rows alone: any values that differ will do to find out.
    values = np.random.default_rng(0).standard_normal(len(rows))
    try:
        estimate_credits(rows, values, sizes=sizes, estimator=estimation.estimator)
    except UnidentifiedError as error:
        raise ValueError(f"estimation.budget {estimation.budget} is too small for {n} contributors: {error}") from error
    return rows


def audit_rows(study: Study, coalitions: np.ndarray) -> list[np.ndarray]:
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


def make_job(
    study: Study,
    partition: Partition,
    pruned: Recipe,
    statistics: Mapping[str, str | None],
    row: np.ndarray,
    role: Role,
    seed: int,
    draws: int = 1,
) -> Job:
    """The job of one coalition, all its digests computed."""
    members = tuple(int(i) for i in np.flatnonzero(row))
    contributors = [partition.contributors[i] for i in members]
    model = model_recipe(pruned, (c.fingerprint for c in contributors), study, seed)
    properties = [resolve_property(name, study.properties) for name in study.properties.names]
    samples = samples_recipe(model, study, seed) if any(p.needs == "samples" for p in properties) else None
    scores = {}
    for p in properties:
        subject = samples if p.needs == "samples" and samples is not None else model
        scores[p.name] = score_recipe(subject, p.identity(), statistics[p.name])
    return Job(members, tuple(c.name for c in contributors), role, seed, model, samples, scores, draws)


def recall(jobs: Iterable[Job], ledger: Ledger) -> dict[int, Outcome]:
    """The outcomes that the ledger holds completely, by position; the seconds are what they cost when they were made."""
    jobs = tuple(jobs)
    return _known(jobs, _look_up(jobs, ledger))


@dataclass(frozen=True)
class _Records:
    """What the ledger has of some jobs, by key."""

    models: Mapping[str, ModelRecord]
    samples: Mapping[str, SamplesRecord]
    scores: Mapping[str, ScoreRecord]


def _look_up(jobs: Sequence[Job], ledger: Ledger) -> _Records:
    return _Records(
        models=ledger.find(ModelRecord, (job.model.key for job in jobs)),
        samples=ledger.find(SamplesRecord, (job.samples.key for job in jobs if job.samples is not None)),
        scores=ledger.find(ScoreRecord, (recipe.key for job in jobs for recipe in job.scores.values())),
    )


def _known(jobs: Sequence[Job], records: _Records) -> dict[int, Outcome]:
    known = {}
    for i, job in enumerate(jobs):
        model = records.models.get(job.model.key)
        drawn = records.samples.get(job.samples.key) if job.samples is not None else None
        broken = next((r.failure for r in (model, drawn) if r is not None and r.failure is not None), None)
        scored = {
            name: records.scores[recipe.key] for name, recipe in job.scores.items() if recipe.key in records.scores
        }
        if len(scored) < len(job.scores) and broken is None:
            continue
        lost = {name: broken for name in job.scores if name not in scored and broken is not None}
        known[i] = Outcome(
            values={name: r.value for name, r in scored.items() if r.value is not None},
            failures={**{name: r.failure for name, r in scored.items() if r.failure is not None}, **lost},
            seconds={
                "load": 0.0,
                "fine_tune": model.seconds if model is not None else 0.0,
                "sample": drawn.seconds if drawn is not None else 0.0,
                "score": sum(r.seconds for r in scored.values()),
            },
        )
    return known


def _needs_no_training(job: Job, records: _Records) -> bool:
    model = records.models.get(job.model.key)
    if model is not None and model.kept:
        return True
    missing = [recipe for recipe in job.scores.values() if recipe.key not in records.scores]
    drawn = job.samples.key if job.samples is not None else None
    return drawn in records.samples and all(recipe.spec["subject"] == drawn for recipe in missing)


def _role(row: np.ndarray) -> Role:
    if not row.any():
        return "baseline"
    return "grand" if row.all() else "design"
