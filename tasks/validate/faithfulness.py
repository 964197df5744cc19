"""What a validation found, judged in plain words: one place decides them for the page and for every statement.

A judgement rests on 95 % intervals only. Names in the sentences are made visible and short; whoever puts a sentence into
Markdown or HTML escapes it, as every other sentence.
"""

from __future__ import annotations

from typing import Literal

from tasks.publish import numbers, text
from tasks.publish.numbers import Scale
from tasks.validate.types import RANDOM, Estimate, Method, PropertyFound, Validation

ALIKE = 0.5  # Pearson of which the whole interval must lie above, for values to count as faithful
CHANCE = 1.96  # standard deviations within which 95 % of random credits lie
NOT_SCORED = "those that were scored were of other contributors, or estimated otherwise"
NAMES_SHOWN = 6  # methods in a sentence; the table holds all
_CORRELATION = Scale(0, 2)

Faithful = Literal["yes", "in part", "not shown", "no", "not measured"]
Standing = Literal["ours", "as good", "better", "not compared"]


def sentences(found: Validation | None, property_name: str) -> list[str]:
    """How faithful the recipe of a statement is where it was measured, for one property; never empty.

    found: the newest validation of the statement's study and recipe; None where there is none.
    """
    of_property = None if found is None else next((p for p in found.properties if p.name == property_name), None)
    if found is None or of_property is None:
        what = "recipe" if found is None else "property"
        return [
            f"How faithful: not measured for this {what}. Run `validate` on the study to hold its values and credits "
            "against models retrained from scratch."
        ]
    told = [_values(found, of_property), size(of_property), *_credits(found, of_property)]
    return [sentence for sentence in told if sentence]


def of_property(found: Validation | None, property_name: str) -> list[str]:
    """As `sentences`, but nothing where nothing of the recipe was measured: `of_study` says that once."""
    return [] if found is None else sentences(found, property_name)


def of_study(found: Validation | None) -> list[str]:
    """What is said once of the whole study: that nothing of its recipe was measured, if it is so."""
    return sentences(None, "") if found is None else []


def day(found: Validation) -> str:
    """When it was found: 24 November 2026."""
    return numbers.moment(found.created.isoformat()).rsplit(",", 1)[0]


def figure(found: Estimate, *, sign: bool = False) -> str:
    """A correlation, or a difference of two, with its interval: 0.81 (0.62 to 0.92)."""
    if found.value is None:
        return numbers.MISSING
    written = _CORRELATION.write(found.value, sign=sign)
    if found.low is None or found.high is None:
        return f"{written} (no interval)"
    return f"{written} ({_CORRELATION.write(found.low, sign=sign)} to {_CORRELATION.write(found.high, sign=sign)})"


def why(found: Estimate) -> str:
    """The reason why there is no figure or no interval, to follow a colon."""
    return text.plain(found.reason.rstrip(". "), 300) if found.reason else "no reason was recorded"


def chance(found: PropertyFound) -> str:
    """How far from zero 95 % of random credits lie: 0 ± 0.62; a dash where it is not known."""
    far = reach(found)
    return numbers.MISSING if far is None else f"0 ± {_CORRELATION.write(far)}"


def reach(found: PropertyFound) -> float | None:
    """The same as a number."""
    if found.chance is not None or found.chance_sd is None:
        return found.chance
    return min(1, CHANCE * found.chance_sd)


def size(found: PropertyFound) -> str:
    """How large differences between coalitions come out in the study's own way; empty where that is not known."""
    scale = found.own_way.scale
    if scale is None or scale.value is None:
        return ""
    return f"Differences between these coalitions come out {figure(scale)} times as large as retrained."


def faithful(found: PropertyFound) -> Faithful:
    """Whether values of the study's own way agree with those of retrained models, by Pearson within the one size."""
    pearson = found.own_way.pearson
    if pearson.value is None or pearson.low is None or pearson.high is None:
        return "not measured"
    if pearson.low > ALIKE:
        return "yes"
    if pearson.low > 0:
        return "in part"
    return "no" if pearson.high < 0 else "not shown"


def ours(found: PropertyFound) -> Method | None:
    """The study's own credits, as a method."""
    return next((method for method in found.methods if method.kind == "ours"), None)


def standing(method: Method) -> Standing:
    """Who predicts retrained models better: ours only where the whole interval of the difference lies above zero."""
    ahead = method.ahead
    if ahead is None or ahead.value is None or ahead.low is None or ahead.high is None:
        return "not compared"
    if ahead.high < 0:
        return "better"
    return "ours" if ahead.low > 0 else "as good"


def of_standing(found: PropertyFound, kind: str, which: Standing) -> list[Method]:
    """Methods of a kind that stand so, the highest score first."""
    there = [m for m in found.methods if m.kind == kind and m.name != RANDOM and standing(m) == which]
    return sorted(there, key=lambda method: -2.0 if method.lds.value is None else -method.lds.value)


def listed(methods: list[Method]) -> str:
    """Their names in a sentence."""
    names = [text.plain(method.name) for method in methods[:NAMES_SHOWN]]
    return ", ".join(names) + (f" and {len(methods) - NAMES_SHOWN} more" if len(methods) > NAMES_SHOWN else "")


def coalitions(count: int) -> str:
    """1 coalition, 24 coalitions."""
    return f"{count:,} {'coalition' if count == 1 else 'coalitions'}"


def _values(found: Validation, of_property: PropertyFound) -> str:
    pearson, spearman = of_property.own_way.pearson, of_property.own_way.spearman
    if pearson.value is None:
        return f"How faithful: values could not be held against models retrained from scratch: {why(pearson)}."
    people = f"{found.one_size:,} {'contributor' if found.one_size == 1 else 'contributors'}"
    meaning = {
        "yes": "so the study's way of realising coalitions orders them faithfully for this property",
        "in part": "so they agree better than chance, but less closely than one would wish",
        "not shown": "so it is not shown that the study's way of realising coalitions is faithful",
        "no": "so the study's way of realising coalitions turns this property round",
        "not measured": f"how sure that is cannot be said: {why(pearson)}",
    }[faithful(of_property)]
    return (
        f"How faithful: on {coalitions(pearson.count)} of {people} retrained from scratch ({day(found)}, epoch "
        f"{found.epoch}), values agreed with Pearson {figure(pearson)} and Spearman {figure(spearman)}; {meaning}."
    )


def _credits(found: Validation, of_property: PropertyFound) -> list[str]:
    own = ours(of_property)
    if own is None or own.lds.value is None:
        reason = NOT_SCORED if own is None else why(own.lds)
        return [f"Whether credits predict retrained models is not known: {reason}."]
    score = f"LDS {figure(own.lds)}"
    if of_property.chance_sd is not None:
        score += f"; 95 % of random credits lie within {chance(of_property)}"
    told = {
        True: f"Credits predicted retrained models better than chance: {score}.",
        False: f"It is not shown that credits predict retrained models better than chance: {score}.",
        None: f"Credits predicted retrained models with {score}.",
    }[own.better_than_chance]
    return [told, *free_baselines(of_property, own.lds.count)]


def free_baselines(found: PropertyFound, count: int) -> list[str]:
    """Where methods that evaluate nothing are better than ours, or as good as far as so many coalitions can tell."""
    told = []
    if better := of_standing(found, "free", "better"):
        told.append(f"Better than ours, and free: {listed(better)}.")
    if level := of_standing(found, "free", "as good"):
        told.append(f"As good as ours, as far as {coalitions(count)} can tell, and free: {listed(level)}.")
    return told
