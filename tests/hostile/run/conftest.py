"""One run on hostile data, as a person starts it: its output, its store and what Prefect was told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from infra.store import Store
from tests.families.building import study_of
from tests.hostile.data import ALLOWED, fill
from tests.infra.racing import ROOT

NAME = "hostile"


@dataclass(frozen=True)
class Ran:
    """data: the folder. output: of both commands, stdout and stderr together. rows: of the table."""

    data: Path
    store: Store
    output: str
    rows: int


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A server of its own for the run."""
    with (
        temporary_settings({PREFECT_SERVER_ANALYTICS_ENABLED: False}),
        prefect_test_harness(server_startup_timeout=120),
    ):
        yield


@pytest.fixture(scope="session")
def ran(prefect_server: None, bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """`validate-data`, then `attribute`, in processes of their own, on a model that takes prompts."""
    place = tmp_path_factory.mktemp("hostile")
    data = place / "data"
    count = fill(data)
    study = study_of(
        "sd-lora",
        bases,
        data={"url": str(data), "minimum_images": 1, "small_contributors": "keep"},
        properties={"names": ["heldout_loss", "tests.hostile.hostile_property:warmth"], "heldout_timesteps": 2},
        estimation={"budget": 24},
        coalition={"audit_coalitions": 0, "audit_seeds": [], "retrain_steps": 3, "steps": 2},
        audit={"contributors": [ALLOWED[0]]},
    ).model_copy(update={"name": NAME})
    preset = place / "study.yaml"
    preset.write_text(yaml.safe_dump(study.model_dump(mode="json")))
    store = Store(str(place / "store"))
    output = ""
    for module, more in (("flows.run_validate", ["--json"]), ("flows.run", [])):
        done = subprocess.run(
            [sys.executable, "-m", module, str(preset), *more],
            cwd=ROOT,
            env={**os.environ, "CREDIT_STORE": store.url, "PREFECT_API_URL": str(PREFECT_API_URL.value())},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output += done.stdout.decode("utf-8")
        assert done.returncode == 0, output[-5000:]
    return Ran(data, store, output, count["rows"])
