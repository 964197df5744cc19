"""What `make bench-samplers` says: tables in Markdown, and which setting to take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tests.bench.sampling_error import LIMIT, Errors, Solver, cheapest, cheapest_near_best
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
        *alone_table(m),
        "",
        *count_table(m),
        "",
        *share_table(m),
        "",
        *advice(m),
    ]
    return "\n".join(lines) + "\n"


def solver_table(m: Measured) -> list[str]:
    """By sampler and steps: each property's error on the same images as the truth, without chance, and its bias."""
    head = [f"{p} (spread {e.spread:.3g})" for p, e in m.errors.items()]
    lines = [
        f"**Sampler and steps**, on {m.compared} images from the same noise: error of differences, in brackets as it is, "
        "before it without chance; behind it the bias that all coalitions share",
        "",
        "| | ms an image | " + " | ".join(head) + " |",
        "| --- |" + " ---: |" * (len(head) + 1),
    ]
    for solver in sorted(m.seconds.draw):
        cells = [
            f"{e.solver[solver] / e.spread:.2f} ({e.apart[solver] / e.spread:.2f}) {e.bias[solver] / e.spread:+.2f}"
            for e in m.errors.values()
        ]
        mark = " (the study's)" if solver == m.own[0] else " (truth)" if solver == m.truth else ""
        lines.append(f"| {_name(solver)}{mark} | {1000 * m.seconds.draw[solver]:.1f} | " + " | ".join(cells) + " |")
    return lines


def alone_table(m: Measured) -> list[str]:
    """By sampler and steps: how well each tells coalitions apart by itself, and whether it says what the truth says."""
    lines = [
        f"**By itself**, on {m.compared} images: a setting's own spread over its own noise, and the correlation with the "
        "truth's values",
        "",
        "| | " + " | ".join(m.errors) + " |",
        "| --- |" + " ---: |" * len(m.errors),
    ]
    for solver in sorted(m.seconds.draw):
        cells = [f"{e.alone[solver]:.1f}, {e.alike[solver]:.2f}".replace("nan", "–") for e in m.errors.values()]
        lines.append(f"| {_name(solver)} | " + " | ".join(cells) + " |")
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
    if chosen != now:
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


def recommended(m: Measured) -> tuple[Solver, int]:
    """The cheapest setting under the limit; without one, the cheapest solver near the best, at the study's images."""
    best = cheapest(m.seconds.costs(), m.errors.values())
    return best or (cheapest_near_best(m.seconds.draw, m.errors.values(), m.own[1]), m.own[1])


def advice(m: Measured) -> list[str]:
    """Which setting to take, and what cannot be had."""
    solver, images = recommended(m)
    if cheapest(m.seconds.costs(), m.errors.values()) is not None:
        return [f"Recommended: {_name(solver)}, {images} images: the cheapest with an error under {LIMIT:g}."]
    needed = {name: e.images_for(solver) for name, e in m.errors.items()}
    return [
        f"No setting keeps the error of every property under {LIMIT:g} of the spread. With {_name(solver)} it would take "
        + ", ".join(
            f"for {name} about {count:,.0f} images" if np.isfinite(count) else f"for {name} more steps"
            for name, count in needed.items()
        )
        + ".",
        f"Recommended: {_name(solver)}, the cheapest whose error on the study's {images} images is within "
        f"{LIMIT:.0%} of the best one's.",
    ]


def _name(solver: Solver) -> str:
    return f"{solver.sampler} {solver.steps}"
