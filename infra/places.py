"""Who has the places of a work pool, for people whose runs wait for one."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from uuid import UUID

from infra import work_pool_server as ask
from infra.work_pool_types import Patiently

NAMED = 10  # runs that are listed


def who_holds(pool: str, ours: Collection[UUID], patiently: Patiently) -> str:
    """The end of a sentence: which runs have the pool's places, and what to do. One whose machine is gone is RUNNING, and
    keeps others out."""
    all_of_them = patiently(partial(ask.holders, pool))
    others = [run for run in all_of_them if run.id not in ours]
    if not others:
        return f"; {len(all_of_them)} runs of ours have places" if all_of_them else ""
    named = "; ".join(
        f"{run.name} ({run.id}), {run.state_name} since {ask.since(run):%Y-%m-%d %H:%M} UTC" for run in others[:NAMED]
    )
    more = f"; and {len(others) - NAMED} more" if len(others) > NAMED else ""
    return (
        f". Its places are held by {len(all_of_them)} runs, {len(others)} of them not ours: {named}{more}. A run whose "
        "machine is gone holds its place until the automation of `make deploy` counts it out (15 min), or you cancel it in "
        "the UI (Runs, then Cancel)"
    )
