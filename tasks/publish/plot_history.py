"""Pictures of credit over time: for each property a small panel a contributor, all on one scale."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tasks.publish import text
from tasks.publish.numbers import Scale
from tasks.publish.plots import ABOVE, BELOW, FAINT, INK, OPEN, QUIET, as_svg
from tasks.statements.history import History, Line, PropertyHistory
from tasks.statements.types import Excess

PANELS = 12  # contributors in one picture, the largest by latest credit; the table holds all
STATEMENTS = 60  # newest statements in one picture
_COLUMNS = 3


def drawn(history: PropertyHistory, panels: int = PANELS) -> tuple[Line, ...]:
    """The contributors who are in the picture."""
    return history.lines[:panels]


def places(history: PropertyHistory, statements: int = STATEMENTS) -> range:
    """Positions of the statements that are in the picture."""
    return range(max(history.first, history.last + 1 - statements), history.last + 1)


def scale_of(found: Sequence[Excess]) -> Scale:
    """How these figures are written."""
    return Scale.of([each.value for each in found], [each.half for each in found])


def history_plot(
    whole: History, history: PropertyHistory, *, prefix: str, panels: int = PANELS, statements: int = STATEMENTS
) -> str:
    """An <svg> element; `prefix` is put before every id."""
    lines, shown = drawn(history, panels), places(history, statements)
    described = (
        f"Excess credit for {history.name} over {len(shown)} statements with 90 % intervals, one panel for each "
        f"of {len(lines)} contributors. The figures are in the table."
    )
    return slim(as_svg(lambda: _figure(whole, history, lines, shown), prefix=prefix, description=described))


def slim(svg: str) -> str:
    """The same drawing in about half the bytes: a hundredth of a point is enough, and nobody points at most ids. What
    stands between tags is left alone: names are there."""
    used = set(re.findall(r'(?:url\(#|href="#|aria-labelledby=")([^)"]+)', svg))

    def shorter(tag: re.Match[str]) -> str:
        written = re.sub(r'\sid="([^"]+)"', lambda m: m[0] if m[1] in used else "", tag[0])
        return re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), written)

    svg = re.sub(r"<[^>]*>", shorter, svg)
    while (fewer := re.sub(r"<g>\s*</g>|<g/>", "", svg)) != svg:
        svg = fewer
    return re.sub(r">\s+<", "><", svg)


def _figure(whole: History, history: PropertyHistory, lines: Sequence[Line], shown: range) -> Figure:
    points = [line.points[i] for line in lines for i in shown if i in line.points]
    scale = scale_of(points)
    factor = 10.0**-scale.exponent
    rows = math.ceil(len(lines) / _COLUMNS)
    figure = Figure(figsize=(7.2, 0.75 + 1.15 * rows))
    FigureCanvasSVG(figure)
    head, foot = 0.1 / figure.get_figheight(), 0.55 / figure.get_figheight()
    grid = figure.add_gridspec(
        rows, _COLUMNS, left=0.085, right=0.985, top=1 - 2.4 * head, bottom=foot, hspace=0.42, wspace=0.08
    )
    first: Axes | None = None
    for number, line in enumerate(lines):
        axes = figure.add_subplot(grid[divmod(number, _COLUMNS)], sharex=first, sharey=first)
        first = first or axes
        _panel(axes, whole, line, shown, factor)
        axes.tick_params(labelleft=number % _COLUMNS == 0, labelbottom=number + _COLUMNS >= len(lines))
    if first is not None:
        first.set_xlim(*_ends(whole, shown))
        first.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        locator = mdates.AutoDateLocator(minticks=2, maxticks=4)
        first.xaxis.set_major_locator(locator)
        first.xaxis.set_major_formatter(mdates.DateFormatter("%-d %b %y"))
    unit = " ".join(filter(None, (scale.suffix, history.unit)))
    label = f"excess credit ({text.shorten(unit, 36)})" if unit else "excess credit"
    below = figure.text(0.5, 0.1 / figure.get_figheight(), label, color=INK, ha="center", va="bottom")
    below.set_parse_math(False)
    return figure


def _ends(whole: History, shown: range) -> tuple[float, float]:
    """First and last day with a margin, also where there is only one statement."""
    days = [mdates.date2num(whole.statements[i].created) for i in shown]
    margin = max(0.06 * (days[-1] - days[0]), 0.02)
    return days[0] - margin, days[-1] + margin


def _panel(axes: Axes, whole: History, line: Line, shown: range, factor: float) -> None:
    there = [i for i in shown if i in line.points]
    days = np.array([mdates.date2num(whole.statements[i].created) for i in there])
    value, low, high = (np.array([line.points[i][k] for i in there], dtype=np.float64) * factor for k in range(3))
    axes.axhline(0, color=QUIET, linewidth=0.9, zorder=1)
    for boundary in whole.boundaries:
        if whole.statements[shown[0]].created < boundary.at <= whole.statements[shown[-1]].created:
            day = mdates.date2num(boundary.at)
            axes.axvline(day, color=QUIET, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
            axes.annotate(f"epoch {boundary.epoch}", (day, 1), xytext=(2, -1), xycoords=("data", "axes fraction"),
                          textcoords="offset points", fontsize=6.5, color=QUIET, va="top")  # fmt: skip
    # Who is not in a statement has a gap in the line, not a straight line across it.
    whole_days = np.array([mdates.date2num(whole.statements[i].created) for i in shown])
    with_gaps = np.array([line.points[i].value * factor if i in line.points else np.nan for i in shown])
    axes.plot(whole_days, with_gaps, color="#A9AFB7", linewidth=1.0, zorder=2)
    known = np.isfinite(low) & np.isfinite(high)
    colours = [ABOVE if lo > 0 else BELOW if hi < 0 else OPEN for lo, hi in zip(low, high, strict=True)]
    axes.vlines(days[known], low[known], high[known], linewidth=1.5, zorder=3, clip_on=False,
                colors=[c for c, k in zip(colours, known, strict=True) if k])  # fmt: skip
    if len(days):
        faces = ["white" if colour == OPEN else colour for colour in colours]
        axes.scatter(days, value, s=14, c=faces, edgecolors=colours, linewidths=1.1, zorder=4, clip_on=False)
    title = axes.set_title(text.plain(line.name, 26), fontsize=8.5, color=INK, loc="left", pad=3)
    title.set_parse_math(False)  # a name may hold dollar signs
    axes.grid(axis="y", color=FAINT, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=QUIET, labelsize=7.5)
    for spine in axes.spines.values():
        spine.set_visible(False)
