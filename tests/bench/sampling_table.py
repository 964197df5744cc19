"""What `make bench-samplers` says: tables in Markdown, and which setting to take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tests.bench.sampling_error import LIMIT, Errors, Solver, cheapest, cheapest_solver
from tests.bench.sampling_seconds import Seconds


@dataclass(frozen=True)
class Measured:
    """errors: by property. own: the study's setting. sizes: contributors of each coalition. compared: images on which
    settings are held against the truth."""

    errors: Mapping[str, Errors]
    seconds: Seconds
    truth: Solver
    own: tuple[Solver, int]
    sizes: tuple[int, ...]
    compared: int


def report(name: str, m: Measured) -> str:
    """All tables and the recommendation, as Markdown."""
    sizes = ", ".join(map(str, m.sizes))
    largest = max(m.seconds.score)
    lines = [
        f"`{name}`: {len(m.sizes)} coalitions of {sizes} contributors. Truth: {_name(m.truth)}, {largest} images.",
        f"Everything in parts of the s.d. between these coalitions (the spread); under {LIMIT:g} is wanted.",
        "",
        *solver_table(m),
        "",
        *count_table(m),
        "",
        *share_table(m),
        "",
        *advice(m),
    ]
    return "\n".join(lines) + "\n"


def solver_table(m: Measured) -> list[str]:
    """By sampler and steps: bias and error of each property on the same images as the truth."""
    head = [f"{p} (spread {e.spread:.3g})" for p, e in m.errors.items()]
    lines = [
        f"**Sampler and steps**, on {m.compared} images from the same noise: error of differences (bias of all alike)",
        "",
        "| | ms an image | " + " | ".join(head) + " |",
        "| --- |" + " ---: |" * (len(head) + 1),
    ]
    for solver in sorted(m.seconds.draw):
        cells = [f"{e.solver[solver] / e.spread:.2f} ({e.bias[solver] / e.spread:+.2f})" for e in m.errors.values()]
        mark = " (the study's)" if solver == m.own[0] else " (truth)" if solver == m.truth else ""
        lines.append(f"| {_name(solver)}{mark} | {1000 * m.seconds.draw[solver]:.1f} | " + " | ".join(cells) + " |")
    return lines


def count_table(m: Measured) -> list[str]:
    """By number of images: the noise of differences that is left although all coalitions start from the same noise."""
    lines = [
        "**Images**: noise of a coalition's difference from the others",
        "",
        "| images | " + " | ".join(m.errors) + " | seconds of scoring |",
        "| ---: |" + " ---: |" * (len(m.errors) + 1),
    ]
    for count in m.seconds.score:
        cells = [f"{e.noise[count] / e.spread:.2f}" if count in e.noise else "–" for e in m.errors.values()]
        lines.append(f"| {count} | " + " | ".join(cells) + f" | {m.seconds.scoring(count):.2f} |")
    return lines


def share_table(m: Measured) -> list[str]:
    """Training, drawing and scoring: at the truth's steps, now, and with what is recommended."""
    now, chosen = m.own, recommended(m)
    rows = {f"{m.truth.steps} steps, as in the paper": (m.truth, now[1]), "the study's": now}
    if chosen is not None and chosen != now:
        rows["recommended"] = chosen
    lines = [
        "| | setting | training s | drawing s | scoring s | shares % | a coalition s |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for label, (solver, images) in rows.items():
        seconds = np.array([m.seconds.training, m.seconds.drawing(solver, images), m.seconds.scoring(images)])
        shares = " / ".join(f"{share:.0f}" for share in 100 * seconds / seconds.sum())
        each = " | ".join(f"{s:.2f}" for s in seconds)
        lines.append(f"| {label} | {_name(solver)}, {images} images | {each} | {shares} | {seconds.sum():.2f} |")
    return lines


def recommended(m: Measured) -> tuple[Solver, int] | None:
    """The cheapest setting under the limit; where there is none, the cheapest solver under it at the study's images."""
    best = cheapest(m.seconds.costs(), m.errors.values())
    if best is not None:
        return best
    solver = cheapest_solver(m.seconds.draw, m.errors.values())
    return None if solver is None else (solver, m.own[1])


def advice(m: Measured) -> list[str]:
    """Which setting to take, and what cannot be had."""
    best, solver = cheapest(m.seconds.costs(), m.errors.values()), cheapest_solver(m.seconds.draw, m.errors.values())
    if best is not None:
        return [f"Recommended: {_name(best[0])}, {best[1]} images: the cheapest with an error under {LIMIT:g}."]
    lines = [f"No setting keeps the error of every property under {LIMIT:g} of the spread."]
    if solver is None:
        return [*lines, f"No solver does so by itself, on {m.compared} images: only {_name(m.truth)} remains."]
    needed = {name: e.images_for(solver) for name, e in m.errors.items()}
    return [
        *lines,
        f"The cheapest solver whose own error is under it: {_name(solver)}. The rest is the images; to be under it, "
        + ", ".join(f"{name} would need about {count:,.0f}" for name, count in needed.items())
        + ".",
        f"Recommended therefore: {_name(solver)}, and as many images as the study has ({m.own[1]}).",
    ]


def _name(solver: Solver) -> str:
    return f"{solver.sampler} {solver.steps}"
