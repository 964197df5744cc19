"""A study's history for people: a page of its own beside the statements, and its short form for the Prefect UI.

The page is made from statements and may be made again at any time; they are what stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tasks.publish import numbers, plots, text
from tasks.publish.artifacts import LIMIT
from tasks.publish.numbers import Scale
from tasks.publish.plot_history import PANELS, STATEMENTS, drawn, history_plot, places, scale_of
from tasks.publish.report import environment
from tasks.publish.since import LONG_TABLE, prose
from tasks.statements.history import History, Line, PropertyHistory, StatementMark
from tasks.statements.types import Excess

COLUMNS = 12  # newest statements in a table
ROWS = 20  # contributors, and statements, in the short form's tables
FILE = "history.html"


@dataclass(frozen=True)
class LineRow:
    """One contributor, written out: name, earlier names, and for each column the figure and its interval."""

    name: Markup
    formerly: Markup
    cells: list[tuple[str, str]]


@dataclass(frozen=True)
class PropertyPage:
    """One property of the page."""

    title: str
    unit: str
    plot: Markup
    drawn: int
    statements: int
    notes: list[str]
    columns: list[str]
    rows: list[LineRow]
    long: bool


def history_html(history: History) -> bytes:
    """The page as UTF-8 HTML, complete in itself; the same statements give the same bytes."""
    page = (
        environment()
        .get_template("history.html.j2")
        .render(
            study=history.study,
            statements=[_statement(mark) for mark in reversed(history.statements)],
            properties=[_page(history, each, number) for number, each in enumerate(history.properties, 1)],
            first=_day(history.statements[0]),
            last=_day(history.statements[-1]),
            boundaries=_boundaries(history),
            colours={"above": plots.ABOVE, "below": plots.BELOW, "open": plots.OPEN},
            plain=text.plain,
        )
    )
    return page.encode("utf-8", "backslashreplace")


def history_markdown(history: History) -> str:
    """The same in short: pictures, newest figures and who came and went, within `LIMIT` bytes."""
    many = len(history.statements)
    head = [
        f"# History of {text.markdown(history.study)}",
        f"{many} {'statement' if many == 1 else 'statements'}, the first of {_day(history.statements[0])}, the last of "
        f"{_day(history.statements[-1])}. Excess credits with 90 % intervals, as they were published; each is above an "
        f"equal share of who was in that statement. {prose(_boundaries(history))}",
    ]
    foot = [_statements_table(history)]
    heads = [f"## {text.markdown(text.title(each.name))}\n\n{' '.join(map(prose, _notes(history, each)))}".rstrip()
             for each in history.properties]  # fmt: skip
    tables = [_table(history, each) for each in history.properties]
    room = LIMIT - sum(len(part.encode()) + 2 for part in [*head, *foot, *heads, *tables])
    body: list[str] = []
    for left, (each, title, table) in enumerate(zip(history.properties, heads, tables, strict=True)):
        picture = _picture(history, each, room // (len(heads) - left))  # none takes the room of those that follow
        room -= len(picture) + 2
        body += [title, picture, table]
    return "\n\n".join([*head, *body, *foot]) + "\n"


def _picture(history: History, each: PropertyHistory, room: int) -> str:
    """As much of the picture as fits into so many bytes: all, the first and newest, or a sentence."""
    for panels, statements in ((PANELS, STATEMENTS), (6, 24), (3, 12)):
        svg = history_plot(history, each, prefix="h", panels=panels, statements=statements)
        alternative = text.markdown(f"Credits for {text.title(each.name)} over time")
        picture = f"![{alternative}]({plots.data_uri(svg, 'image/svg+xml')})"
        if len(drawn(each, panels)) < len(drawn(each)) or len(places(each, statements)) < len(places(each)):
            picture += f"\n\n(A part of the plot, to keep this page small; all of it is in {FILE}.)"
        if len(picture) + 2 <= room:
            return picture
    return f"(The plot is left out here to keep this page small; it is in {FILE}.)"


def _page(history: History, each: PropertyHistory, number: int) -> PropertyPage:
    columns = _columns(each, COLUMNS)
    scale = _scale(each, columns)
    return PropertyPage(
        title=text.title(each.name),
        unit=_unit(each, scale),
        plot=Markup(history_plot(history, each, prefix=f"history-{number}")),
        drawn=len(drawn(each)),
        statements=len(places(each)),
        notes=_notes(history, each),
        columns=[_day(history.statements[i]) for i in columns],
        rows=[
            LineRow(
                text.html(line.name),
                Markup(", ").join(text.html(name) for name in line.formerly),
                [_cell(line.points.get(i), scale) for i in columns],
            )
            for line in each.lines
        ],
        long=len(each.lines) > LONG_TABLE,
    )


def _columns(each: PropertyHistory, limit: int) -> list[int]:
    """Positions of the newest statements that have the property, newest first."""
    having = sorted({i for line in each.lines for i in line.points}, reverse=True)
    return having[:limit]


def _scale(each: PropertyHistory, columns: Sequence[int]) -> Scale:
    return scale_of([line.points[i] for line in each.lines for i in columns if i in line.points])


def _unit(each: PropertyHistory, scale: Scale) -> str:
    return " ".join(filter(None, (scale.suffix, text.plain(each.unit) if each.unit else "")))


def _cell(excess: Excess | None, scale: Scale) -> tuple[str, str]:
    if excess is None:
        return numbers.MISSING, ""
    low, high = scale.write(excess.low, sign=True), scale.write(excess.high, sign=True)
    interval = "no interval" if numbers.MISSING in (low, high) else f"{low} to {high}"
    return scale.write(excess.value, sign=True), interval


def _notes(history: History, each: PropertyHistory) -> list[str]:
    """What must be known to read the picture."""
    notes = []
    if each.last + 1 < len(history.statements):
        notes.append(f"The newest statement with this property is that of {_day(history.statements[each.last])}.")
    if each.why is not None:
        notes.append(
            f"The picture begins with the statement of {_day(history.statements[each.first])}. Earlier figures are not "
            f"comparable because {text.plain(each.why, 400)}; they are in the table only."
        )
    if len(each.lines) > len(drawn(each)):
        notes.append(
            f"The {len(drawn(each))} contributors with the largest credit in the newest statement are drawn, of "
            f"{len(each.lines)} in all."
        )
    return notes


def _boundaries(history: History) -> str:
    if not history.boundaries:
        return ""
    listed = ", ".join(f"epoch {b.epoch} on {numbers.moment(b.at.isoformat())}" for b in history.boundaries)
    return (
        f"Dashed lines: {listed}. Reference and pruned model are others from there on, and intervals do not cover that: a "
        "step at such a line may be the epoch's doing."
    )


def _day(mark: StatementMark) -> str:
    return numbers.moment(mark.created.isoformat()).rpartition(",")[0]


def _statement(mark: StatementMark) -> tuple[str, str, str, int, str]:
    """When, run, epoch, contributors, who came and went."""
    epoch = numbers.MISSING if mark.epoch is None else str(mark.epoch)
    since = "the first" if mark.since is None else mark.since.sentence()
    return numbers.moment(mark.created.isoformat()), text.plain(mark.run), epoch, mark.contributors, since


def _table(history: History, each: PropertyHistory) -> str:
    """The newest three statements, for the contributors with the largest credits."""
    columns = _columns(each, 3)
    scale = _scale(each, columns)
    unit = _unit(each, scale)
    days = [_day(history.statements[i]) for i in columns]
    lines = [
        f"| contributor | {' | '.join(days)} |",
        f"|:---|{'---:|' * len(columns)}",
    ]
    for line in each.lines[:ROWS]:
        cells = [_markdown_cell(line, i, scale) for i in columns]
        lines.append(f"| {text.markdown(line.name)} | {' | '.join(cells)} |")
    if len(each.lines) > ROWS:
        lines.append(f"| … {len(each.lines) - ROWS} more in {FILE} |{' |' * len(columns)}")
    if unit:
        lines += ["", f"Excess in {text.markdown(unit)}."]
    return "\n".join(lines)


def _markdown_cell(line: Line, place: int, scale: Scale) -> str:
    excess = line.points.get(place)
    figure = _cell(excess, scale)[0]
    if excess is not None and scale.round(excess.half) is not None:
        figure += f" ± {scale.write(excess.half)}"
    return figure.replace(" ", "\u00a0")


def _statements_table(history: History) -> str:
    rows = [_statement(mark) for mark in reversed(history.statements)]
    lines = [
        "## Statements",
        "",
        "| statement of | epoch | contributors | since the one before |",
        "|:---|---:|---:|:---|",
    ]
    lines += [
        f"| {when} | {epoch} | {many} | {prose(text.shorten(since, 200))} |"
        for when, _, epoch, many, since in rows[:ROWS]
    ]
    if len(rows) > ROWS:
        lines.append(f"| … {len(rows) - ROWS} more in {FILE} | | | |")
    return "\n".join(lines)
