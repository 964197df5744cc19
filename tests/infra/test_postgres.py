"""A Prefect server on a real PostgreSQL, as an installation for more than one person has it: runs, and remembers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact, FlowRun

from infra.ports import free_port
from infra.server import api_url, environment, running_server
from infra.store import Store
from tests.postgres import Postgres, running_postgres
from tests.small import DESIGNERS, EVALUATIONS, make_data, small_study

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """An empty PostgreSQL."""
    with running_postgres() as there:
        yield there


@pytest.fixture
def on_postgres(postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment in which our server uses it."""
    port = free_port()
    monkeypatch.setenv("PREFECT_SERVER_API_PORT", str(port))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", postgres.url)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("CREDIT_STORE", str(tmp_path / "store"))


def remembered() -> tuple[list[FlowRun], list[Artifact]]:
    """The runs that the server knows, and the artifacts of the credits."""

    async def read() -> tuple[list[FlowRun], list[Artifact]]:
        async with PrefectClient(api_url()) as client:
            key = ArtifactFilter(key=ArtifactFilterKey(like_="credits-small-%"))
            return await client.read_flow_runs(), await client.read_artifacts(artifact_filter=key)

    return asyncio.run(read())


def test_a_study_runs_through_a_server_on_postgresql_which_remembers_it_when_both_are_started_again(
    on_postgres: None, postgres: Postgres, tmp_path: Path
) -> None:
    preset = tmp_path / "small.yaml"
    study = small_study(make_data(tmp_path / "images"), execution={"mode": "processes", "workers": 2})
    preset.write_text(yaml.safe_dump(study.model_dump(mode="json")))
    log = tmp_path / "server.log"
    with running_server(log) as ours:
        assert ours
        run = subprocess.run(
            [sys.executable, "-m", "flows.run", str(preset)], env=environment(), capture_output=True, text=True
        )
        assert run.returncode == 0, run.stdout + run.stderr
        first = remembered()
    assert Store(os.environ["CREDIT_STORE"]).list("studies/small"), run.stdout

    assert postgres.ask("SELECT state_type::text FROM flow_run") == [("COMPLETED",)]
    assert postgres.ask("SELECT count(*) FROM task_run WHERE name LIKE 'evaluate-%'") == [(EVALUATIONS,)]
    assert not (tmp_path / "prefect/prefect.db").exists(), "it was SQLite after all"
    for text in (log.read_text(), run.stdout, run.stderr):
        assert postgres.password not in text

    postgres.stop()
    postgres.start()
    with running_server(log):
        runs, artifacts = remembered()
    assert [(run.id, run.name, run.state_name) for run in runs] == [
        (run.id, "attribute-small", "Completed") for run in first[0]
    ]
    assert {artifact.key for artifact in artifacts} == {"credits-small-heldout-loss", "credits-small-colourfulness"}
    for artifact in artifacts:
        assert {row["contributor"] for row in json.loads(str(artifact.data))} == set(DESIGNERS)
    assert sorted(map(str, artifacts)) == sorted(map(str, first[1]))


def test_a_wrong_password_is_refused(postgres: Postgres) -> None:
    """Or the one above would show nothing about the password."""
    url = postgres.url.replace("+asyncpg", "").replace(postgres.password, "wrong")
    command = [str(postgres.programs / "psql"), url, "-c", "SELECT 1"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    assert done.returncode != 0 and "password authentication failed" in done.stderr


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_where_it_is_not_installed_ci_fails_and_nobody_else(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="make test-servers"), running_postgres(tmp_path):
        pass
