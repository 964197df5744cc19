"""Every Prefect task there is, whatever folder it is in."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from prefect import Task

import tasks


def every_task() -> dict[str, Task]:
    """All tasks of the house by module and name, each module of it imported."""
    found: dict[str, Task] = {}
    for module in pkgutil.walk_packages(tasks.__path__, "tasks."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Task):
                found[f"{value.fn.__module__}.{name}"] = value
    return found


EVERY_TASK = every_task()


def test_tasks_are_found_in_every_step() -> None:
    steps = {name.split(".")[1] for name in EVERY_TASK}
    assert {"partition", "reference", "plan", "evaluate", "estimate", "publish"} <= steps


@pytest.mark.parametrize("name", sorted(EVERY_TASK))
def test_no_result_is_pickled_whatever_a_persons_own_prefect_settings_say(name: str) -> None:
    assert EVERY_TASK[name].persist_result is False
