"""Contributors come and go, with the real thing: what is evaluated again, what is not, and what people are told."""

from __future__ import annotations

import csv
import html
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.attribute import attribute
from flows.reattribute import reattribute
from infra.store import Store
from tasks.statements.read import all_statements
from tasks.study import Study
from tests.flows.reading import made, manifest, models, table
from tests.flows.seen import artifacts, logged
from tests.small import DESIGNERS, small_study

NEW = "Ada Lovelace"
LOSS = {"names": ["heldout_loss"], "heldout_timesteps": 3}
Rows = list[dict[str, str]]


@pytest.fixture
def images(data: Path, tmp_path: Path) -> Path:
    """The four designers' images in a folder that the test may change."""
    return Path(shutil.copytree(data, tmp_path / "images"))


def edit(folder: Path, change: Callable[[Rows], Rows]) -> None:
    """Change the rows of the metadata."""
    path = folder / "metadata.csv"
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    fields = list(rows[0])
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(change(rows))


def reassign(folder: Path, owner: str, now: str, every: int = 1) -> None:
    """Give each of an owner's images, or every so many-th of them, to somebody else."""

    def change(rows: Rows) -> Rows:
        theirs = [row for row in rows if row["contributor"] == owner]
        for row in theirs[::every]:
            row["contributor"] = now
        return rows

    edit(folder, change)


def remove(folder: Path, owner: str) -> None:
    """Take somebody's images out."""
    gone: list[str] = []

    def change(rows: Rows) -> Rows:
        gone.extend(row["file_name"] for row in rows if row["contributor"] == owner)
        return [row for row in rows if row["contributor"] != owner]

    edit(folder, change)
    for name in gone:
        (folder / name).unlink()


def study(folder: Path, **sections: Any) -> Study:
    """All coalitions of three or four, one property, an epoch that bears nearly everything."""
    given = {"properties": LOSS, "epoch": {"drift": 0.9, "increment": 0.5}, **sections}
    return small_study(folder, name="living", **given)


def everything(store: Store) -> set[str]:
    """What would show that something was made or said."""
    return {key for part in ("ledger", "studies", "models", "samples", "epochs") for key in store.list(part)}


def said(of: str) -> str:
    """The newest page that tells what is new."""
    return html.unescape(str(artifacts(f"news-{of}")[-1].data))


@pytest.fixture
def first(images: Path, store: Store) -> Iterator[Store]:
    """A store with the first statement: of all four."""
    attribute(study(images))
    yield store


def test_the_first_time_there_is_nothing_to_compare_with_and_it_is_attributed(images: Path, store: Store) -> None:
    where = reattribute(study(images))
    assert manifest(store, "living")["epoch"]["number"] == 1 and where == store.where(_latest(store))
    assert "There is no statement of this study yet" in said("living")


def test_when_nothing_has_changed_it_says_so_publishes_nothing_and_names_the_statement(
    images: Path, first: Store
) -> None:
    before = everything(first)
    state = reattribute(study(images), return_state=True)
    assert "nobody joined, left or changed images" in logged(state, "Nothing is to be done: the statement stands.")
    assert state.result() == first.where(_latest(first))
    assert everything(first) == before


def test_who_only_changed_the_name_costs_nothing_and_gets_a_statement_with_the_new_one(
    images: Path, first: Store
) -> None:
    trained, networks = models(first), made(first)
    reassign(images, "Emily Jäger", "Zoe Jäger")
    reattribute(study(images))
    assert (models(first), made(first)) == (trained, networks)
    credits = table(first, "living", "credits.parquet")
    assert sorted(credits["contributor"]) == sorted({*DESIGNERS, "Zoe Jäger"} - {"Emily Jäger"})
    assert manifest(first, "living")["evaluations"]["new"] == 0
    assert "changed only the name" in said("living")


def test_who_leaves_is_in_no_new_evaluation_and_nothing_the_epoch_rests_on_is_made_again(
    images: Path, first: Store
) -> None:
    pruned = manifest(first, "living")["pruned"]["key"]
    remove(images, "Sofie Ascherl")
    reattribute(study(images))
    now = manifest(first, "living")
    assert now["epoch"]["number"] == 1 and now["epoch"]["drift"] > 0 and now["pruned"]["key"] == pruned
    evaluations = table(first, "living", "evaluations.parquet")
    new = evaluations[~evaluations["cached"]]
    assert set(new["role"]) == {"audit"}  # all eight coalitions of the three others were there, but not their repeats
    assert [c["name"] for c in now["contributors"]] == list(DESIGNERS[:3])
    assert "1 left (Sofie Ascherl)" in said("living")


def test_who_joins_costs_only_coalitions_with_them_and_the_others_are_used_again(images: Path, store: Store) -> None:
    without = study(images, data={"only": list(DESIGNERS[:3])})
    attribute(without)
    trained = models(store)
    reattribute(study(images))
    now = manifest(store, "living")
    assert now["epoch"]["number"] == 1 and 0 < now["epoch"]["drift"] < 0.9
    evaluations = table(store, "living", "evaluations.parquet")
    new = evaluations[~evaluations["cached"]]
    assert len(new) and new["in:Sofie Ascherl"].all()
    assert models(store) == trained + len(new)
    # At most the increment of the budget, the new grand coalition among them, besides its repeat under the audit's seed.
    assert (new["role"] != "audit").sum() <= 8 and (new["role"] == "audit").sum() == 1
    assert len(table(store, "living", "credits.parquet")) == 4
    assert "1 joined (Sofie Ascherl)" in said("living")


def test_who_changes_one_image_changes_only_the_coalitions_they_are_in(images: Path, first: Store) -> None:
    trained = models(first)
    with open(images / "metadata.csv", newline="", encoding="utf-8") as file:
        name = next(row["file_name"] for row in csv.DictReader(file) if row["contributor"] == "Crystal Moon")
    with Image.open(images / name) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(images / name)
    reattribute(study(images))
    evaluations = table(first, "living", "evaluations.parquet")
    new = evaluations[~evaluations["cached"]]
    assert models(first) == trained + len(new)
    anew = new[new["role"] != "audit"]  # one that was repeated before had the old images, so another one is
    assert len(anew) and anew["in:Crystal Moon"].all()
    assert manifest(first, "living")["epoch"]["number"] == 1
    assert "1 changed images (Crystal Moon)" in said("living")


def test_a_share_that_changes_is_a_change_of_both_owners_images(images: Path, store: Store) -> None:
    reassign(images, "Crystal Moon", "Crystal Moon:0.7;Emily Jäger:0.3", every=4)
    attribute(study(images))
    reassign(images, "Crystal Moon:0.7;Emily Jäger:0.3", "Crystal Moon:0.5;Emily Jäger:0.5")
    reattribute(study(images))
    evaluations = table(store, "living", "evaluations.parquet")
    new = evaluations[~evaluations["cached"]]
    assert len(new) and (new["in:Crystal Moon"] | new["in:Emily Jäger"]).all()
    assert "2 changed images (Crystal Moon, Emily Jäger)" in said("living")


def test_drift_past_the_studys_threshold_opens_a_new_epoch_and_says_why(images: Path, first: Store) -> None:
    remove(images, "Sofie Ascherl")
    strict = study(images, epoch={"drift": 0.05, "increment": 0.5})
    reattribute(strict)
    now = manifest(first, "living")
    assert (
        now["epoch"]["number"] == 2 and "more than epoch.drift 5%" in now["epoch"]["why"] and now["epoch"]["drift"] == 0
    )
    assert now["evaluations"]["cached"] == 0  # another reference: nothing is comparable
    assert "a new one opens" in said("living")


def test_a_new_epoch_can_be_asked_for_and_with_the_same_images_it_would_be_the_same(images: Path, first: Store) -> None:
    trained = models(first)
    state = reattribute(study(images), new_epoch=True, return_state=True)
    assert "would be the same: change model.seed" in logged(state, "Nothing is to be done: the statement stands.")
    assert models(first) == trained
    remove(images, "Sofie Ascherl")
    reattribute(study(images), new_epoch=True)
    assert manifest(first, "living")["epoch"]["number"] == 2


def test_a_run_that_was_killed_half_way_goes_on_to_the_same_end(
    images: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    attribute(study(images, data={"only": list(DESIGNERS[:3])}))
    trained = models(store)
    from tasks.evaluate.evaluator import Evaluator

    evaluate = Evaluator.evaluate
    done: list[Any] = []

    def killed(self: Evaluator, job: Any, say: Any) -> Any:
        if len(done) == 3:
            raise KeyboardInterrupt
        outcome = evaluate(self, job, say)
        done.append(job)
        return outcome

    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "evaluate", killed)
        with pytest.raises(BaseException):  # noqa: B017  # whatever Prefect makes of it
            reattribute(study(images))
    reattribute(study(images))
    assert models(store) - trained <= 8 + 1  # the increment and a repeat of everybody, not twice of it
    assert manifest(store, "living")["evaluations"]["cached"] > 3


def _latest(store: Store) -> str:
    from tests.flows.reading import latest

    return latest(store, "living")


def test_a_new_property_is_scored_on_what_there_is_and_trains_nothing(images: Path, first: Store) -> None:
    trained, networks = models(first), made(first)
    both = {"names": ["heldout_loss", "colourfulness"], "heldout_timesteps": 3}
    reattribute(study(images, properties=both))
    assert (models(first), made(first)) == (trained, networks)
    assert "colourfulness_credit" in table(first, "living", "credits.parquet")
    assert table(first, "living", "evaluations.parquet")["colourfulness"].notna().all()


def test_somebody_whose_audit_was_asked_for_and_who_left_does_not_end_the_runs_that_follow(
    images: Path, store: Store
) -> None:
    audited = study(images, audit={"contributors": ["Sofie Ascherl"], "pairs": 3})
    reattribute(audited)
    remove(images, "Sofie Ascherl")
    for _ in range(2):
        reattribute(audited)
        assert "Not audited, because they have left: Sofie Ascherl" in said("living")
    assert len(manifest(store, "living")["contributors"]) == 3
    assert len(all_statements(store, "living")) == 2  # the second of them had nothing to do


def test_when_everybody_changes_the_studys_own_budget_is_asked_for(images: Path, first: Store) -> None:
    for owner in DESIGNERS:
        with open(images / "metadata.csv", newline="", encoding="utf-8") as file:
            name = next(row["file_name"] for row in csv.DictReader(file) if row["contributor"] == owner)
        with Image.open(images / name) as image:
            image.transpose(Image.Transpose.ROTATE_90).save(images / name)
    reattribute(study(images))
    assert manifest(first, "living")["epoch"]["number"] == 1
    assert "too few to build on: the study's own budget of 16 is asked for" in said("living")
    evaluations = table(first, "living", "evaluations.parquet")
    assert (evaluations["role"] != "audit").sum() == 16
