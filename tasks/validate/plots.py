"""The pictures of a validation, each an SVG as bytes: fit to stand in a page, as a file, or as a data address.

Colours and style are the statement's (tasks.publish.plots): blue is the study's own, grey is everything else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from tasks.publish import text
from tasks.publish.numbers import Scale, percent
from tasks.publish.plot_history import slim
from tasks.publish.plots import ABOVE, FAINT, INK, OPEN, QUIET, as_svg
from tasks.validate.faithfulness import reach
from tasks.validate.types import Method, PropertyFound, Validation, Way

_BAND = "#EEF0F2"
_COLOURS = {"ours": ABOVE, "paper": "#7A5195", "free": OPEN, "trains": "#B9892B"}
KINDS = {"ours": "ours", "paper": "the paper's", "free": "free", "trains": "trains"}
METHODS = 24  # methods in a plot; the table holds all


def scatter(found: Validation, of: PropertyFound, *, prefix: str) -> bytes:
    """v(S) the study's own way against v(S) retrained, one dot a coalition; those of the one size are filled."""
    described = (
        f"Values of {text.title(of.name)} in the study's own way against those of models retrained from scratch."
    )
    return _bytes(as_svg(lambda: _scatter(found, of), prefix=prefix, description=described))


def fidelity(of: PropertyFound, *, prefix: str) -> bytes:
    """Pearson with its interval against steps at the study's ratio, and against ratio at the study's steps."""
    described = (
        f"Fidelity of {text.title(of.name)} against steps and against pruning ratio. The figures are in the table."
    )
    return _bytes(as_svg(lambda: _fidelity(of), prefix=prefix, description=described))


def scores(of: PropertyFound, *, prefix: str) -> bytes:
    """LDS of every method with its interval, over the band in which 95 % of random credits lie."""
    described = f"LDS of each method for {text.title(of.name)} with intervals. The figures are in the table."
    return _bytes(as_svg(lambda: _scores(of), prefix=prefix, description=described))


def changes(of: PropertyFound, *, prefix: str) -> bytes | None:
    """Relative change of v when each method's top is removed or kept alone; None where nothing was retrained for it."""
    panels = [panel for panel in cuts(of) if any(value is not None for value in panel[2])]
    if not panels:
        return None
    described = f"Relative change of {text.title(of.name)} without the top of each method, and with the top alone."
    return _bytes(as_svg(lambda: _changes(of, panels), prefix=prefix, description=described))


def shown(of: PropertyFound) -> list[Method]:
    """Methods in the order of their score, highest first, those without one last; ours is always among the first ones."""
    order = sorted(of.methods, key=lambda m: (m.lds.value is None, -(m.lds.value or 0.0), m.kind != "ours"))
    first = order[:METHODS]
    if not any(method.kind == "ours" for method in first):
        first[-1:] = [method for method in order if method.kind == "ours"][:1] or first[-1:]
    return first


def cut_by(of: PropertyFound) -> list[Method]:
    """Those of `shown` by whose credits somebody was cut: not random ones."""
    return [m for m in shown(of) if any(value is not None for value in (*m.removed.values(), *m.kept.values()))]


def cuts(of: PropertyFound) -> list[tuple[str, str, list[float | None]]]:
    """What was cut: removed or kept, the share as it is shown, and the change of each method in the order of `cut_by`."""
    found = []
    for what in ("removed", "kept"):
        for share in sorted({share for method in of.methods for share in getattr(method, what)}):
            found.append((what, share_of(share), [getattr(method, what).get(share) for method in cut_by(of)]))
    return found


def share_of(share: str) -> str:
    """0.4 → 40 %; what is no number stays."""
    try:
        return percent(float(share), 0)
    except ValueError:
        return text.plain(share, 12)


def _bytes(svg: str) -> bytes:
    return slim(svg).encode("utf-8", "backslashreplace")


def _scatter(found: Validation, of: PropertyFound) -> Figure:
    points = np.array(of.own_way.points, dtype=np.float64).reshape(-1, 3)
    size, value, true = points.T
    scale = Scale.of([*value, *true], [of.spread])
    factor = 10.0**-scale.exponent
    figure, (axes,) = _figure(4.2, 3.5, [(0.17, 0.15, 0.79, 0.82)])
    alike = size == found.one_size
    ends = _ends(true * factor)
    axes.set_xlim(*ends)
    axes.set_ylim(*_ends(value * factor))
    axes.plot(ends, ends, color="#A9AFB7", linewidth=1.0, zorder=1, scaley=False)
    if alike.sum() > 2 and np.ptp(true[alike]) > 0:
        slope, start = np.polyfit(true[alike] * factor, value[alike] * factor, 1)
        inside = np.array([true[alike].min(), true[alike].max()]) * factor
        axes.plot(inside, slope * inside + start, color=ABOVE, linewidth=1.0, linestyle=(0, (4, 2)), zorder=2)
    for mask, face, edge, marker in ((~alike, "white", QUIET, "D"), (alike, ABOVE, ABOVE, "o")):
        axes.scatter(true[mask] * factor, value[mask] * factor, s=20 if marker == "o" else 15, marker=marker, c=face,
                     edgecolors=edge, linewidths=1.1, zorder=3)  # fmt: skip
    unit = text.shorten(" ".join(filter(None, (scale.suffix, text.plain(of.unit) if of.unit else ""))), 22)
    for say, what in ((axes.set_xlabel, "retrained from scratch"), (axes.set_ylabel, "the study's own way")):
        say(f"v(S) {what}" + (f" ({unit})" if unit else ""), color=INK).set_parse_math(False)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    _quiet(axes, "both")
    return figure


def _ends(values: np.ndarray) -> tuple[float, float]:
    if not len(values):
        return -1.0, 1.0
    margin = 0.06 * float(np.ptp(values)) or abs(float(values[0])) * 0.1 or 1.0
    return float(values.min()) - margin, float(values.max()) + margin


def _fidelity(of: PropertyFound) -> Figure:
    own = of.own_way
    figure, panels = _figure(6.4, 2.7, [(0.085, 0.2, 0.53, 0.75), (0.665, 0.2, 0.32, 0.75)])
    like = [way for way in of.ways if way.mode == own.mode]
    steps = sorted({way.steps for way in like if way.ratio == own.ratio})
    ratios = sorted({way.ratio for way in like if way.steps == own.steps})
    doing = "fine-tuning" if own.mode == "finetune" else "retraining"
    _against(
        panels[0],
        [w for w in like if w.ratio == own.ratio],
        {w: steps.index(w.steps) for w in like if w.ratio == own.ratio},
    )
    _against(
        panels[1],
        [w for w in like if w.steps == own.steps],
        {w: ratios.index(w.ratio) for w in like if w.steps == own.steps},
    )
    panels[0].set_xticks(range(len(steps)), [f"{number:,}" for number in steps])
    panels[1].set_xticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])
    panels[0].set_xlabel(f"steps of {doing}, pruned by {own.ratio:g}", color=INK)
    panels[1].set_xlabel(f"pruning ratio, {own.steps:,} steps", color=INK)
    panels[0].set_ylabel("Pearson with retrained", color=INK)
    ends = [end for way in like for end in (way.pearson.value, way.pearson.low) if end is not None]
    for axes, count in ((panels[0], len(steps)), (panels[1], len(ratios))):
        axes.set_xlim(-0.5, max(count, 1) - 0.5)
        axes.set_ylim(min([0.0, *ends]) - 0.05, 1.03)
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        _quiet(axes, "y")
        if of.repeat is not None and (ceiling := of.repeat.ceiling) is not None and ceiling.value is not None:
            axes.axhline(ceiling.value, color=QUIET, linewidth=1.0, linestyle=(0, (4, 2)), zorder=0)
    panels[1].tick_params(labelleft=False)
    return figure


def _against(axes: Axes, ways: Sequence[Way], places: dict[Way, int]) -> None:
    for way in ways:
        _dot(axes, places[way], way.pearson.value, way.pearson.low, way.pearson.high, ABOVE if way.study else OPEN,
             upright=True, filled=way.study)  # fmt: skip
    if any(way.pearson.value is None for way in ways):
        for way in ways:
            if way.pearson.value is None:
                axes.annotate("none", (places[way], 0), color=QUIET, ha="center", va="bottom", fontsize=7.5)


def _scores(of: PropertyFound) -> Figure:
    methods = shown(of)
    height = 0.62 + 0.215 * len(methods)
    figure, (axes,) = _figure(6.0, height, [(0.31, 0.5 / height, 0.67, 1 - 0.58 / height)])
    if (far := reach(of)) is not None:
        axes.axvspan(-far, far, color=_BAND, linewidth=0, zorder=0)
    axes.axvline(0, color=QUIET, linewidth=0.9, zorder=1)
    for place, method in enumerate(methods):
        lds = method.lds
        _dot(axes, place, lds.value, lds.low, lds.high, _COLOURS[method.kind], filled=method.kind == "ours")
        if lds.value is None:
            axes.annotate("no score", (0, place), xytext=(4, 0), textcoords="offset points", color=QUIET, va="center",
                          fontsize=7.5)  # fmt: skip
    _names(axes, methods)
    edge = [0.0, 1.0, *(end for m in methods for end in (m.lds.value, m.lds.low, m.lds.high) if end is not None)]
    edge += [] if far is None else [-far]
    axes.set_xlim(max(min(edge), -1) - 0.04, min(max(edge), 1) + 0.04)
    axes.set_xlabel("LDS (Spearman of added-up credits with retrained values)", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    _quiet(axes, "x")
    return figure


def _changes(of: PropertyFound, panels: list[tuple[str, str, list[float | None]]]) -> Figure:
    methods, count = cut_by(of), len(panels)
    height = 0.85 + 0.215 * len(methods)
    width, gap = (0.98 - 0.25) / count, 0.025
    boxes = [(0.25 + number * width, 0.45 / height, width - gap, 1 - 0.8 / height) for number in range(count)]
    figure, drawn = _figure(7.2, height, boxes)
    for number, (axes, (what, share, column)) in enumerate(zip(drawn, panels, strict=True)):
        there = [(place, 100 * value) for place, value in enumerate(column) if value is not None]
        axes.barh([p for p, _ in there], [v for _, v in there], height=0.62, zorder=2,
                  color=[_COLOURS[methods[p].kind] for p, _ in there])  # fmt: skip
        for place, value in enumerate(column):
            if value is None:
                axes.annotate("–", (0, place), xytext=(3, 0), textcoords="offset points", color=QUIET,
                              va="center", fontsize=7)  # fmt: skip
        axes.axvline(0, color=QUIET, linewidth=0.9, zorder=3)
        title = axes.set_title(f"top {share} {what}" + (" alone" if what == "kept" else ""), fontsize=8.5, color=INK)
        title.set_parse_math(False)
        axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 2.5, 5, 10]))
        ends = [0.0, *(value for _, value in there)]
        room = 0.1 * (max(ends) - min(ends)) or 1.0
        axes.set_xlim(min(ends) - room, max(ends) + room)
        _names(axes, methods)
        axes.tick_params(labelleft=number == 0)
        _quiet(axes, "x")
    figure.text(0.61, 0.07 / height, "change of v against everybody's, percent", color=INK, ha="center", va="bottom")
    return figure


def _names(axes: Axes, methods: Sequence[Method]) -> None:
    axes.yaxis.set_major_locator(FixedLocator(range(len(methods))))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticklabels([text.plain(method.name, 22) for method in methods])
    for label, method in zip(axes.get_yticklabels(), methods, strict=True):
        label.set_parse_math(False)  # a name may hold dollar signs
        label.set_color(INK)
        label.set_fontweight("bold" if method.kind == "ours" else "normal")
    axes.set_ylim(len(methods) - 0.4, -0.6)


def _dot(axes: Axes, place: float, value: float | None, low: float | None, high: float | None, colour: str, *,
         upright: bool = False, filled: bool = False) -> None:  # fmt: skip
    """A figure with its interval, at its place on the other axis."""
    if value is None:
        return
    if low is not None and high is not None:
        (axes.vlines if upright else axes.hlines)([place], [low], [high], colors=colour, linewidth=1.7, zorder=2)
    x, y = (place, value) if upright else (value, place)
    axes.scatter([x], [y], s=24, c=colour if filled else "white", edgecolors=colour, linewidths=1.3, zorder=3)


def _figure(
    width: float, height: float, boxes: Sequence[tuple[float, float, float, float]]
) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    return figure, [figure.add_axes(box) for box in boxes]


def _quiet(axes: Axes, grid: str) -> None:
    axes.grid(axis=grid, color=FAINT, linewidth=0.6, zorder=0)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=QUIET)
    axes.tick_params(axis="y", labelcolor=INK if grid == "x" else QUIET)
    for spine in axes.spines.values():
        spine.set_visible(False)
