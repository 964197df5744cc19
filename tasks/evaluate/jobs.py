"""The nouns of an evaluation: what a worker is told, and what it answers. Plain data, so it can cross processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from tasks.recipe import Recipe
from tasks.study import Study

Role = Literal["baseline", "grand", "design", "audit", "archive"]


@dataclass(frozen=True)
class Job:
    """One coalition to be realised under one seed and scored: three links of the ledger's chain.

    members: positions of the contributors in the partition, sorted; () is the empty coalition.
    samples: None if no property of the study needs images.
    draws: how often the design drew it; the paper's iid draw repeats rows, and its estimator counts them.
    """

    members: tuple[int, ...]
    names: tuple[str, ...]
    role: Role
    seed: int
    model: Recipe
    samples: Recipe | None
    scores: Mapping[str, Recipe]  # by property
    draws: int = 1


@dataclass(frozen=True)
class Setting:
    """What all jobs of a run have in common; a worker gets it once."""

    store_url: str
    study: Study
    data_sha256: str  # data/<sha256>.safetensors: train_pixels
    train_digests: tuple[str, ...]
    ownership: np.ndarray  # float64 [images, contributors]
    pruned_key: str
    statistics: Mapping[str, str | None]  # by property: sha256, and so the key, of its reference statistics


@dataclass(frozen=True)
class Outcome:
    """What became of a job. Every property is in `values` or in `failures`, never in both."""

    values: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(
        default_factory=dict
    )  # load, fine_tune, sample, score: spent now, or when made
    trained: bool = False
    sampled: bool = False
    scored: int = 0

    @property
    def cached(self) -> bool:
        """Nothing was computed: all of it was in the ledger."""
        return not (self.trained or self.sampled or self.scored)
