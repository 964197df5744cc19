"""What evaluations that lack something come to together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tasks.plan.lacking import Lack
from tasks.preview.types import Measured, Storage, Work


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
        if not count:
            continue  # a study that draws no images has no rate of drawing
        rate = rates[part]
        if rate is None:
            unknown.append(part)
        else:
            total += count * rate.seconds
    return total, tuple(unknown)
