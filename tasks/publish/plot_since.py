"""The picture of what changed since the last statement: for each contributor, then and now, with their intervals.

Both are drawn re-centred on the contributors who are in both statements, as the verdicts are judged.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tasks.publish import text
from tasks.publish.numbers import Scale
from tasks.publish.plots import ABOVE, BELOW, FAINT, INK, OPEN, QUIET, as_svg, shown
from tasks.statements.types import Excess, Move, PropertyMoves

ROWS = 40  # contributors in the picture; the table holds all
_APART = 0.17  # of a row: then stands above now


def since_plot(moves: PropertyMoves, *, prefix: str) -> str:
    """An <svg> element, rows in the order of the table; `prefix` is put before every id.

    Raises:
        ValueError: if there are no rows to draw.
    """
    if not moves.rows:
        raise ValueError(f"there is nothing to draw for {moves.name}")
    described = (
        f"Change of {moves.name} since the last statement for {len(moves.rows)} contributors: excess credit then and now "
        "with 90 % intervals. The same figures are in the table."
    )
    return as_svg(lambda: _figure(moves), prefix=prefix, description=described)


def rows_left_out(moves: PropertyMoves) -> int:
    """How many contributors the picture does not show."""
    return shown(np.arange(len(moves.rows)), ROWS, 0)[1]


def scale_of(moves: PropertyMoves) -> Scale:
    """How the figures of one property are written, in the picture and beside it."""
    found = [each for row in moves.rows for each in (row.before, row.now) if each is not None]
    return Scale.of([each.value for each in found], [each.half for each in found])


def _figure(moves: PropertyMoves) -> Figure:
    rows = moves.rows[: len(moves.rows) - rows_left_out(moves)]
    scale = scale_of(moves)
    unit = " ".join(filter(None, (scale.suffix, moves.unit)))
    foot = 0.47  # inches
    height = 0.2 + foot + 0.27 * (len(rows) + 0.4)
    figure = Figure(figsize=(4.8, height))
    FigureCanvasSVG(figure)
    axes = figure.add_axes((0.36, foot / height, 0.58, 1 - (foot + 0.05) / height))
    axes.axvline(0, color=QUIET, linewidth=0.9, zorder=1)
    for y, row in enumerate(rows):
        if row.before is not None:
            _dot(axes, y - _APART, row.before, moves.centre_before, scale, "#A9AFB7", filled=False)
        if row.now is not None:
            _dot(axes, y + _APART, row.now, moves.centre_now, scale, _colour(row), filled=row.status == "moved")
    axes.set_yticks(np.arange(len(rows)), [text.plain(row.name, 22) for row in rows])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)  # a name may hold dollar signs
        label.set_color(INK)
    axes.set_ylim(len(rows) - 0.3, -0.7)
    named = axes.set_xlabel(f"excess credit ({text.shorten(unit, 36)})" if unit else "excess credit", color=INK)
    named.set_parse_math(False)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="x", color=FAINT, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=QUIET)
    axes.tick_params(axis="y", labelcolor=INK, pad=7)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def _colour(row: Move) -> str:
    if row.status != "moved" or row.difference is None:
        return OPEN
    return ABOVE if row.difference > 0 else BELOW


def _dot(axes: Axes, y: float, excess: Excess, centre: float, scale: Scale, colour: str, *, filled: bool) -> None:
    factor = 10.0**-scale.exponent
    value, low, high = ((each - centre) * factor for each in excess)
    if np.isfinite(low) and np.isfinite(high):
        axes.hlines([y], [low], [high], colors=[colour], linewidth=1.7, zorder=2)
    if np.isfinite(value):
        face = colour if filled else "white"
        axes.scatter([value], [y], s=21, c=[face], edgecolors=[colour], linewidths=1.3, zorder=3)
