"""Which failed evaluations a statement can live with.

Asked while coalitions are evaluated, so that no more are begun once the answer is certain, and again before estimating."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tasks.evaluate.jobs import Job, Outcome
from tasks.study import Study

NAMED = 20  # failures that the message lists


class TooManyFailures(RuntimeError):
    """More evaluations failed than the study tolerates, or one that no estimate can do without."""


def check_failures(
    study: Study, jobs: Sequence[Job], outcomes: Sequence[Outcome], *, planned: int | None = None
) -> None:
    """Decide whether what failed can be lived without.

    Args:
        planned: how many evaluations there will be, where `jobs` are only those that are done.

    Raises:
        TooManyFailures: if the failed share is above `execution.failure_tolerance`, or the empty or grand coalition has no
            value; names the coalitions and their reasons.
    """
    total = len(jobs) if planned is None else planned
    failed = [(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True) if outcome.failures]
    ends = [(job, outcome) for job, outcome in failed if job.role in ("baseline", "grand")]
    allowed = math.floor(study.execution.failure_tolerance * total + 1e-9)
    if not ends and len(failed) <= allowed:
        return
    why = (
        "the empty or the grand coalition has no value, and no credit can be had without"
        if ends
        else f"{len(failed)} of {total} evaluations failed, more than execution.failure_tolerance allows ({allowed})"
    )
    lines = [
        f"- {job.role} of {len(job.members)} contributors, seed {job.seed} "
        f"({', '.join(repr(name) for name in job.names[:5])}{' …' if len(job.names) > 5 else ''}): "
        + "; ".join(f"{name}: {reason}" for name, reason in outcome.failures.items())
        for job, outcome in (ends or failed)[:NAMED]
    ]
    more = len(ends or failed) - len(lines)
    lines += [f"- and {more} more"] if more else []
    lines.append("What was evaluated is kept: remove the cause, and start the study again.")
    raise TooManyFailures("\n".join([f"{why}:", *lines]))
