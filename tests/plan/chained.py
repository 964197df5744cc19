"""Jobs with their whole chain, and ledgers in which they are done; nothing is evaluated."""

from __future__ import annotations

from typing import Any

from infra.ledger import ModelRecord, SamplesRecord, ScoreRecord
from tasks.evaluate.jobs import Job
from tasks.plan.chain import chain, properties_of
from tasks.plan.lacking import Held
from tasks.recipe import Recipe, model_recipe
from tasks.study import Study

PRUNED = Recipe("pruned", {"reference": "r", "ratio": 0.5})
OTHER = Recipe("pruned", {"reference": "r", "ratio": 0.25})
MADE: dict[str, Any] = {"created": "2026-01-01T00:00:00+00:00", "provenance": {"device": "cpu"}}
WEIGHTS, IMAGES = "a" * 64, "b" * 64
NOTHING = Held({}, {}, {}, frozenset(), frozenset())


def study(**sections: dict[str, Any]) -> Study:
    fields: dict[str, Any] = {
        "properties": {"names": ["heldout_loss", "colourfulness"]},
        "execution": {"device": "cpu"},
    }
    return Study(**{**fields, **sections})


def job(wanted: Study, members: tuple[str, ...] = ("f1", "f2"), pruned: Recipe = PRUNED, seed: int = 0) -> Job:
    model = model_recipe(pruned, members, wanted, seed)
    statistics = dict.fromkeys(wanted.properties.names)
    samples, scores = chain(model, wanted, properties_of(wanted), statistics, seed)
    return Job(tuple(range(len(members))), members, "design", seed, model, samples, scores)


def held(*jobs: Job, scored: tuple[str, ...] = ("heldout_loss", "colourfulness"), device: str = "cpu") -> Held:
    """A ledger in which these jobs are done: 10 s of training, 4 s of drawing, 2 s a score."""
    made: dict[str, Any] = {**MADE, "provenance": {"device": device}}
    models, samples, scores = {}, {}, {}
    for j in jobs:
        models[j.model.key] = ModelRecord(**made, key=j.model.key, spec=j.model.spec, sha256=WEIGHTS, seconds=10)
        if j.samples is not None:
            key = j.samples.key
            samples[key] = SamplesRecord(
                **made, key=key, spec=j.samples.spec, model=j.model.key, sha256=IMAGES, seconds=4
            )
        for name in scored:
            r = j.scores[name]
            scores[r.key] = ScoreRecord(**made, key=r.key, spec=r.spec, subject=r.spec["subject"], value=1.0, seconds=2)
    return Held(models, samples, scores, frozenset({WEIGHTS}), frozenset({IMAGES}))
