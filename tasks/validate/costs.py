"""What a proof will ask for, in evaluations and in hours, before anything of it is made.

Prices are those of previews (`tasks.preview.prices`): medians of what the ledger's records say the same work took, or
the most similar. What was never measured has no price, and the sum says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.plan.lacking import Held, lacking, whole
from tasks.plan.plan import Plan
from tasks.preview.prices import rates
from tasks.preview.types import Storage, Work
from tasks.preview.work import add_up
from tasks.progress import clock
from tasks.recipe import Recipe
from tasks.validate.worlds import Asked

NOTHING_STORED = Storage(images=0, models=0, weights=0, weights_exact=True, samples=0)


@dataclass(frozen=True)
class Priced:
    """A way of realising coalitions. work: what the ledger lacks of it. one: seconds of a whole evaluation in this way, of
    one worker; None where it was never measured."""

    name: str
    asked: int
    work: Work
    one: float | None


def priced(way: Asked, pruned: Recipe, plan: Plan, held: Held) -> Priced:
    """What a way asks for. plan: its coalitions, held against the ledger. pruned: what they start from."""
    prices = rates(way.study, pruned, held)
    largest = max(plan.jobs, key=lambda job: len(job.members))
    return Priced(
        way.name,
        len(plan.jobs),
        add_up([lacking(plan.jobs[i], held) for i in plan.missing], prices, NOTHING_STORED),
        add_up([whole(largest)], prices, NOTHING_STORED).seconds,
    )


def in_lines(ways: Sequence[Priced], cuts: int, workers: int, say: Callable[[str], None]) -> None:
    """Tell people what there is to do.

    Args:
        ways: the second is the truth, in which counterfactuals are retrained too.
        cuts: the most coalitions that counterfactuals ask for.
        workers: that evaluate at a time.
    """
    say("to be evaluated beside the study's own coalitions:")
    for way in ways:
        say(f"  {way.name}: {way.asked}, {way.asked - way.work.evaluations} of them in the ledger{_lasting(way)}")
    sure = [way.work.seconds for way in ways]
    known = None if None in sure else sum(s for s in sure if s is not None)
    say(f"  in all {_shared(known, workers)}{', where nothing has to be pruned first' if known else ''}")
    if cuts:
        one = ways[1].one
        most = None if one is None else cuts * one
        say(
            f"  and what the methods' counterfactuals ask for, retrained: at most {cuts}, some of them evaluated by then; "
            f"at most {_shared(most, workers)}"
        )


def _lasting(way: Priced) -> str:
    if not way.work.evaluations:
        return ""
    if way.one is None:
        return "; how long one takes was never measured"
    return f"; about {clock(way.one)} each" if way.one >= 1 else "; less than a second each"


def _shared(seconds: float | None, workers: int) -> str:
    if seconds is None:
        return "longer than can be said yet: some of it was never measured"
    at_a_time = f", {clock(seconds / workers)} of {workers}" if workers > 1 else ""
    return f"{clock(seconds)} of one worker{at_a_time}"
