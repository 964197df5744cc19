"""A run that is killed again and again, at any moment of its life, ends with what an undisturbed one says."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import pytest

from infra.store import Store
from tests.faults.running import Nursery, Run, changed, wait_for
from tests.faults.watching import Watch
from tests.flows.reading import ledger, made, table
from tests.small import DESIGNERS, EVALUATIONS, small_study

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

SEED = 20261124
KILLS = 20  # at least
# How often a run is killed in each step of its life, in its order. In storing, because that is where a statement could be
# seen by half; there, and once a statement is out, the same study is run and killed again.
MOMENTS = {
    "partition_data": 2,
    "choose_epoch": 1,
    "prepare_statistics": 1,
    "train_reference": 4,
    "prune_reference": 2,
    "evaluate_coalitions": 9,
    "estimate_credits": 1,
    "sample_reference": 1,
    "publish_statement": 2,
    "store_statement": 5,
}
TRAINED = re.compile(r"Task run 'evaluate-([^']+)' - trained \d+ steps")


def trained(run: Run) -> list[str]:
    """Names of the evaluations that a run trained a model for, in their order."""
    return TRAINED.findall(run.said())


def durations(run: Run) -> dict[str, float]:
    """About how long each step of a run takes, by watching one that is under way."""
    began: dict[str, float] = {}
    while not run.ended:
        now = time.monotonic()
        for step in run.steps():
            began.setdefault(step, now)
        time.sleep(0.002)
    assert run.wait() == 0, run.said()
    ends = [*list(began.values())[1:], time.monotonic()]
    return {step: end - start for (step, start), end in zip(began.items(), ends, strict=True)}


def test_a_run_killed_twenty_times_at_random_moments_loses_nothing_and_says_the_same(
    data: Path, nursery: Nursery, tmp_path: Path
) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    study = small_study(
        data, model={"train_steps": 60}, coalition={"steps": 8}, execution={"checkpoint_seconds": 0.05, "workers": 2}
    )
    undisturbed, store = Store(str(tmp_path / "undisturbed")), Store(str(tmp_path / "store"))
    seconds = durations(nursery.start(study, undisturbed.url))

    killed: list[tuple[str, Run]] = []
    networks: dict[str, tuple[int, int]] = {}
    moments = [step for step, times in MOMENTS.items() for _ in range(times)]
    with Watch(store, study.name) as watch:
        while moments or len(killed) < KILLS:
            step = moments.pop(0) if moments else "partition_data"
            many = step == "evaluate_coalitions"
            # Every third of them in two worker processes, which take seconds to begin with.
            shared = many and len(moments) % 3 == 0
            run = nursery.start(changed(study, execution={"mode": "processes"}) if shared else study, store.url)
            done = len(ledger(store))
            wait_for(lambda: run.ended or step in run.steps(), what=step)  # noqa: B023 (it is called at once)
            if shared:  # the workers are there, and at work
                wait_for(lambda: run.ended or len(ledger(store)) > done)  # noqa: B023
            time.sleep(chance.uniform(0, seconds[step] / (MOMENTS[step] if many else 1)))
            if run.ended:
                assert run.wait() == 0, run.said()  # it came through before its moment
            else:
                run.kill()
                if run.wait() != 0:
                    killed.append((step, run))
            assert networks.items() <= made(store).items(), "what was recorded was made again"
            recorded = " ".join(record.decode() for record in ledger(store).values())
            networks = {key: file for key, file in made(store).items() if re.split(r"[/.]", key)[1] in recorded}
        last = nursery.finish(study, store.url)
    print(f"{len(killed)} kills, {watch.looks} looks, {len(watch.latest)} statements")
    assert len(killed) >= KILLS and {step for step, _ in killed} >= {*MOMENTS} - {"sample_reference"}

    assert watch.latest, "no statement was seen"
    assert table(store, "small", "credits.parquet").equals(table(undisturbed, "small", "credits.parquet"))
    evaluations = table(store, "small", "evaluations.parquet")
    assert len(evaluations) == EVALUATIONS and evaluations["failure"].isna().all()
    assert ledger(store).keys() == ledger(undisturbed).keys()
    # Trained again was at most what each worker had in hand when its run was killed.
    runs = [*(run for _, run in killed), last]
    for number, run in enumerate(runs):
        at_work = 2 if "2 workers" in run.said() else 1
        later = {name for other in runs[number + 1 :] for name in trained(other)}
        again = [name for name in trained(run) if name in later]
        assert len(again) <= at_work and set(again) <= set(trained(run)[-at_work:]), (number, again)


def test_a_worker_killed_in_the_middle_of_a_coalition_costs_that_one_another_try_and_nothing_else(
    data: Path, nursery: Nursery, tmp_path: Path
) -> None:
    study = small_study(
        data, data={"only": DESIGNERS[:3]}, coalition={"steps": 40}, properties={"names": ["heldout_loss"]}
    )
    undisturbed, store = Store(str(tmp_path / "undisturbed")), Store(str(tmp_path / "store"))
    nursery.finish(study, undisturbed.url)
    with Watch(store, study.name):
        run = nursery.start(changed(study, execution={"mode": "processes", "workers": 2}), store.url)
        run.reach(lambda: len(store.list("ledger/scores")) >= 2)
        killed = run.workers()[0]
        killed.kill()
        assert run.wait() == 0, run.said()
    assert f"(process {killed.pid}) ended with code -9 in the middle of a coalition; -9 means killed" in run.said()
    assert "often for lack of memory: fewer execution.workers need less" in run.said()
    assert table(store, "small", "credits.parquet").equals(table(undisturbed, "small", "credits.parquet"))
    assert ledger(store).keys() == ledger(undisturbed).keys()
    assert len(trained(run)) - len(set(trained(run))) <= 1
