"""The job templates, rendered by the very classes that Prefect's workers render them with. No container is started."""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
import tomllib
import uuid
from pathlib import Path
from typing import Any

import pytest
from docker.types import HostConfig  # type: ignore[import-untyped]
from docker.utils import parse_bytes  # type: ignore[import-untyped]
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.workers.base import BaseJobConfiguration
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker
from prefect_docker.worker import DockerWorker  # type: ignore[import-untyped]
from prefect_kubernetes.worker import KubernetesWorker  # type: ignore[import-untyped]

from infra.cards import free_card
from infra.job_templates import FOLDER, KINDS, POOLS, TemplateError, job_template
from tests.infra.secrets_in import literal_secrets
from tests.infra.unknown_fields import unknown_fields

WORKERS: dict[str, Any] = {"process": ProcessWorker, "docker": DockerWorker, "kubernetes": KubernetesWorker}
PASSWORD = "admin:not-for-manifests"
EVERY = [(kind, pool) for kind in KINDS for pool in POOLS]


def rendered(kind: str, pool: str, **values: Any) -> Any:
    """The job configuration of a flow run of the pool, as its worker makes it; the worker knows the server's password."""

    async def render() -> BaseJobConfiguration:
        server = PrefectClient(
            "http://127.0.0.1:9/api"
        )  # asked only for blocks and variables, and the templates have none
        settings = {PREFECT_API_URL: "http://prefect.example.org/api", PREFECT_API_AUTH_STRING: PASSWORD}
        with temporary_settings(settings):
            made: BaseJobConfiguration = await WORKERS[kind].job_configuration.from_template_and_values(
                job_template(kind, pool), values, client=server
            )
            made.prepare_for_flow_run(FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), name="Évaluation 3 of 40"))
            return made

    return asyncio.run(render())


def job(pool: str, **values: Any) -> dict[str, Any]:
    manifest: dict[str, Any] = rendered("kubernetes", pool, **values).job_manifest
    return manifest


def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_placeholder_has_a_variable_and_every_variable_is_used(kind: str) -> None:
    template = job_template(kind, "credit-cpu")
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    # Prefect merges the variable `env` into a job configuration's own.
    assert used | {"env"} == set(template["variables"]["properties"])
    assert isinstance(template["job_configuration"]["env"], dict)


@pytest.mark.parametrize("kind", KINDS)
def test_no_field_of_prefects_own_template_is_lost(kind: str) -> None:
    worker = WORKERS[kind]
    ours, theirs = job_template(kind, "credit-cpu"), worker.get_default_base_job_template()
    assert set(ours["job_configuration"]) == set(theirs["job_configuration"])
    missing = set(theirs["variables"]["properties"]) - set(ours["variables"]["properties"])
    assert missing == ({"container_create_kwargs"} if kind == "docker" else set())  # its parts are variables of ours


@pytest.mark.parametrize(("kind", "pool"), EVERY)
def test_a_job_gets_the_store_of_its_pool_and_of_its_deployment(kind: str, pool: str) -> None:
    values = {"credit_store": "s3://bucket/prefix", "aws_region": "eu-west-1", "env": {"OWN": "1"}}
    env = rendered(kind, pool, **values).env
    assert {name: env.get(name) for name in ("CREDIT_STORE", "AWS_REGION", "AWS_DEFAULT_REGION", "OWN")} == {
        "CREDIT_STORE": "s3://bucket/prefix",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "OWN": "1",
    }


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_what_is_not_set_is_not_passed_on_as_an_empty_setting(kind: str) -> None:
    assert not [name for name in rendered(kind, "credit-gpu").env if name.startswith(("CREDIT", "AWS"))]


def test_a_run_of_a_process_pool_has_the_store_that_its_worker_was_started_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CREDIT_STORE", "s3://the-workers/own")
    configuration = rendered("process", "credit-gpu")
    assert isinstance(configuration, ProcessJobConfiguration)
    assert configuration.env["CREDIT_STORE"] == "s3://the-workers/own"


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_the_image_is_of_this_version(kind: str) -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert job_template(kind, "credit-gpu")["variables"]["properties"]["image"]["default"] == (
        f"{project['name']}:{project['version']}"
    )


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.name)
def test_no_template_holds_a_secret(path: Path) -> None:
    assert literal_secrets(json.loads(path.read_text(encoding="utf-8"))) == []


def test_a_pod_of_the_gpu_pool_has_one_card_and_of_the_cpu_pool_none() -> None:
    for pool, cards in (("credit-gpu", 1), ("credit-cpu", 0)):
        limit = pod(job(pool))["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
        assert type(limit) is int and limit == cards


def test_node_selector_and_tolerations_arrive_whole() -> None:
    selector = {"cloud.google.com/gke-accelerator": "nvidia-l4", "zone": "b"}
    tolerations = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    made = pod(job("credit-gpu", node_selector=selector, tolerations=tolerations))
    assert made["nodeSelector"] == selector
    assert made["tolerations"] == tolerations


def test_shared_memory_is_mounted_where_pytorch_looks_for_it() -> None:
    made = pod(job("credit-gpu", shared_memory="8Gi"))
    (mount,) = made["containers"][0]["volumeMounts"]
    (volume,) = made["volumes"]
    assert mount == {"name": volume["name"], "mountPath": "/dev/shm"}
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "8Gi"}


@pytest.mark.parametrize(("pool", "behaviour"), [("credit-cpu", "reschedule"), ("credit-gpu", "crash")])
def test_an_evicted_driver_starts_again_and_an_evicted_shard_is_left_to_its_driver_never_to_kubernetes(
    pool: str, behaviour: str
) -> None:
    """A shard that is always evicted, or hits its deadline, would otherwise start again for ever."""
    manifest = job(pool)
    assert manifest["spec"]["backoffLimit"] == 0
    assert pod(manifest)["restartPolicy"] == "Never"
    env = {each["name"]: each.get("value") for each in pod(manifest)["containers"][0]["env"]}
    assert env["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == behaviour


def test_a_pod_has_ten_minutes_to_get_a_node_and_a_deadline_only_if_one_is_set() -> None:
    assert rendered("kubernetes", "credit-gpu").pod_watch_timeout_seconds == 600
    assert "activeDeadlineSeconds" not in job("credit-gpu")["spec"]
    assert job("credit-gpu", active_deadline_seconds=5400)["spec"]["activeDeadlineSeconds"] == 5400


def test_the_servers_password_reaches_a_pod_by_reference_only() -> None:
    manifest = job("credit-gpu", auth_secret="prefect-password")
    assert PASSWORD not in json.dumps(manifest)
    (entry,) = (e for e in pod(manifest)["containers"][0]["env"] if e["name"] == "PREFECT_API_AUTH_STRING")
    assert entry["valueFrom"] == {"secretKeyRef": {"name": "prefect-password", "key": "auth-string"}}


def test_a_pod_has_the_buckets_credentials_from_a_secret_that_may_be_missing() -> None:
    assert pod(job("credit-gpu"))["containers"][0]["envFrom"] == [
        {"secretRef": {"name": "credit-storage", "optional": True}}
    ]


def test_a_pod_is_not_root_and_gets_no_rights_in_the_cluster() -> None:
    made = pod(job("credit-cpu"))
    assert made["securityContext"]["runAsNonRoot"] is True
    assert made["securityContext"]["runAsUser"] > 0
    assert made["automountServiceAccountToken"] is False
    assert made["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("pool", POOLS)
def test_kubernetes_own_model_of_a_job_knows_every_field_and_its_type(pool: str) -> None:
    manifest = job(
        pool,
        active_deadline_seconds=60,
        finished_job_ttl=60,
        node_selector={"a": "b"},
        tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        image_pull_secrets=[{"name": "registry"}],
        cpu_limit="4",
        memory_limit="16Gi",
        annotations={"a": "b"},
    )
    # Prefect's class insists on these two in the pod's spec, where Kubernetes ignores them.
    assert unknown_fields(manifest, "V1Job") == ["spec.template.spec.completions", "spec.template.spec.parallelism"]


def docker_host_config(configuration: Any) -> HostConfig:
    """The part of a container's settings that the engine is asked for, in docker-py's own words."""
    own = configuration.container_create_kwargs
    return HostConfig(version="1.45", privileged=configuration.privileged, binds=configuration.volumes, **own)


def test_a_container_of_the_gpu_pool_sees_the_machines_cards_and_of_the_cpu_pool_asks_for_none() -> None:
    asked = docker_host_config(rendered("docker", "credit-gpu"))["DeviceRequests"]
    assert asked == [
        {"Driver": "nvidia", "Count": -1, "DeviceIDs": [], "Capabilities": [["gpu"]], "Options": {}}
    ]  # every card: which one is free is settled by the locks that the containers share
    # An engine without NVIDIA's runtime refuses a request for no card too.
    assert docker_host_config(rendered("docker", "credit-cpu"))["DeviceRequests"] == []


def test_containers_of_a_machine_share_the_locks_by_which_runs_find_a_free_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = rendered("docker", "credit-gpu")
    (shared,) = (each.split(":")[1] for each in configuration.volumes if each.startswith("credit-cards:"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with free_card(["GPU-1"], print):
        (folder,) = tmp_path.iterdir()
    assert shared == "/tmp/" + folder.name.replace(str(os.getuid()), "1000")  # the image's user


def test_docker_takes_the_other_settings_of_a_container() -> None:
    config = docker_host_config(
        rendered("docker", "credit-gpu", shared_memory="8g", nano_cpus=2_000_000_000, extra_hosts={"s3": "10.0.0.7"})
    )
    assert config["ShmSize"] == parse_bytes("8g")
    assert config["NanoCpus"] == 2_000_000_000
    assert config["ExtraHosts"] == ["s3:10.0.0.7"]
    assert config["CapDrop"] == ["ALL"] and "Privileged" not in config
    assert rendered("docker", "credit-gpu", networks=["credit"]).networks == ["credit"]


def test_an_unknown_variable_pool_or_kind_is_refused_by_name() -> None:
    with pytest.raises(TemplateError, match=r"process work pool has no variable 'gpu' .* working_dir"):
        job_template("process", "credit-gpu", {"gpu": 1})
    with pytest.raises(TemplateError, match="no work pool 'gpu'; there are credit-cpu, credit-gpu"):
        job_template("process", "gpu")
    with pytest.raises(TemplateError, match="no kind of work pool 'ecs'"):
        job_template("ecs", "credit-gpu")


def test_a_default_of_the_installation_wins_over_the_pools_own() -> None:
    made = job_template("kubernetes", "credit-gpu", {"gpus": 2, "image": "registry.example.org/x:1"})
    properties = made["variables"]["properties"]
    assert (properties["gpus"]["default"], properties["image"]["default"]) == (2, "registry.example.org/x:1")
