"""Shards are as long as the study says, by measured seconds, and starting them is worth it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluate.shards.sizing import STARTING_SHARE, Pace, shard_size

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


def test_the_pace_is_the_mean_of_what_shards_took_and_remarks_on_shards_that_are_too_short() -> None:
    pace = Pace(target=60.0)
    assert pace.size(50, 2) == 1 and pace.remark() is None
    pace.note(working=20.0, evaluations=2, starting=12.0)
    pace.note(working=10.0, evaluations=4, starting=14.0)
    pace.note(working=3.0, evaluations=0, starting=None)  # found in the ledger: tells nothing about computing
    assert pace.each == pytest.approx(5.0)
    assert pace.starting == pytest.approx(13.0)
    assert pace.size(1_000, 2) == 12
    remark = pace.remark()
    assert remark is not None and "execution.shard_minutes of 4.4" in remark  # 13 s / 5 % is 4.33 minutes, rounded up
