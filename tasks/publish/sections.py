"""The parts of the report that are not about one property: costs, failures, data problems, provenance.

Each function turns statement data into rows of plain strings (or markup that is safe already); the template only
lays them out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pandas as pd
from markupsafe import Markup

from tasks.publish import numbers, text
from tasks.publish.tables import failures
from tasks.publish.types import StatementData

ROWS = 500  # rows of one kind of problem shown; the manifest holds all
_WHOLE_CONTRIBUTORS = {"small-contributor", "empty-contributor", "unsafe-name", "not-in-only"}  # kinds of problem
_STEPS = {
    "partition": "Partition the images",
    "train_reference": "Train the reference model",
    "prune": "Prune and recover",
    "plan": "Choose coalitions",
    "evaluate": "Evaluate coalitions",
    "estimate": "Estimate credits",
    "audit": "Audit by retraining",
    "publish": "Publish",
}
_INSIDE = {
    "load_seconds": "Load the pruned model",
    "fine_tune_seconds": "Fine-tune on the coalition",
    "sample_seconds": "Sample images",
    "score_seconds": "Score properties",
}


@dataclass(frozen=True)
class Bar:
    """One line of a bar table: what, how much as text, and how long the bar is in percent."""

    label: str
    amount: str
    length: float


def cost_bars(data: StatementData) -> list[Bar]:
    """Seconds by step, in the order of the steps; unknown steps after the known ones."""
    steps = {name: float(value) for name, value in data.costs.items() if not name.startswith("evaluations_")}
    order = [*(name for name in _STEPS if name in steps), *(name for name in steps if name not in _STEPS)]
    return _bars([(_STEPS.get(name, name.replace("_", " ")), steps[name]) for name in order])


def evaluation_bars(data: StatementData) -> list[Bar]:
    """Median seconds of one new evaluation, by part."""
    frame = data.evaluations
    new = frame[~frame["cached"].astype(bool) & ~failures(frame)]
    present = [column for column in _INSIDE if column in new and new[column].notna().any()]
    return _bars([(_INSIDE[column], float(new[column].median())) for column in present])


def _bars(rows: list[tuple[str, float]]) -> list[Bar]:
    largest = max((value for _, value in rows), default=0) or 1.0
    return [Bar(label, numbers.duration(value), 100 * value / largest) for label, value in rows]


def evaluation_counts(data: StatementData) -> list[Bar]:
    """How many evaluations were new, taken from the ledger, reused, and failed."""
    names = {
        "evaluations_new": "new",
        "evaluations_cached": "cached, from the ledger",
        "evaluations_reused": "reused, asked for by other runs only",
        "evaluations_failed": "failed",
    }
    rows = [(label, float(data.costs[name])) for name, label in names.items() if name in data.costs]
    total = float(len(data.evaluations)) or 1.0  # a failed one is a new or a cached one too
    return [Bar(label, numbers.count(value), 100 * value / total) for label, value in rows]


@dataclass(frozen=True)
class Failure:
    role: str
    seed: str
    size: int
    members: Markup
    reason: str


def failed(data: StatementData) -> list[Failure]:
    """Each failed evaluation with its reason."""
    rows = data.evaluations[failures(data.evaluations)]
    return [
        Failure(
            role=str(row["role"]),
            seed=str(row["seed"]),
            size=int(row["size"]),
            members=_members([str(name) for name in row["members"]]),
            reason=text.plain(str(row["failure"]), 400),
        )
        for row in rows.to_dict(orient="records")
    ]


def _members(names: list[str], limit: int = 12) -> Markup:
    if not names:
        return Markup("nobody")
    listed = Markup(", ").join(text.html(name, 24) for name in names[:limit])
    return listed if len(names) <= limit else Markup("{} and {} more").format(listed, len(names) - limit)


@dataclass(frozen=True)
class ProblemKind:
    """All data problems of one kind and one action."""

    kind: str
    action: str
    count: int
    rows: list[tuple[Markup, str]]  # subject, reason
    left_out: int


def problems(data: StatementData) -> list[ProblemKind]:
    """Data problems by kind and action: images left out first, then the most frequent."""
    order = {"left out": 0, "merged": 1, "converted": 2, "kept": 3}
    found = sorted(data.partition.problems, key=lambda p: (p.kind, p.action, p.subject))
    groups = []
    for (kind, action), members in groupby(found, key=lambda p: (p.kind, p.action)):
        rows = list(members)
        groups.append(
            ProblemKind(
                kind=kind.replace("-", " "),
                action=action,
                count=len(rows),
                rows=[(text.html(p.subject, 60), text.plain(p.reason, 500)) for p in rows[:ROWS]],
                left_out=max(0, len(rows) - ROWS),
            )
        )
    return sorted(groups, key=lambda g: (order.get(g.action, 9), -g.count, g.kind))


def merged(data: StatementData) -> list[tuple[Markup, Markup, int]]:
    """Contributors that stand for several: name, the names merged into it, how many."""
    return [
        (text.html(c.name), _members(list(c.merged), 50), len(c.merged))
        for c in data.partition.contributors
        if c.merged
    ]


def dropped(data: StatementData) -> list[tuple[Markup, str]]:
    """Contributors that take part in nothing: name and reason."""
    return [
        (text.html(p.subject), text.plain(p.reason, 500))
        for p in data.partition.problems
        if p.action == "left out" and p.kind in _WHOLE_CONTRIBUTORS
    ]


@dataclass(frozen=True)
class PruningRow:
    model: str
    parameters: str
    macs: str
    step: str
    loss: str


def pruning(data: StatementData) -> list[PruningRow]:
    """Reference, pruned and recovered model side by side; what is not known is a dash."""
    losses = [_number(row.get("heldout_loss")) for row in data.pruning]
    written = numbers.alike(*losses, digits=4)
    return [
        PruningRow(
            model={"recovered": "pruned and recovered"}.get(str(row["model"]), str(row["model"])),
            parameters=numbers.big(_number(row.get("parameters"))),
            macs=numbers.big(_number(row.get("macs"))),
            step=numbers.duration(_number(row.get("seconds_per_step"))),
            loss=loss,
        )
        for row, loss in zip(data.pruning, written, strict=True)
    ]


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def provenance(data: StatementData) -> list[tuple[str, list[tuple[str, str]]]]:
    """The manifest as titled groups of (dotted name, value); values that stand alone come first."""
    loose = [
        (str(key), _leaf(value))
        for key, value in data.manifest.items()
        if not isinstance(value, Mapping) and key != "rounds"  # the report has a table of them
    ]
    groups = [
        (str(key), list(_flat("", value)))
        for key, value in data.manifest.items()
        if isinstance(value, Mapping) and value
    ]
    return [*([("statement", loose)] if loose else []), *groups]


def settings(data: StatementData) -> list[tuple[str, list[tuple[str, str]]]]:
    """The study's form, section by section."""
    form = data.study.model_dump(mode="json")
    return [(key, list(_flat("", value))) for key, value in form.items() if isinstance(value, Mapping)]


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        return [
            pair for key, inner in value.items() for pair in _flat(f"{prefix}.{key}" if prefix else str(key), inner)
        ]
    return [(text.plain(prefix, 120), _leaf(value))]


def _leaf(value: Any) -> str:
    if isinstance(value, str):
        return text.plain(value, 400) if value else "(empty)"
    if isinstance(value, list | tuple) and all(isinstance(item, str | int | float) for item in value):
        return text.plain(", ".join(str(item) for item in value), 400) if value else "none"
    return text.plain(json.dumps(value, ensure_ascii=False, default=str), 400)
