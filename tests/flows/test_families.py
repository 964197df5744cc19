"""The main job, whole, for the families on a base and for a fourth one: statements, reuse, processes, later properties."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flows.attribute import attribute
from infra.store import Store
from tests.flows.of_family import EVALUATIONS, FAMILIES, WHO, study_of
from tests.flows.reading import ledger, made, manifest, models, table


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def run_before(family: str, data: Path, bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store after one run; never written to, only copied."""
    folder = tmp_path_factory.mktemp(family) / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDIT_STORE", str(folder))
        attribute(study_of(family, data, bases))
    yield folder


@pytest.fixture
def after(run_before: Path, store: Store) -> Store:
    """The same, of the test's own."""
    shutil.copytree(run_before, store.url)
    return store


def test_a_statement_is_published_and_its_numbers_differ_between_contributors(family: str, after: Store) -> None:
    credits = table(after, "small", "credits.parquet")
    assert list(credits["contributor"]) == list(WHO)
    for name in ("heldout_loss", "colourfulness"):
        assert np.isfinite(credits[f"{name}_credit"]).all()
    assert credits["heldout_loss_credit"].nunique() == 3
    evaluations = table(after, "small", "evaluations.parquet")
    assert len(evaluations) == EVALUATIONS and evaluations["heldout_loss"].nunique() >= 9
    assert after.list("base") and after.list("latents")
    assert manifest(after, "small")["pruned"]["key"]


def test_the_same_study_again_trains_nothing_and_says_the_same(
    family: str, data: Path, bases: Path, after: Store
) -> None:
    before, first = (ledger(after), made(after)), table(after, "small", "credits.parquet")
    attribute(study_of(family, data, bases))
    assert (ledger(after), made(after)) == before
    assert table(after, "small", "credits.parquet").equals(first)
    assert table(after, "small", "evaluations.parquet")["cached"].all()


def test_a_property_added_later_trains_nothing(family: str, data: Path, bases: Path, after: Store) -> None:
    before = models(after), made(after), len(after.list("ledger/samples"))
    own = "tests.properties.own_property:warmth"
    attribute(study_of(family, data, bases, properties={"names": ["heldout_loss", "colourfulness", own]}))
    assert (models(after), made(after), len(after.list("ledger/samples"))) == before
    assert f"{own}_credit" in table(after, "small", "credits.parquet")


def test_coalitions_are_evaluated_from_the_store_alone(family: str, data: Path, bases: Path, after: Store) -> None:
    """Pruned model and base come from the store, checked: coalitions made anew there come out to the bit."""
    keys = [key for prefix in ("models", "samples", "latents", "ledger/scores") for key in after.list(prefix)]
    first = table(after, "small", "evaluations.parquet")
    for key in keys:
        after.delete(key)
    attribute(study_of(family, data, bases))
    again = table(after, "small", "evaluations.parquet")
    for column in ("heldout_loss", "colourfulness", "model_key"):
        assert again[column].equals(first[column])


@pytest.mark.slow
def test_worker_processes_give_the_same_credits(
    family: str, data: Path, bases: Path, run_before: Path, store: Store
) -> None:
    attribute(study_of(family, data, bases, execution={"mode": "processes", "workers": 2}))
    inline = Store(str(run_before))
    here, there = (table(of, "small", "evaluations.parquet") for of in (inline, store))
    for column in ("heldout_loss", "colourfulness", "model_key", "samples_key"):
        assert here[column].equals(there[column])
    assert table(inline, "small", "credits.parquet").equals(table(store, "small", "credits.parquet"))


def test_a_fourth_family_from_a_file_of_ones_own_goes_all_the_way(data: Path, bases: Path, store: Store) -> None:
    attribute(study_of("fourth", data, bases))
    evaluations = table(store, "small", "evaluations.parquet")
    assert len(evaluations) == EVALUATIONS and evaluations["heldout_loss"].nunique() >= 9
    assert np.isfinite(table(store, "small", "credits.parquet")["colourfulness_credit"]).all()
    before = ledger(store), made(store)
    attribute(study_of("fourth", data, bases))
    assert (ledger(store), made(store)) == before
