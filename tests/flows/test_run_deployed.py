"""`make demo-stack`, as a person meets it: a failing study says why, and Ctrl-C cancels the run. (That it succeeds, with the
credits of `make demo`, is what CI runs.)"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient

from infra.ports import free_port
from infra.stack.files import read_settings, read_state
from infra.stack.types import Files
from infra.store import Store
from tests.conftest import use
from tests.small import small_study

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A stack of our own deployments, started by the command; its folder, and the environment of whoever calls commands."""
    folder = tmp_path_factory.mktemp("stack")
    ports = {"PREFECT_SERVER_API_PORT": str(free_port()), "CREDIT_S3_PORT": str(free_port())}
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "AWS_", "CREDIT_"))}
    environment = {**ours, **ports, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "flows.stack"]
    place = ["--folder", str(folder)]
    try:
        subprocess.run([*command, "up", "--workers", "1", *place], cwd=ROOT, env=environment, check=True)
        yield folder, environment
    finally:
        subprocess.run([*command, "down", *place], cwd=ROOT, env=environment, check=True)
    assert subprocess.run([*command, "status", *place], cwd=ROOT, env=environment).returncode == 1


def begin(folder: Path, environment: dict[str, str], images: Path, **sections: dict[str, Any]) -> subprocess.Popen[str]:
    preset = folder / "preset.yaml"
    study = small_study(images, name="mine", **sections)  # which is not deployed
    preset.write_text(yaml.safe_dump(study.model_dump(mode="json"), allow_unicode=True))
    return subprocess.Popen(
        [sys.executable, "-m", "flows.run_deployed", str(preset), "--folder", str(folder)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def state_of(folder: Path, text: str) -> str:
    """The state of the run whose page is named in a text."""
    state = read_state(Files(folder))
    found = re.search(r"/runs/flow-run/([0-9a-f-]{36})", text)
    assert state is not None and found is not None, text
    with SyncPrefectClient(f"{state.ui}/api") as client:
        return str(client.read_flow_run(UUID(found[1])).state_name)


def test_a_study_that_cannot_be_run_ends_with_the_reason(there: tuple[Path, dict[str, str]], data: Path) -> None:
    folder, environment = there
    process = begin(folder, environment, data, data={"only": ["Emily Jäger"]})
    out, errors = process.communicate()
    assert process.returncode == 1, out + errors
    assert "the stack runs already" in out and "attribute/mine is not deployed" in out
    assert "Failed" in errors and "only 'Emily Jäger' has training images" in errors
    assert "Traceback" not in errors
    assert "study 'mine', run" in out  # the run's own log is followed
    assert state_of(folder, errors) == "Failed"


def test_ctrl_c_cancels_the_run_and_frees_its_study(
    there: tuple[Path, dict[str, str]], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, environment = there
    process = begin(folder, environment, data, model={"train_steps": 100_000})
    assert process.stdout is not None and process.stderr is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "sent prepare-epoch" in line:
            break
    rest = threading.Thread(target=lambda: said.extend(process.stdout or ()))
    rest.start()
    process.send_signal(signal.SIGINT)
    errors = process.stderr.read()
    assert process.wait() == 130, "".join(said) + errors
    rest.join()
    assert "the run was cancelled" in errors and "Traceback" not in errors
    assert state_of(folder, errors) == "Cancelled"
    settings = read_settings(Files(folder))
    use(settings, monkeypatch)
    store = Store(settings["CREDIT_STORE"])
    newest = max(store.list("leases/mine"))  # of a run whose process is gone anybody could take the study
    assert json.loads(store.read(newest))["given_back"] is True
