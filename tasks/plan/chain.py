"""From a model's recipe to all that is drawn from it and scored on it: the rest of the ledger's chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.properties import Property, resolve_property
from tasks.recipe import Recipe, samples_recipe, score_recipe
from tasks.study import Study


def properties_of(study: Study) -> tuple[Property, ...]:
    """The study's properties, resolved once: some of them read a file of weights to say which they are."""
    return tuple(resolve_property(name, study.properties) for name in study.properties.names)


def chain(
    model: Recipe, study: Study, properties: Sequence[Property], statistics: Mapping[str, str | None], seed: int
) -> tuple[Recipe | None, dict[str, Recipe]]:
    """The samples of a model (None if no property needs images), and by property the score on them or on the weights.

    Args:
        statistics: by property, the digest of its reference statistics.
        seed: the coalition's.
    """
    samples = samples_recipe(model, study, seed) if any(p.needs == "samples" for p in properties) else None
    scores = {}
    for p in properties:
        subject = samples if p.needs == "samples" and samples is not None else model
        scores[p.name] = score_recipe(subject, p.identity(), statistics[p.name])
    return samples, scores
