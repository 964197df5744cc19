"""A study on what contributors handed in: the same credits as from a folder, and what is wrong with an upload is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.attribute import attribute
from flows.validate_data import validate_data
from infra.store import Store
from tests.flows.reading import manifest, table
from tests.handed import handed_in
from tests.small import DESIGNERS, small_study


def test_a_study_on_uploads_gives_the_credits_of_the_same_images_in_a_folder(
    data: Path, finished_store: Path, store: Store, tmp_path: Path
) -> None:
    for designer in reversed(DESIGNERS):
        handed_in(designer, data, tmp_path, store)
    liar = handed_in(DESIGNERS[0], data, tmp_path / "again", store, collection="summer")
    stolen = f"uploads/spring/mallory/{'0' * 64}"
    store.write(f"{stolen}/complete.json", store.read(f"{liar.folder}/complete.json"))
    study = small_study(data, data={"url": "uploads:spring"})

    (problem,) = (p for p in validate_data(study).problems if p["kind"] == "refused-upload")
    assert problem["subject"] == stolen and "another upload or contributor" in problem["reason"]

    attribute(study)
    folder = Store(str(finished_store))
    assert table(store, "small", "credits.parquet").equals(table(folder, "small", "credits.parquet"))
    assert manifest(store, "small")["contributors"] == manifest(folder, "small")["contributors"]
    assert stolen in {problem["subject"] for problem in manifest(store, "small")["problems"]}


@pytest.mark.s3
def test_what_was_handed_in_to_a_bucket_is_checked_by_validate_data(
    data: Path, s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDIT_STORE", s3_url)
    for designer in DESIGNERS:
        handed_in(designer, data, tmp_path, Store(s3_url))
    found = validate_data(small_study(data, data={"url": "uploads:spring"}))
    assert [contributor["name"] for contributor in found.contributors] == list(DESIGNERS)
