"""Evaluations of one property as the arrays that estimators and designs take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate.jobs import Job, Outcome
from tasks.plan.archive import Archive


@dataclass(frozen=True)
class Observations:
    """All evaluations of one property that enter its credits: the design's, repeats counted, then the archive's.

    coalitions: bool[m, contributors + former]. values: float64[m], more is better. former: bool[contributors + former],
    True for who has left. reused: how many rows, the last ones, are the archive's; with_former: those that hold leavers.
    """

    coalitions: NDArray[np.bool_]
    values: NDArray[np.float64]
    former: NDArray[np.bool_]
    reused: int
    with_former: int


def observations(
    name: str, sign: int, contributors: int, jobs: Sequence[Job], outcomes: Sequence[Outcome], archive: Archive | None
) -> Observations:
    """What is known of property `name`; the audit's repeats are left out, as is what has no value."""
    asked = [
        (job.members, outcome.values[name])
        for job, outcome in zip(jobs, outcomes, strict=True)
        if job.role != "audit" and name in outcome.values
        for _ in range(job.draws)
    ]
    rows = np.zeros((len(asked), contributors), dtype=bool)
    for row, (members, _) in zip(rows, asked, strict=True):
        row[list(members)] = True
    values = [value for _, value in asked]
    n_former = 0 if archive is None else len(archive.former)
    rows = np.hstack([rows, np.zeros((len(rows), n_former), dtype=bool)])
    reused = [] if archive is None else [i for i, o in enumerate(archive.outcomes) if name in o.values]
    if archive is not None and reused:
        rows = np.concatenate([rows, archive.coalitions(contributors)[reused]])
        values += [archive.outcomes[i].values[name] for i in reused]
    former = np.arange(contributors + n_former) >= contributors
    with_former = int(rows[len(asked) :, former].any(axis=1).sum())
    return Observations(rows, sign * np.array(values, dtype=np.float64), former, len(reused), with_former)
