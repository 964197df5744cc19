"""The archive on the real thing: real images, real training, and who was there is changed between two runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from infra.ledger import Ledger
from infra.store import Store
from tasks.evaluate.jobs import Job, Setting
from tasks.evaluate.statistics import prepare_statistics
from tasks.evaluate.workers import InProcess
from tasks.frozen import epoch_at_hand
from tasks.partition import Partition, partition
from tasks.plan import make_plan
from tasks.plan.archive import UNKNOWN, Archive, find_archive
from tasks.recipe import Recipe, data_recipe, pruned_recipe, reference_recipe
from tasks.reference.pruned import obtain_pruned
from tasks.reference.reference import obtain_reference
from tasks.study import Study
from tests.small import DESIGNERS, make_data, small_study


@dataclass(frozen=True)
class Epoch:
    """What is frozen in an epoch of a small study; who takes part is asked each time."""

    store: Store
    study: Study
    pruned: Recipe
    statistics: Mapping[str, str | None]

    def people(self, names: Iterable[str]) -> Partition:
        """The images of these designers only."""
        return partition(self.study.data.model_copy(update={"only": list(names)}), self.study.model.resolution)

    def plan(self, people: Partition, budget: int) -> tuple[Job, ...]:
        """The design, without repeats under other seeds."""
        study = self.study.model_copy(
            update={"estimation": self.study.estimation.model_copy(update={"budget": budget})}
        )
        jobs = make_plan(study, people, self.pruned, self.statistics, Ledger(self.store)).jobs
        return tuple(job for job in jobs if job.role != "audit")

    def evaluate(self, people: Partition, jobs: Iterable[Job]) -> list[dict[str, float]]:
        """The values of each job, from the ledger or made now."""
        pixels = self.store.save_named_by_content("data", {"train_pixels": people.train_pixels})
        setting = Setting(
            *(self.store.url, self.study, pixels, people.train_digests, people.ownership),
            *(self.pruned.key, self.statistics),
        )
        with InProcess(setting) as worker:
            return [dict(worker.evaluate(job, print).values) for job in jobs]

    def archive(self, people: Partition, owners: Mapping[str, str], planned: Iterable[Job] = ()) -> Archive:
        """What the ledger has beside what is planned."""
        exclude = {job.model.key for job in planned}
        ledger = Ledger(self.store)
        return find_archive(
            self.study, people, self.pruned, self.statistics, ledger, known_owners=owners, exclude=exclude
        )


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Epoch:
    """Reference, pruned model and statistics of all four designers, and no evaluation. Tests copy it."""
    folder = tmp_path_factory.mktemp("epoch")
    study, store = small_study(make_data(folder / "data")), Store(str(folder / "store"))
    people = partition(study.data, study.model.resolution)
    data = data_recipe(people, study.model.resolution)
    epoch = epoch_at_hand(people, data)
    statistics = prepare_statistics(study, epoch, store, print)
    reference = reference_recipe(study.model, data, None)
    trained = obtain_reference(study, reference, lambda: epoch.images.everybody, store, say=print)
    pruned = pruned_recipe(study.pruning, study.model, reference, data)
    obtain_pruned(study, pruned, trained, lambda: epoch.images.everybody, store, heldout_loss=lambda _: 0.0, say=print)
    return Epoch(store, study, pruned, statistics)


def copy(epoch: Epoch, folder: Path) -> Epoch:
    """The same epoch in a store of its own."""
    shutil.copytree(epoch.store.url, folder)
    return replace(epoch, store=Store(str(folder)))


def test_what_was_evaluated_before_somebody_joined_is_to_the_bit_what_would_be_evaluated_now(
    opened: Epoch, tmp_path: Path
) -> None:
    before, anew = copy(opened, tmp_path / "before"), copy(opened, tmp_path / "anew")
    three, four = before.people(DESIGNERS[1:]), before.people(DESIGNERS)
    earlier = before.plan(three, budget=8)
    before.evaluate(three, earlier)
    found = before.archive(four, owners={})
    assert (
        len(found.jobs) == 7 and not found.ignored
    )  # all coalitions of three but the empty one, which the plan asks for
    assert not any(0 in job.members for job in found.jobs)  # the joiner is in none of them
    assert [dict(outcome.values) for outcome in found.outcomes] == anew.evaluate(four, found.jobs)


def test_after_somebody_left_all_they_were_in_is_there_with_a_column_for_them(opened: Epoch, tmp_path: Path) -> None:
    epoch = copy(opened, tmp_path / "store")
    four, three = epoch.people(DESIGNERS), epoch.people(DESIGNERS[1:])
    all_of_them = epoch.plan(four, budget=16)
    values = dict(zip((job.names for job in all_of_them), epoch.evaluate(four, all_of_them), strict=True))
    planned = epoch.plan(three, budget=8)
    assert {job.model.key for job in planned} <= {job.model.key for job in all_of_them}
    owners = {c.fingerprint: c.name for c in four.contributors}
    found = epoch.archive(three, owners, planned)
    assert (len(found.jobs), found.former_names, found.ignored) == (8, (DESIGNERS[0],), {})
    assert found.former_rows.all()
    for job, outcome in zip(found.jobs, found.outcomes, strict=True):
        assert dict(outcome.values) == values[tuple(sorted(job.names))]
    assert dict(epoch.archive(three, {}, planned).ignored) == {UNKNOWN: 8}
