"""`collect-garbage`: what goes, what never goes, and that every later run still works."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest
from prefect.utilities.callables import parameter_schema

from flows.attribute import attribute
from flows.collect_garbage import collect_garbage
from flows.validate_data import validate_data
from infra.lease import Lease, LeaseHeld
from infra.ledger import Ledger, ModelRecord
from infra.store import Store, StoreError
from tasks.housekeeping import Cleared
from tasks.housekeeping.clear import clear, look
from tasks.housekeeping.survey import (
    FROZEN,
    INTERRUPTED,
    KINDS,
    KNOWN,
    NEEDED,
    PREPARED,
    RETIRED,
    STRANGE,
    UNFINISHED,
    UNKNOWN,
    UNUSED,
)
from tasks.housekeeping.types import Rules
from tasks.study import Study
from tests.flows.reading import latest, ledger, made, manifest, table
from tests.flows.seen import artifacts
from tests.flows.test_validate_data import files
from tests.small import EVALUATIONS, small_study

OTHER = "ab" * 32
DAY = 24 * 3600.0
SHOWN = 1  # images of the reference itself, one set
OWN = EVALUATIONS - 1  # of each epoch; the empty coalition's random weights are the same in both


def second(data: Path, **properties: list[str]) -> Study:
    """A study of another epoch: other reference, other pruned model, the same images and statistics."""
    return small_study(data, name="second", model={"seed": 5}, properties=properties or {})


@pytest.fixture(scope="session")
def two_epochs(finished_store: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with `small` and `second`, all of it a month old; never written to, only copied."""
    folder = tmp_path_factory.mktemp("epochs") / "store"
    shutil.copytree(finished_store, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDIT_STORE", str(folder))
        attribute(second(data))
    grow_old(folder.rglob("*"))
    return folder


@pytest.fixture
def epochs(two_epochs: Path, store: Store) -> Store:
    """A store of one's own with both studies."""
    shutil.copytree(two_epochs, store.url)
    return store


def grow_old(paths: Iterable[Path], days: float = 30) -> None:
    for path in paths:
        if path.is_file():
            os.utime(path, (time.time() - days * DAY,) * 2)


def found(cleared: Cleared) -> dict[tuple[str, str], tuple[bool, int]]:
    """Kind and reason -> whether it goes, and how many."""
    return {(group.kind, group.why): (group.goes, group.count) for group in cleared.groups}


def statements(store: Store) -> dict[str, bytes]:
    return {key: store.read(key) for key in store.list("studies")}


def blobs(store: Store) -> int:
    """Bytes of everything that may ever go."""
    return sum(entry.size for kind in KINDS for entry in store.entries(kind).values())


def test_asked_it_lists_and_deletes_nothing(epochs: Store) -> None:
    before = files(epochs)
    cleared = collect_garbage(keep_studies=("small",))
    assert files(epochs) == before and not cleared.deleted
    said = found(cleared)
    assert said["models", NEEDED] == (False, EVALUATIONS) and said["models", UNUSED] == (True, OWN)
    assert said["samples", NEEDED] == (False, EVALUATIONS + SHOWN) and said["samples", UNUSED] == (True, OWN + SHOWN)
    assert said["data", FROZEN.format(epoch="epoch 1 of small")] == (
        False,
        1,
    )  # and of the other study: the same images
    assert said["reference", KNOWN] == (False, 1) and said["pruned", KNOWN] == (False, 1)  # both have the same shapes
    assert cleared.count == 2 * OWN + SHOWN and cleared.statements == 1
    newest = artifacts("housekeeping")[-1]
    rows = json.loads(str(newest.data))
    assert {row["verdict"] for row in rows} == {"can go", "kept"} and "Nothing was deleted" in str(newest.description)


def test_by_default_every_statement_keeps_what_it_rests_on(epochs: Store) -> None:
    networks, images, frozen = made(epochs), epochs.list("samples"), epochs.list("data")
    cleared = collect_garbage(delete=True)
    assert cleared.deleted and cleared.statements == 2 and cleared.count == 0
    assert made(epochs) == networks and (epochs.list("samples"), epochs.list("data")) == (images, frozen)


def test_deleting_leaves_every_statement_and_record_and_the_study_again_gives_the_same(
    data: Path, epochs: Store
) -> None:
    before, said = ledger(epochs), statements(epochs)
    credits, size = table(epochs, "second", "credits.parquet"), blobs(epochs)
    cleared = collect_garbage(keep_studies=("small",), delete=True)
    assert (ledger(epochs), statements(epochs)) == (before, said)
    assert cleared.deleted and size - blobs(epochs) == cleared.bytes > 0
    assert len(epochs.list("models")) == len(epochs.list("samples")) - SHOWN == EVALUATIONS
    foreseen = validate_data(second(data))
    assert foreseen.most.evaluations == 0 and foreseen.storage.images == 0
    attribute(second(data))
    assert ledger(epochs) == before
    assert table(epochs, "second", "credits.parquet").equals(credits)
    assert table(epochs, "second", "evaluations.parquet")["cached"].all()


def test_a_property_added_after_its_weights_went_trains_them_again_to_the_same(data: Path, epochs: Store) -> None:
    before, networks = ledger(epochs), made(epochs)
    collect_garbage(keep_studies=("small",), delete=True)
    study = second(data, names=["heldout_loss", "colourfulness", "tests.properties.own_property:warmth"])
    foreseen = validate_data(study)
    assert (foreseen.most.trainings, foreseen.most.samplings) == (OWN, OWN)
    attribute(study)
    after = ledger(epochs)
    assert {key: after[key] for key in before} == before
    assert {key.split("/")[1] for key in after.keys() - before.keys()} == {"scores", "statistics"}
    assert set(made(epochs)) == set(networks)  # the same names, and so the same bytes, as before
    evaluations = table(epochs, "second", "evaluations.parquet")
    assert evaluations["failure"].isna().all() and len(evaluations) == EVALUATIONS


def test_a_retired_epoch_goes_when_told_and_can_be_opened_again(data: Path, epochs: Store) -> None:
    before, networks = ledger(epochs), made(epochs)
    credits, of_second = table(epochs, "second", "credits.parquet"), manifest(epochs, "second")
    cleared = collect_garbage(keep_studies=("small",), retired_epochs=True, delete=True)
    said = found(cleared)
    assert said["reference", RETIRED] == (True, 1) and said["pruned", RETIRED] == (True, 1)
    assert said["statistics", NEEDED] == (False, 1)  # both studies'
    gone = f"reference/{of_second['reference']['sha256']}"
    assert not epochs.list(gone) and epochs.list(f"reference/{manifest(epochs, 'small')['reference']['sha256']}")
    foreseen = validate_data(second(data))
    assert foreseen.reference.state == "is trained, 15 steps again: it was removed from the store"
    attribute(second(data))
    assert ledger(epochs) == before and table(epochs, "second", "credits.parquet").equals(credits)
    again = made(epochs)
    assert {key for key in networks if key.startswith(("reference", "pruned"))} <= set(again)


def test_statistics_that_are_gone_are_computed_again(data: Path, epochs: Store) -> None:
    (key,) = epochs.list("statistics")
    content, before = epochs.read(key), ledger(epochs)
    epochs.delete(key)
    attribute(small_study(data))
    assert epochs.read(key) == content and ledger(epochs) == before


def test_while_a_study_is_run_nothing_is_deleted_and_it_says_who_runs_it(epochs: Store) -> None:
    before = files(epochs)
    with Lease(epochs, "third", "flow run keen-fox"):
        with pytest.raises(LeaseHeld, match="study 'third' is being run by flow run keen-fox"):
            collect_garbage(keep_studies=("small",), delete=True)
        asked = collect_garbage(keep_studies=("small",))
    assert asked.running and asked.running[0].startswith("third: flow run keen-fox")
    assert before.items() <= files(epochs).items()


def test_what_is_young_stays_whatever_it_is(epochs: Store) -> None:
    orphan = f"models/{OTHER}.safetensors"
    epochs.write(orphan, b"weights of a run that has just begun")
    for day, gone in ((7.0, False), (0.0, True)):
        cleared = collect_garbage(older_than_days=day, delete=True)
        assert epochs.exists(orphan) is not gone
        assert any(group.why == "was written in the last 7 days" for group in cleared.groups) is not gone
    with pytest.raises(ValueError, match="older_than_days"):
        collect_garbage(older_than_days=-1, delete=True)


def test_litter_goes_and_what_is_not_ours_stays(epochs: Store) -> None:
    litter = {
        f"models/{OTHER}.safetensors": UNKNOWN,
        f"samples/{OTHER}.safetensors": UNKNOWN,
        f"pruned/{OTHER}.json": UNKNOWN,
        f"reference/{OTHER}/unet/config.json": UNKNOWN,
        f"base/{OTHER}/config.json": UNKNOWN,
        f"latents/{OTHER}.safetensors": PREPARED,
        f"reference/{'cd' * 32}/checkpoint.safetensors": INTERRUPTED,
        "studies/small/20250101T000000Z-abcdef01/report.html": UNFINISHED,
    }
    strange = [
        "models/notes.txt",
        "models/old/weights.safetensors",
        "reference/mine/model.bin",
        "base/mine/vae.bin",
        "latents/notes.txt",
        "studies/small/notes.txt",
    ]
    others = ["uploads/alice/1.png", "elsewhere/thing", "packs/scores/0.json"]
    for key in (*litter, *strange, *others):
        epochs.write(key, b"x")
    grow_old(Path(epochs.where(key)) for key in (*litter, *strange, *others))
    cleared = collect_garbage(delete=True)
    assert not [key for key in litter if epochs.exists(key)]
    assert all(epochs.exists(key) for key in (*strange, *others))
    assert all((key.split("/")[0], why) in found(cleared) for key, why in litter.items())
    assert found(cleared)["models", STRANGE] == (False, 2)


def test_of_the_latest_statement_only_the_earlier_ones_needs_go(epochs: Store) -> None:
    run = latest(epochs, "second").rsplit("/", 1)[1]
    for key in epochs.list(f"studies/second/{run}"):  # as if the newest statement of `small` were on the other epoch
        epochs.write(key.replace("/second/", "/small/"), epochs.read(key))
    of_both = found(collect_garbage(keep_studies=("small",)))
    assert of_both["models", NEEDED] == (False, EVALUATIONS + OWN)
    of_newest = found(collect_garbage(keep_studies=("small",), keep_statements="latest"))
    assert of_newest["models", NEEDED] == (False, EVALUATIONS)
    records = Ledger(epochs).all(ModelRecord)
    needed = pd.read_parquet(Path(epochs.where(f"studies/second/{run}/evaluations.parquet")))["model_key"]
    collect_garbage(keep_studies=("small",), keep_statements="latest", delete=True)
    assert {f"models/{records[key].sha256}.safetensors" for key in needed} == set(epochs.list("models"))


def test_a_study_that_is_not_there_cannot_be_meant(epochs: Store) -> None:
    before = files(epochs)
    with pytest.raises(ValueError, match=r"no statement of 'smal' .* there are: second, small"):
        collect_garbage(keep_studies=("smal",), older_than_days=0, delete=True)
    assert before.items() <= files(epochs).items()


@pytest.mark.parametrize("name", ["manifest.json", "evaluations.parquet"])
def test_a_statement_that_cannot_be_read_stops_everything(epochs: Store, name: str) -> None:
    epochs.write(f"{latest(epochs, 'second')}/{name}", b"{}")
    before = files(epochs)
    with pytest.raises(StoreError):
        collect_garbage(older_than_days=0, retired_epochs=True, delete=True)
    assert before.items() <= files(epochs).items()


def test_the_form_explains_every_switch_and_takes_what_a_browser_sends() -> None:
    schema = parameter_schema(collect_garbage).model_dump()["properties"]
    assert len(schema) == 5 and all(field.get("description") for field in schema.values())
    sent = {"keep_studies": ["small"], "keep_statements": "latest", "older_than_days": 30, "delete": False}
    assert collect_garbage.validate_parameters(sent)["keep_studies"] == ("small",)


def test_an_empty_store_is_tidy(store: Store) -> None:
    assert collect_garbage().groups == () and not Path(store.url).exists()
    assert collect_garbage(delete=True).count == 0


def test_a_bucket_is_tidied_up_like_a_folder(two_epochs: Path, s3_url: str) -> None:
    store, rules = Store(s3_url), Rules(("small",), older_than_days=0)
    for path in two_epochs.rglob("*"):
        if path.is_file():
            store.write(path.relative_to(two_epochs).as_posix(), path.read_bytes())
    kept = {
        kind: store.list(kind) for kind in ("ledger", "studies", "epochs", "data", "reference", "pruned", "statistics")
    }
    assert look(store, Rules(("small",))).count == 0  # to the server it is all new
    asked = look(store, rules)
    cleared = clear(store, rules, "a test", print)
    assert found(asked) == found(cleared) and cleared.count == 2 * OWN + SHOWN
    assert len(store.list("models")) == len(store.list("samples")) - SHOWN == EVALUATIONS
    assert {kind: store.list(kind) for kind in kept} == kept
    assert look(store, rules).count == 0
