"""Whole studies without models: the real plan, ledger, estimate and stop rule, on games whose values are formulas.

What a coalition is worth depends on whose images are in it, by name, with noise by names and seed, so an evaluation has the
same value whoever asks for it and whenever, as a real one has.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from infra.digest import sha256
from infra.ledger import Ledger, ModelRecord, ScoreRecord
from infra.store import Store
from tasks.estimate import property_results
from tasks.evaluate.jobs import Job, Outcome
from tasks.partition import Contributor, Partition
from tasks.plan import Plan, make_plan
from tasks.plan.course import go_on
from tasks.plan.former import Earlier
from tasks.progress import Say, silent
from tasks.properties import Denoiser, Statistics, global_property
from tasks.publish import PropertyResult
from tasks.recipe import Recipe
from tasks.study import Study

PRUNED = Recipe("pruned", {"reference": "r", "ratio": 0.5})
WHEN = "2026-01-01T00:00:00+00:00"
SECOND = "tests.plan.world:second"
fresh = itertools.count()


@global_property(needs="weights", sign=1, unit="points")
def second(denoiser: Denoiser, statistics: Statistics) -> float:
    """A second property that needs no images; `World` gives its values."""
    return 0.0


def study(names: tuple[str, ...] = ("heldout_loss",), audit: int = 3, **estimation: Any) -> Study:
    """A study of properties that need no images."""
    return Study.model_validate(
        {
            "properties": {"names": names},
            "coalition": {"audit_coalitions": audit, "audit_seeds": [1, 2]},
            "estimation": estimation,
        }
    )


def people(count: int, joined: Collection[int] = (), left: Collection[int] = ()) -> Partition:
    """Contributors c00, c01, …: the first `count`, with those who joined, without those who left."""
    numbers = [i for i in (*range(count), *joined) if i not in left]
    contributors = tuple(
        Contributor(f"c{i:02d}", 5.0 + i % 7, 2.0, 1 / len(numbers), sha256(b"images of %d" % i)) for i in numbers
    )
    empty = np.zeros((0, 2, 2, 3), dtype=np.uint8)
    return Partition(contributors, (), (), (), (), np.zeros((0, len(numbers))), empty, empty)


class World:
    """A ledger, and what evaluations come out as. `failing`: coalitions, by names, that diverge."""

    def __init__(self, noise: float = 0.02, failing: Collection[frozenset[str]] = ()) -> None:
        self.ledger = Ledger(Store(f"memory://world-{next(fresh)}"))
        self.noise, self.failing = noise, failing
        self.evaluated = 0  # ever, networks that were trained
        self.earlier: dict[str, Earlier] = {}

    def value(self, names: Collection[str], seed: int, of: str) -> float:
        """Saturating in the worth of those present, more is better."""
        worth = sum((2.0 if of == SECOND else 1.0) + 3.0 * (int(name[1:]) * 7 % 10) / 10 for name in names)
        chance = np.random.default_rng([seed, *"".join(sorted(names)).encode(), len(of)]).standard_normal()
        level = 1 - np.exp(-worth / 12) + 0.02 * worth if names else -5.0
        return float(level + (self.noise * chance if names else 0.0))

    def evaluate(self, job: Job) -> Outcome:
        """Record a job's chain of links as a worker does."""
        self.evaluated += 1
        common: dict[str, Any] = {"created": WHEN, "seconds": 3.0}
        why = "training loss is nan" if frozenset(job.names) in self.failing else None
        sha = None if why else "0" * 64
        self.ledger.record(ModelRecord(**common, key=job.model.key, spec=job.model.spec, sha256=sha, failure=why))
        if why:
            return Outcome(failures=dict.fromkeys(job.scores, why), trained=True)
        values = {}
        for name, score in job.scores.items():
            sign = -1 if name == "heldout_loss" else 1
            values[name] = sign * self.value(job.names, job.seed, name)
            record = ScoreRecord(**common, key=score.key, spec=score.spec, subject=job.model.key, value=values[name])
            self.ledger.record(record)
        return Outcome(values=values, seconds={"fine_tune": 3.0, "score": 3.0 * len(values)}, trained=True, scored=1)

    def publish(self, partition: Partition) -> None:
        """A statement was made: later runs know whose data these were."""
        self.earlier |= {c.fingerprint: Earlier(c.name, c.images) for c in partition.contributors}


class Killed(Exception):
    """The run was killed."""


def play(
    wanted: Study, partition: Partition, world: World, kill_after: int | None = None, say: Say = silent
) -> tuple[Plan, tuple[PropertyResult, ...]]:
    """The loop of the flow `attribute`, with its own functions. Raises Killed after so many evaluations."""
    statistics: Mapping[str, str | None] = dict.fromkeys(wanted.properties.names)
    plan, start = make_plan(wanted, partition, PRUNED, statistics, world.ledger, world.earlier), world.evaluated
    while plan.unfinished:
        outcomes = []
        for position, job in enumerate(plan.jobs):
            if position not in plan.known and world.evaluated - start == kill_after:
                raise Killed
            outcomes.append(plan.known[position] if position in plan.known else world.evaluate(job))
        results = property_results(wanted, partition, plan.jobs, outcomes, plan.archive, plan.sizes)
        plan = go_on(wanted, partition, PRUNED, statistics, world.ledger, plan, outcomes, results, say=say)
    world.publish(partition)
    return plan, results
