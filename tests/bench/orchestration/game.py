"""Studies whose evaluations are never made, only recorded: the real plan and ledger, and values that mean nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from infra.digest import sha256
from infra.ledger import Ledger, ModelRecord, SamplesRecord, ScoreRecord
from infra.provenance import now
from infra.store import Store
from tasks.evaluate.jobs import Job, Outcome, Setting
from tasks.partition import Contributor, Partition
from tasks.plan import Plan, make_plan
from tasks.recipe import Recipe
from tasks.study import Study

CONTRIBUTORS = 32
IMAGES = 50  # of each
DEPLOYMENT = "sleep"
PRUNED = Recipe("pruned", {"reference": "r", "ratio": 0.5})
STATISTICS = "3" * 64
NOTHING = "0" * 64  # the sha256 that weights and images would have
PREFIX = "figures: "  # of the line in which a process says what it measured
THREADS = 16  # that fill a ledger


def study(name: str, evaluations: int, shard_seconds: float, properties: list[str] | None = None) -> Study:
    """A study of so many evaluations, on the bench's work pool; of the default properties unless told otherwise."""
    fields: dict[str, Any] = {
        "name": name,
        "coalition": {"audit_coalitions": 0},
        "estimation": {"budget": evaluations},
        "execution": {
            "mode": "work_pool", "deployment": DEPLOYMENT, "shard_minutes": shard_seconds / 60, "device": "cpu",
        },
    }  # fmt: skip
    if properties is not None:
        fields["properties"] = {"names": properties}
    return Study.model_validate(fields)


def people() -> Partition:
    """The contributors."""
    contributors = tuple(
        Contributor(f"c{i:02d}", float(IMAGES), 10.0, 1 / CONTRIBUTORS, sha256(b"images of %d" % i))
        for i in range(CONTRIBUTORS)
    )
    digests = tuple(sha256(b"image %d" % i) for i in range(IMAGES * CONTRIBUTORS))
    ownership = np.repeat(np.eye(CONTRIBUTORS), IMAGES, axis=0)
    empty = np.zeros((0, 2, 2, 3), dtype=np.uint8)
    return Partition(contributors, (), (), digests, (), ownership, empty, empty)


def plan(wanted: Study, partition: Partition, store: Store) -> Plan:
    """Step 4, held against the store's ledger."""
    statistics = dict.fromkeys(wanted.properties.names, STATISTICS)
    return make_plan(wanted, partition, PRUNED, statistics, Ledger(store))


def setting(wanted: Study, partition: Partition, store: Store) -> Setting:
    """What its shards have in common."""
    return Setting(
        store_url=store.url,
        study=wanted,
        data_sha256="1" * 64,
        train_digests=partition.train_digests,
        ownership=partition.ownership,
        pruned_key=PRUNED.key,
        statistics=dict.fromkeys(wanted.properties.names, STATISTICS),
    )


def record(job: Job, ledger: Ledger, seconds: float) -> Outcome:
    """Put an evaluation into the ledger as a worker does, all but weights and images."""
    common: dict[str, Any] = {"created": now()}
    ledger.record(ModelRecord(**common, key=job.model.key, spec=job.model.spec, sha256=NOTHING, seconds=seconds))
    if job.samples is not None:
        drawn = SamplesRecord(
            **common, key=job.samples.key, spec=job.samples.spec, model=job.model.key, sha256=NOTHING, seconds=0.0
        )
        ledger.record(drawn)
    values = {}
    for name, recipe in job.scores.items():
        values[name] = int(recipe.key[:8], 16) / 2**32
        score = ScoreRecord(
            **common, key=recipe.key, spec=recipe.spec, subject=job.model.key, value=values[name], seconds=0.0
        )
        ledger.record(score)
    return Outcome(values, {}, {"fine_tune": seconds}, trained=True, sampled=True, scored=len(values))


def fill(jobs: Iterable[Job], store: Store, seconds: float) -> float:
    """Record all of them. Returns what that took, in seconds."""
    began, ledger = time.monotonic(), Ledger(store)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda job: record(job, ledger, seconds), jobs))
    return time.monotonic() - began
