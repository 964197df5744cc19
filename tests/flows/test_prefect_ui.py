"""What people meet in the Prefect UI: the form, the progress, the artifacts, names and logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prefect.states import State
from prefect.utilities.callables import parameter_schema

from flows.attribute import attribute
from infra.store import Store
from tests.flows.seen import artifacts, flow_run_name, logged, task_runs
from tests.small import DESIGNERS, EVALUATIONS, small_study


@pytest.fixture(scope="module")
def finished(in_processes: tuple[Store, State[Any]]) -> State[Any]:
    """The final state of the run of a study named `shown`, in processes."""
    return in_processes[1]


def test_each_property_has_a_table_of_credits(finished: State[Any]) -> None:
    for name in ("heldout-loss", "colourfulness"):
        (artifact,) = artifacts(f"credits-shown-{name}")
        assert artifact.type == "table"
        assert {row["contributor"] for row in json.loads(str(artifact.data))} == set(DESIGNERS)


def test_the_statement_is_a_page_with_plots_in_it(finished: State[Any]) -> None:
    (artifact,) = artifacts("statement-shown")
    assert artifact.type == "markdown"
    assert str(artifact.data).count("data:image/") >= 2


def test_progress_moves_to_the_end(finished: State[Any]) -> None:
    (artifact,) = artifacts("evaluations-shown")
    assert artifact.type == "progress" and artifact.data == 100.0
    assert artifact.updated is not None and artifact.created is not None and artifact.updated > artifact.created


def test_runs_are_named_after_what_they_do_and_evaluations_are_runs_of_their_own(finished: State[Any]) -> None:
    assert flow_run_name(finished) == "attribute-shown"
    steps = {"partition-shown", "train-reference-shown", "prune-reference-shown", "publish-shown"}

    def evaluations(names: list[str]) -> int:
        return sum(name.startswith("evaluate-") for name in names)

    names = task_runs(finished, lambda names: steps <= set(names) and evaluations(names) == EVALUATIONS)
    assert steps <= set(names) and evaluations(names) == EVALUATIONS


def test_logs_say_how_far_it_is_and_what_came_out(finished: State[Any]) -> None:
    last = f"{EVALUATIONS} of {EVALUATIONS} evaluations done"
    text = logged(finished, last)
    assert last in text and "heldout_loss" in text


def test_the_form_has_descriptions_bounds_and_choices_for_every_field() -> None:
    schema = parameter_schema(attribute).model_dump()
    definitions = schema["definitions"]
    sections = [name for name in definitions if name.endswith("Spec")]
    assert len(sections) == 10
    for section in sections:
        for name, field in definitions[section]["properties"].items():
            assert field.get("description"), f"{section}.{name} has no description"
    assert definitions["PruningSpec"]["properties"]["importance"]["enum"] == ["magnitude", "taylor"]
    assert definitions["EstimationSpec"]["properties"]["budget"]["minimum"] == 4


def test_a_failed_run_publishes_nothing_and_says_why(data: Path, store: Store) -> None:
    state = attribute(small_study(data, name="alone", data={"only": ["Emily Jäger"]}), return_state=True)
    assert state.is_failed() and "Emily" in str(state.message)
    assert not artifacts("statement-alone")
