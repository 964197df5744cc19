"""Ledgers that earlier runs filled, and who was there; nothing is evaluated."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from infra.ledger import Ledger, ModelRecord, SamplesRecord, ScoreRecord
from infra.store import Store
from tasks.partition import Contributor, Partition
from tasks.plan.archive import Archive, find_archive
from tasks.plan.chain import chain, properties_of
from tasks.recipe import Recipe, model_recipe
from tasks.study import Study

PRUNED = Recipe("pruned", {"reference": "r", "ratio": 0.5})
WHEN = "2026-01-01T00:00:00+00:00"
BOTH = ("heldout_loss", "colourfulness")  # one is scored on weights, one on images
STUDY = Study.model_validate({"properties": {"names": BOTH}})
STATISTICS: dict[str, str | None] = {"heldout_loss": "d" * 64, "colourfulness": None}
fresh = itertools.count()


def data(owner: str, version: int = 0) -> str:
    """The fingerprint of somebody's images."""
    return f"{owner.encode().hex():0>60}{version:04x}"


def people(*owners: str | tuple[str, str], merged: tuple[str, ...] = ()) -> Partition:
    """Contributors by name, or by (name, fingerprint)."""
    named = [owner if isinstance(owner, tuple) else (owner, data(owner)) for owner in owners]
    contributors = tuple(
        Contributor(name, 10.0, 2.0, 1 / len(named), fingerprint, merged if place == 0 else ())
        for place, (name, fingerprint) in enumerate(named)
    )
    empty = np.zeros((0, 2, 2, 3), dtype=np.uint8)
    return Partition(contributors, (), (), (), (), np.zeros((0, len(named))), empty, empty)


class Past:
    """A ledger that earlier runs filled, each evaluation with a value of its own."""

    def __init__(self) -> None:
        self.ledger = Ledger(Store(f"memory://archive-{next(fresh)}"))
        self.values: dict[str, float] = {}

    def evaluate(
        self,
        *members: str,
        study: Study = STUDY,
        seed: int = 0,
        pruned: Recipe = PRUNED,
        scored: Collection[str] = BOTH,
        statistics: Mapping[str, str | None] = STATISTICS,
        diverged: str | None = None,
        undrawable: str | None = None,
        unscorable: Mapping[str, str] = {},
    ) -> str:
        """Record the chain of one coalition of fingerprints, as the evaluator does. Returns the key of its model."""
        model = model_recipe(pruned, members, study, seed)
        common: dict[str, Any] = {"created": WHEN, "seconds": 1.0}
        weights = None if diverged else "0" * 64
        self.ledger.record(ModelRecord(**common, key=model.key, spec=model.spec, sha256=weights, failure=diverged))
        if diverged:
            return model.key
        samples, scores = chain(model, study, properties_of(study), statistics, seed)
        assert samples is not None
        if "colourfulness" in scored or undrawable:
            self.ledger.record(
                SamplesRecord(
                    **common,
                    key=samples.key,
                    spec=samples.spec,
                    model=model.key,
                    sha256=None if undrawable else "1" * 64,
                    failure=undrawable,
                )
            )
        value = self.values.setdefault(model.key, float(len(self.values) + 1))
        for name in scored:
            score, why = scores[name], unscorable.get(name)
            self.ledger.record(
                ScoreRecord(
                    **common,
                    key=score.key,
                    spec=score.spec,
                    subject=score.spec["subject"],
                    value=None if why else value,
                    failure=why,
                )
            )
        return model.key

    def archive(
        self,
        partition: Partition,
        owners: Mapping[str, str] = {},
        *,
        study: Study = STUDY,
        statistics: Mapping[str, str | None] = STATISTICS,
        exclude: Collection[str] = (),
    ) -> Archive:
        return find_archive(
            study, partition, PRUNED, statistics, self.ledger, known_owners=owners, exclude=frozenset(exclude)
        )


def rows(archive: Archive, partition: Partition) -> list[list[int]]:
    """Its coalitions as 0 and 1."""
    return archive.coalitions(len(partition.contributors)).astype(int).tolist()
