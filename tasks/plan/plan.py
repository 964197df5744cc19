"""Step 4: which coalitions to evaluate, and what of them is in the ledger already.

Rounds are drawn first (`design`), the ledger is asked afterwards. So the same study always asks for the same coalitions,
and a run that was killed finds everything that it had finished. What the ledger holds besides (`archive`) costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from infra.ledger import Ledger, ModelRecord, SamplesRecord, ScoreRecord
from infra.store import Store
from tasks.evaluate.jobs import Job, Outcome, Role
from tasks.partition import Partition
from tasks.plan.archive import Archive, find_archive
from tasks.plan.chain import chain, properties_of
from tasks.plan.design import (
    FIRST,
    Coalitions,
    Floats,
    audit_rows,
    distinct,
    first_round,
    images_of,
    opening,
    with_ends,
)
from tasks.plan.former import Earlier, sizes_with_former
from tasks.plan.lacking import Held, lacking, stored
from tasks.plan.rounds import Ending, Round
from tasks.properties import Property
from tasks.recipe import Recipe, model_recipe
from tasks.study import Study

NOTHING_REUSED = Archive((), (), (), (), np.zeros((0, 0), dtype=bool), {})


@dataclass(frozen=True)
class Plan:
    """All evaluations that a study has asked for so far, in the order in which they are worth having.

        jobs       round 1: design …, audit … | round 2: design … | …     asked for: evaluated, or found in the ledger
        archive                                                           there, but not asked for: used for nothing

    known: by position in jobs, outcomes that need no work: the ledger's, and those of the rounds before.
    cached: positions of the jobs that the ledger answered.
    trained: of those that are missing, how many need no training: kept weights or images are only drawn from or scored anew.
    sizes: float64[contributors + former ones of the archive], training images.
    rounds: what each finished round came to. ended: why there is no further one; None while there is.
    purpose: the study's own evaluations, or those of an audit or a validation; what their progress is shown under.
    """

    jobs: tuple[Job, ...]
    known: Mapping[int, Outcome]
    cached: frozenset[int]
    trained: int
    archive: Archive
    sizes: Floats
    rounds: tuple[Round, ...] = ()
    ended: Ending | None = None
    purpose: Literal["evaluations", "audit", "validation"] = "evaluations"

    @property
    def unfinished(self) -> bool:
        """Whether there is a round that has not been judged yet."""
        return self.ended is None

    @property
    def missing(self) -> tuple[int, ...]:
        """Positions of the jobs that have to be submitted."""
        return tuple(i for i in range(len(self.jobs)) if i not in self.known)

    @property
    def draws(self) -> int:
        """What the budget counts: coalitions asked for, each as often as the design drew it, without the audit's repeats."""
        return sum(job.draws for job in self.jobs if job.role != "audit")

    def asked(self, contributors: int) -> Coalitions:
        """The coalitions asked for, each once: bool[m, contributors]."""
        return _rows([job for job in self.jobs if job.role != "audit"], contributors)

    def in_part(self, contributors: int) -> Coalitions:
        """Coalitions of today's contributors that were trained, and lack a score: bool[m, contributors]."""
        return _rows(self.archive.unscored, contributors)

    def there(self, contributors: int, outcomes: Sequence[Outcome]) -> Coalitions:
        """Coalitions of today's contributors with a value for every property, asked for or reused: bool[m, contributors]."""
        mine = np.flatnonzero(~np.asarray(self.archive.former_rows.any(axis=1)))
        pairs = [
            *((job, outcome) for job, outcome in zip(self.jobs, outcomes, strict=True) if job.role != "audit"),
            *((self.archive.jobs[i], self.archive.outcomes[i]) for i in mine),
        ]
        return _rows([job for job, outcome in pairs if job.scores.keys() <= outcome.values.keys()], contributors)


def make_plan(
    study: Study,
    partition: Partition,
    pruned: Recipe,
    statistics: Mapping[str, str | None],
    ledger: Ledger,
    earlier: Mapping[str, Earlier] | None = None,
) -> Plan:
    """The first round of a study and its audit as jobs, held against the ledger; and what else is there to be used.

    Args:
        statistics: by property, the digest of its reference statistics.
        earlier: by fingerprint, whose data the study's statements say it was (`former.earlier_contributors`).
    """
    estimation, images, earlier = study.estimation, images_of(partition), earlier or {}
    archive = NOTHING_REUSED
    rows = first_round(estimation, images)
    everything = len(images) < 30 and len(distinct(with_ends(rows))) == 2 ** len(images)
    if estimation.reuse and estimation.takes_any_rows and not everything:
        owners = {fingerprint: who.name for fingerprint, who in earlier.items()}
        archive = find_archive(study, partition, pruned, statistics, ledger, known_owners=owners, exclude=())
    known_sizes = {fingerprint: who.images for fingerprint, who in earlier.items()}
    plan = Plan((), {}, frozenset(), 0, archive, sizes_with_former(partition, archive.former, known_sizes))

    repeated = audit_rows(study, distinct(rows))
    there, unscored = plan.there(len(images), []), plan.in_part(len(images))
    if estimation.design == "a_optimal" and repeated:
        before = repeated_before(distinct(np.concatenate([there, unscored])), study, partition, pruned, ledger)
        if len(before) >= len(repeated) - 1:  # everybody's is repeated besides
            repeated = audit_rows(study, before)
    # Under a hard budget somebody has counted already that what is there, and what it leaves, are enough.
    if estimation.design == "a_optimal" and (
        estimation.hard_budget or len(there) + len(unscored) >= FIRST * len(images)
    ):
        rows = opening(estimation, images, np.array(repeated, dtype=bool).reshape(-1, len(images)), there, unscored)
    return extend(plan, study, partition, pruned, statistics, ledger, rows, repeated=repeated)


def extend(
    plan: Plan,
    study: Study,
    partition: Partition,
    pruned: Recipe,
    statistics: Mapping[str, str | None],
    ledger: Ledger,
    rows: Coalitions,
    *,
    repeated: Sequence[Coalitions] = (),
    outcomes: Sequence[Outcome] = (),
) -> Plan:
    """A plan with another round.

    rows: bool[k, contributors], of the design; one evaluation a distinct coalition, the paper's iid draw repeats some.
    repeated: coalitions to evaluate under the audit's seeds. outcomes: of the plan's jobs so far.
    """
    properties, main = properties_of(study), study.coalition.seed
    jobs, positions = list(plan.jobs), {job.members: i for i, job in enumerate(plan.jobs) if job.role != "audit"}
    for bits, draws in Counter(row.tobytes() for row in rows).items():
        row = np.frombuffer(bits, dtype=bool)
        if (position := positions.get(_members(row))) is not None:
            jobs[position] = replace(jobs[position], draws=jobs[position].draws + draws)
        else:
            jobs.append(make_job(study, partition, pruned, statistics, row, _role(row), main, draws, properties))
    for row in repeated:
        for seed in study.coalition.audit_seeds:
            jobs.append(make_job(study, partition, pruned, statistics, row, "audit", seed, 1, properties))

    before, new = len(plan.jobs), jobs[len(plan.jobs) :]
    records = _look_up(new, ledger)
    found = _known(new, records)
    return replace(
        plan,
        jobs=tuple(jobs),
        known={**dict(enumerate(outcomes)), **{before + i: outcome for i, outcome in found.items()}},
        cached=plan.cached | {before + i for i in found},
        trained=_need_no_training([job for i, job in enumerate(new) if i not in found], records, ledger.store),
        archive=_without(plan.archive, {job.model.key for job in new}),
    )


def make_job(
    study: Study,
    partition: Partition,
    pruned: Recipe,
    statistics: Mapping[str, str | None],
    row: Coalitions,
    role: Role,
    seed: int,
    draws: int = 1,
    properties: Sequence[Property] | None = None,
) -> Job:
    """The job of one coalition, all its digests computed."""
    members = _members(row)
    contributors = [partition.contributors[i] for i in members]
    model = model_recipe(pruned, (c.fingerprint for c in contributors), study, seed)
    samples, scores = chain(model, study, properties or properties_of(study), statistics, seed)
    return Job(members, tuple(c.name for c in contributors), role, seed, model, samples, scores, draws)


def _members(row: Coalitions) -> tuple[int, ...]:
    return tuple(int(i) for i in np.flatnonzero(row))


def _rows(jobs: Sequence[Job], contributors: int) -> Coalitions:
    rows = np.zeros((len(jobs), contributors), dtype=bool)
    for row, job in zip(rows, jobs, strict=True):
        row[list(job.members)] = True
    return rows


def _without(archive: Archive, asked: Collection[str]) -> Archive:
    """The archive less the evaluations that a design has asked for by now; `asked` holds keys of models."""
    kept = [i for i, job in enumerate(archive.jobs) if job.model.key not in asked]
    return replace(
        archive,
        jobs=tuple(archive.jobs[i] for i in kept),
        outcomes=tuple(archive.outcomes[i] for i in kept),
        former_rows=archive.former_rows[kept],
    )


def repeated_before(
    coalitions: Coalitions, study: Study, partition: Partition, pruned: Recipe, ledger: Ledger
) -> Coalitions:
    """Those that were trained under all of the audit's seeds already: to repeat others would cost, and tell
    no more of the noise. bool[m, contributors] -> bool[k, contributors]."""
    seeds = study.coalition.audit_seeds
    keys = [
        [
            model_recipe(pruned, (partition.contributors[i].fingerprint for i in _members(row)), study, seed).key
            for seed in seeds
        ]
        for row in coalitions
    ]
    there = ledger.find(ModelRecord, (key for of_row in keys for key in of_row))
    return coalitions[[all(key in there for key in of_row) for of_row in keys]]


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


def _need_no_training(missing: Sequence[Job], records: _Records, store: Store) -> int:
    """For how many of these what the store has is enough. It is listed only if any of them was ever begun."""
    begun = [job for job in missing if job.model.key in records.models]
    if not begun:
        return 0
    held = Held(records.models, records.samples, records.scores, stored(store, "models"), stored(store, "samples"))
    return sum(not lacking(job, held).weights for job in begun)


def _role(row: np.ndarray) -> Role:
    if not row.any():
        return "baseline"
    return "grand" if row.all() else "design"
