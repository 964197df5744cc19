"""deployments/prefect.yaml against the flows and presets it names, without a server."""

from __future__ import annotations

import asyncio
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.steps.core import run_steps
from prefect.events.schemas.events import Resource, ResourceSpecification
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.templating import apply_values

from flows.presets import preset
from flows.serve import deployments as served
from infra.announce import event_of
from infra.cancelled import end_when_cancelled, end_when_sent_again, say_cancelled
from infra.job_templates import CPU_POOL, GPU_POOL, KINDS, job_template
from infra.pools import QUEUES
from infra.prefect_file import read_prefect_file
from infra.study_file import StudyFileError, load_preset
from infra.uploads import Upload, UploadedFile
from tasks.study import Study

FILE = Path("deployments/prefect.yaml")
PRESETS = sorted(Path("deployments/studies").glob("*.yaml"))
DEPLOYMENTS = read_prefect_file(FILE)
ASKED = {  # for by the form: there is no default for a person, nor for which study's history
    "opt-out": {"contributor": "Emily Jäger", "by": "her letter"},
    "history": {"study": "openmoji"},
}
SENT = ("prepare-epoch", "evaluate-shard")  # by `attribute`, which gives them all their parameters


def flow_of(deployment: dict[str, Any]) -> Flow[Any, Any]:
    return load_flow_from_entrypoint(deployment["entrypoint"])


def parameters_of(deployment: dict[str, Any]) -> dict[str, Any]:
    """As `prefect deploy` has them: its own code runs the build steps and fills them in."""
    outputs = asyncio.run(run_steps(deployment.get("build") or []))
    return dict(apply_values(deployment.get("parameters") or {}, outputs))


def name_of(deployment: dict[str, Any]) -> str:
    return f"{deployment['entrypoint'].partition(':')[2].replace('_', '-')}/{deployment['name']}"


each_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=name_of)


@each_deployment
def test_every_deployed_flow_ends_itself_when_it_is_cancelled(deployment: dict[str, Any]) -> None:
    flow = flow_of(deployment)
    wanted = end_when_sent_again if flow.name in SENT else end_when_cancelled
    assert wanted in flow.on_running_hooks and say_cancelled in flow.on_crashed_hooks


def test_what_people_and_drivers_start_is_deployed_where_it_belongs() -> None:
    pools = {f"{flow_of(each).name}/{each['name']}": each["work_pool"]["name"] for each in DEPLOYMENTS}
    assert pools == {
        "attribute/openmoji": CPU_POOL,
        "attribute/openmoji-tiny": CPU_POOL,
        "reattribute/openmoji": CPU_POOL,
        "validate-data/openmoji": CPU_POOL,
        "validate/openmoji": CPU_POOL,
        "collect-garbage/store": CPU_POOL,
        "opt-out/store": CPU_POOL,
        "history/store": CPU_POOL,
        "prepare-epoch/gpu": GPU_POOL,
        "evaluate-shard/gpu": GPU_POOL,
    }
    sent_to = Study().execution.deployment
    assert all(f"{flow}/{sent_to}" in pools for flow in SENT)


@each_deployment
def test_parameters_are_what_the_flow_takes(deployment: dict[str, Any]) -> None:
    flow, parameters = flow_of(deployment), parameters_of(deployment)
    assert parameters.keys() == (deployment.get("parameters") or {}).keys()
    schema = parameter_schema(flow)
    assert parameters.keys() <= schema.properties.keys()
    if flow.name in SENT:
        assert not parameters
    else:
        asked = ASKED.get(flow.name, {})
        assert set(schema.required) - parameters.keys() == set(asked)
        flow.validate_parameters({**parameters, **asked})


@each_deployment
def test_a_parameter_that_the_flow_does_not_know_would_be_seen_by_this(deployment: dict[str, Any]) -> None:
    flow = flow_of(deployment)
    if flow.name not in SENT:
        with pytest.raises(Exception, match="delet"):
            flow.validate_parameters({**parameters_of(deployment), **ASKED.get(flow.name, {}), "delet": True})


@each_deployment
def test_a_deployed_study_is_its_preset_but_works_in_the_pool(deployment: dict[str, Any]) -> None:
    parameters = parameters_of(deployment)
    if "study" in parameters:
        study = load_preset(Path("deployments/studies") / f"{deployment['name']}.yaml", Study)
        work_pool = study.execution.model_copy(update={"mode": "work_pool"})
        assert Study.model_validate(parameters["study"]) == study.model_copy(update={"execution": work_pool})
        assert study.execution.mode != "work_pool"


@each_deployment
def test_queues_are_those_that_are_made_and_the_limit_is_the_pools(deployment: dict[str, Any]) -> None:
    pool = deployment["work_pool"]
    assert pool["work_queue_name"] in ({"default"} if pool["name"] == CPU_POOL else QUEUES)
    assert "concurrency_limit" not in deployment
    assert deployment["description"] and deployment["tags"]


@pytest.mark.parametrize("kind", KINDS)
@each_deployment
def test_job_variables_are_known_to_every_kind_of_pool(deployment: dict[str, Any], kind: str) -> None:
    pool = deployment["work_pool"]
    variables = job_template(kind, pool["name"])["variables"]["properties"]
    assert set(pool.get("job_variables") or {}) <= set(variables)


def test_garbage_is_listed_weekly_once_somebody_switches_it_on() -> None:
    (deployment,) = (each for each in DEPLOYMENTS if name_of(each) == "collect-garbage/store")
    (schedule,) = deployment["schedules"]
    assert schedule["active"] is False and schedule["slug"] == "weekly"
    CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    minute, hour, day, month, weekday = schedule["cron"].split()
    assert (day, month) == ("*", "*") and weekday.isdigit() and minute.isdigit() and hour.isdigit()
    assert "parameters" not in schedule and signature(flow_of(deployment).fn).parameters["delete"].default is False


def test_studies_are_attributed_again_monthly_and_when_somebody_joins_once_for_all_who_come_together() -> None:
    (deployment,) = (each for each in DEPLOYMENTS if name_of(each) == "reattribute/openmoji")
    (schedule,), (trigger,) = deployment["schedules"], deployment["triggers"]
    assert schedule["slug"] == "monthly" and schedule["active"] is False
    CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    assert trigger["expect"] == ["contributor.joined"] and trigger["threshold"] == 1
    # Whoever comes in the time in which nothing more is started is seen by the run that starts at its end.
    assert trigger["within"] == trigger["schedule_after"] > 0
    # Of what `infra.upload` announces, what is handed in to other collections starts nothing.
    match = ResourceSpecification.model_validate(trigger["match"])
    files = (UploadedFile(name="a.png", sha256="1" * 64, size=1),)
    upload = Upload(collection="openmoji", contributor="Emily Jäger", files=files)
    assert match.matches(Resource.model_validate(event_of(upload)["resource"]))
    other = upload.model_copy(update={"collection": "spring"})
    assert not match.matches(Resource.model_validate(event_of(other)["resource"]))
    assert trigger["parameters"].keys() <= signature(flow_of(deployment).fn).parameters.keys()


def test_the_flows_are_found_where_they_are_when_they_run_not_where_they_were_deployed() -> None:
    (step,) = yaml.safe_load(FILE.read_text())["pull"]
    assert step == {"prefect.deployments.steps.set_working_directory": {"directory": "{{ $PROJECT_DIR }}"}}


def test_prefect_puts_the_whole_study_in_for_the_placeholder() -> None:
    study = preset(str(PRESETS[0]))["study"]
    assert apply_values({"study": "{{ my-study.study }}"}, {"my-study": {"study": study}}) == {"study": study}
    assert study.keys() == Study.model_fields.keys()


def test_a_preset_changed_by_a_build_step_is_checked() -> None:
    assert preset(str(PRESETS[0]), ["estimation.budget=9"])["study"]["estimation"]["budget"] == 9
    with pytest.raises(StudyFileError, match=r"execution\.mode"):
        preset(str(PRESETS[0]), ["execution.mode=cloud"])
    with pytest.raises(StudyFileError, match=r"openmoji\.yaml"):  # it says what is there
        preset("deployments/studies/none.yaml")


def test_the_ui_serves_each_preset_to_be_run_and_to_be_checked_keeping_house_and_opting_out() -> None:
    studies = [load_preset(path, Study) for path in PRESETS]
    made = served(studies)
    flows = ("attribute", "reattribute", "validate-data", "validate")
    of_store = {"collect-garbage/store", "opt-out/store", "history/store"}
    assert set(made) == {f"{flow}/{study.name}" for flow in flows for study in studies} | of_store
    for study in studies:
        for flow in flows:
            assert Study.model_validate((made[f"{flow}/{study.name}"].parameters or {})["study"]) == study
