"""The tables that a run prints: aligned columns, plain characters, no colour."""

from __future__ import annotations

import numpy as np

from tasks.publish import numbers, plots, text
from tasks.publish.tables import LEVEL, Separation, excess_scale, notes, ranks, shares
from tasks.publish.types import PropertyResult, StatementData
from tasks.validate import faithfulness  # the module, since it imports this package's words in turn


def terminal_table(data: StatementData) -> str:
    """One table a property, best first, then the remarks; with many contributors the middle is left out."""
    blocks = [_table(data, result) for result in data.results]
    remarks = [f"Note: {text.plain(note, 1000)}" for note in notes(data)]
    remarks += [text.plain(sentence, 1000) for sentence in faithfulness.of_study(data.validation)]
    return "\n\n".join([*blocks, *remarks]) + "\n"


def _table(data: StatementData, result: PropertyResult) -> str:
    credits = result.credits
    low, high = credits.excess_interval(LEVEL)
    half = (high - low) / 2
    scale = excess_scale(result)
    share, rank = shares(result)[0], ranks(result)
    decimals = numbers.share_decimals(len(rank))
    separation = Separation.of(result)
    head = ("rank", "contributor", "images", "of data", "excess", "90 %", "share")
    order = np.argsort(-np.asarray(credits.values), kind="stable")
    rows, left_out = plots.shown(order)
    cells = [
        (
            str(rank[i]),
            text.plain(data.partition.contributors[i].name, 32),
            numbers.count(data.partition.contributors[i].images),
            numbers.percent(data.partition.contributors[i].pro_rata, decimals),
            scale.write(credits.excess[i], sign=True, minus="-"),
            f"± {scale.write(half[i])}",
            numbers.percent(float(share[i]), decimals),
        )
        for i in rows
    ]
    widths = [max(text.columns(row[column]) for row in [head, *cells]) for column in range(len(head))]
    lines = [_line(row, widths) for row in [head, *cells]]
    if left_out:
        lines.insert(1 + plots.TOP, f"{'':>{widths[0]}}  ({left_out} more in credits.csv)")
    unit = " ".join(filter(None, (scale.suffix, text.plain(result.unit))))
    title = f"{text.title(result.name)} (excess in {unit}; more is better)"
    verdict = f"{separation.apart:,} of {separation.pairs:,} pairs can be told apart."
    faithful = [text.plain(sentence, 1000) for sentence in faithfulness.of_property(data.validation, result.name)]
    return "\n".join([title, "─" * min(100, sum(widths) + 2 * (len(widths) - 1)), *lines, verdict, *faithful])


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(
        text.pad(cell, width, left=column != 1) for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()
