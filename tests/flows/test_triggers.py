"""What starts `reattribute` by itself: a schedule, and contributors who announce themselves; with a real server."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from flows.attribute import attribute
from infra.announce import announce
from infra.deploy import deploy_all
from infra.job_templates import CPU_POOL
from infra.prefect_file import read_prefect_file
from infra.store import Store
from infra.uploads import Upload, UploadedFile
from tests.flows.reading import manifest
from tests.orchestra import POLL_SECONDS, ROOT, close_runs, make_pools, prefect_server, running_worker, runs_of
from tests.small import DESIGNERS, small_study

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]
WAIT = 20  # seconds after an event until its run starts; ten minutes in the file
LOSS = {"names": ["heldout_loss"], "heldout_timesteps": 3}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Prefect server with its pools."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as found:
        make_pools(found, gpus=1)
        yield {**found, "PREFECT_WORKER_QUERY_SECONDS": POLL_SECONDS}


def deploy_small(there: dict[str, str], folder: Path, study: dict[str, Any], **changes: Any) -> None:
    """Our own entry of `reattribute` in deployments/prefect.yaml, for a small study and with shorter times."""
    content = yaml.safe_load((ROOT / "deployments/prefect.yaml").read_text(encoding="utf-8"))
    entry = copy.deepcopy(next(e for e in content["deployments"] if e["entrypoint"].endswith(":reattribute")))
    (folder / "small.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    entry["name"] = "small"
    entry["build"] = [{"flows.presets.preset": {"id": "openmoji", "path": str(folder / "small.yaml")}}]
    entry["triggers"][0] |= {"within": WAIT, "schedule_after": WAIT, "name": "joined, small"}
    entry["schedules"][0] |= changes
    file = folder / "prefect.yaml"
    file.write_text(yaml.safe_dump({**content, "deployments": [entry]}), encoding="utf-8")
    with SyncPrefectClient(there["PREFECT_API_URL"]) as client:
        deploy_all(client, file, read_prefect_file(file), str(ROOT))


def joined(name: str) -> Upload:
    """What somebody has handed in."""
    return Upload(collection="openmoji", contributor=name, files=(UploadedFile(name="a.png", sha256="1" * 64, size=1),))


def ended(there: dict[str, str], scheduled: bool, seconds: float = 240) -> list[FlowRun]:
    """The runs that the schedule, or an event, started, as soon as one of them has ended."""
    deadline = time.monotonic() + seconds
    while True:
        runs = [run for run in runs_of(there, "reattribute") if run.auto_scheduled is scheduled]
        if any(run.state is not None and run.state.is_final() for run in runs):
            return runs
        assert time.monotonic() < deadline, f"no run ended: {[(r.name, r.state_name) for r in runs]}"
        time.sleep(0.5)


def test_five_who_join_in_quick_succession_start_one_run_which_sees_them_all_and_the_schedule_finds_nothing_new(
    data: Path, there: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "store"))
    monkeypatch.setenv("CREDIT_STORE", store.url)
    study = small_study(data, name="woken", properties=LOSS, epoch={"drift": 0.9, "increment": 0.5})
    without = study.model_copy(update={"data": study.data.model_copy(update={"only": list(DESIGNERS[:3])})})
    attribute(without)  # under the tests' common server
    deploy_small(there, tmp_path, study.model_dump(mode="json"), active=False)
    with running_worker(CPU_POOL, "driver", {**there, "CREDIT_STORE": store.url}, tmp_path) as worker:
        worker.wait_until_started()
        for number in range(5):
            announce(joined(f"newcomer {number}"), there)
        (run, *others) = ended(there, scheduled=False)
        assert run.state is not None and run.state.is_completed(), worker.said_since_taking()
        assert run.parameters["event"]["contributor"].startswith(
            "newcomer"
        )  # the server may take them up in another order
        assert run.parameters["study"]["name"] == "woken"
        assert manifest(store, "woken")["epoch"]["number"] == 1
        assert [c["name"] for c in manifest(store, "woken")["contributors"]] == list(DESIGNERS)
        statements = store.list("studies/woken")

        deploy_small(there, tmp_path, study.model_dump(mode="json"))  # again: its schedule stays as it was switched
        with SyncPrefectClient(there["PREFECT_API_URL"]) as client:
            deployment = client.read_deployment_by_name("reattribute/small")
            (schedule,) = deployment.schedules
            assert schedule.active is False
        time.sleep(2)
        assert [r.id for r in runs_of(there, "reattribute")] == [run.id] and not others

        _every_minute(there)
        cron = next(r for r in ended(there, scheduled=True) if r.state is not None and r.state.is_final())
        assert cron.state is not None and cron.state.is_completed(), worker.said_since_taking()
        assert store.list("studies/woken") == statements  # nothing had changed
        _switch_off(there)
    close_runs(there)


def _every_minute(there: dict[str, str]) -> None:
    with SyncPrefectClient(there["PREFECT_API_URL"]) as client:
        deployment = client.read_deployment_by_name("reattribute/small")
        (schedule,) = deployment.schedules
        often = schedule.schedule.model_copy(update={"cron": "* * * * *"})
        client.update_deployment_schedule(deployment.id, schedule.id, active=True, schedule=often)


def _switch_off(there: dict[str, str]) -> None:
    with SyncPrefectClient(there["PREFECT_API_URL"]) as client:
        deployment = client.read_deployment_by_name("reattribute/small")
        client.update_deployment_schedule(deployment.id, deployment.schedules[0].id, active=False)
