"""Evaluations as arrays: what enters the credits of one property, and in which columns."""

from __future__ import annotations

import numpy as np

from tasks.estimate.observations import observations
from tasks.evaluate.jobs import Job, Outcome, Role
from tasks.plan.archive import Archive
from tasks.recipe import Recipe

NOTHING = Recipe("model", {})


def job(members: tuple[int, ...], role: Role, draws: int = 1) -> Job:
    return Job(members, (), role, 0, NOTHING, None, {"loss": NOTHING}, draws)


JOBS = [
    job((), "baseline"),
    job((0, 1), "grand"),
    job((1,), "design", draws=2),
    job((0,), "design"),
    job((0, 1), "audit"),
]
OUTCOMES = [Outcome({"loss": v}) for v in (9.0, 1.0, 3.0)] + [Outcome(failures={"loss": "nan"}), Outcome({"loss": 1.1})]
ARCHIVE = Archive(
    jobs=(job((0,), "archive"), job((1,), "archive"), job((), "archive")),
    outcomes=(Outcome({"loss": 4.0}), Outcome({"other": 5.0}), Outcome({"loss": 6.0})),
    former=("x",),
    former_names=("cyd",),
    former_rows=np.array([[False], [False], [True]]),
    ignored={},
)


def test_draws_count_failures_and_repeats_under_other_seeds_do_not() -> None:
    seen = observations("loss", -1, 2, JOBS, OUTCOMES, None)
    assert seen.coalitions.astype(int).tolist() == [[0, 0], [1, 1], [0, 1], [0, 1]]
    assert seen.values.tolist() == [-9.0, -1.0, -3.0, -3.0]
    assert (seen.reused, seen.with_former) == (0, 0) and not seen.former.any()


def test_the_archive_adds_the_rows_that_have_this_property_with_a_column_for_who_left() -> None:
    seen = observations("loss", 1, 2, JOBS, OUTCOMES, ARCHIVE)
    assert seen.coalitions.astype(int).tolist()[-2:] == [[1, 0, 0], [0, 0, 1]]
    assert not seen.coalitions[:-2, 2].any() and seen.former.tolist() == [False, False, True]
    assert seen.values.tolist()[-2:] == [4.0, 6.0] and (seen.reused, seen.with_former) == (2, 1)
    other = observations("other", 1, 2, JOBS, OUTCOMES, ARCHIVE)
    assert other.coalitions.astype(int).tolist() == [[0, 1, 0]] and other.reused == 1
