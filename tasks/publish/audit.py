"""What an audit by retraining found, in words: for the log, the report, the Prefect UI and the manifest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tasks.audit.correction import Uncertain
from tasks.audit.types import ContributorAudit, PropertyAudit
from tasks.publish import numbers, text
from tasks.publish.numbers import Scale
from tasks.publish.tables import LEVEL
from tasks.publish.types import StatementData


@dataclass(frozen=True)
class AuditRow:
    """One contributor, written out."""

    name: Markup
    stated: str
    stated_interval: str
    audited: str
    audited_interval: str
    correction: str
    correction_interval: str
    common: str
    pairs: str
    verdict: str
    tone: str  # above | below | open


@dataclass(frozen=True)
class AuditView:
    """One property."""

    title: str
    unit: str  # with the power of ten
    ends: str
    rows: list[AuditRow]


def audit_fields(data: StatementData) -> dict[str, Any]:
    """What the report's template takes; no views if nobody was audited."""
    if not data.audits:
        return {"audit_views": [], "audit_notes": []}
    of_property = zip(*(one.properties for one in data.audits), strict=True)
    return {
        "audit_views": [_view(data.audits, found) for found in of_property],
        "audit_notes": _notes(data.audits),
        "audited": data.audits,
    }


def say_audit(audits: Sequence[ContributorAudit]) -> list[str]:
    """Lines for a log, one for each contributor and property. Names in them are safe to print."""
    return [
        f"audit of {text.plain(one.contributor)}, {text.title(found.name)}: {_figures(found)}. {verdict(one, found)}"
        for one in audits
        for found in one.properties
    ]


def audit_markdown(data: StatementData) -> list[str]:
    """The short form for the Prefect UI, as Markdown blocks; nothing if nobody was audited."""
    if not data.audits:
        return []
    lines = [
        f"- {text.markdown(one.contributor)}, {text.markdown(text.title(found.name))}: {_safe(_figures(found))}. "
        f"{_safe(verdict(one, found))}"
        for one in data.audits
        for found in one.properties
    ]
    return ["## Audit by retraining", "\n".join(lines)]


def audit_manifest(audits: Sequence[ContributorAudit]) -> list[dict[str, Any]]:
    """One row for each contributor and property, for machines; values are sign × raw, and what is not known is NaN."""
    return [
        {
            "contributor": one.contributor,
            "property": found.name,
            "unit": found.unit,
            **_columns("credit", found.stated),
            **_columns("audited", found.audited),
            **_columns("correction", found.correction),
            "common": found.common,
            "empty": found.finetuned.empty,
            "everybody_finetuned": found.finetuned.everybody,
            "everybody_retrained": found.retrained.everybody,
            "finetune_steps": one.finetune_steps,
            "retrain_steps": one.retrain_steps,
            "pairs_drawn": len(found.pairs),
            "pairs_used": found.used,
            "complete": one.complete,
            "pairs": [
                {"members": list(pair.members), "finetuned": pair.finetuned, "retrained": pair.retrained}
                for pair in found.pairs
            ],
        }
        for one in audits
        for found in one.properties
    ]


def verdict(one: ContributorAudit, found: PropertyAudit) -> str:
    """One plain sentence on how far the audit bears the credit out; another where pairs are missing."""
    low, high = found.correction.interval(LEVEL)
    unit = f" ({text.plain(found.unit)})" if found.unit.strip() else ""
    size = f"{numbers.alone(abs(found.correction.value), 2)}{unit}"
    if not found.used:
        said = "Nothing can be said: no pair has all its values."
    elif not math.isfinite(high - low):
        way = "higher" if found.correction.value > 0 else "lower"
        why = _unsure(one, found)
        said = f"By retraining the credit is {way} by {size}; how sure that is cannot be said: {why}."
        if found.correction.value == 0:
            said = f"By retraining the credit is the same; how sure that is cannot be said: {why}."
    elif low > 0 or high < 0:
        said = f"By retraining the credit is {'higher' if low > 0 else 'lower'} by {size}; {_average(found)}."
    else:
        said = "The two agree within noise."
    if lost := len(found.pairs) - found.used:
        said += f" {lost} of {len(found.pairs)} pairs are missing: an evaluation of them failed."
    return said


def _unsure(one: ContributorAudit, found: PropertyAudit) -> str:
    """Why a correction has no interval."""
    if one.complete and found.used == len(found.pairs):
        return "the noise of training is not known"
    return "the differences between the two are too few, or all the same"


def _average(found: PropertyAudit) -> str:
    """What belongs in the same breath: how far everybody's credits move together, since they add up to the gain."""
    if not found.common:
        return "on average over all contributors, credits stay the same"
    way = "higher" if found.common > 0 else "lower"
    return f"on average over all contributors, credits are {way} by {numbers.alone(abs(found.common), 2)}"


def _figures(found: PropertyAudit) -> str:
    scale = _scale([found])
    unit = " ".join(filter(None, (scale.suffix, text.plain(found.unit) if found.unit.strip() else "")))
    parts = (("credit", found.stated), ("audited", found.audited), ("correction", found.correction))
    written = [f"{what} {scale.write(v.value, sign=what == 'correction')} ({_interval(v, scale)})" for what, v in parts]
    return f"{', '.join(written)}{f' in {unit}' if unit else ''}, {found.used} pairs"


def _view(audits: Sequence[ContributorAudit], found: Sequence[PropertyAudit]) -> AuditView:
    scale, first = _scale(found), found[0]
    unit = text.plain(first.unit) if first.unit.strip() else ""
    return AuditView(
        title=text.title(first.name),
        unit=" ".join(filter(None, (scale.suffix, unit))),
        ends=_ends(first, unit),
        rows=[_row(one, property_, scale) for one, property_ in zip(audits, found, strict=True)],
    )


def _row(one: ContributorAudit, found: PropertyAudit, scale: Scale) -> AuditRow:
    low, high = found.correction.interval(LEVEL)
    return AuditRow(
        name=text.html(one.contributor),
        stated=scale.write(found.stated.value),
        stated_interval=_interval(found.stated, scale),
        audited=scale.write(found.audited.value),
        audited_interval=_interval(found.audited, scale),
        correction=scale.write(found.correction.value, sign=True),
        correction_interval=_interval(found.correction, scale, sign=True),
        common=scale.write(found.common, sign=True),
        pairs=f"{found.used} of {len(found.pairs)}" if found.used < len(found.pairs) else str(found.used),
        verdict=verdict(one, found),
        tone="above" if low > 0 else "below" if high < 0 else "open",
    )


def _ends(found: PropertyAudit, unit: str) -> str:
    """v(∅) and v(N) in both realisations, raw, and what that means for everybody."""
    empty, tuned, trained = numbers.alike(
        *(found.sign * value for value in (found.finetuned.empty, found.finetuned.everybody)),
        found.sign * found.retrained.everybody,
        digits=4,
    )
    in_unit = f" {unit}" if unit else ""
    told = f"v(∅) is {empty}{in_unit} in both; v(N) is {tuned} fine-tuned and {trained} retrained."
    if not found.common:
        return told
    return (
        f"{told} So retraining gains {'more' if found.common > 0 else 'less'} for each contributor by "
        f"{numbers.alone(abs(found.common), 2)}: that part of a correction is common to all, and moves neither excess nor "
        "rank."
    )


def _notes(audits: Sequence[ContributorAudit]) -> list[str]:
    """How to read the table."""
    first = audits[0]
    told = [
        "For each contributor, coalitions of the others were trained without and with them in two ways: from the pruned "
        f"model in {first.finetune_steps:,} steps, as for all credits, and from random weights in "
        f"{first.retrain_steps:,} steps. The correction is the mean difference between what the contributor adds in the "
        "second way and in the first, every size of a coalition weighing the same. It shows what the pruned model’s "
        "knowledge of everybody’s images does to the credit.",
        "Its interval, by Student’s t from the spread of these differences, takes credit and correction to be independent, "
        "and retraining to be as noisy as fine-tuning. Coalitions that both rest on make it rather too wide.",
    ]
    if any(one.complete for one in audits):
        told.append(
            "All coalitions of the others were looked at: the interval of the correction holds only the noise of training."
        )
    return told


def _scale(found: Sequence[PropertyAudit]) -> Scale:
    parts = [part for one in found for part in (one.stated, one.audited, one.correction)]
    intervals = [part.interval(LEVEL) for part in parts]
    return Scale.of((part.value for part in parts), ((high - low) / 2 for low, high in intervals))


def _interval(part: Uncertain, scale: Scale, *, sign: bool = False) -> str:
    low, high = part.interval(LEVEL)
    if not math.isfinite(high - low):
        return "no interval"
    return f"{scale.write(low, sign=sign)} to {scale.write(high, sign=sign)}"


def _columns(name: str, part: Uncertain) -> dict[str, float]:
    low, high = part.interval(LEVEL)
    return {
        name: part.value,
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_se": part.se,
        f"{name}_degrees_of_freedom": part.degrees_of_freedom,
    }


def _safe(sentence: str) -> str:
    """Our own sentence as Markdown; a unit in it may be hostile."""
    return text.markdown(sentence, limit=len(sentence) * 12)
