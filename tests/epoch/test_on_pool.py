"""Waiting for an epoch that is made on a work pool is never silent, and what ends it is what the pool says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from infra.store import Store
from infra.work_pool import WorkPool
from infra.work_pool_types import Ended
from tasks.epoch import task as under_test
from tasks.epoch.current import keys_of
from tasks.frozen import Epoch
from tasks.study import Study
from tests.model.building import data_recipe_of, tiny_data


class Pool:
    """Does nothing for some looks, and then gives the run up, as `infra.work_pool` does when it falls silent."""

    name = "credit-gpu"

    def __init__(self, looks: int) -> None:
        self.looks, self.silences = looks, list[float | None]()

    def send(self, name: str, parameters: dict[str, Any]) -> str:
        self.sent = parameters
        return "run"

    def ended(self, silent: float | None = None) -> dict[str, Ended]:
        self.silences.append(silent)
        self.looks -= 1
        return {} if self.looks else {"run": Ended(False, "it showed no sign of life", None)}


def test_every_minute_it_says_that_the_epoch_is_still_being_made_and_for_how_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    class Clock:
        monotonic = staticmethod(lambda: now[0])

        @staticmethod
        def sleep(seconds: float) -> None:
            now[0] += seconds

    class SomeEpoch:
        number = 3
        data = data_recipe_of(tiny_data())

    monkeypatch.setattr(under_test, "time", Clock)
    pool, said = Pool(looks=50), list[str]()
    study = Study(name="small")
    ended = under_test._made(
        study, cast(Epoch, SomeEpoch()), Store(str(tmp_path)), cast(WorkPool, pool), 0, said.append
    )
    assert ended == "prepare-epoch-small (run) it showed no sign of life"
    assert [line.rpartition("for ")[2] for line in said[1:]] == [f"{n} min 0 s now" for n in (1, 2, 3, 4)]
    keys = keys_of(study, SomeEpoch.data)
    assert (pool.sent["reference"], pool.sent["pruned"]) == keys  # what the worker is to make
    assert set(pool.silences) == {None}  # the pool's own ceiling: nobody knows how long a reference takes
