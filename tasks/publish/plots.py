"""The pictures of a statement: a dot-and-interval plot for each property, and the reference model's samples.

Plots are SVG whose text stays text, so names in any script are drawn with the reader's fonts and can be searched.
The same data give the same bytes: no date, a fixed salt for ids, no state shared between plots.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from markupsafe import escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from tasks.publish import text
from tasks.publish.numbers import percent, share_decimals
from tasks.publish.tables import LEVEL, excess_scale
from tasks.publish.types import PropertyResult, StatementData

TOP, BOTTOM = 30, 10  # with more contributors than both, a plot shows only these
ABOVE, BELOW, OPEN = "#0072B2", "#C04A00", "#6B6F76"  # blue, vermilion, grey: distinct in every colour blindness
INK, QUIET, FAINT = "#1F2328", "#6B6F76", "#DADDE1"
_TILE = 48  # pixels, the least side of a sample in the grid
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "diffusion-credit",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: positions do not depend on the machine's fonts
    "font.size": 8.5,
    "axes.unicode_minus": True,
}
_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def shown(order: np.ndarray, top: int = TOP, bottom: int = BOTTOM) -> tuple[np.ndarray, int]:
    """The first `top` and last `bottom` of an order, and how many lie between them and are left out."""
    left_out = len(order) - top - bottom
    if left_out <= 1:  # leaving out one would save nothing: the gap takes a line too
        return order, 0
    return np.concatenate([order[:top], order[len(order) - bottom :]]), left_out


def credits_plot(
    data: StatementData, result: PropertyResult, *, prefix: str, top: int = TOP, bottom: int = BOTTOM
) -> str:
    """Excess credits with 90 % intervals, best first, beside each contributor's share of the data; an <svg> element.

    `prefix` is put before every id, so that several plots can stand in one page.
    """
    return as_svg(lambda: _figure(data, result, top, bottom), prefix=prefix, description=_describe(data, result))


def as_svg(draw: Callable[[], Figure], *, prefix: str, description: str) -> str:
    """What `draw` makes as an <svg> element in the house's style, with a description for those who do not see it."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # The bundled font lacks many scripts. It only measures here; the reader's fonts draw.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support .* natively")
        buffer = io.StringIO()
        draw().savefig(buffer, format="svg", metadata=_METADATA)
    return _inline(buffer.getvalue(), prefix, description)


def _describe(data: StatementData, result: PropertyResult) -> str:
    best = int(np.argmax(result.credits.values))
    return (
        f"Excess credit for {result.name} of {len(result.credits.values)} contributors with 90 % intervals, "
        f"largest first; the first is {text.plain(data.partition.contributors[best].name)}. "
        "The same figures are in the table."
    )


def _figure(data: StatementData, result: PropertyResult, top: int, bottom: int) -> Figure:
    order = np.argsort(-np.asarray(result.credits.values), kind="stable")
    rows, left_out = shown(order, top, bottom)
    y = np.arange(len(rows), dtype=np.float64)
    if left_out:
        y[top:] += 1.2  # room for the line that says how many are left out
    low, high = (np.asarray(side)[rows] for side in result.credits.excess_interval(LEVEL))
    excess = np.asarray(result.credits.excess)[rows]
    pro_rata = np.array([data.partition.contributors[i].pro_rata for i in rows])
    scale = excess_scale(result)  # the table's, so that plot and table show the same numbers
    factor = 10.0**-scale.exponent

    unit = " ".join(filter(None, (scale.suffix, result.unit)))
    room = "\n" if len(unit) > 12 else " "  # a long unit would run into the title beside it
    foot = 0.61 if room == "\n" else 0.47  # inches
    height = 0.15 + foot + 0.205 * (y[-1] + 1.4)
    figure = Figure(figsize=(4.8, height))
    FigureCanvasSVG(figure)
    names = [text.plain(data.partition.contributors[i].name, 22) for i in rows]
    bottom_edge, top_edge = foot / height, 1 - 0.05 / height
    main = figure.add_axes((0.36, bottom_edge, 0.44, top_edge - bottom_edge))
    side = figure.add_axes((0.835, bottom_edge, 0.08, top_edge - bottom_edge), sharey=main)

    main.axvline(0, color=QUIET, linewidth=0.9, zorder=1)
    colours = [ABOVE if lo > 0 else BELOW if hi < 0 else OPEN for lo, hi in zip(low, high, strict=True)]
    known = np.isfinite(low) & np.isfinite(high)  # with too few evaluations there is no interval, only a dot
    main.hlines(y[known], low[known] * factor, high[known] * factor, linewidth=1.7, zorder=2,
                colors=[c for c, k in zip(colours, known, strict=True) if k])  # fmt: skip
    sure = np.array([colour != OPEN for colour in colours])
    for mask, filled in ((sure, True), (~sure, False)):
        faces = [c for c, m in zip(colours, mask, strict=True) if m] if filled else "white"
        edges = [c for c, m in zip(colours, mask, strict=True) if m]
        if mask.any():
            main.scatter(excess[mask] * factor, y[mask], s=21, c=faces, edgecolors=edges, linewidths=1.3, zorder=3)
    main.set_yticks(y, names)
    for label in main.get_yticklabels():
        label.set_parse_math(False)  # a name may hold dollar signs
        label.set_color(INK)
    main.set_ylim(y[-1] + 0.7, -0.7)
    label = main.set_xlabel(f"excess credit{room}({text.shorten(unit, 36)})" if unit else "excess credit", color=INK)
    label.set_parse_math(False)
    main.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    main.grid(axis="x", color=FAINT, linewidth=0.6, zorder=0)
    main.set_axisbelow(True)
    if left_out:
        main.text(0.5, top + 0.1, f"{left_out} more in the table", color=QUIET, ha="center", va="center",
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
                  transform=main.get_yaxis_transform())  # fmt: skip

    side.barh(y, pro_rata, height=0.55, color="#B9BEC5")
    side.set_xlim(0, max(float(pro_rata.max()), 1e-9))
    decimals = share_decimals(len(order)) - (len(order) <= 40)
    for place, value in zip(y, pro_rata, strict=True):
        side.annotate(percent(float(value), decimals), (float(value), place), xytext=(3, 0), color=QUIET,
                      textcoords="offset points", va="center", ha="left", fontsize=7.5)  # fmt: skip
    side.set_xticks([0], [" "])  # a blank label: the two axes' titles stand on one line
    side.tick_params(labelleft=False)
    side.set_xlabel("share of data", color=INK)
    for axes in (main, side):
        axes.tick_params(length=0, colors=QUIET)
        for spine in axes.spines.values():
            spine.set_visible(False)
    main.tick_params(axis="y", labelcolor=INK, pad=7)
    return figure


def _inline(svg: str, prefix: str, description: str) -> str:
    """The <svg> element alone, with ids of its own and without the style rules that would leak into the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r"<style[^>]*>.*?</style>\s*", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    svg = re.sub(r'\sid="([^"]+)"', rf' id="{prefix}-\1"', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    svg = re.sub(r'(xlink:)?href="#', f'href="#{prefix}-', svg)
    svg = re.sub(r'\sxmlns:xlink="[^"]*"', "", svg)
    # Natural size for pages that set none (Prefect's): body text in the plot comes out at 14 px.
    svg = re.sub(r'(width|height)="([\d.]+)pt"', lambda m: f'{m[1]}="{float(m[2]) * 1.65:.0f}"', svg, count=2)
    title = str(escape(description))
    head, rest = svg.split(">", 1)
    head = f'{head} role="img" aria-labelledby="{prefix}-title"'
    return f'{head}><title id="{prefix}-title">{title}</title>{rest.strip()}'


def sample_grid(images: np.ndarray, *, columns: int = 12, limit: int = 48) -> bytes | None:
    """The first images uint8 [k, r, r, 3] as one PNG; small ones are enlarged without smoothing. None for none."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ValueError(f"reference samples must be uint8 [k, r, r, 3], not {images.dtype} {images.shape}")
    if not len(images):
        return None
    side = images.shape[1]
    factor = max(1, -(-_TILE // side))
    size = side * factor if side <= 2 * _TILE else 2 * _TILE
    images = images[: limit if size <= 64 else limit // 2]
    columns = min(columns if size <= 64 else columns // 2, len(images))
    lines, gap = -(-len(images) // columns), max(2, size // 24)
    grid = Image.new("RGB", (columns * (size + gap) - gap, lines * (size + gap) - gap), FAINT)
    for number, pixels in enumerate(images):
        how = Image.Resampling.NEAREST if size >= side else Image.Resampling.LANCZOS
        tile = Image.fromarray(pixels).resize((size, size), how)
        grid.paste(tile, (number % columns * (size + gap), number // columns * (size + gap)))
    buffer = io.BytesIO()
    grid.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def data_uri(content: bytes | str, kind: str) -> str:
    """A picture as an address that holds it; `kind` is image/png or image/svg+xml."""
    raw = content.encode() if isinstance(content, str) else content
    return f"data:{kind};base64,{base64.b64encode(raw).decode()}"
