"""What people meet in the Prefect UI: the form, the progress, the artifacts, names and logs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import Artifact
from prefect.utilities.callables import parameter_schema

from flows.attribute import attribute
from infra.store import Store
from tests.small import DESIGNERS, EVALUATIONS, small_study


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One run of a study named `shown`, in processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDIT_STORE", str(tmp_path_factory.mktemp("shown") / "store"))
        study = small_study(data, name="shown", execution={"mode": "processes", "workers": 2})
        return attribute(study, return_state=True)


def artifacts(key: str) -> list[Artifact]:
    async def read() -> list[Artifact]:
        async with get_client() as client:
            return await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))

    return asyncio.run(read())


def test_each_property_has_a_table_of_credits(finished: Any) -> None:
    for name in ("heldout-loss", "colourfulness"):
        (artifact,) = artifacts(f"credits-shown-{name}")
        assert artifact.type == "table"
        assert {row["contributor"] for row in json.loads(str(artifact.data))} == set(DESIGNERS)


def test_the_statement_is_a_page_with_plots_in_it(finished: Any) -> None:
    (artifact,) = artifacts("statement-shown")
    assert artifact.type == "markdown"
    assert str(artifact.data).count("data:image/") >= 2


def test_progress_moves_to_the_end(finished: Any) -> None:
    (artifact,) = artifacts("evaluations-shown")
    assert artifact.type == "progress" and artifact.data == 100.0
    assert artifact.updated is not None and artifact.created is not None and artifact.updated > artifact.created


def test_runs_are_named_after_what_they_do_and_evaluations_are_runs_of_their_own(finished: Any) -> None:
    async def read() -> tuple[str, set[str]]:
        async with get_client() as client:
            run = await client.read_flow_run(finished.state_details.flow_run_id)
            tasks = await client.read_task_runs(limit=200)
            return run.name, {task.name for task in tasks if task.flow_run_id == run.id}

    name, tasks = asyncio.run(read())
    assert name == "attribute-shown"
    assert {"partition-shown", "train-reference-shown", "prune-reference-shown", "publish-shown"} <= tasks
    assert sum(task.startswith("evaluate-") for task in tasks) == EVALUATIONS


def test_logs_say_how_far_it_is_and_what_came_out(finished: Any) -> None:
    async def read() -> str:
        async with get_client() as client:
            run = finished.state_details.flow_run_id
            logs = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])), limit=200)
            return "\n".join(log.message for log in logs)

    text = asyncio.run(read())
    assert f"{EVALUATIONS} of {EVALUATIONS} evaluations done" in text and "heldout_loss" in text


def test_the_form_has_descriptions_bounds_and_choices_for_every_field() -> None:
    schema = parameter_schema(attribute).model_dump()
    definitions = schema["definitions"]
    sections = [name for name in definitions if name.endswith("Spec")]
    assert len(sections) == 8
    for section in sections:
        for name, field in definitions[section]["properties"].items():
            assert field.get("description"), f"{section}.{name} has no description"
    assert definitions["PruningSpec"]["properties"]["importance"]["enum"] == ["magnitude", "taylor"]
    assert definitions["EstimationSpec"]["properties"]["budget"]["minimum"] == 4


def test_a_failed_run_publishes_nothing_and_says_why(data: Path, store: Store) -> None:
    state = attribute(small_study(data, name="alone", data={"only": ["Emily Jäger"]}), return_state=True)
    assert state.is_failed() and "Emily" in str(state.message)
    assert not artifacts("statement-alone")
