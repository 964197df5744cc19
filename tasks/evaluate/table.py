"""The evaluations as a table: one row each, for the statement and for anybody who wants to estimate differently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from tasks.evaluate.jobs import Job, Outcome
from tasks.partition import Partition
from tasks.plan.archive import Archive


def evaluations_table(
    partition: Partition, jobs: Sequence[Job], outcomes: Sequence[Outcome], archive: Archive | None = None
) -> pd.DataFrame:
    """Columns: role, seed, draws, size, members, cached, failure, one raw value a property, `*_seconds`, `*_key`, and one
    boolean column "in:<contributor>" each. The archive's rows come last; where they hold images of somebody who has left,
    there is a column "in:<name> (left)" too."""
    rows = []
    reused = () if archive is None else zip(archive.jobs, archive.outcomes, strict=True)
    for job, outcome in (*zip(jobs, outcomes, strict=True), *reused):
        present = set(job.members)
        rows.append(
            {
                "role": job.role,
                "seed": job.seed,
                "draws": job.draws,
                "size": len(job.names),
                "members": list(job.names),
                "cached": outcome.cached,
                "failure": "; ".join(f"{name}: {why}" for name, why in sorted(outcome.failures.items())) or None,
                **{name: outcome.values.get(name) for name in job.scores},
                **{
                    f"{part}_seconds": outcome.seconds.get(part, 0.0)
                    for part in ("load", "fine_tune", "sample", "score")
                },
                "model_key": job.model.key,
                "samples_key": job.samples.key if job.samples is not None else None,
                **{f"score_key_{name}": recipe.key for name, recipe in job.scores.items()},
                **{f"in:{c.name}": i in present for i, c in enumerate(partition.contributors)},
            }
        )
    table = pd.DataFrame(rows)
    if archive is not None:
        for name, inside in zip(_left(archive.former_names), archive.former_rows.T, strict=True):
            table[name] = [*[False] * len(jobs), *inside.tolist()]
    return table


def _left(names: Sequence[str]) -> list[str]:
    """Names of columns; somebody who changed their images before they left is there more than once."""
    seen: Counter[str] = Counter()
    columns = []
    for name in names:
        seen[name] += 1
        columns.append(f"in:{name} (left)" if seen[name] == 1 else f"in:{name} (left, {seen[name]})")
    return columns
