"""infra/charts: values for Prefect's own Helm charts, and what must be in the cluster beside. No Helm runs here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.job_templates import POOLS, job_template
from tests.infra.secrets_in import literal_secrets
from tests.infra.unknown_fields import unknown_fields

FOLDER = Path("infra/charts")
FILES = sorted(FOLDER.glob("*.yaml"))


def values(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return read


def job_defaults() -> dict[str, Any]:
    properties = job_template("kubernetes", "credit-gpu")["variables"]["properties"]
    return {name: each.get("default") for name, each in properties.items()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_secret_stands_in_a_file(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        assert literal_secrets(document) == []
        assert document.get("kind") != "Secret"


def test_server_workers_and_jobs_have_one_password_from_one_secret() -> None:
    server, worker = values("server.yaml")["server"], values("worker.yaml")["worker"]
    worker_auth = worker["selfHostedServerApiConfig"]["basicAuth"]
    assert server["basicAuth"] == worker_auth == {"enabled": True, "existingSecret": job_defaults()["auth_secret"]}


def test_server_workers_and_jobs_run_one_image_of_this_version() -> None:
    server = values("server.yaml")["global"]["prefect"]["image"]
    worker = values("worker.yaml")["worker"]["image"]
    assert server == worker
    name, _, tag = job_defaults()["image"].partition(":")
    assert server["prefectTag"] == tag
    assert server["repository"].endswith(f"/{name}")
    # The charts' own commands are files of Prefect's image.
    assert values("server.yaml")["server"]["command"] == values("worker.yaml")["worker"]["command"]
    assert values("worker.yaml")["worker"]["command"][0] == "/usr/bin/tini"


def test_the_database_is_named_by_a_secret_and_not_the_charts_own() -> None:
    server = values("server.yaml")
    assert server["externalDatabase"]["existingSecret"] and server["externalDatabase"]["connectionStringSecretKey"]
    assert server["postgresql"]["enabled"] is False and server["secret"]["create"] is False


def test_each_pool_has_a_worker_of_a_name_of_its_own() -> None:
    files = ["worker-cpu.yaml", "worker-gpu.yaml"]
    assert tuple(values(name)["worker"]["config"]["workPool"] for name in files) == POOLS
    assert len({values(name)["fullnameOverride"] for name in files}) == 2
    assert values("worker.yaml")["worker"]["config"]["type"] == "kubernetes"


def test_no_chart_overwrites_the_job_template_that_make_deploy_made() -> None:
    for path in FILES:
        assert "baseJobTemplate:" not in path.read_text(encoding="utf-8")


def test_workers_find_the_server() -> None:
    url = values("worker.yaml")["worker"]["selfHostedServerApiConfig"]["apiUrl"]
    server, namespace = values("server.yaml")["fullnameOverride"], job_defaults()["namespace"]
    assert url == f"http://{server}.{namespace}.svc.cluster.local:4200/api"


def test_what_jobs_need_of_the_cluster_is_in_the_manifest() -> None:
    documents = list(yaml.safe_load_all((FOLDER / "cluster.yaml").read_text(encoding="utf-8")))
    for document in documents:
        assert unknown_fields(document, f"V1{document['kind']}") == []
    named = {document["kind"]: document["metadata"]["name"] for document in documents}
    assert named == {"Namespace": job_defaults()["namespace"], "ServiceAccount": job_defaults()["service_account_name"]}
