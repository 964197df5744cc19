"""The upload command tells a real Prefect server, as `prefect event emit` would; the upload is complete without one too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL

from infra.announce import JOINED
from infra.names import key_part
from infra.ports import free_port
from infra.store import Store
from infra.uploads import find_uploads

PERSON = "Emily Jäger"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "my images"
    folder.mkdir()
    (folder / "sun.png").write_bytes(b"sun")
    return folder


def upload(images: Path, store: Store, *more: str, api: str | None) -> subprocess.CompletedProcess[str]:
    arguments = [
        "-m",
        "infra.upload",
        str(images),
        "--contributor",
        PERSON,
        "--to",
        store.url,
        "--collection",
        "spring",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    if api is not None:
        environment["PREFECT_API_URL"] = api
    return subprocess.run([sys.executable, *arguments, *more], env=environment, capture_output=True, text=True)


def events(count: int) -> list[dict[str, Any]]:
    """The server's events of that name about this person: newest first, waited for."""
    chosen = {"event": {"name": [JOINED]}, "resource": {"id": [f"contributor.{key_part(PERSON)}"]}}
    for _ in range(100):
        found = (
            httpx.post(f"{PREFECT_API_URL.value()}/events/filter", json={"filter": chosen}).raise_for_status().json()
        )
        if found["total"] >= count:
            return list(found["events"])
        time.sleep(0.2)
    raise AssertionError(f"{found['total']} events of {count}")


def test_a_complete_upload_is_one_event_that_says_whose_and_what(images: Path, store: Store) -> None:
    api = PREFECT_API_URL.value()
    first = upload(images, store, api=api)
    assert first.returncode == 0 and f"announced to {api}" in first.stdout and not first.stderr
    (event,) = events(1)
    (complete,) = find_uploads(store, "spring").complete
    assert event["resource"] == {
        "prefect.resource.id": f"contributor.{key_part(PERSON)}",
        "prefect.resource.name": PERSON,
        "credit.collection": "spring",
    }
    assert event["payload"] == {
        "contributor": PERSON, "collection": "spring", "upload": complete.digest, "files": 1
    }  # fmt: skip

    again = upload(images, store, api=api)  # nothing is new: nobody is told
    assert again.returncode == 0 and "announced" not in again.stdout
    asked = upload(images, store, "--announce", api=api)
    assert asked.returncode == 0 and "announced" in asked.stdout
    assert len(events(2)) == 2

    by_hand = [
        *("event", "emit", JOINED, "--resource-id", f"contributor.{key_part(PERSON)}"),  # as docs/storage.md says
        *("--resource", "credit.collection=spring", "--payload", json.dumps(event["payload"])),
    ]
    subprocess.run(
        [sys.executable, "-m", "prefect", *by_hand], env={**os.environ, "PREFECT_API_URL": str(api)}, check=True
    )
    found = events(3)
    assert {(e["event"], e["resource"]["prefect.resource.id"]) for e in found} == {
        (JOINED, f"contributor.{key_part(PERSON)}")
    }
    assert all(e["resource"]["credit.collection"] == "spring" and e["payload"] == event["payload"] for e in found)


def test_without_an_api_nobody_is_told_and_that_is_said(images: Path, store: Store) -> None:
    ended = upload(images, store, api=None)
    assert ended.returncode == 0 and "complete" in ended.stdout
    assert "nobody was told of it: PREFECT_API_URL is not set" in ended.stderr and "schedule" in ended.stderr


def test_an_api_that_does_not_answer_costs_nothing_and_the_command_that_tells_it_later_is_named(
    images: Path, store: Store
) -> None:
    port = free_port()
    ended = upload(images, store, api=f"http://127.0.0.1:{port}/api")
    assert ended.returncode == 0 and "complete" in ended.stdout
    assert "does not answer" in ended.stderr and f"{port}" in ended.stderr
    assert f"--contributor '{PERSON}'" in ended.stderr and ended.stderr.rstrip().endswith("--announce")
    assert len(find_uploads(store, "spring").complete) == 1


def test_whoever_hands_in_needs_no_prefect() -> None:
    code = "import sys, infra.upload; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
