"""The figures as Markdown, and put where the documentation has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

Record = dict[str, Any]  # {"cell": …, "result": …, "load": …}
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
SHARD = 15 * 60.0  # seconds: execution.shard_minutes, unless a study says otherwise


def text(records: Sequence[Record]) -> str:
    """All tables."""
    parts = [
        _dispatching([r for r in records if r["cell"]["kind"] == "dispatching" and r["cell"]["seconds"]]),
        _recognising([r for r in records if r["cell"]["kind"] == "recognising"]),
        _planning([r for r in records if r["cell"]["kind"] == "dispatching" and not r["cell"]["seconds"]]),
    ]
    return "\n\n".join(part for part in parts if part)


def write(path: Path, tables: str) -> None:
    """Put the tables between the marks in a file."""
    before, found, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        raise ValueError(f"{path} has no lines '{BEGIN}' and '{END}', between which the tables would go")
    path.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}", encoding="utf-8")


def _dispatching(records: Sequence[Record]) -> str:
    heads = (
        "store", "workers", "evaluations", "shards", "evaluations an hour", "of the ideal", "overhead a coalition",
        "of it in the shard", "a shard's start", "of that shard", "of one of 15 min", "waits for a worker", "load before",
    )  # fmt: skip
    rows = []
    for record in records:
        cell, result = record["cell"], record["result"]
        shards, seconds, count = result["shards"], cell["seconds"], result["evaluations"]
        hourly, ideal = 3600 * count / result["wall"], 3600 * cell["workers"] / seconds
        working = sum(shard["working"] for shard in shards)
        starts = [shard["starting"] + shard["loading"] for shard in shards]
        rows.append(
            (
                cell["store"],
                cell["workers"],
                f"{count} of {seconds:g} s",
                len(shards),
                f"{hourly:,.0f}",
                f"{hourly / ideal:.0%}",
                f"{result['wall'] * cell['workers'] / count - seconds:.2f} s",
                f"{working / count - seconds:.2f} s",
                f"{median(starts):.1f} s",
                f"{sum(starts) / (sum(starts) + working):.0%}",
                f"{median(starts) / (median(starts) + SHARD):.1%}",
                f"{median(shard['waiting'] for shard in shards):.1f} s",
                f"{record['load']:.1f}",
            )
        )
    return _table(heads, rows)


def _recognising(records: Sequence[Record]) -> str:
    heads = ("store", "in the ledger", "drawing the plan", "plan, first time", "plan, again", "load before")
    rows = []
    for record in records:
        cell, result = record["cell"], record["result"]
        rows.append(
            (
                cell["store"],
                f"{result['evaluations']:,} evaluations, {result['records']:,} records",
                f"{result['drawing']:.1f} s",
                f"{result['cold']:.1f} s",
                f"{result['warm']:.1f} s",
                f"{record['load']:.1f}",
            )
        )
    return _table(heads, rows)


def _planning(records: Sequence[Record]) -> str:
    heads = (
        "store", "evaluations", "shards", "planning", "sending and gathering", "requests of the driver", "a second",
        "most a second, over 10 s", "load before",
    )  # fmt: skip
    rows, kinds = [], []
    for record in records:
        cell, result = record["cell"], record["result"]
        rows.append(
            (
                cell["store"],
                f"{result['evaluations']:,} of no time",
                len(result["shards"]),
                f"{result['planning']:.0f} s",
                f"{result['wall']:.0f} s with {cell['workers']} workers",
                f"{result['requests']:,}",
                f"{result['requests'] / result['wall']:.1f}",
                f"{result['most_a_second']:.1f}",
                f"{record['load']:.1f}",
            )
        )
        most = list(result["kinds"].items())[:5]
        kinds.append("The driver's requests: " + ", ".join(f"{count:,} × `{kind}`" for kind, count in most) + ".")
    return "\n\n".join([_table(heads, rows), *kinds]) if rows else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [" | ".join(map(str, row)) for row in rows]
    if not lines:
        return ""
    return "\n".join(f"| {line} |" for line in (" | ".join(heads), "|".join(["---"] * len(heads)), *lines))
