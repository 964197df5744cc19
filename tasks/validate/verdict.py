"""The verdict of a validation: three questions to each property, answered in plain words."""

from __future__ import annotations

from tasks.validate.blocks import Answer, Block
from tasks.validate.faithfulness import (
    NOT_SCORED,
    chance,
    coalitions,
    faithful,
    figure,
    free_baselines,
    listed,
    of_standing,
    ours,
    size,
    why,
)
from tasks.validate.recommend import named
from tasks.validate.types import PropertyFound, Validation


def verdict(found: Validation, of: PropertyFound, number: int) -> list[Block]:
    """Three questions, each with its answer in plain words."""
    return [_faithful(found, of), _predicts(of), _against_free(of)]


def _faithful(found: Validation, of: PropertyFound) -> Answer:
    pearson, question = of.own_way.pearson, "Is the study's way of realising coalitions faithful?"
    if pearson.value is None:
        return Answer(question, f"Not known: {why(pearson)}.")
    answer = {
        "yes": "Yes, as far as their order goes",
        "in part": "In part: values agree better than chance, but less closely than one would wish",
        "not shown": "Not shown: the interval holds zero",
        "no": "No: values are turned round",
        "not measured": f"Not known: {why(pearson)}",
    }[faithful(of)]
    return Answer(
        question,
        f"{answer}. On {coalitions(pearson.count)} of {found.one_size} of {len(found.contributors)} contributors, Pearson "
        f"{figure(pearson)} and Spearman {figure(of.own_way.spearman)} with models retrained from scratch "
        f"({named(of.own_way)}). {size(of)}".rstrip(),
    )


def _predicts(of: PropertyFound) -> Answer:
    own, question = ours(of), "Do the credits predict retrained models better than chance?"
    if own is None or own.lds.value is None:
        return Answer(question, f"Not known: {NOT_SCORED if own is None else why(own.lds)}.")
    answer = {True: "Yes", False: "Not shown", None: "Not known"}[own.better_than_chance]
    beside = "" if of.chance_sd is None else f" 95 % of random credits lie within {chance(of)}."
    return Answer(question, f"{answer}: LDS {figure(own.lds)} on {coalitions(own.lds.count)}.{beside}")


def _against_free(of: PropertyFound) -> Answer:
    own, question = ours(of), "Better than the free baselines?"
    free = [method for method in of.methods if method.kind == "free"]
    if own is None or own.lds.value is None or not free:
        return Answer(question, f"Not known: {'there is nothing to compare' if not free else 'ours have no score'}.")
    told = free_baselines(of, own.lds.count)
    behind, unknown = (of_standing(of, "free", which) for which in ("ours", "not compared"))
    answer = "Not than all of them." if told else ("Yes, than all that could be compared." if behind else "Not known.")
    if behind:
        told.append(f"Behind ours with the whole interval: {listed(behind)}.")
    if unknown:
        told.append(f"Could not be compared: {listed(unknown)}.")
    return Answer(question, " ".join([answer, *told]))
