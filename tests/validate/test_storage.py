"""Validations in the store: whole or absent, found by recipe, believed to the letter, and never cleared away."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.digest import sha256
from infra.store import Store, StoreError
from tasks.housekeeping.clear import clear
from tasks.housekeeping.types import Rules
from tasks.validate import storage
from tasks.validate.storage import latest_validation, store_validation
from tasks.validate.types import Validation
from tests.validate.made import HOSTILE, RECIPE, RUN, build

FILES = {"page.md": b"# page", "validation.html": b"<!doctype html>"}
LATER = "20261125T120000Z-0123abcd"


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path / "s") if request.param == "folder" else f"memory://{tmp_path.name}")


def stored(store: Store, run: str = RUN, recipe: str = RECIPE) -> Validation:
    found = build(run=run, recipe=recipe)
    assert store_validation(found, FILES, store) == f"validations/openmoji/{run}"
    return found


def test_a_validation_comes_back_as_it_was_with_its_pages_beside_it(store: Store) -> None:
    found = build(("a", HOSTILE, "b"), exact=True, created=datetime(2026, 11, 24, 12, 0, 0, 123, tzinfo=UTC))
    folder = store_validation(found, FILES, store)
    assert latest_validation(store, "openmoji") == found
    assert {name: store.read(f"{folder}/{name}") for name in FILES} == FILES
    latest = json.loads(store.read("validations/openmoji/latest.json"))
    assert latest == {"run": RUN, "sha256": sha256(store.read(f"{folder}/validation.json"))}


def test_the_newest_with_the_recipe_is_found_and_others_are_passed_over(store: Store) -> None:
    assert latest_validation(store, "openmoji") is None
    first, second = stored(store), stored(store, LATER, "cd" * 32)
    assert latest_validation(store, "openmoji") == second
    assert latest_validation(store, "openmoji", RECIPE) == first
    assert latest_validation(store, "openmoji", "ef" * 32) is None
    assert latest_validation(store, "open") is None


def test_a_validation_is_never_changed(store: Store) -> None:
    stored(store)
    with pytest.raises(StoreError, match="never changed"):
        store_validation(build(device="another"), FILES, store)
    assert latest_validation(store, "openmoji") == build()


@pytest.mark.parametrize("last", ["page.md", "validation.html", "validation.json", "latest.json"])
def test_killed_at_any_moment_it_is_whole_or_absent(store: Store, last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored(store)
    write = Store.write

    def killed(self: Store, key: str, data: bytes) -> None:
        if key.endswith(last):
            raise KeyboardInterrupt
        write(self, key, data)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Store, "write", killed)
        stored(store, LATER)
    found = latest_validation(store, "openmoji")
    assert found is not None and found.run == (LATER if last == "latest.json" else before.run)
    assert set(FILES) <= {key.split("/")[-1] for key in store.list(f"validations/openmoji/{found.run}")}
    if found.run == before.run:
        assert stored(store, LATER) == latest_validation(store, "openmoji"), "the same run may try again"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (b"{}", "sha256"),
        (None, "is gone"),
        (b"[" * 100_000, "sha256"),
    ],
)
def test_a_damaged_newest_one_is_an_error_that_names_it(store: Store, damage: bytes | None, said: str) -> None:
    stored(store)
    key = f"validations/openmoji/{RUN}/validation.json"
    if damage is None:
        store.delete(key)
    else:
        store.write(key, damage)
    with pytest.raises(StoreError, match=f"{RUN}/validation.json.*{said}"):
        latest_validation(store, "openmoji")


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{}", b"not json", b"[" * 100_000, b'{"schema_version":1}',
        build(study="another").model_dump_json().encode(),
        build(run=LATER).model_dump_json().encode(),
        json.dumps(build().model_dump(mode="json") | {"more": 1}).encode(),
        json.dumps(build().model_dump(mode="json") | {"epoch": "1"}).encode(),
        json.dumps(build().model_dump(mode="json") | {"schema_version": 2}).encode(),
        json.dumps(build().model_dump(mode="json") | {"seconds": float("nan")}).encode(),
    ],
)  # fmt: skip
def test_what_no_latest_names_is_checked_by_its_schema(store: Store, damage: bytes) -> None:
    store.write(f"validations/openmoji/{RUN}/validation.json", damage)
    with pytest.raises(StoreError, match=f"{RUN}/validation.json is"):
        latest_validation(store, "openmoji")


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"run":1,"sha256":"x"}', b'{"run":"x"}', b"[" * 4000, b" " * 5000])
def test_a_damaged_latest_is_an_error_that_names_it(store: Store, damage: bytes) -> None:
    stored(store)
    store.write("validations/openmoji/latest.json", damage)
    with pytest.raises(StoreError, match=r"openmoji/latest\.json"):
        latest_validation(store, "openmoji")


def test_more_than_a_validation_can_have_is_not_fetched(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(store)
    monkeypatch.setattr(storage, "LARGEST", 1000)
    with pytest.raises(StoreError):
        latest_validation(store, "openmoji")
    with pytest.raises(StoreError, match="over 1,000"):
        stored(store, LATER)


@pytest.mark.parametrize("run", ["latest", "20261124", "../x", f"{RUN}.bak", ""])
def test_a_run_has_the_name_of_a_run(store: Store, run: str) -> None:
    with pytest.raises(ValueError, match="run must be named"):
        store_validation(build(run=run), FILES, store)
    assert store.list("validations") == []


@pytest.mark.parametrize("study", ["a/b", "..", "", "a b"])
def test_a_study_is_one_plain_part_of_a_key(store: Store, study: str) -> None:
    with pytest.raises(StoreError, match="not the name of a study"):
        store_validation(build(study=study), FILES, store)
    with pytest.raises(StoreError, match="not the name of a study"):
        latest_validation(store, study)


def without_own_way(found: Validation) -> Validation:
    of = found.properties[0]
    ways = tuple(way.model_copy(update={"study": False}) for way in of.ways)
    return found.model_copy(update={"properties": (of.model_copy(update={"ways": ways}),)})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (without_own_way(build()), "has 0 ways that are the study's own"),
        (build(properties=("loss", "loss")), "appears twice"),
        (build().model_copy(update={"contributors": ("a", "b")}), "but there are 2"),
        (build(exact=True).model_copy(update={"contributors": ("a", "b")}), "but there are 2"),
    ],
)
def test_what_does_not_fit_together_is_neither_stored_nor_believed(store: Store, found: Validation, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        store_validation(found, FILES, store)
    store.write(f"validations/openmoji/{RUN}/validation.json", found.model_dump_json().encode())
    with pytest.raises(StoreError, match=said):
        latest_validation(store, "openmoji")


def test_files_that_are_made_here_cannot_be_given(store: Store) -> None:
    with pytest.raises(ValueError, match=r"validation\.json is made"):
        store_validation(build(), {"validation.json": b""}, store)


def test_folders_of_peoples_own_are_not_validations(store: Store) -> None:
    found = stored(store)
    store.write("validations/openmoji/zz-mine/validation.json", b"theirs")
    store.write(f"validations/openmoji/{LATER}/notes/validation.json", b"theirs")
    assert latest_validation(store, "openmoji") == found


def test_keeping_house_leaves_validations_alone(store: Store) -> None:
    stored(store)
    store.write("models/" + "01" * 32 + ".safetensors", b"unused")
    before = store.list("validations")
    cleared = clear(store, Rules(retired_epochs=True, older_than_days=0), "test", lambda line: None)
    assert cleared.deleted and cleared.count == 1
    assert store.list("validations") == before
