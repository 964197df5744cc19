"""A full disk ends a run with a message that says what to do, leaves nothing half-written, and costs no evaluation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.store import Store
from tests.faults.running import Nursery, Run, changed
from tests.faults.small_disk import SmallDisk, mounting
from tests.faults.watching import Watch
from tests.flows.reading import latest, ledger, made, table
from tests.small import EVALUATIONS, small_study

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


@pytest.fixture
def disk_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


@pytest.fixture
def on_disk(disk_folder: Path, prefect_api: str, tmp_path: Path) -> Iterator[Nursery]:
    """Runs that have a small disk."""
    with Nursery(prefect_api, tmp_path / "runs", mounting(disk_folder, megabytes=64)) as nursery:
        yield nursery


def scores(disk: SmallDisk) -> int:
    return len(list((disk.seen_at / "store/ledger/scores").glob("*.json")))


def says_what_to_do(run: Run, folder: Path) -> None:
    assert run.wait() == 1, run.said()
    last = run.said()[-2000:]
    assert f"DiskFull: the disk of the store {folder} is full (No space left on device). Make room on it" in last
    assert "start the same command again" in last
    assert "Traceback" not in last.split("DiskFull")[-1]


def test_a_full_disk_ends_the_run_and_with_room_made_it_goes_on_to_the_same_credits(
    data: Path, nursery: Nursery, on_disk: Nursery, disk_folder: Path, tmp_path: Path
) -> None:
    study = small_study(data, coalition={"steps": 10})
    in_processes = changed(study, execution={"mode": "processes", "workers": 2})
    undisturbed, url = Store(str(tmp_path / "undisturbed")), str(disk_folder / "store")
    nursery.finish(study, undisturbed.url)
    numbers = itertools.count()

    def look() -> Store:
        """The store as it is now, looked at: no half statement, no half file."""
        copy = Store(str(disk.copy(tmp_path / f"copy-{next(numbers)}") / "store"))
        Watch(copy, study.name).look()
        assert not list(Path(copy.url).rglob("*.part"))
        return copy

    run = on_disk.start(study, url)
    disk = SmallDisk(on_disk.process, disk_folder)
    run.reach(lambda: scores(disk) >= 4)
    disk.fill_until(run)
    says_what_to_do(run, disk_folder / "store")
    first = look()
    # Nor does it begin where there is no room at all.
    says_what_to_do(on_disk.start(study, url), disk_folder / "store")

    disk.make_room()
    run = on_disk.start(in_processes, url)
    known = scores(disk)
    run.reach(lambda: scores(disk) > known + 2)
    disk.fill_until(run)
    says_what_to_do(run, disk_folder / "store")
    second = look()
    assert ledger(first).items() <= ledger(second).items()

    disk.make_room()
    run = on_disk.start(study, url)
    run.reach("estimate_credits")
    disk.fill_until(run)
    says_what_to_do(run, disk_folder / "store")
    third = look()
    assert not [key for key in third.list("studies") if key.endswith(("manifest.json", "latest.json"))]

    disk.make_room()
    on_disk.finish(study, url)
    fourth = look()
    assert table(fourth, "small", "credits.parquet").equals(table(undisturbed, "small", "credits.parquet"))
    assert len(table(fourth, "small", "evaluations.parquet")) == EVALUATIONS
    assert ledger(third).items() <= ledger(fourth).items() and ledger(fourth).keys() == ledger(undisturbed).keys()

    run = on_disk.start(study, url)
    run.reach("sample_reference")
    disk.fill_until(run)
    says_what_to_do(run, disk_folder / "store")
    assert latest(look(), "small") == latest(fourth, "small"), "latest.json names another statement"
    assert made(fourth).keys() == made(look()).keys()


def test_a_full_disk_of_temporary_files_is_told_from_the_stores(
    data: Path, on_disk: Nursery, disk_folder: Path, store: Store
) -> None:
    study = small_study(data)
    disk = SmallDisk(on_disk.process, disk_folder)
    run = on_disk.start(
        study, store.url, prelude="tests.faults.small_disk:look_anew_for_temporary_files", TMPDIR=str(disk_folder)
    )
    run.reach("choose_epoch")
    disk.fill_until(run)
    assert run.wait() == 1, run.said()
    last = run.said()[-2000:]
    assert f"DiskFull: the disk of temporary files, {disk_folder}, is full" in last and "set TMPDIR" in last
    assert not store.list("ledger/models")
    on_disk.finish(study, store.url)
