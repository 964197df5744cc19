"""The reference and the pruned model in the store: made once, found again, checked, and resumed after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline

from infra.ledger import Ledger, ModelRecord
from infra.store import DiskFull, Store, StoreError, StoreRefused, StoreUnavailable
from tasks.images_gone import ImagesGone
from tasks.model.pipeline import pipeline_digests, save_pipeline
from tasks.model.prune import count_macs
from tasks.model.sample import sample
from tasks.model.threads import device_of, one_thread
from tasks.model.train import Diverged
from tasks.model.unet import reset_weights
from tasks.reference.checkpoint import load_checkpoint
from tasks.reference.pruned import load_pruned, obtain_pruned, pruning_table
from tasks.reference.reference import load_reference, obtain_reference, reference_folder
from tests.model.building import (
    SIDE,
    pruned_recipe_of,
    reference_recipe_of,
    same_weights,
    tiny_data,
    tiny_schedule,
    tiny_study,
    tiny_unet,
)

ROOT = Path(__file__).parents[2]


class Saying(list):
    """What a step said."""

    def __call__(self, line: str) -> None:
        self.append(line)


def heldout(denoiser) -> float:
    """A stand-in for the property: the size of the prediction on one image."""
    return float(denoiser.predict_noise(torch.ones(1, 3, SIDE, SIDE), torch.tensor([50])).square().mean())


def reference_of(study, store, say=print, given=None):
    recipe = reference_recipe_of(study, given)
    return recipe, obtain_reference(study, recipe, tiny_data, store, say=say)


def pruned_of(study, store, say=print):
    recipe, record = reference_of(study, store, say)
    pruned = pruned_recipe_of(study, recipe)
    return obtain_pruned(study, pruned, record, tiny_data, store, heldout_loss=heldout, say=say)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Store, ModelRecord]:
    """A pruned model in a store that tests read and do not change."""
    store = Store(str(tmp_path_factory.mktemp("made")))
    return store, pruned_of(tiny_study(), store)


@pytest.fixture
def own(made, tmp_path: Path) -> tuple[Store, ModelRecord]:
    """The same in a store of the test's own."""
    shutil.copytree(made[0].url, tmp_path / "own")
    return Store(str(tmp_path / "own")), made[1]


def path_of(store: Store, key: str) -> Path:
    return Path(store.where(key))


def test_the_reference_is_trained_once_and_found_the_second_time(store):
    say, study = Saying(), tiny_study()
    _, first = reference_of(study, store, say)
    assert say == []
    _, second = reference_of(study, store, say)
    assert second == first and len(say) == 1 and "in the store" in say[0]
    assert not store.exists(f"reference/{first.key}/checkpoint.safetensors")


def test_plain_diffusers_reads_the_reference_straight_from_the_store(store):
    _, record = reference_of(tiny_study(), store)
    pipeline = DDPMPipeline.from_pretrained(path_of(store, reference_folder(record)))
    assert same_weights(pipeline.unet, load_reference(tiny_study(), record, store).network)


def test_a_reference_whose_weights_were_tampered_with_is_refused(store):
    _, record = reference_of(tiny_study(), store)
    weights = path_of(store, f"{reference_folder(record)}/unet/diffusion_pytorch_model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(StoreError, match="sha256"):
        load_reference(tiny_study(), record, store)


def test_a_reference_training_that_diverges_leaves_no_record(store):
    with pytest.raises(Diverged):
        reference_of(tiny_study(model={"learning_rate": 1e30}), store)
    assert store.list("ledger") == []


def test_a_killed_training_goes_on_and_ends_with_the_weights_of_one_that_was_not(tmp_path):
    killed, whole = Store(str(tmp_path / "killed")), Store(str(tmp_path / "whole"))
    command = [sys.executable, "-W", "ignore", "-m", "tests.reference.killed_training", killed.url]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "12":
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    study, say = tiny_study(model={"train_steps": 40}), Saying()
    with one_thread():
        recipe, resumed = reference_of(study, killed, say)
        _, expected = reference_of(study, whole)
    assert "going on from step" in say[0] and 10 <= int(say[0].split("step ")[1].split()[0]) <= 12
    assert resumed.sha256 == expected.sha256 and resumed.files == expected.files
    assert not killed.exists(f"reference/{recipe.key}/checkpoint.safetensors")


@pytest.mark.parametrize("damage", ["bytes", "other network", "later step"])
def test_a_checkpoint_that_is_none_of_this_training_is_reported_and_not_used(store, damage):
    study, say = tiny_study(), Saying()
    recipe = reference_recipe_of(study)
    key = f"reference/{recipe.key}/checkpoint.safetensors"
    if damage == "bytes":
        store.write(key, b"\x00" * 40)
    elif damage == "other network":
        store.save_arrays(key, {"weights/conv_in.weight": np.ones(3, np.float32), "step": np.array([2])})
    else:
        store.save_arrays(key, {"step": np.array([10**6])})
    _, record = reference_of(study, store, say)
    assert "training starts anew" in say[0] and not store.exists(key)
    assert record.sha256 == reference_of(study, Store(store.url + "-clean"))[1].sha256


def test_a_given_pipeline_is_the_reference_untouched(store, tmp_path):
    save_pipeline(tiny_unet(seed=8), tiny_schedule(), tmp_path / "given")
    study = tiny_study(model={"pretrained": str(tmp_path / "given")})
    _, record = reference_of(study, store, given=pipeline_digests(str(tmp_path / "given")))
    assert same_weights(load_reference(study, record, store).network, tiny_unet(seed=8))


def test_a_given_base_is_trained_first(store, tmp_path):
    save_pipeline(tiny_unet(seed=8), tiny_schedule(), tmp_path / "given")
    study = tiny_study(model={"pretrained": str(tmp_path / "given"), "pretrained_is": "base"})
    _, record = reference_of(study, store, given=pipeline_digests(str(tmp_path / "given")))
    assert not same_weights(load_reference(study, record, store).network, tiny_unet(seed=8))


def test_the_pruned_model_is_made_once_and_found_the_second_time(made):
    say, (store, first) = Saying(), made
    assert pruned_of(tiny_study(), store, say) == first and "nothing to prune" in say[-1]
    assert not [key for key in store.list("pruned") if "checkpoint" in key]


def test_the_pruning_table_has_a_row_a_stage_and_the_model_is_the_last(made):
    store, record = made
    rows = pruning_table(record)
    assert [row["model"] for row in rows] == ["reference", "pruned", "recovered"]
    assert rows[0]["parameters"] > rows[1]["parameters"] == rows[2]["parameters"]
    assert rows[0]["macs"] > rows[1]["macs"] and all(row["seconds_per_step"] > 0 for row in rows)
    assert len({row["heldout_loss"] for row in rows}) == 3
    unet = load_pruned(tiny_study(), record.key, store).model().network
    macs, parameters = count_macs(unet)
    assert (macs, parameters) == (rows[2]["macs"], rows[2]["parameters"])


@pytest.mark.parametrize(
    ("pruning", "stages"),
    [
        ({"ratio": 0}, ["reference"]),
        ({"recovery_steps": 0}, ["reference", "pruned"]),
        ({"importance": "taylor"}, ["reference", "pruned", "recovered"]),
    ],
)
def test_every_way_of_pruning_gives_its_rows_and_a_model_that_loads(own, pruning, stages):
    store, _ = own  # the reference is there
    record = pruned_of(tiny_study(pruning=pruning), store)
    assert [row["model"] for row in pruning_table(record)] == stages
    loaded = load_pruned(tiny_study(), record.key, store)
    images = sample(loaded.model(), sampler="ddim", steps=3, images=2, batch_size=2, seed=0, device="cpu")
    assert images.shape == (2, SIDE, SIDE, 3)


def test_ratio_zero_gives_the_reference_itself(own):
    store, _ = own
    study = tiny_study(pruning={"ratio": 0})
    _, reference = reference_of(study, store)
    pruned = load_pruned(study, pruned_of(study, store).key, store)
    assert same_weights(pruned.model().network, load_reference(study, reference, store).network)


def test_a_recovery_that_was_interrupted_goes_on_to_the_same_weights(store, made):
    class Killed(Exception):
        """Stands for the end of the process."""

    def killed_at_three(step: int, steps: int, loss: float) -> None:
        if step == 3:
            raise Killed

    study, say = tiny_study(execution={"device": "cpu", "checkpoint_seconds": 1e-9}), Saying()
    recipe, reference = reference_of(study, store)
    pruned = pruned_recipe_of(study, recipe)
    arguments = (study, pruned, reference, tiny_data, store)
    with pytest.raises(Killed):
        obtain_pruned(*arguments, heldout_loss=heldout, say=say, progress=killed_at_three)
    resumed = obtain_pruned(*arguments, heldout_loss=heldout, say=say)
    assert any("going on from step 2 of 4" in line for line in say)
    assert resumed.sha256 == made[1].sha256


def files(store: Store) -> list[Path]:
    return sorted(path for path in Path(store.url).rglob("*") if path.is_file())


class Checks:
    """Images that go after so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __call__(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise ImagesGone("removed")


@pytest.mark.parametrize("looks", [0, 1, 2, 5])
def test_of_images_that_are_removed_while_a_reference_is_trained_nothing_is_left(store: Store, looks: int) -> None:
    study = tiny_study(execution={"device": "cpu", "checkpoint_seconds": 1e-9})
    recipe = reference_recipe_of(study, None)
    with pytest.raises(ImagesGone):
        obtain_reference(study, recipe, tiny_data, store, say=print, check=Checks(looks))
    assert files(store) == []


def test_of_images_that_are_removed_while_a_model_is_pruned_nothing_is_left(store: Store) -> None:
    study = tiny_study(execution={"device": "cpu", "checkpoint_seconds": 1e-9})
    recipe, record = reference_of(study, store)
    before, pruned = files(store), pruned_recipe_of(study, recipe)
    for looks in (0, 1, 3):
        with pytest.raises(ImagesGone):
            obtain_pruned(study, pruned, record, tiny_data, store, heldout_loss=heldout, say=print, check=Checks(looks))
        assert files(store) == before


@pytest.mark.parametrize("name", ["safetensors", "json"])
def test_a_pruned_model_that_was_tampered_with_is_refused(own, name):
    store, record = own
    digest = record.sha256 if name == "safetensors" else record.files["architecture"]
    path = path_of(store, f"pruned/{digest}.{name}")
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1) if name == "json" else path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(StoreError, match="sha256"):
        load_pruned(tiny_study(), record.key, store)


def test_a_pruned_model_that_the_ledger_does_not_know_is_refused(store):
    with pytest.raises(FileNotFoundError, match="no such pruned model"):
        load_pruned(tiny_study(), "0" * 64, store)


def test_the_stored_description_is_plain_json_and_names_no_class_or_path(made):
    store, record = made
    text = store.read(f"pruned/{record.files['architecture']}.json").decode()
    description = json.loads(text)
    assert set(description) == {"architecture", "schedule"} and "_class_name" not in text and str(ROOT) not in text
    assert Ledger(store).get(ModelRecord, record.key) == record


def test_networks_of_one_pruned_model_share_no_weights(made):
    store, record = made
    pruned = load_pruned(tiny_study(), record.key, store)
    one, other = pruned.model().network, pruned.model().network
    reset_weights(one, 3)
    assert same_weights(other, pruned.model().network) and not same_weights(one, other)


def test_asking_for_a_gpu_where_there_is_none_is_an_error_with_a_way_out():
    assert device_of("cpu") == "cpu"
    if torch.cuda.is_available():
        assert device_of("cuda", 5).startswith("cuda:")
    else:
        assert device_of("auto") == "cpu"
        with pytest.raises(ValueError, match="use 'auto' or 'cpu'"):
            device_of("cuda")


def test_one_thread_gives_back_the_threads_that_were_there():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), one_thread():
        assert torch.get_num_threads() == 1
        raise RuntimeError
    assert torch.get_num_threads() == before


AWAY = [DiskFull("no room"), StoreRefused("no rights"), StoreUnavailable("no answer")]


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
def test_files_that_cannot_be_looked_at_are_not_called_those_of_another_reference(store, error, monkeypatch):
    recipe, _ = reference_of(tiny_study(), store)
    path_of(store, f"ledger/models/{recipe.key}.json").unlink()

    def cut(*arguments):
        raise error

    monkeypatch.setattr(Store, "read_file", cut)
    with pytest.raises(type(error), match=str(error)):
        reference_of(tiny_study(), store)


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
def test_a_checkpoint_that_cannot_be_read_for_the_moment_is_not_trained_anew(store, error, monkeypatch):
    store.save_arrays("checkpoint.safetensors", {"step": np.array([2])})

    def cut(*arguments, **options):
        raise error

    monkeypatch.setattr(Store, "load_arrays", cut)
    with pytest.raises(type(error), match=str(error)):
        load_checkpoint(store, "checkpoint.safetensors")
