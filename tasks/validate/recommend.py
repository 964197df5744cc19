"""What fidelity against cost says about a study's defaults: a change is recommended only where the intervals bear it out."""

from __future__ import annotations

from tasks.publish import numbers
from tasks.validate.faithfulness import figure, why
from tasks.validate.types import PropertyFound, Way

LESS = 0.9  # of a coalition's work, below which another way counts as cheaper
WORSE = 0.1  # of Pearson, that a cheaper way may be worse with its whole interval


def named(way: Way) -> str:
    """A way in words: fine-tuning, 100 steps, pruned by 0.3."""
    pruned = f"pruned by {way.ratio:g}" if way.ratio > 0 else "not pruned"
    return f"{'fine-tuning' if way.mode == 'finetune' else 'retraining'}, {way.steps:,} steps, {pruned}"


def recommended(found: PropertyFound) -> Way | None:
    """The way that should be the study's instead of its own; None if the figures do not bear out a change.

    Of ways of its kind (fine-tuning or retraining) that are ahead of the study's own with the whole interval of the
    difference, the one with the least work; else, of those with less work that are no worse in the figure, nor by more than
    WORSE anywhere in that interval, the one with the least. Work is counted in multiply-accumulates: seconds depend on what
    else a machine did.
    """
    own = found.own_way
    # Retraining tells what pruning alone does; as a way of evaluating coalitions it is what fine-tuning is there to save.
    others = [way for way in found.ways if not way.study and way.mode == own.mode]
    if own.pearson.low is None or own.work is None:
        return None
    better, cheaper = [], []
    for way in others:
        if way.ahead is None or way.ahead.low is None or way.ahead.value is None or way.work is None:
            continue
        if way.ahead.low > 0:
            better.append(way)
        elif way.work < LESS * own.work and way.ahead.value >= 0 and way.ahead.low > -WORSE and _faithful(way):
            cheaper.append(way)
    return min(better or cheaper, key=lambda way: way.work or 0.0, default=None)


def recommendation(found: PropertyFound) -> str:
    """The same in a sentence or two."""
    own, instead = found.own_way, recommended(found)
    if own.pearson.low is None:
        return f"Nothing can be recommended: of the study's own way there is no figure with an interval: {why(own.pearson)}."
    if own.work is None:
        return "Nothing can be recommended: what a coalition costs in the study's own way is not known."
    if instead is None:
        kind = "fine-tuning" if own.mode == "finetune" else "retraining"
        return (
            f"These figures support no change of the study's defaults ({named(own)}): no other way of {kind} is more "
            "faithful with the whole interval of the difference, and none with less work is as faithful."
        )
    times = relative_work(instead, found)
    assert times is not None and instead.ahead is not None  # else it were not recommended
    caution = "" if times >= 1 else f" It is no worse as far as {own.pearson.count} coalitions can tell."
    return (
        f"These figures speak for {named(instead)}, instead of {named(own)}: Pearson {figure(instead.pearson)} against "
        f"{figure(own.pearson)}, a difference of {figure(instead.ahead)}, at {numbers.alone(times, 2)} times the work of "
        f"training.{caution}"
    )


def relative_work(way: Way, found: PropertyFound) -> float | None:
    """A way's work over that of the study's own; None where one of them was not counted."""
    own = found.own_way.work
    return None if way.work is None or not own else way.work / own


def _faithful(way: Way) -> bool:
    return way.pearson.low is not None and way.pearson.low > 0
