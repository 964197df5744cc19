"""What Prefect would pass over in silence in a prefect.yaml, said before anything is deployed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.cli.deploy._models import PrefectYamlModel
from pydantic import ValidationError

from infra.prefect_file import PrefectFileError, problems, read_prefect_file

OURS = Path("deployments/prefect.yaml")


def written() -> dict[str, Any]:
    """Our own file, to be spoilt."""
    content: dict[str, Any] = copy.deepcopy(yaml.safe_load(OURS.read_text(encoding="utf-8")))
    return content


def scheduled(content: dict[str, Any]) -> dict[str, Any]:
    """Its deployment with a schedule."""
    return next(each for each in content["deployments"] if each.get("schedules"))


def test_nothing_is_wrong_with_ours() -> None:
    assert len(read_prefect_file(OURS)) == len(written()["deployments"])


SLIPS = {
    "top level": (lambda c: c.update(pulls=c["pull"]), "'pulls'; is 'pull' meant"),
    "deployment": (
        lambda c: c["deployments"][0].update(tagz=["x"]),
        "openmoji': Prefect knows no 'tagz'; is 'tags' meant",
    ),
    "work pool": (lambda c: c["deployments"][5]["work_pool"].update(work_queue="urgent"), "is 'work_queue_name' meant"),
    "limit": (lambda c: c["deployments"][0].update(concurrency_limit={"limt": 1}), "'limt'; is 'limit' meant"),
}


@pytest.mark.parametrize("spoil, said", SLIPS.values(), ids=SLIPS.keys())
def test_a_key_that_prefect_ignores_is_named_with_the_one_that_was_meant(spoil: Any, said: str) -> None:
    content = written()
    spoil(content)
    PrefectYamlModel.model_validate(content)  # Prefect has nothing against it
    assert [said in each for each in problems(content)] == [True]


def test_of_schedules_prefect_itself_refuses_unknown_keys_and_the_file_with_them() -> None:
    content = written()
    scheduled(content)["schedules"][0]["activ"] = False
    with pytest.raises(ValidationError):
        PrefectYamlModel.model_validate(content)
    assert any("'activ'; is 'active' meant" in each for each in problems(content))


def test_a_schedule_without_a_slug_is_refused() -> None:
    content = written()
    del scheduled(content)["schedules"][0]["slug"]
    PrefectYamlModel.model_validate(content)
    assert any("no slug" in each for each in problems(content))


TRIGGERS = {
    "unknown key": (lambda t: t.update(schedule_afte=60), "'schedule_afte'; is 'schedule_after' meant"),
    "no event": (lambda t: t.pop("expect"), "expects no event"),
    "no number": (lambda t: t.update(within="soon"), "within"),
}


@pytest.mark.parametrize("spoil, said", TRIGGERS.values(), ids=TRIGGERS.keys())
def test_a_trigger_that_would_start_nothing_or_everything_is_refused(spoil: Any, said: str) -> None:
    content = written()
    spoil(next(each for each in content["deployments"] if each.get("triggers"))["triggers"][0])
    assert any(said in each for each in problems(content))


STEP = "flows.presets.preset"
STEPS = {
    "no such function": ([{"flows.presets.presett": {"path": "x"}}], "there is no step flows.presets.presett"),
    "no such module": ([{"flows.nowhere.preset": {"path": "x"}}], "there is no step flows.nowhere.preset"),
    "unknown argument": ([{STEP: {"path": "x", "sets": []}}], "unexpected keyword argument 'sets'"),
    "missing argument": ([{STEP: {"id": "x"}}], "missing a required argument: 'path'"),
    "two in one": ([{STEP: {"path": "x"}, "flows.presets.other": {}}], "must be one function"),
    "no arguments": ([{STEP: None}], "must be one function"),
    "no step": (["preset"], "must be one function"),
    "unset variable": ([{STEP: {"path": "{{ $CREDIT_NOWHERE }}"}}], "CREDIT_NOWHERE is not set"),
}


@pytest.mark.parametrize("of_the_file", [True, False], ids=["of the file", "of a deployment"])
@pytest.mark.parametrize("action", ["build", "pull"])
@pytest.mark.parametrize("steps, said", STEPS.values(), ids=STEPS.keys())
def test_steps_are_held_against_their_functions(steps: Any, said: str, action: str, of_the_file: bool) -> None:
    content = written()
    (content if of_the_file else content["deployments"][5])[action] = steps
    assert any(said in each for each in problems(content)), problems(content)


@pytest.mark.parametrize(
    "value, said",
    [
        ("{{ openmojo.study }}", "is of no step; the ids of its steps: openmoji"),
        ("{{ $CREDIT_NOWHERE }}", "CREDIT_NOWHERE is not set"),
    ],
)
def test_a_placeholder_that_nothing_fills_is_refused_where_prefect_would_drop_the_value(value: str, said: str) -> None:
    content = written()
    content["deployments"][0]["parameters"]["study"] = value
    assert [said in each for each in problems(content)] == [True]


@pytest.mark.parametrize("key", ["name", "entrypoint", "work_pool"])
def test_what_prefect_would_ask_for_at_a_terminal_must_be_there(key: str) -> None:
    content = written()
    del content["deployments"][4][key]
    assert any(f"has no {key}" in each for each in problems(content))


def test_two_deployments_of_one_flow_must_not_share_a_name() -> None:
    content = written()
    content["deployments"].append(content["deployments"][0])
    assert any("is there twice" in each for each in problems(content))


@pytest.mark.parametrize(
    "text, said",
    [
        ("deployments: [", "is not YAML"),
        ("", "must hold `deployments:`"),
        ("deployments: []", "must hold `deployments:`"),
        ("- a", "must hold `deployments:`"),
        ("deployments: [a]", "deployment 1 must hold keys"),
        ("deployments: [{name: a, entrypoint: b, work_pool: {name: c}, tags: 3}]", "deployments.0.tags"),
        ("deployments: [{name: a, entrypoint: b, work_pool: c}]", "deployments.0.work_pool"),
    ],
)
def test_what_is_no_list_of_deployments_is_said_without_a_traceback(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(text)
    with pytest.raises(PrefectFileError, match=said):
        read_prefect_file(path)


def test_elsewhere_than_at_the_root_it_says_where_to_go(tmp_path: Path) -> None:
    with pytest.raises(PrefectFileError, match="from the repository's root"):
        read_prefect_file(tmp_path / "deployments/prefect.yaml")
