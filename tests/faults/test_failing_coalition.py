"""A coalition that always fails ends the run, or is named in the statement; and properties that throw or are not there."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest

from infra.store import Store
from tests.faults.running import Nursery, changed
from tests.faults.scored_again import OWN, Unscored, unscored
from tests.flows.reading import latest, ledger, manifest, models, table
from tests.small import EVALUATIONS, small_study

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def world(data: Path, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Unscored:
    return unscored(data, nursery, tmp_path_factory.mktemp("unscored") / "store")


def test_past_the_tolerance_the_run_fails_and_names_the_coalition_and_goes_on_once_the_cause_is_removed(
    world: Unscored, nursery: Nursery, tmp_path: Path
) -> None:
    store = world.copy(tmp_path / "store")
    run = nursery.finish(world.study, store.url, code=1, FAULT="throws", FAULT_IN=world.images)
    said = run.said().rpartition("Flow run 'attribute-small' - Finished")[2]
    assert f"1 of {EVALUATIONS} evaluations failed, more than execution.failure_tolerance allows (0):" in said
    names = ", ".join(repr(name) for name in world.members)
    assert f"- design of 2 contributors, seed 0 ({names}): " in said
    assert f"{OWN}: RuntimeError: the lamp of the photometer is broken" in said
    assert "What was evaluated is kept: remove the cause, and start the study again." in said
    assert not store.list("studies")
    before = ledger(store)
    nursery.finish(world.study, store.url)
    assert before.items() <= ledger(store).items()
    assert table(store, "small", "evaluations.parquet")["failure"].isna().all()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("throws", "RuntimeError: the lamp of the photometer is broken"), ("has no value", "these images are too dark")],
)
def test_below_the_tolerance_the_statement_says_what_is_missing(
    world: Unscored, nursery: Nursery, tmp_path: Path, fault: str, reason: str
) -> None:
    store = world.copy(tmp_path / "store")
    tolerant = changed(world.study, execution={"failure_tolerance": 0.1})
    nursery.finish(tolerant, store.url, FAULT=fault, FAULT_IN=world.images)
    assert_statement_names(store, world.members, reason)


def assert_statement_names(store: Store, members: tuple[str, ...], reason: str) -> None:
    """The statement is whole, and says in all its parts which one coalition is missing and why."""
    evaluations = table(store, "small", "evaluations.parquet")
    failed = evaluations[evaluations["failure"].notna()]
    assert len(evaluations) == EVALUATIONS and len(failed) == 1
    assert tuple(failed["members"].item()) == members and reason in failed["failure"].item()
    assert np.isnan(failed[OWN].item()) and np.isfinite(evaluations.drop(failed.index)[OWN]).all()
    said = manifest(store, "small")
    assert said["evaluations"]["failed"] == 1
    assert f"1 of {EVALUATIONS} evaluations failed and entered no credit." in said["notes"]
    report = store.read(f"{latest(store, 'small')}/report.html").decode()
    section = html.unescape(report[report.index('id="failed"') :].partition("</section>")[0])
    assert reason in section and all(name in section for name in members)
    credits = table(store, "small", "credits.parquet")
    assert np.isfinite(credits[[f"{name}_credit" for name in ("heldout_loss", OWN)]]).all(axis=None)


def test_a_property_that_throws_for_everybody_ends_the_run_and_is_named(
    world: Unscored, nursery: Nursery, tmp_path: Path
) -> None:
    store = world.copy(tmp_path / "store")
    tolerant = changed(world.study, execution={"failure_tolerance": 0.99})
    run = nursery.finish(tolerant, store.url, code=1, FAULT="throws", FAULT_IN="*")
    said = run.said().rpartition("Flow run 'attribute-small' - Finished")[2]
    assert "the empty or the grand coalition has no value, and no credit can be had without" in said
    assert f"{OWN}: RuntimeError: the lamp of the photometer is broken" in said
    assert not store.list("studies")
    assert len(re.findall("are not begun", run.said())) == 1, "the others were evaluated all the same"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_module:beauty", "no module 'no_such_module' that Python can import; put its folder on PYTHONPATH"),
        ("tests.properties.raises_on_import:beauty", "failed: RuntimeError: the weights of my aesthetic model are not"),
    ],
)
def test_a_property_that_cannot_be_imported_ends_the_run_before_anything_is_trained(
    data: Path, nursery: Nursery, store: Store, name: str, reason: str
) -> None:
    run = nursery.finish(small_study(data, properties={"names": [name]}), store.url, code=1)
    last = run.said().rpartition("ValueError: ")[2]
    assert f"property '{name}': " in last and reason in last and "Traceback" not in last
    assert models(store) == 0 and not store.list("studies")
