"""The soak's own parts: the same seed plans the same faults, and what was planted in the books is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.soak import faults, journal
from tests.soak.accounting import (
    GRACE,
    INTERRUPTED,
    SIDE_BY_SIDE,
    TIDIED,
    Book,
    Disturbance,
    Training,
    repeats,
    trainings,
)
from tests.soak.leaks import BLOCKS, NOT_JUDGED, SHORTEST, WARM_UP, growth
from tests.soak.studies import JOINERS, joining, plain, write_images, write_plain_data
from tests.soak.watch import undone

KILL = Disturbance(100.0, 100.0, faults.KILL_EVALUATION)
FIRST = Training("k", 95.0, None, "run-1")


@pytest.mark.parametrize("seed", range(20))
def test_the_same_seed_plans_the_same_faults_all_kinds_in_every_bag(seed: int) -> None:
    plan = faults.plan(seed, 20)
    assert plan == faults.plan(seed, 20)
    assert faults.plan(seed, 10) == tuple(fault for fault in plan if fault.at < 600)  # a longer soak begins the same
    size = sum(faults.BAG.values())
    assert Counter(fault.kind for fault in plan[:size]) == faults.BAG
    assert all(0 <= fault.pick < 1 and fault.at >= faults.FIRST_AFTER for fault in plan)
    for fault in plan:
        hangs = fault.kind.startswith("hang")
        assert (faults.SHORTEST_HANG <= fault.seconds <= faults.LONGEST_HANG) if hangs else fault.seconds == 0


def test_other_seeds_plan_other_faults_and_senseless_lengths_are_refused() -> None:
    assert faults.plan(0, 10) != faults.plan(1, 10)
    with pytest.raises(ValueError, match="--minutes"):
        faults.plan(0, 0.1)
    with pytest.raises(ValueError, match="--pace"):
        faults.plan(0, 10, pace=0)


def test_a_record_that_vanished_and_one_that_changed_are_found() -> None:
    book = Book()
    for key in ("a", "b", "c"):
        book.read(key, f"{key}-before")
    assert book.missing(["a", "b"]) == {"c"}
    assert book.lost({"a": "a-before", "b": "b-after", "d": "new"}) == {"c"}
    assert book.changed == {"b": "b-after"}


def test_a_record_that_changed_and_changed_back_is_found_all_the_same() -> None:
    book = Book()
    for digest in ("one", "two", "one"):
        book.read("a", digest)
    assert book.lost({"a": "one"}) == set() and book.changed == {"a": "two"}


def test_the_journal_tells_trainings_apart_by_run_and_order() -> None:
    events = [
        {"at": 1, "event": "began", "key": "k", "run": "one"},
        {"at": 2, "event": "began", "key": "k", "run": "two"},
        {"at": 3, "event": "recorded", "key": "k", "run": "two"},
        {"at": 4, "event": "recorded", "key": "other", "run": "two"},  # no beginning: the empty coalition, say
    ]
    assert trainings(events) == [Training("k", 1, None, "one"), Training("k", 2, 3, "two")]


def test_a_training_that_was_killed_explains_one_that_follows() -> None:
    again = Training("k", 130.0, 140.0, "run-2")
    assert [each.why for each in repeats([FIRST, again], [KILL], [])] == [INTERRUPTED]


@pytest.mark.parametrize(
    ("before", "disturbances", "tidied"),
    [
        (Training("k", 95.0, 99.0, "run-1"), [KILL], []),  # it was recorded: no fault takes that back
        (FIRST, [], []),  # nothing happened
        (FIRST, [Disturbance(131.0, 131.0, "later")], []),
        (FIRST, [Disturbance(95.0 - GRACE - 20, 95.0 - GRACE - 10, "long ago")], []),
        (Training("k", 95.0, 99.0, "run-1"), [], [Disturbance(10.0, 20.0, "gc before it")]),
    ],
)
def test_what_nothing_explains_is_found(
    before: Training, disturbances: list[Disturbance], tidied: list[Disturbance]
) -> None:
    again = Training("k", 130.0, 140.0, "run-2")
    assert [each.why for each in repeats([before, again], disturbances, tidied)] == [None]


def test_each_earlier_training_must_have_been_disturbed() -> None:
    second = Training("k", 400.0, None, "run-2")
    third = Training("k", 500.0, 510.0, "run-3")
    assert [each.why for each in repeats([FIRST, second, third], [KILL], [])] == [INTERRUPTED, None]
    late = Disturbance(401.0, 401.0, "kill")
    assert [each.why for each in repeats([FIRST, second, third], [KILL, late], [])] == [INTERRUPTED] * 2


def test_two_processes_at_the_same_coalition_are_told_apart_and_need_a_fault_too() -> None:
    before, again = Training("k", 95.0, 150.0, "run-1"), Training("k", 130.0, 140.0, "run-2")
    assert [each.why for each in repeats([before, again], [KILL], [])] == [SIDE_BY_SIDE]
    assert [each.why for each in repeats([before, again], [], [])] == [None]


def test_weights_that_were_tidied_away_explain_a_training_after_its_record() -> None:
    before, again = Training("k", 95.0, 99.0, "run-1"), Training("k", 130.0, 140.0, "run-2")
    assert [each.why for each in repeats([before, again], [], [Disturbance(110.0, 120.0, "gc")])] == [TIDIED]


def test_other_keys_are_no_repeats() -> None:
    assert repeats([FIRST, Training("other", 96.0, 97.0, "run-1")], [], []) == []


def test_what_was_planned_and_lacks_a_record_or_a_score_is_undone() -> None:
    now = {"ledger/models/a.json": "", "ledger/models/b.json": "", "ledger/scores/s.json": ""}
    assert undone({"a": {"s"}, "b": {"s", "t"}, "c": {"s"}}, now) == ["b", "c"]


def test_a_process_that_grows_is_suspected_and_warm_up_noise_and_short_lives_are_not() -> None:
    generator = np.random.default_rng(0)
    times = np.arange(0, WARM_UP + 600, 5.0)
    steady = 200 + generator.normal(0, 3, len(times))
    assert growth(times, steady + 0.1 * times).suspected
    warming = steady + 300 * np.minimum(times, WARM_UP) / WARM_UP
    assert growth(times, warming).judged and not growth(times, warming).suspected
    step = steady + 100 * (times > WARM_UP + 200)
    assert growth(times, step).rise > 0 and not growth(times, step).suspected
    assert not growth(times, np.full(len(times), 7.0)).suspected
    assert growth(times, np.full(len(times), 7.0)).slope == 0
    short = times[times < WARM_UP + SHORTEST]
    assert growth(short, short) == NOT_JUDGED
    assert growth(times[:: len(times) // BLOCKS], times[:: len(times) // BLOCKS]) == NOT_JUDGED


def test_steady_processes_are_suspected_as_rarely_as_the_level_says() -> None:
    """Noise that hangs together from sample to sample, as memory does; a rise of any size would count here."""
    generator = np.random.default_rng(1)
    times, suspected = np.arange(WARM_UP, WARM_UP + 900, 5.0), 0
    for _ in range(200):
        steps = generator.normal(0, 1, len(times))
        noise = np.zeros(len(times))
        for i in range(1, len(times)):
            noise[i] = 0.8 * noise[i - 1] + steps[i]
        suspected += growth(times, 10 + noise).p < 0.01
    assert suspected <= 10  # two of 200 are expected, seven would be one in a thousand


def test_a_journal_survives_its_writer_and_names_who_was_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    program = (
        "from tests.soak.journal import note; import os; note('began', 'k'); note('recorded', 'k'); note('began', 'l')"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", f"{program}; os.kill(os.getpid(), 9)"],
        env={**os.environ, journal.FILE: str(path), "PREFECT__FLOW_RUN_ID": "run"},
    )
    assert child.wait() == -9
    assert [(event["event"], event["key"], event["run"]) for event in journal.read(path)] == [
        ("began", "k", "run"),
        ("recorded", "k", "run"),
        ("began", "l", "run"),
    ]
    assert journal.training(path) == {child.pid}
    assert trainings(journal.read(path))[1].recorded is None


def test_generations_follow_from_their_number_and_images_from_their_owner(tmp_path: Path) -> None:
    assert plain(4, tmp_path) == plain(4, tmp_path)
    seeds = {plain(number, tmp_path).study.coalition.seed for number in range(30)}
    assert len(seeds) == 30
    handed = [name for number in range(1, 12) for name, batch in joining(number).hand_in if batch == 0]
    assert handed == list(JOINERS)
    first = [path.read_bytes() for path in write_images(tmp_path / "a", "Ada")]
    assert first == [path.read_bytes() for path in write_images(tmp_path / "b", "Ada")]
    assert first != [path.read_bytes() for path in write_images(tmp_path / "c", "Ben")]
    assert first != [path.read_bytes() for path in write_images(tmp_path / "d", "Ada", batch=1)]
    write_plain_data(tmp_path / "data")
    assert (tmp_path / "data/metadata.csv").read_text().count("\n") == 1 + 4 * 16


def test_the_plan_can_be_printed_and_a_folder_that_holds_something_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "something").write_text("of somebody's")
    command = [sys.executable, "-m", "tests.soak", "--minutes", "2", "--seed", "3"]
    said = subprocess.run([*command, "--plan"], capture_output=True, text=True, check=True).stdout
    assert len(said.splitlines()) == len(faults.plan(3, 2))
    refused = subprocess.run([*command, "--folder", str(tmp_path)], capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "not empty" in refused.stderr
    assert json.dumps([path.name for path in tmp_path.iterdir()]) == '["something"]'
