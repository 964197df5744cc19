"""The table of evaluations: everybody who wants to estimate differently finds all that entered, and as what."""

from __future__ import annotations

import numpy as np

from tasks.evaluate.jobs import Job, Outcome, Role
from tasks.evaluate.table import evaluations_table
from tasks.partition import Contributor, Partition
from tasks.plan.archive import Archive
from tasks.publish.tables import failures
from tasks.recipe import Recipe

NOTHING = Recipe("model", {})
PEOPLE = Partition(
    tuple(Contributor(name, 10.0, 2.0, 0.5, name * 16) for name in ("ada", "bob")),
    (), (), (), (), np.zeros((0, 2)), np.zeros((0, 2, 2, 3), np.uint8), np.zeros((0, 2, 2, 3), np.uint8),
)  # fmt: skip


def job(members: tuple[int, ...], names: tuple[str, ...], role: Role) -> Job:
    return Job(members, names, role, 0, NOTHING, None, {"loss": NOTHING})


def test_a_reused_evaluation_with_somebody_who_left_is_not_taken_for_one_without() -> None:
    archive = Archive(
        jobs=(job((0,), ("ada",), "archive"), job((0,), ("ada", "cyd"), "archive"), job((), ("cyd", "cyd"), "archive")),
        outcomes=(Outcome({"loss": 1.0}), Outcome({"loss": 2.0}), Outcome(failures={"loss": "nan"})),
        former=("f1", "f2"),
        former_names=("cyd", "cyd"),  # changed her images before she left
        former_rows=np.array([[False, False], [True, False], [True, True]]),
        ignored={},
    )
    table = evaluations_table(PEOPLE, [job((0, 1), ("ada", "bob"), "grand")], [Outcome({"loss": 3.0})], archive)
    assert list(table["role"]) == ["grand", "archive", "archive", "archive"]
    assert list(table["size"]) == [2, 1, 2, 2]
    assert list(table["in:ada"]) == [True, True, True, False]
    assert list(table["in:cyd (left)"]) == [False, False, True, True]
    assert list(table["in:cyd (left, 2)"]) == [False, False, False, True]


def test_what_the_archive_lacks_is_no_failure_of_this_study() -> None:
    lacking = Archive(
        (job((0,), ("ada",), "archive"),), (Outcome(failures={"loss": "nan"}),), (), (), np.zeros((1, 0), bool), {}
    )
    table = evaluations_table(
        PEOPLE, [job((0, 1), ("ada", "bob"), "grand")], [Outcome(failures={"loss": "x"})], lacking
    )
    assert list(failures(table)) == [True, False]
