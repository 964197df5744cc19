"""Who was in a study before: the newest statement that lists a fingerprint knows whose it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infra.store import Store, StoreError
from tasks.partition import Problem
from tasks.plan.former import Earlier, earlier_contributors, earlier_sizes, owners_of, sizes_with_former
from tasks.publish.statement import manifest_json
from tasks.publish.storage import remove_unfinished, store_statement
from tests.plan.past import people
from tests.publish.building import build

A, B, C = (letter * 64 for letter in "abc")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def publish(store: Store, run: str, created: str, *who: tuple[str, str, float], study: str = "art") -> None:
    """A statement's manifest on (name, fingerprint, images), made and stored by the publish step."""
    data = build(tuple(name for name, _, _ in who), created=created)
    contributors = tuple(
        replace(c, fingerprint=fingerprint, images=images)
        for c, (_, fingerprint, images) in zip(data.partition.contributors, who, strict=True)
    )
    data = replace(data, partition=replace(data.partition, contributors=contributors))
    store_statement({"manifest.json": manifest_json(data, {})}, study, run, created, store, still_ours=lambda: None)


def test_a_published_statement_says_whose_data_each_fingerprint_is_and_how_many_images(store: Store) -> None:
    publish(store, "one", "2026-01-01T00:00:00+00:00", ("Emily Jäger", A, 12.0), ("b", B, 7.5))
    assert earlier_contributors(store, "art") == {A: Earlier("Emily Jäger", 12.0), B: Earlier("b", 7.5)}
    assert owners_of(store, "art") == {A: "Emily Jäger", B: "b"}
    assert earlier_sizes(store, "art") == {A: 12.0, B: 7.5}


def test_the_newest_name_counts_whatever_the_runs_are_called_and_nobody_is_forgotten(store: Store) -> None:
    publish(store, "a-late", "2026-03-01T00:00:00+02:00", ("Anna", A, 9.0), ("c", C, 1.0))
    publish(store, "z-early", "2026-02-28T21:59:59+00:00", ("a", A, 9.0), ("b", B, 2.0))  # a second before, in UTC
    assert owners_of(store, "art") == {A: "Anna", B: "b", C: "c"}


def test_another_studys_statements_and_half_statements_say_nothing(store: Store) -> None:
    publish(store, "one", "2026-01-01T00:00:00+00:00", ("a", A, 1.0), ("b", B, 1.0), study="art-2")
    store.write("studies/art/killed/credits.csv", b"half")
    assert owners_of(store, "art") == {} == owners_of(store, "never-run")
    remove_unfinished("art", store)
    assert owners_of(store, "art-2").keys() == {A, B}


def test_of_two_owners_of_the_same_images_one_stands_for_both(store: Store) -> None:
    publish(store, "one", "2026-01-01T00:00:00+00:00", ("b", A, 3.0), ("a", A, 3.0))
    assert earlier_contributors(store, "art") == {A: Earlier("a", 3.0)}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"created": "2026-01-01T00:00:00+00:00", "contributors": [{"name": "a", "fingerprint": "x", "images": 1}]}',
        b'{"created": "2026-01-01T00:00:00", "contributors": []}',
    ],
)
def test_a_manifest_that_cannot_be_read_is_named_and_not_passed_over(store: Store, content: bytes) -> None:
    store.write("studies/art/odd/manifest.json", content)
    with pytest.raises(StoreError, match=r"studies/art/odd/manifest\.json is not the manifest of a statement"):
        owners_of(store, "art")


def test_leavers_have_their_last_known_size_and_else_the_mean_of_those_who_are_here() -> None:
    now = people("a", "b")  # of ten images each
    np.testing.assert_array_equal(sizes_with_former(now, [A, B], {B: 3.5}), [10, 10, 10, 3.5])
    np.testing.assert_array_equal(sizes_with_former(now, [], {}), [10, 10])


def test_a_file_whose_name_is_no_unicode_among_the_problems_does_not_hide_who_was_there(store: Store) -> None:
    data = build(("Emily Jäger", "b"), created="2026-01-01T00:00:00+00:00")
    contributors = tuple(replace(c, fingerprint=f) for c, f in zip(data.partition.contributors, (A, B), strict=True))
    odd = Problem("caf\udce9.png", "unreadable", "'caf\\udce9.png' is no image", "left out")
    data = replace(data, partition=replace(data.partition, contributors=contributors, problems=(odd,)))
    store_statement(
        {"manifest.json": manifest_json(data, {})}, "art", "one", data.created, store, still_ours=lambda: None
    )
    assert owners_of(store, "art") == {A: "Emily Jäger", B: "b"}
