"""The main job with everything in a bucket: images, ledger, weights and statement, on a real S3 server."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import s3fs

from flows.attribute import attribute
from infra.s3_server import S3Server
from infra.store import Store
from tests.flows.reading import table
from tests.small import EVALUATIONS, small_study

pytestmark = [pytest.mark.s3, pytest.mark.servers, pytest.mark.slow]


def test_images_and_results_in_a_bucket_give_the_credits_of_a_folder_and_are_reused(
    data: Path, finished_store: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = s3_url.removesuffix("store") + "images"
    s3fs.S3FileSystem().put(str(data), images, recursive=True)
    monkeypatch.setenv("CREDIT_STORE", s3_url)
    study = small_study(data, data={"url": images}, execution={"mode": "processes", "workers": 2})
    attribute(study)

    folder, bucket = Store(str(finished_store)), Store(s3_url)
    for column in ("heldout_loss", "colourfulness", "model_key", "samples_key"):
        assert table(folder, "small", "evaluations.parquet")[column].equals(
            table(bucket, "small", "evaluations.parquet")[column]
        )
    first = table(bucket, "small", "credits.parquet")
    assert first.equals(table(folder, "small", "credits.parquet"))

    before = written(s3_url)
    assert len(before) > EVALUATIONS
    attribute(study)
    assert written(s3_url) == before
    evaluations = table(bucket, "small", "evaluations.parquet")
    assert len(evaluations) == EVALUATIONS and evaluations["cached"].all()
    assert table(bucket, "small", "credits.parquet").equals(first)


def test_a_server_killed_among_the_evaluations_and_started_again_costs_nothing_but_time(
    data: Path, finished_store: Path, own_s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = own_s3_server.url("store")
    monkeypatch.setenv("CREDIT_STORE", url)
    bucket, killed = Store(url), threading.Event()

    def kill_in_the_middle() -> None:
        while len(bucket.list("ledger/scores")) < 8:
            time.sleep(0.1)
        own_s3_server.kill()
        killed.set()
        time.sleep(2)
        own_s3_server.start()

    watcher = threading.Thread(target=kill_in_the_middle, daemon=True)
    watcher.start()
    attribute(small_study(data, execution={"mode": "processes", "workers": 2}))
    assert killed.is_set()
    watcher.join()
    assert table(bucket, "small", "credits.parquet").equals(
        table(Store(str(finished_store)), "small", "credits.parquet")
    )


def written(url: str) -> dict[str, object]:
    """When each record and network was written: one that is made again is written again."""
    found = s3fs.S3FileSystem(use_listings_cache=False).find(url, detail=True)
    kinds = ("ledger", "reference", "pruned", "models", "samples", "statistics")
    return {
        name: entry["LastModified"]
        for name, entry in found.items()
        if f"s3://{name}".removeprefix(f"{url}/").split("/")[0] in kinds
    }
