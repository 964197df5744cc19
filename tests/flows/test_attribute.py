"""The main job, whole: what it publishes, what it reuses, and that its numbers are what they are defined to be."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusers import DDPMPipeline
from prefect.states import State

from flows.attribute import attribute
from infra.lease import Lease, LeaseHeld
from infra.ledger import Ledger, ModelRecord
from infra.store import Store
from tasks.estimate import TooManyFailures
from tasks.partition import DataError
from tests.flows.reading import ledger, made, manifest, models, table
from tests.small import DESIGNERS, EVALUATIONS, small_study

LOSS = {"names": ["heldout_loss"]}
AUDIT = 2  # coalitions repeated under another seed
FILES = {"credits.parquet", "credits.csv", "evaluations.parquet", "manifest.json", "report.html"}


def test_a_run_publishes_a_whole_statement_and_latest_names_it(finished: Store) -> None:
    keys = finished.list("studies/small")
    assert {key.rsplit("/", 1)[1] for key in keys} == FILES | {"latest.json"}
    credits = table(finished, "small", "credits.parquet")
    assert list(credits["contributor"]) == list(DESIGNERS)
    for name in ("heldout_loss", "colourfulness"):
        for column in ("credit", "ci_low", "ci_high", "excess", "excess_low", "excess_high", "share", "rank"):
            assert f"{name}_{column}" in credits
    assert credits["pro_rata"].sum() == pytest.approx(1)


def test_credits_of_a_complete_table_equal_the_definition(finished: Store) -> None:
    credits = table(finished, "small", "credits.parquet").set_index("contributor")
    evaluations = table(finished, "small", "evaluations.parquet")
    evaluations = evaluations[evaluations["role"] != "audit"]
    for name, sign in (("heldout_loss", -1), ("colourfulness", 1)):
        value = {frozenset(m): sign * v for m, v in zip(evaluations["members"], evaluations[name], strict=True)}
        assert len(value) == 16
        for i in DESIGNERS:
            others = [d for d in DESIGNERS if d != i]
            shapley = sum(
                (value[frozenset({i, *s})] - value[frozenset(s)]) / (4 * math.comb(3, size))
                for size in range(4)
                for s in itertools.combinations(others, size)
            )
            assert credits.loc[i, f"{name}_credit"] == pytest.approx(shapley, abs=1e-9)


def test_the_same_study_again_trains_nothing_and_says_the_same(data: Path, finished: Store) -> None:
    before, first = (ledger(finished), made(finished)), table(finished, "small", "credits.parquet")
    attribute(small_study(data))
    assert (ledger(finished), made(finished)) == before
    assert table(finished, "small", "credits.parquet").equals(first)
    evaluations = table(finished, "small", "evaluations.parquet")
    assert len(evaluations) == EVALUATIONS and evaluations["cached"].all()


def test_two_stores_give_the_same_numbers_whether_inline_or_in_processes(
    finished_store: Path, in_processes: tuple[Store, State[Any]]
) -> None:
    inline, processes = Store(str(finished_store)), in_processes[0]
    here, there = table(inline, "small", "evaluations.parquet"), table(processes, "shown", "evaluations.parquet")
    for column in ("heldout_loss", "colourfulness", "model_key", "samples_key"):
        assert here[column].equals(there[column])
    assert not here["cached"].any() and not there["cached"].any()
    assert table(inline, "small", "credits.parquet").equals(table(processes, "shown", "credits.parquet"))


def test_another_name_for_the_study_reuses_everything(data: Path, finished: Store) -> None:
    before = ledger(finished), made(finished)
    attribute(small_study(data, name="renamed"))
    assert (ledger(finished), made(finished)) == before
    assert table(finished, "renamed", "evaluations.parquet")["cached"].all()


def test_a_property_added_later_is_scored_on_kept_images_and_trains_nothing(data: Path, finished: Store) -> None:
    trained, sampled, networks = models(finished), len(finished.list("ledger/samples")), made(finished)
    names = ["heldout_loss", "colourfulness", "tests.properties.own_property:warmth"]
    attribute(small_study(data, properties={"names": names}))
    assert (models(finished), len(finished.list("ledger/samples"))) == (trained, sampled)
    assert made(finished) == networks
    assert "tests.properties.own_property:warmth_credit" in table(finished, "small", "credits.parquet")


def test_the_reference_is_a_folder_that_plain_diffusers_loads(finished: Store) -> None:
    folder = Path(finished.where(f"reference/{manifest(finished, 'small')['reference']['sha256']}"))
    pipeline = DDPMPipeline.from_pretrained(folder, use_safetensors=True)
    images = pipeline(batch_size=2, num_inference_steps=2, output_type="np").images
    assert images.shape == (2, 8, 8, 3) and np.isfinite(images).all()


def test_a_given_pipeline_serves_as_reference_and_its_base_as_the_empty_coalition(data: Path, finished: Store) -> None:
    folder = finished.where(f"reference/{manifest(finished, 'small')['reference']['sha256']}")
    study = small_study(
        data,
        name="from-base",
        model={"pretrained": folder, "pretrained_is": "base"},
        pruning={"ratio": 0},
        coalition={"baseline": "base", "audit_coalitions": 0},
        properties=LOSS,
        estimation={"budget": 12},
    )
    attribute(study)
    evaluations = table(finished, "from-base", "evaluations.parquet")
    empty = evaluations[evaluations["role"] == "baseline"]["heldout_loss"].item()
    untrained = table(finished, "small", "evaluations.parquet").query("role == 'baseline'")["heldout_loss"].item()
    assert empty < untrained  # the base has been trained, random weights have not
    key = manifest(finished, "small")["pruned"]["key"]
    known = Ledger(finished).get(ModelRecord, key)  # it describes the reference that is the base here
    assert known is not None and empty == pytest.approx(known.facts["reference/heldout_loss"], abs=1e-6)


def test_retrained_coalitions_start_from_random_weights(data: Path, store: Store) -> None:
    attribute(small_study(data, data={"only": DESIGNERS[:3]}, coalition={"mode": "retrain"}, properties=LOSS))
    keys = table(store, "small", "evaluations.parquet")["model_key"]
    assert len(keys) == 8 + AUDIT
    records = [record.decode() for key, record in ledger(store).items() if key.startswith("ledger/models")]
    assert sum('"start":"random"' in record for record in records) == 8 + AUDIT


def test_the_papers_draw_counts_its_repeated_rows(data: Path, store: Store) -> None:
    paper = {"budget": 24, "design": "kernelshap", "estimator": "kernelshap"}
    attribute(small_study(data, data={"only": DESIGNERS[:3]}, properties=LOSS, estimation=paper))
    evaluations = table(store, "small", "evaluations.parquet")
    drawn = evaluations[evaluations["role"] != "audit"]
    assert drawn["draws"].sum() == 24 and not drawn["model_key"].duplicated().any()


def test_a_diverging_recipe_fails_with_its_reason_and_gives_no_number(data: Path, store: Store) -> None:
    with pytest.raises(TooManyFailures, match="training loss is nan"):
        attribute(small_study(data, coalition={"learning_rate": 1e30}))
    assert not store.list("studies")
    assert len(store.list("ledger/models")) == 3, "coalitions were begun although the grand one had failed"
    assert any(b'"failure":"training loss is' in record for record in ledger(store).values())


def test_a_single_contributor_is_refused_before_anything_is_trained(data: Path, store: Store) -> None:
    with pytest.raises(DataError, match="Emily"):
        attribute(small_study(data, data={"only": ["Emily Jäger"]}))
    assert not store.list("ledger") and not store.list("studies")


def test_a_property_that_does_not_exist_is_refused_before_anything_is_trained(data: Path, store: Store) -> None:
    with pytest.raises(ValueError, match="heldout_loss"):
        attribute(small_study(data, properties={"names": ["beauty"]}))
    assert not store.list("ledger/models")


def test_a_second_run_of_the_study_is_refused_and_names_the_holder(data: Path, store: Store) -> None:
    with Lease(store, "small", "flow run happy-fox"), pytest.raises(LeaseHeld, match="happy-fox"):
        attribute(small_study(data))
    assert not store.list("ledger")
