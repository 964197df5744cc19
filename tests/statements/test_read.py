"""Published statements are read back as they were written, and nothing else is believed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from infra.digest import sha256
from infra.store import Store, StoreError
from tasks.publish.tables import credits_table
from tasks.statements.read import all_statements, latest_statement
from tests.publish.building import HOSTILE
from tests.statements.published import publish, statement

PEOPLE = (("Emily Jäger", "a"), ("b", "b"), ("c", "c"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def test_a_statement_is_read_back_as_it_was_written(store: Store) -> None:
    data = statement(*PEOPLE, epoch=3)
    publish(data, store)
    read = latest_statement(store, "art")
    assert read is not None
    assert (read.run, read.created.isoformat(), read.epoch) == (data.run, data.created, 3)
    assert [(c.name, c.fingerprint[0]) for c in read.contributors] == list(PEOPLE)
    assert [(p.name, p.sign, p.unit) for p in read.properties] == [(r.name, r.sign, r.unit) for r in data.results]
    assert read.evaluations == {"new": 48, "cached": 12, "reused": 0, "failed": 0}
    assert read.study == data.study.model_dump(mode="json") and read.where == f"studies/art/{data.run}"
    written = credits_table(data)
    assert set(read.credits) == set(written)
    for column in set(written) - {"contributor"}:
        assert np.array_equal(read.credits[column], written[column], equal_nan=True)


def test_a_study_that_never_published_has_no_statement(store: Store) -> None:
    assert latest_statement(store, "art") is None and all_statements(store, "art") == []


def test_the_history_is_in_the_order_of_its_dates_and_of_this_study_only(store: Store) -> None:
    for run, created in (("b", "2026-03-01T00:30:00+02:00"), ("a", "2026-02-28T23:00:00+00:00")):
        publish(statement(*PEOPLE, run=run, created=created), store)
    publish(statement(*PEOPLE, run="other"), store, study="art-2")
    store.write("studies/art/killed/credits.csv", b"half")
    store.write("studies/art/history.html", b"a page")
    assert [each.run for each in all_statements(store, "art")] == ["b", "a"]


def test_statements_from_before_epochs_are_read(store: Store) -> None:
    publish(statement(*PEOPLE, epoch=None), store)
    publish(statement(*PEOPLE, run="two", manifest={"epoch": "7d1f09c2"}), store)
    assert [(each.epoch, len(each.evaluations)) for each in all_statements(store, "art")] == [(None, 4), (None, 0)]


def test_hostile_names_come_back_as_they_are(store: Store) -> None:
    publish(statement(*((name, "abcdef0123"[i]) for i, name in enumerate(HOSTILE))), store)
    read = latest_statement(store, "art")
    assert read is not None and tuple(c.name for c in read.contributors) == HOSTILE


def test_a_damaged_file_is_an_error_that_names_it(store: Store) -> None:
    folder = publish(statement(*PEOPLE), store)
    for name in ("credits.parquet", "manifest.json"):
        key = f"{folder}/{name}"
        whole = store.read(key)
        store.write(key, whole[:-1] + b"x")
        with pytest.raises(StoreError, match=name):
            latest_statement(store, "art")
        store.write(key, whole)
    store.delete(f"{folder}/credits.parquet")
    with pytest.raises(StoreError, match=r"credits\.parquet"):
        all_statements(store, "art")
    store.write("studies/art/latest.json", b'{"run": "../../other", "manifest_sha256": "00"}')
    with pytest.raises(StoreError, match=r"latest\.json"):
        latest_statement(store, "art")


def test_a_table_that_does_not_fit_its_manifest_is_refused(store: Store) -> None:
    folder = publish(statement(*PEOPLE), store)
    manifest = json.loads(store.read(f"{folder}/manifest.json"))
    manifest["contributors"][1]["name"] = "somebody else"
    store.write(f"{folder}/manifest.json", json.dumps(manifest).encode())
    with pytest.raises(StoreError, match="other contributors"):
        all_statements(store, "art")
    for content, why in ((b"no parquet", "not a table"), (b"", "not a table")):
        manifest["files"]["credits.parquet"]["sha256"] = sha256(content)
        store.write(f"{folder}/credits.parquet", content)
        store.write(f"{folder}/manifest.json", json.dumps(manifest).encode())
        with pytest.raises(StoreError, match=why):
            all_statements(store, "art")
