"""The main job through work pools: a real Prefect server, real process workers, results in a real S3 server."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import s3fs
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.attribute import attribute
from infra.job_templates import CPU_POOL, GPU_POOL
from infra.s3_server import S3Server
from infra.store import Store
from infra.work_pool import WorkPool
from tasks.study import Study
from tests.conftest import use
from tests.flows.of_family import FAMILIES, study_of
from tests.flows.reading import manifest, table
from tests.orchestra import (
    POLL_SECONDS,
    Worker,
    deploy,
    make_pools,
    prefect_server,
    running_worker,
    runs_of,
)
from tests.pooled import begin, workers
from tests.small import DESIGNERS, EVALUATIONS, small_study

pytestmark = [pytest.mark.servers, pytest.mark.s3, pytest.mark.slow, pytest.mark.timeout(1200)]

PROPERTIES = 2  # of `small_study`


@pytest.fixture(scope="module")
def there(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Prefect server with both pools and their deployments, and the environment of its workers; this process talks to
    it too."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as found:
        make_pools(found, gpus=2)
        deploy(found, "flows/attribute.py:attribute", "small", CPU_POOL)
        deploy(found, "flows/prepare_epoch.py:prepare_epoch", "gpu", GPU_POOL)
        deploy(found, "flows/evaluate_shard.py:evaluate_shard", "gpu", GPU_POOL)
        deploy(found, "tests/flows/idle.py:idle", "gpu", GPU_POOL)
        with temporary_settings({PREFECT_API_URL: found["PREFECT_API_URL"]}), pytest.MonkeyPatch.context() as patch:
            use(s3_server.environment(), patch)
            yield {**found, **s3_server.environment(), "PREFECT_WORKER_QUERY_SECONDS": POLL_SECONDS}


def on_the_pool(data: Path, execution: dict[str, Any] | None = None, **sections: Any) -> Study:
    """`small_study` in shards: two of one evaluation to see how long they take, then one for each worker."""
    where = {"mode": "work_pool", "shard_minutes": 1, **(execution or {})}
    return small_study(data, **{**sections, "execution": where})


def finish(there: dict[str, str], run: FlowRun) -> FlowRun:
    """Wait for its end."""
    found: list[FlowRun] = []

    def ended() -> bool:
        found[:] = [each for each in runs_of(there, "attribute") if each.id == run.id]
        return found[0].state is not None and found[0].state.is_final()

    wait_for(ended)
    return found[0]


def wait_for(condition: Callable[[], bool], seconds: float = 800) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.2)


def shards_since(there: dict[str, str], earlier: list[FlowRun]) -> list[FlowRun]:
    """Shards that were sent since `earlier` was read."""
    known = {run.id for run in earlier}
    return [run for run in runs_of(there, "evaluate-shard") if run.id not in known]


def evaluated(store: Store) -> int:
    """Evaluations that the ledger knows wholly, as long as they are made one after another."""
    return len(store.list("ledger/scores")) // PROPERTIES


def written(store: Store) -> dict[str, object]:
    """When each record and network was written: one that is made again is written again."""
    found = s3fs.S3FileSystem(use_listings_cache=False).find(store.url, detail=True)
    names = {f"s3://{name}".removeprefix(f"{store.url}/"): entry["LastModified"] for name, entry in found.items()}
    kinds = ("ledger", "reference", "pruned", "models", "samples", "statistics")
    return {name: when for name, when in names.items() if name.split("/")[0] in kinds}


def finished(store: Store) -> dict[str, object]:
    """Of that the records, and the networks that a record names: not those of an evaluation that is under way."""
    there = written(store)
    named = {json.loads(store.read(name)).get("sha256") for name in there if name.startswith("ledger/")}
    return {
        name: when
        for name, when in there.items()
        if name.startswith("ledger/") or name.rpartition("/")[2].removesuffix(".safetensors") in named
    }


@pytest.fixture(scope="module")
def twice(
    data: Path, there: dict[str, str], s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """`small_study` run two times through two workers: its store, and what there was after each."""
    store, folder = Store(s3_server.url("twice/store")), tmp_path_factory.mktemp("twice")
    found: dict[str, Any] = {"store": store}
    with workers(there, store, folder) as (_, *gpus):
        for turn in ("first", "second"):
            run = finish(there, begin(on_the_pool(data)))
            assert run.state is not None and run.state.is_completed(), run.state
            found[turn] = {
                "run": run,
                "shards": runs_of(there, "evaluate-shard"),
                "epochs": runs_of(there, "prepare-epoch"),
                "taken": [set(gpu.taken()) for gpu in gpus],
                "evaluations": table(store, "small", "evaluations.parquet"),
                "credits": table(store, "small", "credits.parquet"),
                "written": written(store),
            }
    return found


def test_credits_through_two_workers_and_a_bucket_are_those_of_one_process_to_the_bit(
    twice: dict[str, Any], finished_store: Path
) -> None:
    inline, first = Store(str(finished_store)), twice["first"]
    assert first["credits"].equals(table(inline, "small", "credits.parquet"))
    evaluations = table(inline, "small", "evaluations.parquet")
    for column in ("members", "seed", "heldout_loss", "colourfulness", "model_key", "samples_key"):
        assert first["evaluations"][column].equals(evaluations[column])
    assert not first["evaluations"]["cached"].any() and len(evaluations) == EVALUATIONS


@pytest.mark.parametrize("family", FAMILIES)
def test_the_families_on_a_base_have_the_same_credits_through_workers_and_a_bucket_as_in_one_process(
    family: str, data: Path, bases: Path, there: dict[str, str], s3_server: S3Server, store: Store, tmp_path: Path
) -> None:
    bucket, name = Store(s3_server.url(f"{family}/store")), f"pooled-{family}"
    with workers(there, bucket, tmp_path):
        sharded = {"mode": "work_pool", "shard_minutes": 1}
        run = finish(there, begin(study_of(family, data, bases, name=name, execution=sharded)))
    assert run.state is not None and run.state.is_completed(), run.state
    attribute(study_of(family, data, bases, name=name))  # in the folder, here
    assert table(bucket, name, "credits.parquet").equals(table(store, name, "credits.parquet"))
    one, other = (table(of, name, "evaluations.parquet") for of in (store, bucket))
    for column in ("members", "seed", "heldout_loss", "colourfulness", "model_key", "samples_key"):
        assert other[column].equals(one[column])


def test_both_workers_had_work_and_every_shard_reported(twice: dict[str, Any]) -> None:
    first = twice["first"]
    assert [run.state_name for run in first["epochs"]] == ["Completed"]
    assert {(run.state_name, run.work_queue_name) for run in first["shards"]} == {("Completed", "nightly")}
    shards = {str(run.id) for run in first["shards"]}
    assert all(shards & taken for taken in first["taken"]) and shards <= set.union(*first["taken"])
    reports = {name.rpartition("/")[2].removesuffix(".json") for name in twice["store"].list("shards/reports")}
    assert reports == shards


def test_a_second_run_finds_everything_in_the_ledger_and_sends_nothing(twice: dict[str, Any]) -> None:
    first, second = twice["first"], twice["second"]
    assert second["run"].id != first["run"].id
    for sent in ("shards", "epochs"):
        assert [run.id for run in second[sent]] == [run.id for run in first[sent]]
    assert second["taken"] == first["taken"]
    assert second["evaluations"]["cached"].all() and second["written"] == first["written"]
    assert second["credits"].equals(first["credits"])


def test_an_audit_is_sent_in_shards_too_and_workers_read_its_study(
    data: Path, there: dict[str, str], s3_server: S3Server, tmp_path: Path
) -> None:
    store, earlier = Store(s3_server.url("audit/store")), runs_of(there, "evaluate-shard")
    audit = {"contributors": list(DESIGNERS[:1]), "pairs": 2}
    study = on_the_pool(data, name="audit", audit=audit)
    with workers(there, store, tmp_path):
        run = finish(there, begin(study))
    assert run.state is not None and run.state.is_completed(), run.state
    rows = manifest(store, "audit")["audit"]
    assert [row["pairs_used"] for row in rows] == [2, 2]
    models = [json.loads(store.read(name)) for name in store.list("ledger/models")]
    assert sum(m["spec"].get("how", {}).get("start") == "random" and bool(m["members"]) for m in models) in (3, 4)
    assert {shard.state_name for shard in shards_since(there, earlier)} == {"Completed"}


def in_the_middle(worker: Worker) -> bool:
    """Whether it is well inside a shard: some evaluations are done, and more than one is to do."""
    said = worker.said_since_taking()
    shard = re.search(r"shard-\d+-of-(\d+)-evaluations", said)
    done = len(re.findall(r"Task run 'evaluate-.*Finished in state Completed", said))
    return shard is not None and 1 <= done <= int(shard[1]) - 2


def test_a_shard_that_is_killed_costs_the_evaluation_it_was_at_and_nothing_else(
    data: Path, there: dict[str, str], s3_server: S3Server, tmp_path: Path
) -> None:
    store, earlier = Store(s3_server.url("killed/store")), runs_of(there, "evaluate-shard")
    study = on_the_pool(data, {"queue": "urgent"}, name="killed", coalition={"steps": 60})
    with workers(there, store, tmp_path) as (_, *gpus):
        run = begin(study)
        wait_for(lambda: any(in_the_middle(gpu) for gpu in gpus if gpu.runs()))
        gpu = next(gpu for gpu in gpus if in_the_middle(gpu))
        (shard,) = gpu.runs()
        shard.kill()
        before, done = finished(store), evaluated(store)
        run = finish(there, run)
        assert run.state is not None and run.state.is_completed(), run.state
        shards = shards_since(there, earlier)
        (crashed,) = [shard for shard in shards if shard.state_name != "Completed"]
        assert crashed.state_name == "Crashed" and str(crashed.id) in gpu.taken()
    assert {shard.work_queue_name for shard in shards} == {"urgent"}
    after = written(store)
    assert {name: after[name] for name in before} == before and 2 < done < evaluated(store) == EVALUATIONS
    evaluations = table(store, "killed", "evaluations.parquet")
    assert len(evaluations) == EVALUATIONS and evaluations["failure"].isna().all()


def test_when_a_driver_is_killed_the_next_run_takes_over_and_repeats_nothing(
    data: Path, there: dict[str, str], s3_server: S3Server, tmp_path: Path
) -> None:
    store, earlier = Store(s3_server.url("orphaned/store")), runs_of(there, "evaluate-shard")
    study = on_the_pool(data, name="orphaned", coalition={"steps": 60})
    with workers(there, store, tmp_path) as (driver, *gpus):
        first = begin(study)
        wait_for(lambda: any(in_the_middle(gpu) for gpu in gpus))
        (flow,) = driver.runs()
        flow.kill()
        before = finished(store)
        second = finish(there, begin(study))
        assert second.state is not None and second.state.is_completed(), second.state
        assert {shard.state_name for shard in shards_since(there, earlier)} <= {"Cancelled", "Completed"}
        assert finish(there, first).state_name == "Crashed"
    after = written(store)
    assert {name: after[name] for name in before} == before and evaluated(store) == EVALUATIONS


def test_workers_that_keep_results_elsewhere_refuse_and_say_where(
    data: Path, there: dict[str, str], s3_server: S3Server, tmp_path: Path
) -> None:
    mine, theirs = Store(s3_server.url("mine/store")), Store(s3_server.url("theirs/store"))
    study = on_the_pool(data, {"retries": 0}, name="elsewhere")
    with (
        running_worker(CPU_POOL, "driver", {**there, "CREDIT_STORE": mine.url}, tmp_path),
        running_worker(GPU_POOL, "gpu", {**there, "CREDIT_STORE": theirs.url}, tmp_path),
    ):
        run = finish(there, begin(study))
    assert run.state is not None and run.state.is_failed()
    said = str(run.state.message)
    assert f"this worker keeps results in {theirs.url}" in said and f"sent this work in {mine.url}" in said
    assert "CREDIT_STORE" in said and not theirs.list("ledger")
    assert not mine.list("studies/elsewhere")


def test_urgent_work_goes_first_when_one_place_is_free(there: dict[str, str], tmp_path: Path) -> None:
    pools = {queue: WorkPool("idle/gpu", queue, (), print) for queue in ("nightly", "urgent")}
    sent = [pools[queue].send(f"{queue}-{i}", {}) for queue in ("nightly", "urgent") for i in range(2)]
    with running_worker(GPU_POOL, "gpu", there, tmp_path, limit=1):
        ended: dict[str, Any] = {}
        wait_for(lambda: ended.update(pools["nightly"].ended() | pools["urgent"].ended()) or len(ended) == 4)
    assert set(ended) == set(sent) and all(end.completed for end in ended.values())
    runs = sorted(runs_of(there, "idle"), key=lambda run: str(run.start_time))
    assert [run.work_queue_name for run in runs] == ["urgent", "urgent", "nightly", "nightly"]
    for one, next in itertools.pairwise(runs):
        assert one.end_time is not None and next.start_time is not None and one.end_time <= next.start_time
