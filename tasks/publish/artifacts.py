"""What people see in Prefect's own pages: one table for each property and one Markdown page.

Prefect keeps artifacts in its database, so the page stays under 200 kB; the report holds everything. Nothing here
imports Prefect.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks.publish import numbers, plots, text
from tasks.publish.audit import audit_markdown
from tasks.publish.rounds import story
from tasks.publish.since import epoch_sentences, prose, savings, since_markdown
from tasks.publish.tables import LEVEL, Separation, cautions, credit_scale, excess_scale, ranks, share_note, shares
from tasks.publish.types import PropertyResult, StatementData
from tasks.validate import faithfulness  # the module, since it imports this package's words in turn

LIMIT = 200_000  # bytes of one Markdown artifact
_TOP, _BOTTOM = 15, 5


def artifact_table(result: PropertyResult, data: StatementData) -> list[dict[str, Any]]:
    """Rows for `create_table_artifact`, best first; cells are numbers or plain text, never NaN.

    Columns stand in the order of their weight: on a laptop Prefect's page shows the first seven and hides the rest.
    """
    credits = result.credits
    low, high = credits.excess_interval(LEVEL)
    of_credit, of_excess = credit_scale(result), excess_scale(result)
    share, rank = shares(result)[0], ranks(result)
    decimals = numbers.share_decimals(len(rank))
    rows: list[dict[str, Any]] = []
    for i in np.argsort(-np.asarray(credits.values), kind="stable"):
        contributor = data.partition.contributors[i]
        rows.append(
            {
                "rank": int(rank[i]),
                "contributor": text.plain(contributor.name),
                "excess": of_excess.round(credits.excess[i]),
                "from (90 %)": of_excess.round(low[i]),
                "to (90 %)": of_excess.round(high[i]),
                "share": numbers.percent(float(share[i]), decimals),
                "credit": of_credit.round(credits.values[i]),
                "share of data": numbers.percent(contributor.pro_rata, decimals),
                "images": round(contributor.images, 2),
            }
        )
    return rows


def artifact_markdown(data: StatementData) -> str:
    """The page of a run: for each property the verdict, the plot and the first contributors, within `LIMIT` bytes."""
    head = [
        f"# Credit statement: {text.markdown(data.study.name)}",
        f"Run {text.markdown(data.run)}, {numbers.moment(data.created)}. "
        f"{len(data.partition.contributors)} contributors, {len(data.evaluations)} evaluations. "
        "The full statement is report.html beside the tables in the store.",
        *(f"> {prose(caution)}" for caution in cautions(data)),
        *since_markdown(data),
        *audit_markdown(data),
    ]
    foot = [
        "Excess is a contributor's credit above an equal share, in the property's unit; more is always better. "
        "Intervals are 90 % and conditional on this epoch and seed.",
        *(prose(sentence) for sentence in _told(data)),
    ]
    if data.attribution.strip():
        foot.append(prose(text.shorten(" ".join(data.attribution.split()), 2000)))
    heads = [_verdict(data, result) for result in data.results]
    tables = [_table(data, result) for result in data.results]
    pictures = [_picture(data, result, number) for number, result in enumerate(data.results, 1)]
    room = LIMIT - sum(len(part.encode()) + 2 for part in [*head, *foot, *heads, *tables])
    body: list[str] = []
    for verdict, picture, table in zip(heads, pictures, tables, strict=True):
        if len(picture) + 200 <= room:
            room -= len(picture) + 2
        else:
            picture = "(The plot is left out here to keep this page small; it is in report.html.)"
            room -= 100
        body += [verdict, picture, table]
    return "\n\n".join([*head, *body, *foot]) + "\n"


def _told(data: StatementData) -> list[str]:
    """What is said once, below the tables."""
    return [*faithfulness.of_study(data.validation), *epoch_sentences(data), *savings(data), *story(data)]


def _verdict(data: StatementData, result: PropertyResult) -> str:
    """Heading, how much is settled, and the unit: in the table's head it would take the room of the figures."""
    separation = Separation.of(result)
    unit = " ".join(filter(None, (excess_scale(result).suffix, result.unit)))
    lines = [
        f"## {text.markdown(text.title(result.name))}",
        "",
        f"{separation.apart:,} of {separation.pairs:,} pairs of contributors can be told apart."
        + (f" Excess is in {text.markdown(unit)}." if unit else ""),
    ]
    if faithful := faithfulness.of_property(data.validation, result.name):
        lines += ["", prose(" ".join(faithful))]
    return "\n".join(lines)


def _table(data: StatementData, result: PropertyResult) -> str:
    """The first and the last contributors, and a remark on the shares; no cell breaks inside a figure."""
    credits = result.credits
    low, high = credits.excess_interval(LEVEL)
    scale = excess_scale(result)
    share, rank = shares(result)[0], ranks(result)
    decimals = numbers.share_decimals(len(rank))
    order = np.argsort(-np.asarray(credits.values), kind="stable")
    lines = [
        "| rank | contributor | excess | 90 % interval | share | share of data |",
        "|---:|:---|---:|:---:|---:|---:|",
    ]
    rows, left_out = plots.shown(order, _TOP, _BOTTOM)
    for place, i in enumerate(rows):
        if left_out and place == _TOP:
            lines.append(f"| … | {left_out} more in the table artifact | | | | |")
        contributor = data.partition.contributors[i]
        interval = (
            f"{scale.write(low[i], sign=True)} to {scale.write(high[i], sign=True)}"
            if np.isfinite(high[i] - low[i])
            else "no interval"
        )
        figures = (
            scale.write(credits.excess[i], sign=True),
            interval,
            numbers.percent(float(share[i]), decimals),
            numbers.percent(contributor.pro_rata, decimals),
        )
        cells = (str(rank[i]), text.markdown(contributor.name), *(_unbroken(figure) for figure in figures))
        lines.append(f"| {' | '.join(cells)} |")
    if note := share_note(result):
        lines += ["", f"> {prose(note)}"]
    return "\n".join(lines)


def _picture(data: StatementData, result: PropertyResult, number: int) -> str:
    svg = plots.credits_plot(data, result, prefix=f"p{number}", top=_TOP, bottom=_BOTTOM)
    alternative = text.markdown(f"Excess credits for {text.title(result.name)}")
    return f"![{alternative}]({plots.data_uri(svg, 'image/svg+xml')})"


def _unbroken(figure: str) -> str:
    """A number stays on one line with its unit, an interval with both its ends."""
    return figure.replace(" ", "\u00a0")
