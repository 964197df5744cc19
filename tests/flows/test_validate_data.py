"""`validate-data`: it spends nothing, what it says is what then happens, and bad data are named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import PREFECT_API_URL

from flows.attribute import attribute
from flows.validate_data import validate_data
from infra.lease import Lease
from infra.store import Store
from tasks.partition import DataError
from tests.families.building import save_bases, study_of
from tests.flows.reading import manifest, table
from tests.flows.seen import artifacts
from tests.small import DESIGNERS, EVALUATIONS, small_study


def files(store: Store) -> dict[str, tuple[int, int]]:
    """Every file of a store, with its size and time of writing."""
    found = [path for path in Path(store.url).rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def test_a_study_that_never_ran_is_told_what_it_takes_and_leaves_no_trace(data: Path, store: Store) -> None:
    found = validate_data(small_study(data))
    assert not Path(store.url).exists()
    assert [c["name"] for c in found.contributors] == list(DESIGNERS)
    assert found.reference.state == "is trained, 15 steps" and not found.pruned.is_there
    assert found.statistics_missing == ("heldout_loss",)
    assert (found.asked, found.cached, found.most.evaluations) == (EVALUATIONS, 0, EVALUATIONS)
    assert found.most.trainings == EVALUATIONS - 1  # the empty coalition is drawn
    assert found.most.seconds is None and set(found.rates.values()) == {None}  # nothing like it was ever measured


def test_a_finished_study_has_nothing_to_do_and_asking_changes_nothing(data: Path, finished: Store) -> None:
    before = files(finished)
    found = validate_data(small_study(data))
    assert files(finished) == before
    assert (found.cached, found.least.evaluations, found.most.evaluations) == (EVALUATIONS, 0, 0)
    assert found.reference.is_there and found.pruned.is_there and not found.statistics_missing
    assert found.most.seconds == 0 and found.storage.images == 0


def test_what_is_foreseen_is_what_a_run_then_does(data: Path, finished: Store) -> None:
    study = small_study(
        data,
        name="foreseen",
        coalition={"steps": 7},
        estimation={"budget": 16, "stop_width": 1e9},
        sampling={"images": 30},
    )
    found = validate_data(study)
    assert found.reference.is_there and found.pruned.is_there
    assert (found.asked_least, found.asked) == (14, EVALUATIONS)
    assert found.cached == 0 and found.least.evaluations == 14 and found.most.evaluations == EVALUATIONS
    assert found.least.trainings == 13 and found.least.samplings == 14  # the empty coalition's weights are kept
    assert found.least.seconds is not None and 0 < found.least.seconds < 600
    weights, samples = (len(finished.list(kind)) for kind in ("models", "samples"))
    attribute(study)
    counts = manifest(finished, "foreseen")["evaluations"]
    assert (counts["new"], counts["cached"]) == (found.least.evaluations, found.cached)
    assert len(finished.list("models")) - weights == found.least.trainings
    assert len(finished.list("samples")) - samples == found.least.samplings
    added = {key: entry.size for key, entry in finished.entries("models").items()}
    assert max(added.values()) == found.storage.weights
    again = validate_data(study)
    assert again.ended == manifest(finished, "foreseen")["ending"]["sentence"]
    assert again.most.evaluations == 0 and again.cached == len(table(finished, "foreseen", "evaluations.parquet"))


@pytest.mark.parametrize("family", ["ldm", "sd-lora"])
def test_families_that_stand_on_a_base_are_told_of_it_and_leave_no_trace(
    family: str, data: Path, store: Store, tmp_path: Path
) -> None:
    save_bases(tmp_path / "bases")
    study = study_of(family, tmp_path / "bases", data={"url": str(data)}, estimation={"budget": 16})
    found = validate_data(study)
    assert not Path(store.url).exists()
    assert found.reference.state.startswith("is trained, 6 steps") and found.most.trainings > 0
    assert found.storage.base > 0 and found.storage.latents > 0
    assert "encoded images" in str(artifacts(f"preview-{study.name}")[-1].data)


def test_a_property_added_later_needs_no_training_and_that_is_said(data: Path, finished: Store) -> None:
    names = ["heldout_loss", "colourfulness", "tests.properties.own_property:warmth"]
    found = validate_data(small_study(data, properties={"names": names}))
    assert found.most.evaluations == EVALUATIONS and (found.most.trainings, found.most.samplings) == (0, 0)
    assert found.most.scores == {names[2]: EVALUATIONS}
    assert found.most.not_measured == (f"score/{names[2]}",)  # nobody ever measured it


def test_a_study_without_sampled_properties_is_told_what_it_takes(data: Path, store: Store) -> None:
    found = validate_data(small_study(data, name="no-images", properties={"names": ["heldout_loss"]}))
    assert found.most.evaluations == EVALUATIONS and found.most.samplings == found.most.samples_bytes == 0
    assert set(found.rates) == {"fine_tune", "score/heldout_loss"}
    (page,) = artifacts("preview-no-images")
    assert "one fine-tuning" in str(page.data) and "one drawing" not in str(page.data)


def test_people_find_page_and_problems_in_the_ui(data: Path, store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    victim = next(iter(sorted(folder.glob("images/*.png"))))
    victim.write_bytes(b"no image")
    validate_data(small_study(folder, name="to-see"))
    (page,) = artifacts("preview-to-see")
    assert page.type == "markdown" and "Crystal Moon" in str(page.data) and "not measured yet" in str(page.data)
    (problems,) = artifacts("problems-to-see")
    assert any(victim.name in row["where"] for row in json.loads(str(problems.data)))


def test_data_that_cannot_be_used_end_it_as_they_would_end_a_run(data: Path, store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    rows = (folder / "metadata.csv").read_text().splitlines()
    mine = [row.split(",")[0] for row in rows if "Crystal Moon" in row]
    for name in mine:
        (folder / name).write_bytes(b"no image")
    study = small_study(folder, data={"only": ["Crystal Moon", "Sofie Ascherl"], "url": str(folder)})
    with pytest.raises(DataError) as foretold:
        validate_data(study)
    assert mine[0] in str(foretold.value)
    with pytest.raises(DataError) as real:
        attribute(study)
    assert str(foretold.value) == str(real.value)


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        ({"properties": {"names": ["beauty"]}}, "there is no property 'beauty'"),
        ({"properties": {"names": ["frechet_lite"]}}, "needs at least 33 images a coalition"),
        ({"model": {"pretrained": "no/such/pipeline"}}, "neither a folder nor on the hub"),
        ({"estimation": {"budget": 4, "estimator": "kernelshap", "design": "kernelshap"}}, "too small for 4 contributors"),
    ],
)  # fmt: skip
def test_what_a_run_would_refuse_is_refused(
    data: Path, store: Store, monkeypatch: pytest.MonkeyPatch, sections: dict[str, Any], why: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=why):
        validate_data(small_study(data, **sections))


def test_a_study_that_is_being_run_can_be_looked_at_and_says_so(data: Path, finished: Store) -> None:
    with Lease(finished, "small", "flow run busy-bee"):
        found = validate_data(small_study(data))
    assert found.running is not None and found.running.startswith("flow run busy-bee on ")


def test_from_the_command_line_the_answer_can_be_had_as_json(data: Path, store: Store, tmp_path: Path) -> None:
    preset = tmp_path / "small.yaml"
    preset.write_text(yaml.safe_dump(small_study(data).model_dump(mode="json")))

    good = subprocess.run(
        [sys.executable, "-m", "flows.run_validate", str(preset), "--json", "--set", "estimation.budget=14"],
        env={**os.environ, "CREDIT_STORE": store.url, "PREFECT_API_URL": str(PREFECT_API_URL.value())},
        capture_output=True,
        text=True,
    )
    (answer,) = [line for line in good.stdout.splitlines() if line.startswith("{")]
    assert good.returncode == 0 and json.loads(answer)["asked"] == 16
