"""Shards are as long as the study says, by measured seconds, and starting them is worth it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluate.shards.sizing import SEVERAL, STARTING_SHARE, Pace, shard_size

SECONDS = st.floats(0.01, 10_000)


@given(
    waiting=st.integers(1, 10_000),
    places=st.integers(1, 256),
    each=SECONDS,
    starting=st.floats(0, 1_000),
    target=SECONDS,
)
def test_a_shard_is_never_empty_never_longer_than_wished_and_starting_takes_at_most_a_twentieth_where_it_can(
    waiting: int, places: int, each: float, starting: float, target: float
) -> None:
    size = shard_size(waiting, places, each, starting, target)
    assert 1 <= size <= waiting
    assert size == 1 or size * each <= target + each / 2
    whole = max(1, round(target / each))
    if size < min(waiting, whole):  # shortened so that all places have something to do
        assert starting <= STARTING_SHARE * (starting + size * each) * (1 + 1e-9)


def test_before_anything_was_measured_one_evaluation_is_sent_to_find_out() -> None:
    assert shard_size(1_000, 8, None, 0.0, 900.0) == 1


def test_the_rest_is_shared_out_among_the_places_so_that_none_waits_for_one_long_shard() -> None:
    assert shard_size(100, 4, 10.0, 5.0, 3_600.0) == 25
    assert shard_size(10_000, 4, 10.0, 5.0, 900.0) == 90  # 15 minutes


def test_evaluations_that_train_nothing_do_not_set_the_pace_of_those_that_do() -> None:
    pace = Pace(target=900.0)
    pace.note([(False, 2.0)], starting=20.0)  # the empty coalition
    assert pace.size(1_000, 4, training=True) == 1 and pace.slowest(training=True) is None
    pace.note([(True, 100.0)])
    assert pace.size(1_000, 4, training=True) == 2  # one measure is not yet trusted
    pace.note([(True, 100.0)] * SEVERAL)
    assert pace.size(1_000, 4, training=True) == 9
    pace.note([(False, 2.0)] * SEVERAL)
    assert pace.size(1_000, 4, training=False) == 250  # a further property on kept weights
    alone = Pace(target=900.0)
    alone.note([(True, 100.0)] * SEVERAL)
    assert alone.size(1_000, 4, training=False) == 9  # at least that many


@given(known=st.integers(1, SEVERAL - 1), places=st.integers(1, 64), starting=st.floats(0, 1_000), each=SECONDS)
def test_a_few_measures_are_not_trusted_with_long_shards(known: int, places: int, starting: float, each: float) -> None:
    size = shard_size(1_000, places, each, starting, 1e6, known)
    assert size <= 2 * known and size <= math.ceil(1_000 / places)


def test_shards_are_sized_by_what_most_evaluations_take_at_most_and_remarked_on_where_they_are_too_short() -> None:
    pace = Pace(target=60.0)
    assert pace.size(50, 2, training=True) == 1 and pace.remark() is None
    pace.note([(True, 2.0)] * 16 + [(True, 5.0)] * 3 + [(True, 50.0)], starting=12.0)
    pace.note([], starting=14.0)  # found in the ledger: tells nothing about computing
    assert pace.each(training=True) == 5.0 and pace.slowest(training=True) == 50.0
    assert pace.mean(training=True) == pytest.approx(4.85)
    assert pace.starting == pytest.approx(13.0)
    assert pace.size(1_000, 2, training=True) == 12
    remark = pace.remark()
    assert remark is not None and "execution.shard_minutes of 4.4" in remark  # 13 s / 5 % is 4.33 minutes, rounded up
