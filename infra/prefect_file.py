"""Is a prefect.yaml what its writer means? Prefect ignores keys that it does not know, and drops values whose placeholder it
cannot fill: a slip of the pen becomes a deployment without tags, or in another queue, and nobody is told.

Every key is held against the models with which `prefect deploy` itself reads the file, every step against the signature of
its function.
"""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.deployments.steps.core import RESERVED_KEYWORDS
from prefect.events import DeploymentEventTrigger
from prefect.utilities.importtools import import_object
from prefect.utilities.templating import PlaceholderType, find_placeholders
from pydantic import BaseModel, ValidationError

PROJECT_DIR = "PROJECT_DIR"  # where the flows are when they run; set for Prefect by `make deploy`
ACTIONS = ("build", "push", "pull")
_ANCHORS = "definitions"  # a free key for YAML anchors; Prefect reads nothing there


class PrefectFileError(ValueError):
    """The file cannot be deployed; the message names every deployment and key that is wrong."""


def read_prefect_file(path: Path) -> list[dict[str, Any]]:
    """The deployments of a prefect.yaml, as they are written there, if nothing is wrong with the file.

    Raises:
        PrefectFileError: naming all that is wrong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PrefectFileError(f"there is no {path} here; run this from the repository's root") from error
    except (OSError, UnicodeDecodeError) as error:
        raise PrefectFileError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise PrefectFileError(f"{path} is not YAML: {error}") from error
    found = problems(content)
    if found:
        raise PrefectFileError("\n".join([f"{path} cannot be deployed:", *(f"- {each}" for each in found)]))
    deployments: list[dict[str, Any]] = content["deployments"]
    return deployments


def problems(content: object) -> list[str]:
    """What is wrong with the content of a prefect.yaml, a sentence each."""
    found = list(_slips(content))
    if not found:
        try:
            PrefectYamlModel.model_validate(content)
        except ValidationError as error:
            # A schedule may be written in several ways, each of which complains: one complaint a place is enough.
            found = [f"{place}: {said}" for place, said in {_place(e["loc"]): e["msg"] for e in error.errors()}.items()]
    return found


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location[:4]))


def _slips(content: object) -> Iterator[str]:
    if not isinstance(content, dict) or not isinstance(content.get("deployments"), list) or not content["deployments"]:
        yield "it must hold `deployments:`, a list with at least one"
        return
    yield from _unknown(content, PrefectYamlModel, "the file", also=[_ANCHORS])
    for action in ACTIONS:
        yield from _steps(content.get(action), f"{action} of the file")
    named = set()
    for number, deployment in enumerate(content["deployments"], start=1):
        if not isinstance(deployment, dict):
            yield f"deployment {number} must hold keys with values, not {type(deployment).__name__}"
            continue
        where = f"deployment '{deployment.get('entrypoint', '?')}' / '{deployment.get('name', '?')}'"
        if where in named:
            yield f"{where} is there twice: the second would replace the first"
        named.add(where)
        yield from _deployment(deployment, content, where)


def _deployment(deployment: dict[str, Any], content: Mapping[str, Any], where: str) -> Iterator[str]:
    yield from _unknown(deployment, DeploymentConfig, where)
    yield from (f"{where} has no {key}" for key in ("name", "entrypoint", "work_pool") if not deployment.get(key))
    yield from _unknown(deployment.get("work_pool"), WorkPoolConfig, f"work_pool of {where}")
    yield from _unknown(deployment.get("concurrency_limit"), ConcurrencyLimitSpec, f"concurrency_limit of {where}")
    for schedule in deployment.get("schedules") or []:
        yield from _unknown(schedule, RawScheduleConfig, f"a schedule of {where}")
        if isinstance(schedule, dict) and not schedule.get("slug"):
            yield f"a schedule of {where} has no slug, so that it could not be told from another when deployed again"
    for trigger in deployment.get("triggers") or []:
        yield from _trigger(trigger, f"a trigger of {where}")
    for action in ACTIONS:
        yield from _steps(deployment.get(action), f"{action} of {where}")
    own = [deployment.get(action, content.get(action)) for action in ("build", "push")]
    ids = {inputs.get("id") for steps in own for _, inputs in _calls(steps)}
    rest = {key: value for key, value in deployment.items() if key not in (*ACTIONS, "triggers")}
    for placeholder in sorted(find_placeholders(rest)):
        if placeholder.type is PlaceholderType.ENV_VAR:
            yield from _set_in_environment(placeholder.name, where)
        elif placeholder.type is PlaceholderType.STANDARD and placeholder.name.split(".")[0] not in ids | {"ctx"}:
            yield f"{where}: {placeholder.full_match} is of no step; the ids of its steps: {_list(ids)}"


def _trigger(trigger: object, where: str) -> Iterator[str]:
    """What is wrong with a trigger by an event; of the other kinds Prefect itself is left to say it."""
    if not isinstance(trigger, dict) or trigger.get("type", "event") != "event":
        return
    yield from _unknown(trigger, DeploymentEventTrigger, where)
    if not trigger.get("expect"):
        yield f"{where} expects no event: it would start a run for every event there is"
    try:
        DeploymentEventTrigger.model_validate(trigger)
    except ValidationError as error:
        yield from (f"{where}: {_place(e['loc'])}: {e['msg']}" for e in error.errors())


def _unknown(part: object, model: type[BaseModel], where: str, also: Collection[str] = ()) -> Iterator[str]:
    """The keys of `part` that Prefect's model has not."""
    if not isinstance(part, dict):
        return  # None, or of a type that the model itself refuses
    known = {*model.model_fields, *(f.alias for f in model.model_fields.values() if f.alias), *also}
    for key in part:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            yield f"{where}: Prefect knows no '{key}'" + (f"; is '{close[0]}' meant?" if close else "")


def _steps(steps: object, where: str) -> Iterator[str]:
    """What is wrong with the steps of an action: not one function each, no such function, or not its arguments."""
    for name, inputs in _calls(steps):
        if name is None:
            yield f"{where}: each step must be one function with its arguments"
            continue
        try:
            function = import_object(name)
        except (ImportError, AttributeError, ValueError) as error:
            yield f"{where}: there is no step {name}: {error}"
            continue
        try:
            inspect.signature(function).bind(**{k: v for k, v in inputs.items() if k not in RESERVED_KEYWORDS})
        except TypeError as error:
            yield f"{where}: {name} cannot be called like this: {error}"
        for placeholder in sorted(find_placeholders(inputs)):
            if placeholder.type is PlaceholderType.ENV_VAR:
                yield from _set_in_environment(placeholder.name, where)


def _calls(steps: object) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """The function's name and the arguments of each step; None where it is not one function with its arguments."""
    for step in [steps] if isinstance(steps, dict) and steps else steps or []:  # type: ignore[attr-defined]
        call = next(iter(step.items())) if isinstance(step, dict) and len(step) == 1 else (None, {})
        yield (str(call[0]), call[1]) if isinstance(call[1], dict) and call[0] else (None, {})


def _set_in_environment(name: str, where: str) -> Iterator[str]:
    variable = name.lstrip("$")
    if variable != PROJECT_DIR and variable not in os.environ:
        yield f"{where}: the environment variable {variable} is not set"


def _list(names: Collection[str | None]) -> str:
    return ", ".join(sorted(name for name in names if name)) or "none"
