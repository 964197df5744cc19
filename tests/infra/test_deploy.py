"""`make deploy` against real Prefect servers, one of which asks for a password: what it makes, twice, and what it leaves."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.responses import DeploymentResponse

from flows.command import run
from flows.deploy import FILE, deploy, wanted_deployments
from flows.presets import preset
from infra.automations import NAME, NAME_UNBEGUN
from infra.job_templates import CPU_POOL, GPU_POOL, job_template
from infra.pools import make_pools
from infra.ports import free_port
from infra.server import HOST, running_server
from tasks.study import Study

PASSWORD = f"credit:{secrets.token_hex(8)}"
# Which they are to be is said in tests/flows/test_deployments.py.
NAMES = tuple(
    f"{entry['entrypoint'].partition(':')[2].replace('_', '-')}/{entry['name']}" for entry in wanted_deployments(FILE)
)
servers = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]  # each `prefect deploy` loads PyTorch anew


@dataclass(frozen=True)
class There:
    """A Prefect server, and what a command needs to use it."""

    client: SyncPrefectClient
    environment: dict[str, str]

    def run(self, *arguments: str, module: str = "flows.deploy", **changes: str) -> subprocess.CompletedProcess[str]:
        """Without a terminal."""
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env={**self.environment, **changes},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def deployments(self) -> dict[str, DeploymentResponse]:
        """All that there are, by full name."""
        found = self.client.read_deployments()
        return {f"{self.client.read_flow(each.flow_id).name}/{each.name}": each for each in found}

    def queues(self) -> dict[str, int]:
        """The GPU pool's queues, with their priorities."""
        return {each.name: each.priority for each in self.client.read_work_queues(work_pool_name=GPU_POOL)}


def start(folder: Path, password: str | None) -> Iterator[There]:
    """A server of the test's own, with nothing in it."""
    api = f"http://{HOST}:{(port := free_port())}/api"
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "PREFECT_API_URL",
            "PREFECT_API_AUTH_STRING",
            "PREFECT_SERVER_API_AUTH_STRING",
            "CREDIT_STORE",
            "AWS_ENDPOINT_URL_S3",
            "AWS_REGION",
        ):
            patch.delenv(name, raising=False)
        patch.setenv("PREFECT_SERVER_API_PORT", str(port))
        patch.setenv("PREFECT_HOME", str(folder / "prefect"))
        if password:
            patch.setenv("PREFECT_SERVER_API_AUTH_STRING", password)
        with running_server(folder / "server.log") as ours:
            assert ours
            environment = {**os.environ, "PREFECT_API_URL": api}
            if password:
                environment["PREFECT_API_AUTH_STRING"] = password
            with SyncPrefectClient(api, auth_string=password) as client:
                yield There(client, environment)


@pytest.fixture(scope="class")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    """A server with a password, deployed to once, with process pools and two GPUs."""
    for there in start(tmp_path_factory.mktemp("deployed"), PASSWORD):
        done = there.run("--gpus", "2")
        assert done.returncode == 0, done.stdout + done.stderr
        yield there


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[There]:
    """A server with nothing in it."""
    yield from start(tmp_path, None)


class TestDeployed:
    """What is there after one `make deploy`, and after another."""

    pytestmark = servers

    def test_pools_queues_limits_and_deployments_are_as_said(self, deployed: There) -> None:
        pools = {name: deployed.client.read_work_pool(name) for name in (CPU_POOL, GPU_POOL)}
        assert {name: (each.type, each.concurrency_limit) for name, each in pools.items()} == {
            CPU_POOL: ("process", None),
            GPU_POOL: ("process", 2),
        }
        assert deployed.queues() == {"urgent": 1, "default": 2, "nightly": 10}
        for name, pool in pools.items():
            assert pool.base_job_template == job_template("process", name)
        there = deployed.deployments()
        assert set(there) == set(NAMES)
        for name, each in there.items():
            (step,) = each.pull_steps or []
            assert step == {"prefect.deployments.steps.set_working_directory": {"directory": str(Path.cwd())}}
            assert each.global_concurrency_limit is None and each.enforce_parameter_schema
            on_cards = name.endswith("/gpu")
            assert (each.work_pool_name, each.work_queue_name) == (
                (GPU_POOL, "nightly") if on_cards else (CPU_POOL, "default")
            )
        assert [(s.slug, s.active) for s in there["collect-garbage/store"].schedules] == [("weekly", False)]

    def test_a_deployment_holds_the_whole_study_and_a_form_changes_it_for_its_run_only(self, deployed: There) -> None:
        there = deployed.deployments()
        stored = there["attribute/openmoji-tiny"].parameters["study"]
        assert stored == preset("deployments/studies/openmoji-tiny.yaml", ["execution.mode=work_pool"])["study"]
        filled_in = {**stored, "estimation": {**stored["estimation"], "budget": 9}}
        run = deployed.client.create_flow_run_from_deployment(
            there["attribute/openmoji-tiny"].id, parameters={"study": filled_in}
        )
        assert Study.model_validate(deployed.client.read_flow_run(run.id).parameters["study"]).estimation.budget == 9
        assert deployed.deployments()["attribute/openmoji-tiny"].parameters["study"] == stored

    def test_the_second_time_nothing_changes_and_it_says_so(self, deployed: There) -> None:
        before = {name: each.id for name, each in deployed.deployments().items()}
        done = deployed.run("--gpus", "2")
        assert done.returncode == 0, done.stdout + done.stderr
        assert {name: each.id for name, each in deployed.deployments().items()} == before
        assert len(deployed.deployments()["collect-garbage/store"].schedules) == 1
        assert done.stdout.count("as it was") == 4 and "brought up to date" not in done.stdout
        for name in (NAME, NAME_UNBEGUN):
            (zombies,) = deployed.client.read_automations_by_name(name)
            assert zombies.enabled
        assert all(name in done.stdout for name in NAMES)
        assert "worker start --pool credit-gpu --limit 2" in done.stdout and PASSWORD not in done.stdout

    def test_what_was_switched_in_the_ui_stays_and_what_is_code_is_put_right(self, deployed: There) -> None:
        client, garbage = deployed.client, deployed.deployments()["collect-garbage/store"]
        client.update_deployment_schedule(garbage.id, garbage.schedules[0].id, active=True)
        theirs: dict[str, Any] = {
            "job_configuration": {"command": "{{ command }}"},
            "variables": {"properties": {"command": {}}},
        }
        client.update_work_pool(GPU_POOL, WorkPoolUpdate(concurrency_limit=7, is_paused=True, base_job_template=theirs))
        client.create_work_queue("theirs", priority=1, work_pool_name=GPU_POOL)
        done = deployed.run()
        assert done.returncode == 0, done.stdout + done.stderr
        pool = client.read_work_pool(GPU_POOL)
        assert (pool.concurrency_limit, pool.is_paused) == (7, True)
        assert pool.base_job_template == job_template("process", GPU_POOL)
        assert [(s.slug, s.active) for s in deployed.deployments()["collect-garbage/store"].schedules] == [
            ("weekly", True)
        ]
        queues = deployed.queues()
        assert (queues["urgent"], queues["nightly"]) == (1, 10) and queues["theirs"] > 1
        made = make_pools(client, "process", 3, lambda: 1, {})
        assert [(each.name, each.limit, each.change) for each in made] == [
            (CPU_POOL, None, "as it was"),
            (GPU_POOL, 3, "brought up to date"),
        ]

    def test_without_the_password_it_says_which_setting_is_missing(self, deployed: There) -> None:
        done = deployed.run(PREFECT_API_AUTH_STRING="")
        assert done.returncode == 1 and "set PREFECT_API_AUTH_STRING" in done.stderr and "Traceback" not in done.stderr

    def test_a_pool_of_another_type_is_refused_and_all_stays_until_it_is_deleted(self, deployed: There) -> None:
        arguments = [*("--pools", "docker", "--gpus", "4", "--image", "registry.example.org/credit:1")]
        arguments += ["--set", "credit-gpu.shared_memory=9g", "--set", "networks=[credit]"]
        settings = {"CREDIT_STORE": "s3://bucket/prefix", "AWS_ENDPOINT_URL_S3": "https://s3.example.org"}
        before = deployed.client.read_work_pool(GPU_POOL)
        done = deployed.run(*arguments, **settings)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert "is of type process, not docker" in done.stderr and "prefect work-pool delete credit-cpu" in done.stderr
        assert deployed.client.read_work_pool(GPU_POOL) == before
        for name in (CPU_POOL, GPU_POOL):
            deployed.client.delete_work_pool(name)
        done = deployed.run(*arguments, **settings)
        assert done.returncode == 0, done.stdout + done.stderr
        variables = {
            name: {k: v.get("default") for k, v in each.base_job_template["variables"]["properties"].items()}
            for name in (CPU_POOL, GPU_POOL)
            if (each := deployed.client.read_work_pool(name)).type == "docker"
        }
        for defaults in (variables[CPU_POOL], variables[GPU_POOL]):
            assert defaults["image"] == "registry.example.org/credit:1" and defaults["networks"] == ["credit"]
            assert (defaults["credit_store"], defaults["s3_endpoint"]) == tuple(settings.values())
        assert variables[GPU_POOL]["shared_memory"] == "9g" != variables[CPU_POOL]["shared_memory"]
        before = deployed.client.read_work_pool(GPU_POOL)
        done = deployed.run("--gpus", "6", **settings)  # neither the type nor the image nor what was set is forgotten
        after = deployed.client.read_work_pool(GPU_POOL)
        assert done.returncode == 0 and after.concurrency_limit == 6, done.stdout + done.stderr
        assert done.stdout.count("ITS RUNS USE THE IMAGE registry.example.org/credit:1, as it was set before") == 2
        assert "kept as they were set before: networks, shared_memory" in done.stdout
        assert after.base_job_template == before.base_job_template
        there = deployed.deployments()
        assert {each.work_pool_name for each in there.values()} == {CPU_POOL, GPU_POOL}
        (step,) = there["evaluate-shard/gpu"].pull_steps or []
        assert step["prefect.deployments.steps.set_working_directory"] == {"directory": "/opt/app"}
        assert there["evaluate-shard/gpu"].work_queue_name == "nightly"


class TestBesideTheUi:
    """`make ui` and `make deploy` on one server do not take deployments from each other."""

    pytestmark = servers

    def test_what_is_served_is_not_deployed_and_what_is_deployed_is_not_served(
        self, empty: There, tmp_path: Path
    ) -> None:
        serving = Serving(empty, tmp_path / "first.log")
        with serving:
            serving.wait_for("being served")
            done = empty.run("--gpus", "1")
            assert done.returncode == 1 and "are being served" in done.stderr, done.stdout + done.stderr
            assert empty.deployments()["attribute/openmoji"].work_pool_name is None
        done = empty.run("--gpus", "1")
        assert done.returncode == 0, done.stdout + done.stderr
        before = {name: empty.deployments()[name] for name in NAMES}
        assert not any(each.paused for each in before.values())
        serving = Serving(empty, tmp_path / "second.log")
        with serving:
            serving.wait_for("being served")
            said = serving.log.read_text()
            assert "attribute/openmoji is deployed to the work pool credit-cpu, and not served here" in said
        after = {name: empty.deployments()[name] for name in NAMES}
        for name in NAMES:
            kept = ("work_pool_name", "parameters", "pull_steps", "paused")
            assert [getattr(after[name], k) for k in kept] == [getattr(before[name], k) for k in kept]


class TestKubernetes:
    """A cluster is not seen from where one deploys."""

    pytestmark = servers

    def test_nothing_is_made_until_all_is_said_that_only_a_person_knows(self, empty: There) -> None:
        settings = {"CREDIT_STORE": "s3://bucket/prefix"}
        for arguments, said in (
            ([], "say --gpus N"),
            (["--gpus", "8", "--set", "node_selectr={gpu: a100}"], "no variable 'node_selectr'"),
        ):
            done = empty.run("--pools", "kubernetes", *arguments, **settings)
            assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr
            assert not empty.client.read_work_pools() and not empty.deployments()
        done = empty.run(
            "--pools", "kubernetes", "--gpus", "8", "--set", "credit-gpu.node_selector={gpu: a100}", **settings
        )
        assert done.returncode == 0, done.stdout + done.stderr
        pool = empty.client.read_work_pool(GPU_POOL)
        assert (pool.type, pool.concurrency_limit) == ("kubernetes", 8)
        assert pool.base_job_template["variables"]["properties"]["node_selector"]["default"] == {"gpu": "a100"}
        assert set(empty.deployments()) == set(NAMES)


class Serving:
    """`make ui` for the length of the block."""

    def __init__(self, there: There, log: Path) -> None:
        self.log, self._there = log, there

    def __enter__(self) -> Serving:
        with open(self.log, "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flows.serve"],
                env={**self._there.environment, "PREFECT_RUNNER_POLL_FREQUENCY": "2"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(self, *error: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 120
        while text not in self.log.read_text():
            assert self._process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.2)
        time.sleep(3)  # its first look for runs, by which the server knows that somebody serves


MISTAKES: dict[str, tuple[list[str], dict[str, str], str]] = {
    "no server": ([], {}, "no Prefect API answers at http://127.0.0.1"),
    "no bucket for containers": (["--pools", "docker"], {}, "CREDIT_STORE is not set"),
    "password in the address": ([], {"CREDIT_STORE": "s3://user:secret@bucket/x"}, "StoreError"),
    "image without containers": (["--image", "x"], {}, "--image is for --pools docker"),
    "half a path": (["--project-dir", "here"], {}, "write the whole path"),
    "no such pool": (["--set", "gpu.shared_memory=1"], {}, "write variable=value"),
    "no value": (["--set", "credit-gpu.gpus"], {}, "write variable=value"),
    "no YAML": (["--set", "gpus=["], {}, "is not YAML"),
    "no GPU": (["--gpus", "0"], {}, "at least one is needed"),
    "no such kind": (["--pools", "ecs"], {}, "invalid choice"),
}


@pytest.mark.parametrize("arguments, environment, said", MISTAKES.values(), ids=MISTAKES.keys())
def test_what_is_wrong_is_said_once_before_anything_is_made(
    arguments: list[str],
    environment: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("CREDIT_STORE", raising=False)
    for name, value in {"PREFECT_API_URL": f"http://{HOST}:{free_port()}/api", **environment}.items():
        monkeypatch.setenv(name, value)
    try:
        code = deploy(arguments)
    except SystemExit as end:  # argparse
        code = int(str(end.code))
    told = capsys.readouterr().err
    assert code in (1, 2) and said in told
    assert "secret" not in told


def test_a_preset_that_is_wrong_is_named_with_its_deployment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    content["deployments"][0]["build"][0]["flows.presets.preset"]["set"] = ["estimation.budget=1"]
    wrong = tmp_path / "prefect.yaml"
    wrong.write_text(yaml.safe_dump(content))
    code = run(lambda: len(wanted_deployments(wrong)))
    told = capsys.readouterr().err
    assert code == 2 and "flows/attribute.py:attribute 'openmoji'" in told and "estimation.budget" in told
