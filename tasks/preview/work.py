"""What evaluations still lack, link by link: the same questions that `tasks.evaluate.evaluator` asks before it works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from infra.ledger import Ledger, ModelRecord, SamplesRecord, ScoreRecord
from infra.store import Store
from tasks.evaluate.jobs import Job
from tasks.preview.types import Measured, Storage, Work


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
            _named_by_content(ledger.store, "models"),
            _named_by_content(ledger.store, "samples"),
        )


def _named_by_content(store: Store, prefix: str) -> frozenset[str]:
    return frozenset(key.rpartition("/")[2].removesuffix(".safetensors") for key in store.list(prefix))


def lacking(job: Job, held: Held) -> Lack:
    """What a job that is not in the ledger needs."""
    scores = tuple(name for name, recipe in job.scores.items() if recipe.key not in held.scores)
    drawn = job.samples.key if job.samples is not None else None
    on_images = [name for name in scores if job.scores[name].spec["subject"] == drawn]
    samples, model = held.samples.get(drawn or ""), held.models.get(job.model.key)
    images = bool(on_images) and (samples is None or samples.sha256 not in held.images)
    kept = model is not None and model.kept and model.sha256 in held.weights
    weights = (images or len(on_images) < len(scores)) and not kept
    return Lack(weights, weights and bool(job.members), images, scores)


def whole(job: Job) -> Lack:
    """What an evaluation like `job` needs of which nothing is there."""
    return Lack(True, True, job.samples is not None, tuple(job.scores))


def add_up(lacks: Sequence[Lack], rates: Mapping[str, Measured | None], storage: Storage) -> Work:
    """What these evaluations come to together."""
    scores = Counter(name for lack in lacks for name in lack.scores)
    parts = {
        "fine_tune": sum(lack.training for lack in lacks),
        "sample": sum(lack.images for lack in lacks),
        **{f"score/{name}": count for name, count in scores.items()},
    }
    seconds, unknown = _priced(parts.items(), rates)
    weights = sum(lack.weights for lack in lacks)
    return Work(
        evaluations=len(lacks),
        trainings=parts["fine_tune"],
        samplings=parts["sample"],
        scores=dict(scores),
        seconds=None if unknown else seconds,
        not_measured=unknown,
        weights_bytes=0 if not weights else None if storage.weights is None else weights * storage.weights,
        samples_bytes=parts["sample"] * storage.samples,
    )


def _priced(parts: Iterable[tuple[str, int]], rates: Mapping[str, Measured | None]) -> tuple[float, tuple[str, ...]]:
    total, unknown = 0.0, []
    for part, count in parts:
        rate = rates[part]
        if count and rate is None:
            unknown.append(part)
        elif rate is not None:
            total += count * rate.seconds
    return total, tuple(unknown)
