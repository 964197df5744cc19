"""A whole tiny run with a worker's and a publisher's rights, on a Prefect server with a password, and runs that fail.

No secret is anywhere afterwards: not in the database, the store, the logs or what was printed. And although this user's own
settings ask Prefect to keep every result, none is kept: what nobody keeps, nobody can plant.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from infra import server
from infra.policies import policy
from infra.s3_server import S3Server
from infra.store import Store
from tests.conftest import forget_connections, use
from tests.orchestra import ROOT, prefect_server
from tests.security.kinds import KINDS
from tests.small import make_data, small_study

pytestmark = [pytest.mark.servers, pytest.mark.s3, pytest.mark.slow, pytest.mark.timeout(1500)]

STORE = "s3://credit/store"
PASSWORD = "planted-4f0b2c97d1"
WRONG_PASSWORD, WRONG_KEY = "planted-8812ab03ee", "planted-1d77e0c4b9"


@dataclass
class Ran:
    """What is left of the runs. said: of each run, its exit code and all it printed. objects: of the store, by key."""

    folder: Path
    said: dict[str, tuple[int, str]]
    objects: dict[str, bytes]
    secrets: dict[str, str]
    results: list[str]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """One run that goes well, and four that do not."""
    folder = tmp_path_factory.mktemp("whole")
    study = folder / "study.yaml"
    content = small_study(make_data(folder / "data")).model_dump(mode="json")
    study.write_text(yaml.safe_dump(content), encoding="utf-8")
    policies = {"us": policy(["worker", "publisher"], STORE), "reader": policy(["reader"], STORE)}
    with pytest.MonkeyPatch.context() as patch, S3Server(folder / "s3/data", policies=policies) as objects:
        patch.setenv(server.AUTH, f"somebody:{PASSWORD}")
        patch.delenv("PREFECT_API_AUTH_STRING", raising=False)
        with prefect_server(folder) as found:
            own = {
                # What a person may have set for other projects: keep every result, as pickles, in this folder.
                "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
                "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": "true",
                "PREFECT_RESULTS_DEFAULT_SERIALIZER": "pickle",
                "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(folder / "results"),
            }
            there = {**found, **own, **objects.environment("us"), "CREDIT_STORE": STORE}
            said = {"well": run(study, there)}
            assert said["well"][0] == 0, said["well"][1]
            results = [path.name for path in (folder / "results").rglob("*")]
            said["a wrong key"] = run(study, {**there, "AWS_SECRET_ACCESS_KEY": WRONG_KEY})
            wrong = {**there, "PREFECT_API_AUTH_STRING": f"somebody:{WRONG_PASSWORD}"}
            said["a wrong password"] = run(study, wrong)
            # The command has asked first; the flow itself, and Prefect's client with it, must be told as clearly.
            said["a wrong password, found by Prefect"] = run(study, wrong, "--inside")
            said["a reader's rights"] = run(study, {**there, **objects.environment("reader")})
            use(objects.environment(), patch)
            kept = {key: Store(STORE).read(key) for key in all_keys(Store(STORE))}
            objects.stop()
            said["no store"] = run(study, there)
        secrets = {
            who: objects.environment(None if who == "owner" else who)["AWS_SECRET_ACCESS_KEY"]
            for who in ("owner", "us", "reader")
        }
        secrets |= {"password": PASSWORD, "wrong password": WRONG_PASSWORD, "wrong key": WRONG_KEY}
        secrets["header"] = base64.b64encode(f"somebody:{PASSWORD}".encode()).decode()
        yield Ran(folder, said, kept, secrets, results)
    forget_connections()


def run(study: Path, there: Mapping[str, str], *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "flows.run", str(study), *options]
    done = subprocess.run(
        command, cwd=ROOT, env=dict(there), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900
    )
    return done.returncode, done.stdout


def all_keys(store: Store) -> list[str]:
    folders = sorted({kind.split("/")[0] for kind in KINDS if "/" in kind})
    return ["store.json", *(key for folder in folders for key in store.list(folder))]


def test_worker_and_publisher_together_can_do_a_whole_run(ran: Ran) -> None:
    code, said = ran.said["well"]
    assert code == 0, said
    assert any(key.endswith("/manifest.json") for key in ran.objects) and "studies/small/latest.json" in ran.objects


@pytest.mark.parametrize(
    "how",
    [
        "a wrong key",
        "a wrong password",
        "a wrong password, found by Prefect",
        "a reader's rights",
        "no store",
    ],
)
def test_without_them_it_fails_and_says_what_to_set(ran: Ran, how: str) -> None:
    code, said = ran.said[how]
    assert code != 0
    names = ("PREFECT_API_AUTH_STRING",) if "password" in how else ("s3://credit/store", "AWS_")
    assert any(name in said for name in names), said


def test_no_secret_is_anywhere(ran: Ran) -> None:
    places = {f"what '{how}' printed": said.encode() for how, (_, said) in ran.said.items()}
    places |= {f"the object {key}": content for key, content in ran.objects.items()}
    for path in ran.folder.rglob("*"):
        if path.is_file() and not path.is_relative_to(ran.folder / "data"):
            places[str(path)] = path.read_bytes()
    for name in ("prefect.db", "server.log", "s3-server.log"):
        assert any(place.endswith(name) for place in places), f"{name} was not searched"
    found = [
        (who, place) for who, secret in ran.secrets.items() for place, said in places.items() if secret.encode() in said
    ]
    assert not found
    # The search sees what is there: the study's name is in the database and in the store.
    assert any(b"attribute-small" in said for place, said in places.items() if "prefect.db" in place)


def test_no_result_is_kept_whatever_a_persons_own_settings_say(ran: Ran) -> None:
    """Of a flow that fails Prefect itself writes down the exception, under a random name that nothing of ours reads."""
    assert not ran.results
    assert len(list((ran.folder / "results").rglob("*"))) <= len(ran.said) - 1


def test_a_whole_run_leaves_only_kinds_of_keys_that_are_documented(ran: Ran) -> None:
    known = {kind.split("/")[0] for kind in KINDS}
    assert {key.split("/")[0] for key in ran.objects} <= known
    assert os.environ.get("CREDIT_STORE") != STORE
