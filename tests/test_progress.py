"""What a person is told while something takes long: not nothing, not a flood, and a time left that is not nonsense."""

from __future__ import annotations

import time

import pytest

from tasks.progress import Stopwatch, Ticker, clock


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599.9, "1 h 0 min"), (7500, "2 h 5 min")]
)
def test_durations_are_words(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_a_quick_loop_says_its_end_or_nothing() -> None:
    for end, lines in ((True, ["training: 3 of 3 (100%), loss 0.5000, 0 s left"]), (False, [])):
        said: list[str] = []
        tick = Ticker(said.append, "training", every=3600, end=end)
        for step in (1, 2, 3):
            tick(step, 3, 0.5)
        assert said == lines


def test_a_resumed_loop_expects_as_long_for_the_rest_as_its_own_steps_took() -> None:
    said: list[str] = []
    tick = Ticker(said.append, "training", every=0)
    time.sleep(0.2)
    tick(901, 1000)  # one step in 0.2 s: 99 more take 20 s, not the 0.02 s of a loop that began at zero
    (line,) = said
    left = int(line.split(", ")[1].removesuffix(" s left"))
    assert 19 <= left <= 60


def test_a_step_that_fails_is_timed_too() -> None:
    watch = Stopwatch()
    with pytest.raises(ZeroDivisionError):
        watch("divide", lambda: 1 // 0)
    assert watch("add", lambda a, b: a + b, 1, b=2) == 3
    assert set(watch.seconds) == {"divide", "add"} and min(watch.seconds.values()) >= 0
