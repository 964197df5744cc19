"""A store in which everything is made but the scores: a run in it takes seconds, and meets what a property does."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from infra.store import Store
from tasks.study import Study
from tests.faults.failing_property import pixels_sha256
from tests.faults.running import Nursery
from tests.flows.reading import latest, table
from tests.small import small_study

OWN = "tests.faults.failing_property:brightness"


@dataclass(frozen=True)
class Unscored:
    """such a store, its study, and one coalition of it. members: names. images: sha256 of what was drawn from it."""

    folder: Path
    study: Study
    members: tuple[str, ...]
    images: str

    def copy(self, target: Path) -> Store:
        shutil.copytree(self.folder, target)
        return Store(str(target))


def unscored(data: Path, nursery: Nursery, folder: Path) -> Unscored:
    study = small_study(data, properties={"names": ["heldout_loss", OWN]})
    store = Store(str(folder))
    nursery.finish(study, store.url)
    evaluations = table(store, "small", "evaluations.parquet")
    drawn = evaluations[(evaluations["role"] == "design") & (evaluations["members"].map(len) == 2)].iloc[0]
    sha256 = json.loads(store.read(f"ledger/samples/{drawn['samples_key']}.json"))["sha256"]
    images = store.load_arrays(f"samples/{sha256}.safetensors")["images"]
    for key in [*store.list(latest(store, "small")), "studies/small/latest.json", *store.list("ledger/scores")]:
        store.delete(key)
    return Unscored(folder, study, tuple(drawn["members"]), pixels_sha256(images))
