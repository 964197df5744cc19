"""The evaluations as a table: one row each, for the statement and for anybody who wants to estimate differently."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tasks.evaluate.jobs import Job, Outcome
from tasks.partition import Partition


def evaluations_table(partition: Partition, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Columns: role, seed, draws, size, members, cached, failure, one raw value a property, `*_seconds`, `*_key`, and one
    boolean column "in:<contributor>" each."""
    rows = []
    for job, outcome in zip(jobs, outcomes, strict=True):
        present = set(job.members)
        rows.append(
            {
                "role": job.role,
                "seed": job.seed,
                "draws": job.draws,
                "size": len(job.members),
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
    return pd.DataFrame(rows)
