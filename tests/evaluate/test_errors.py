"""What an error in an evaluation means is said in the same way by a worker process and by a shard, which has none."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from infra.ledger import Ledger, LedgerConflict, SamplesRecord
from infra.provenance import now
from infra.store import DiskFull, Store, StoreRefused, StoreUnavailable
from tasks.evaluate.errors import ENDS_THE_RUN, WorkerDied, WorkerError, WorkerUnavailable, may_pass
from tasks.evaluate.jobs import Job, Setting
from tasks.evaluate.memory import OutOfMemory
from tasks.evaluate.workers import InProcess, ProcessPool
from tasks.images_gone import ImagesGone
from tasks.properties import resolve_property
from tasks.recipe import Recipe
from tasks.study import Study

GREEDY = "tests.evaluate.greedy_property"


def setting(url: str) -> Setting:
    study = Study.model_validate({"execution": {"workers": 1, "device": "cpu"}})
    nothing = {f"{GREEDY}:{name}": None for name in ("fills_a_disk", "asks_for_too_much")}
    return Setting(url, study, "0" * 64, (), np.zeros((0, 2)), "0" * 64, nothing)


def drawn(name: str, store: Store) -> Job:
    """A job whose images are there: all that is left is to score them by `name`."""
    model = Recipe("model", {"how": {"start": "pruned"}})
    samples = Recipe("samples", {"model": model.key})
    Ledger(store).record(
        SamplesRecord(
            key=samples.key,
            spec=samples.spec,
            seconds=1.0,
            created=now(),
            model=model.key,
            sha256=store.save_named_by_content("samples", {"images": np.zeros((2, 8, 8, 3), np.uint8)}),
        )
    )
    wanted = resolve_property(f"{GREEDY}:{name}", Study().properties).identity()
    score = Recipe("score", {"subject": samples.key, "property": wanted, "statistics": None})
    return Job((0,), ("ada",), "design", 0, model, samples, {f"{GREEDY}:{name}": score})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


@pytest.fixture(params=["a process", "here"])
def workers(request: pytest.FixtureRequest, store: Store) -> Iterator[ProcessPool | InProcess]:
    how = setting(store.url)
    opened: AbstractContextManager[ProcessPool | InProcess]
    opened = ProcessPool(how, 1) if request.param == "a process" else InProcess(how)
    with opened as workers:
        yield workers


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, which Linux has")
def test_a_disk_that_an_evaluation_fills_beside_the_store_is_a_full_disk(
    workers: ProcessPool | InProcess, store: Store
) -> None:
    said = rf"besides the store is full \(OSError: .*No space left.*{tempfile.gettempdir()}.* set TMPDIR"
    with pytest.raises(DiskFull, match=said):
        workers.evaluate(drawn("fills_a_disk", store), lambda line: None)


def test_memory_that_was_refused_is_told_with_what_needs_less(workers: ProcessPool | InProcess, store: Store) -> None:
    who = "worker 0" if isinstance(workers, ProcessPool) else r"process \d+"
    with pytest.raises(OutOfMemory, match=f"{who} could not get the memory .*DefaultCPUAllocator.*sampling.batch_size"):
        workers.evaluate(drawn("asks_for_too_much", store), lambda line: None)


def test_a_worker_whom_the_store_does_not_let_in_says_so_and_lives_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    job, said = drawn("fills_a_disk", Store(str(tmp_path / "store"))), list[str]()
    with ProcessPool(setting("s3://bucket/store"), 1) as pool:
        for _ in range(2):
            with pytest.raises(StoreRefused, match=r"no credentials for the store s3://bucket/store") as refused:
                pool.evaluate(job, said.append)
            assert "Traceback" not in str(refused.value)
    assert len([line for line in said if "worker 0 started" in line]) == 1


def test_what_may_be_better_next_time_is_tried_again_and_what_is_nobodys_fault_is_not() -> None:
    again: list[Exception] = [
        WorkerDied(),
        WorkerUnavailable(),
        LedgerConflict(),
        FileNotFoundError(),
        ConnectionError(),
    ]
    for error in again:
        assert may_pass(error) and may_pass(error, elsewhere=True)
    for error in (WorkerError(), RuntimeError(), *(kind() for kind in ENDS_THE_RUN)):
        assert not may_pass(error) and not may_pass(error, elsewhere=True)
    for error in (OutOfMemory(), MemoryError()):
        assert may_pass(error) and not may_pass(error, elsewhere=True)
    assert set(ENDS_THE_RUN) == {DiskFull, StoreRefused, StoreUnavailable, ImagesGone}
