"""What a few-step sampler and a finite number of images do to a property, as arithmetic on values of coalitions.

Values are float64 [parts, coalitions]: part k of n images is the images k n … (k + 1) n − 1 of a coalition's draw. Credits
are differences between coalitions, so what is the same for all of them does no harm: it is reported as bias, and taken off
the error. Two errors add up, as squares:

    solver     fewer steps, or another sampler, from the same starting noise, however many images
    sampling   finitely many images: what is left of the parts when each part's and each coalition's mean are taken off

A solver is held against the truth on finitely many images. It draws others where a step more tips an image over, so that two
good solvers differ by chance too; how much, the parts say, and it is taken off.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

LIMIT = 0.1  # of the spread between coalitions: what an error may be


class Solver(NamedTuple):
    """A sampler and its number of steps."""

    sampler: str
    steps: int


def spread(values: np.ndarray) -> float:
    """s.d. (n − 1) between coalitions, of values [coalitions]."""
    return float(np.std(values, ddof=1))


def against(values: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Bias, and s.d. (n − 1) of what is left of values − truth without it; both [coalitions]."""
    differences = np.asarray(values, dtype=np.float64) - truth
    return float(differences.mean()), float(np.std(differences, ddof=1))


def sampling_sd(parts: np.ndarray) -> float:
    """s.d. of one part's difference between coalitions: the two-way residual of [parts, coalitions].

    Raises:
        ValueError: if there are not two of each.
    """
    count, coalitions = parts.shape
    if count < 2 or coalitions < 2:
        raise ValueError(f"noise shows in at least 2 parts of 2 coalitions, not in {count} of {coalitions}")
    rest = parts - parts.mean(axis=0) - parts.mean(axis=1, keepdims=True) + parts.mean()
    return math.sqrt(float(np.sum(rest**2)) / ((count - 1) * (coalitions - 1)))


def noise_by_count(parts: Mapping[int, np.ndarray]) -> dict[int, float]:
    """Sampling noise of each number of images: measured where it fits four times into the draw, elsewhere by the law 1 / √n
    from all numbers between an eighth and a half of the draw, each by its degrees of freedom. Few parts say little: one
    number alone can be wrong by a factor.

    Args:
        parts: by number of images, values [parts, coalitions].
    """
    measured = {count: sampling_sd(values) for count, values in parts.items() if len(values) > 1}
    if not measured:
        raise ValueError("no number of images fits twice into the largest draw; draw more, or ask for fewer")
    near = [count for count in measured if count >= max(parts) / 8] or [max(measured)]
    freedom = {count: len(parts[count]) - 1 for count in near}
    of_one = sum(freedom[n] * n * measured[n] ** 2 for n in near) / sum(freedom.values())  # variance, of one image
    return {n: measured[n] if len(parts[n]) >= 4 else math.sqrt(of_one / n) for n in sorted(parts)}


def solver_error(
    values: Mapping[int, np.ndarray], truth: Mapping[int, np.ndarray], at: int
) -> tuple[float, float, float]:
    """Bias of a solver, its error of differences on `at` images, and the same with chance taken off.

    Chance is what parts of a quarter of the images differ by (of half of them, where there are no quarters), by 1 / √n.
    Where no number of images fits twice, none is taken off: the error is then at most what is returned.

    Args:
        values, truth: by number of images, [parts, coalitions], of the same images.
    """
    bias, error = against(values[at][0], truth[at][0])
    smaller = [count for count in values if at // count >= 4] or [count for count in values if at // count >= 2]
    if not smaller:
        return bias, error, error
    part = max(smaller)
    chance = sampling_sd(values[part][: at // part] - truth[part][: at // part]) * math.sqrt(part / at)
    return bias, error, math.sqrt(max(0.0, error**2 - chance**2))


@dataclass(frozen=True)
class Errors:
    """One property's. noise: by number of images. bias, apart, solver: of each setting, as `solver_error` gives them.
    alone: of each setting, its own spread over its own noise; alike: correlation of its values with the truth's."""

    truth: np.ndarray  # [coalitions]
    spread: float
    bias: Mapping[Solver, float]
    apart: Mapping[Solver, float]
    solver: Mapping[Solver, float]
    noise: Mapping[int, float]
    alone: Mapping[Solver, float] = field(default_factory=dict)
    alike: Mapping[Solver, float] = field(default_factory=dict)

    def total(self, solver: Solver, images: int) -> float:
        """Error of differences between coalitions, as a part of the spread between them."""
        return math.hypot(self.solver[solver], self.noise[images]) / self.spread

    def images_for(self, solver: Solver, limit: float = LIMIT) -> float:
        """How many images bring the error under `limit`, by the law 1 / √n; infinite if no number does."""
        room = (limit * self.spread) ** 2 - self.solver[solver] ** 2
        most = max(self.noise)
        return math.inf if room <= 0 else most * self.noise[most] ** 2 / room


def errors_of(
    drawn: Mapping[Solver, Mapping[int, np.ndarray]], truth: Solver, largest: int, compared: int | None = None
) -> Errors:
    """One property's errors.

    Args:
        drawn: by setting and number of images, values [parts, coalitions]; the first part is the images 0 … n − 1.
        truth: the setting that the others are judged by, at `largest` images.
        compared: at how many images; as many as the truth's if None.
    """
    at = largest if compared is None else compared
    known = drawn[truth][largest][0]
    found = {solver: solver_error(values, drawn[truth], at) for solver, values in drawn.items()}
    return Errors(
        truth=known,
        spread=spread(known),
        bias={solver: bias for solver, (bias, _, _) in found.items()},
        apart={solver: error for solver, (_, error, _) in found.items()},
        solver={solver: error for solver, (_, _, error) in found.items()},
        noise=noise_by_count(drawn[truth]),
        alone={solver: _told_apart(values, at) for solver, values in drawn.items()},
        alike={solver: float(np.corrcoef(v[at][0], drawn[truth][at][0])[0, 1]) for solver, v in drawn.items()},
    )


def _told_apart(values: Mapping[int, np.ndarray], at: int) -> float:
    parts = {count: several[: at // count] for count, several in values.items() if count <= at}
    if all(len(several) < 2 for several in parts.values()):
        return math.nan
    noise = noise_by_count(parts)[at]
    return spread(values[at][0]) / noise if noise else math.inf


def cheapest(
    costs: Mapping[tuple[Solver, int], float], errors: Iterable[Errors], limit: float = LIMIT
) -> tuple[Solver, int] | None:
    """The setting of the lowest cost whose error is under `limit` for every property; None if there is none."""
    several = tuple(errors)
    good = [s for s in costs if all(s[1] in e.noise and e.total(*s) < limit for e in several)]
    return min(good, key=lambda setting: costs[setting], default=None)


def cheapest_near_best(
    seconds: Mapping[Solver, float], errors: Iterable[Errors], images: int, slack: float = LIMIT
) -> Solver:
    """The cheapest solver whose error at so many images is, for every property, at most (1 + slack) times that of the best:
    what to take where the images' own noise is above the limit.

    Args:
        seconds: of drawing one image.
    """
    several = tuple(e for e in errors if images in e.noise)
    best = [min(e.total(solver, images) for solver in seconds) for e in several]
    good = [
        solver
        for solver in seconds
        if all(e.total(solver, images) <= (1 + slack) * least for e, least in zip(several, best, strict=True))
    ]
    return min(good, key=lambda solver: seconds[solver])
