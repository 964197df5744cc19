"""What changed since the last statement, on which epoch this one stands, and what was not spent again: in words.

The figures are made in `tasks.statements`; here they are written out for the report, the Prefect UI and the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tasks.publish import numbers, text
from tasks.publish.numbers import Scale
from tasks.publish.plot_since import rows_left_out, scale_of, since_plot
from tasks.publish.types import StatementData
from tasks.statements.types import Excess, Move, PropertyMoves, Since

SHOWN = 10  # movers of a property in the short form, and names in a sentence
LONG_TABLE = 40  # rows above which a table scrolls in its own frame
_PARTS = ("load_seconds", "fine_tune_seconds", "sample_seconds", "score_seconds")  # of an evaluation


@dataclass(frozen=True)
class MoveRow:
    """One contributor, written out."""

    name: Markup
    remark: Markup  # what else is to be known: another name then, other images
    status: str
    tone: str  # above | below | open
    before: str
    before_interval: str
    now: str
    now_interval: str
    difference: str
    half: str


@dataclass(frozen=True)
class MovesView:
    """One property."""

    title: str
    unit: str  # with the power of ten
    verdict: str
    incomparable: str
    rows: list[MoveRow]
    long: bool
    plot: Markup
    left_out: int


def day(iso: str) -> str:
    """2025-11-23T16:20:00Z → 23 November 2025."""
    return numbers.moment(iso).rpartition(",")[0]


def moves_views(since: Since) -> list[MovesView]:
    """What the report says of each property."""
    views = []
    for number, moves in enumerate(since.properties, 1):
        scale = scale_of(moves)
        views.append(
            MovesView(
                title=text.title(moves.name),
                unit=" ".join(filter(None, (scale.suffix, text.plain(moves.unit)))),
                verdict=_verdict(moves),
                incomparable=_reason(moves),
                rows=[_row(row, scale) for row in moves.rows],
                long=len(moves.rows) > LONG_TABLE,
                plot=Markup(since_plot(moves, prefix=f"since-{number}")) if moves.rows else Markup(""),
                left_out=rows_left_out(moves),
            )
        )
    return views


def _row(row: Move, scale: Scale) -> MoveRow:
    remarks = []
    if row.formerly is not None:
        remarks.append(Markup("formerly {}").format(text.html(row.formerly)))
    if row.changed:
        remarks.append(Markup("images changed"))
    moved = row.status == "moved" and row.difference is not None
    return MoveRow(
        name=text.html(row.name),
        remark=Markup(", ").join(remarks),
        status=_status(row),
        tone=("above" if (row.difference or 0) > 0 else "below") if moved else "open",
        before=_value(row.before, scale),
        before_interval=_interval(row.before, scale),
        now=_value(row.now, scale),
        now_interval=_interval(row.now, scale),
        difference=numbers.MISSING if row.difference is None else scale.write(row.difference, sign=True),
        half="" if row.half is None else f"± {scale.write(row.half)}",
    )


def _status(row: Move) -> str:
    if row.status == "moved" and row.difference is not None:
        return "moved up" if row.difference > 0 else "moved down"
    return row.status


def _value(excess: Excess | None, scale: Scale) -> str:
    return numbers.MISSING if excess is None else scale.write(excess.value, sign=True)


def _interval(excess: Excess | None, scale: Scale) -> str:
    if excess is None:
        return ""
    low, high = scale.write(excess.low, sign=True), scale.write(excess.high, sign=True)
    return "no interval" if numbers.MISSING in (low, high) else f"{low} to {high}"


def _verdict(moves: PropertyMoves) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in moves.counts.items())


def _reason(moves: PropertyMoves) -> str:
    return "" if moves.incomparable is None else f"Not comparable because {text.plain(moves.incomparable, 800)}."


def since_markdown(data: StatementData) -> list[str]:
    """The short form for the Prefect UI, as Markdown blocks: how many, and who has moved. Nothing for a first statement."""
    since = data.since
    if since is None:
        return []
    blocks = [
        f"## What changed since {day(since.created)}",
        f"The last statement is run {text.markdown(since.run)}. Since then {prose(since.people.sentence())}.",
    ]
    for moves in since.properties:
        title = f"**{text.markdown(text.title(moves.name))}**"
        if moves.incomparable is not None:
            blocks.append(f"{title}: {prose(_reason(moves))}")
            continue
        scale = scale_of(moves)
        unit = text.markdown(" ".join(filter(None, (scale.suffix, moves.unit)))) if moves.unit or scale.suffix else ""
        lines = [f"{title}: {prose(_verdict(moves))}." + (f" Excess in {unit}." if unit else "")]
        movers = [row for row in moves.rows if row.status == "moved"]
        lines += [_mover(row, scale) for row in movers[:SHOWN]]
        if len(movers) > SHOWN:
            lines.append(f"- {len(movers) - SHOWN} more in report.html")
        blocks.append("\n".join([lines[0], "", *lines[1:]] if movers else lines))
    blocks += [prose(note) for note in since.notes]
    return blocks


def _mover(row: Move, scale: Scale) -> str:
    remark = "" if row.formerly is None else f" (formerly {text.markdown(row.formerly)})"
    remark += ", images changed" if row.changed else ""
    figures = f"{_value(row.before, scale)} then, {_value(row.now, scale)} now"
    if row.difference is not None and row.half is not None:
        figures += f"; difference {scale.write(row.difference, sign=True)}, judged by ± {scale.write(row.half)}"
    return f"- {text.markdown(row.name)}{remark}: {figures}"


def since_manifest(since: Since | None) -> dict[str, Any] | None:
    """For machines: with which statement this one was compared, who came and went, and what became of whose credit."""
    if since is None:
        return None
    people = since.people
    return {
        "run": since.run,
        "created": since.created,
        "epoch": since.epoch_before,
        "people": {
            "joined": list(people.joined),
            "left": list(people.left),
            "changed": list(people.changed),
            "renamed": [list(pair) for pair in people.renamed],
        },
        "statuses": {
            moves.name: {row.name: row.status for row in moves.rows}
            for moves in since.properties
            if moves.incomparable is None
        },
        "not_comparable": {m.name: m.incomparable for m in since.properties if m.incomparable is not None},
        "notes": list(since.notes),
    }


def epoch_sentences(data: StatementData) -> list[str]:
    """On which epoch the statement stands and what that costs; nothing where it is not known."""
    epoch = data.epoch
    if epoch is None or not epoch.number:
        return []
    told = [
        f"This statement stands on epoch {epoch.number}, opened {numbers.moment(epoch.opened)}. "
        f"Why it was opened: {text.plain(epoch.why, 400).rstrip('.')}."
    ]
    if epoch.drift <= 0 and not epoch.unseen and not epoch.left:
        return [
            *told,
            "Its images are today's, so nobody is credited for less, or is in the model longer, than they are.",
        ]
    told.append(
        f"Since then {numbers.percent(epoch.drift)} of the training images have come, gone or changed hands. Reference and "
        "pruned model have not been made anew for that, so that earlier evaluations can be used again; it costs accuracy."
    )
    if epoch.unseen:
        names = [f"{text.plain(name)} (it saw {numbers.percent(seen, 0)})" for name, seen in epoch.unseen.items()]
        listed = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        told.append(
            f"The pruned model never saw most of the images of {len(names)} "
            f"{'contributor' if len(names) == 1 else 'contributors'}: {listed}. Their credit is too low by as much as "
            "fine-tuning cannot catch up."
        )
    else:
        told.append("Of everybody's training images, by weight, the pruned model has seen at least half.")
    if epoch.left:
        told.append(
            f"{numbers.percent(epoch.left)} of the epoch's images, by weight, belong to nobody of today. They are still in "
            "reference and pruned model, until the next epoch."
        )
    return told


def savings(data: StatementData) -> list[str]:
    """What was reused and what it saved; nothing if all was made now."""
    frame = data.evaluations
    cached = frame["cached"].astype(bool)
    if not cached.any():
        return []
    parts = [part for part in _PARTS if part in frame]
    saved = float(frame.loc[cached, parts].sum().sum())
    spent = float(frame.loc[~cached, parts].sum().sum())
    archive = int((cached & (frame["role"] == "archive")).sum())
    asked = int(cached.sum()) - archive
    found = [
        f"{asked:,} of the evaluations that the design asked for were in the ledger already" if asked else "",
        f"{archive:,} others that earlier runs had made were used too" if archive else "",
    ]
    told = f"{' and '.join(filter(None, found))}. Nothing was spent on them: saved about "
    told += f"{numbers.duration(saved)} of one worker, which is what they took when they were made."
    fresh = int((~cached).sum())
    if fresh:
        told += f" The {fresh:,} new ones took {numbers.duration(spent)} of one worker."
    return [told[0].upper() + told[1:]]


def prose(sentence: str) -> str:
    """Our own sentence as Markdown; a name or a unit in it may be hostile."""
    return text.markdown(sentence, limit=len(sentence) * 12)
