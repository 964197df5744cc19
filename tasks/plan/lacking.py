"""What evaluations still lack, link by link: the same questions that `tasks.evaluate.evaluator` asks before it works.

A record outlives what it speaks of: weights and images may have been tidied away. So the store is asked too, by listing it
once, not by a request for each thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from infra.ledger import Ledger, ModelRecord, SamplesRecord, ScoreRecord
from infra.store import Store
from tasks.evaluate.jobs import Job


@dataclass(frozen=True)
class Lack:
    """What is to be done for one evaluation. weights: made anew; training: by training, not drawn at random (the empty
    coalition). images: drawn anew. scores: properties."""

    weights: bool
    training: bool
    images: bool
    scores: tuple[str, ...]


@dataclass(frozen=True)
class Held:
    """What ledger and store have. weights, images: sha256 of those that are there; a record may outlive what it is of."""

    models: Mapping[str, ModelRecord]
    samples: Mapping[str, SamplesRecord]
    scores: Mapping[str, ScoreRecord]
    weights: Set[str]
    images: Set[str]

    @classmethod
    def of(cls, ledger: Ledger) -> Held:
        """Everything, read once."""
        return cls(
            ledger.all(ModelRecord),
            ledger.all(SamplesRecord),
            ledger.all(ScoreRecord),
            stored(ledger.store, "models"),
            stored(ledger.store, "samples"),
        )

    @classmethod
    def about(cls, jobs: Iterable[Job], ledger: Ledger) -> Held:
        """What bears on some jobs, read once."""
        jobs = tuple(jobs)
        return cls(
            ledger.find(ModelRecord, (job.model.key for job in jobs)),
            ledger.find(SamplesRecord, (job.samples.key for job in jobs if job.samples is not None)),
            ledger.find(ScoreRecord, (recipe.key for job in jobs for recipe in job.scores.values())),
            stored(ledger.store, "models"),
            stored(ledger.store, "samples"),
        )


def stored(store: Store, kind: str) -> frozenset[str]:
    """sha256 of the weights or images that are in the store now: one listing of `models` or `samples`."""
    return frozenset(key.rpartition("/")[2].removesuffix(".safetensors") for key in store.list(kind))


def lacking(job: Job, held: Held) -> Lack:
    """What a job that is not in the ledger needs."""
    scores = tuple(name for name, recipe in job.scores.items() if recipe.key not in held.scores)
    drawn = job.samples.key if job.samples is not None else None
    on_images = [name for name in scores if job.scores[name].spec["subject"] == drawn]
    samples, model = held.samples.get(drawn or ""), held.models.get(job.model.key)
    images = bool(on_images) and (samples is None or samples.sha256 not in held.images)
    # Whatever `kept` says: weights that a study does not keep are there until its scores are (tasks.evaluate.weights).
    there = model is not None and model.sha256 in held.weights
    weights = (images or len(on_images) < len(scores)) and not there
    return Lack(weights, weights and bool(job.members), images, scores)


def whole(job: Job) -> Lack:
    """What an evaluation like `job` needs of which nothing is there."""
    return Lack(True, True, job.samples is not None, tuple(job.scores))
