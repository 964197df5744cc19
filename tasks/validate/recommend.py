"""What fidelity against cost says about a study's defaults: a change is recommended only where the intervals bear it out."""

from __future__ import annotations

from tasks.publish import numbers
from tasks.validate.faithfulness import figure, why
from tasks.validate.types import PropertyFound, Way

LESS = 0.9  # of a coalition's seconds, below which another way counts as cheaper


def named(way: Way) -> str:
    """A way in words: fine-tuning, 100 steps, pruned by 0.3."""
    pruned = f"pruned by {way.ratio:g}" if way.ratio > 0 else "not pruned"
    return f"{'fine-tuning' if way.mode == 'finetune' else 'retraining'}, {way.steps:,} steps, {pruned}"


def recommended(found: PropertyFound) -> Way | None:
    """The way that should be the study's instead of its own; None if the figures do not bear out a change.

    Of ways whose whole interval of Pearson lies above that of the study's own, the cheapest; else, of cheaper ones that
    are no worse in their figure nor in the lower end of its interval, the one with the most Pearson a second. Intervals of
    two ways are on the same coalitions, so to take them as if they were independent is cautious.
    """
    own, others = found.own_way, [way for way in found.ways if not way.study]
    if _ends(own) is None or own.seconds is None:
        return None
    _, low, high = _ends(own) or (0.0, 0.0, 0.0)
    value = own.pearson.value or 0.0
    better, cheaper = [], []
    for way in others:
        ends = _ends(way)
        if ends is None or way.seconds is None:
            continue
        if ends[1] > high:
            better.append((way.seconds, way))
        elif way.seconds < LESS * own.seconds and ends[1] >= max(low, 0) and ends[0] >= value and ends[0] > 0:
            cheaper.append((-ends[0] / max(way.seconds, 1e-9), way))
    chosen = better or cheaper
    return min(chosen, key=lambda pair: pair[0])[1] if chosen else None


def recommendation(found: PropertyFound) -> str:
    """The same in a sentence or two."""
    own, instead = found.own_way, recommended(found)
    if _ends(own) is None:
        return f"Nothing can be recommended: of the study's own way there is no figure with an interval: {why(own.pearson)}."
    if own.seconds is None:
        return "Nothing can be recommended: what a coalition costs in the study's own way is not known."
    if instead is None:
        return (
            f"These figures support no change of the study's defaults ({named(own)}): no other way is more faithful with "
            "its whole interval, and none that is cheaper is as faithful."
        )
    times = (instead.seconds or 0.0) / own.seconds if own.seconds else float("inf")
    said = (
        f"These figures speak for {named(instead)}, instead of {named(own)}: Pearson {figure(instead.pearson)} against "
    )
    caution = "" if times >= 1 else f" It is no worse as far as {own.pearson.count} coalitions can tell."
    return f"{said}{figure(own.pearson)}, at {numbers.alone(times, 2)} times the seconds of training.{caution}"


def _ends(way: Way) -> tuple[float, float, float] | None:
    """Value, low, high; None if one of them is missing."""
    pearson = way.pearson
    if pearson.value is None or pearson.low is None or pearson.high is None:
        return None
    return pearson.value, pearson.low, pearson.high
