"""When enough has been evaluated: goals, how far off they are, and how many evaluations they will still take.

A rule that stops when an interval *looks* narrow enough asks several times, and an interval that happens to come out narrow
stops sooner. That is why a goal is judged on the widest interval, or on the least sure pair, never on a chosen player; the
intervals themselves are not widened for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from .credits import Credits
from .validate import Coalitions

LOOK_AHEAD = 20  # a forecast beyond so many times the evaluations used is no forecast
MOST_ROWS = 2000  # rows of a covariance that is computed for a forecast: a second each; beyond, width ∝ 1/√m
FINE = 20  # a forecast is searched to a twentieth of itself: it rests on rougher things

Propose = Callable[[int], Coalitions]


@dataclass(frozen=True)
class AbsoluteWidth:
    """Every interval of an excess credit, from low to high, is at most so wide, in the property's unit."""

    width: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.width) and self.width > 0):
            raise ValueError(f"a width must be above zero and finite, not {self.width!r}")


@dataclass(frozen=True)
class RelativeWidth:
    """Every interval of an excess credit, from low to high, is at most this part of |v(N) - v(∅)|."""

    part: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.part) and self.part > 0):
            raise ValueError(f"a relative width must be above zero and finite, not {self.part!r}")


@dataclass(frozen=True)
class TopSettled:
    """Who the k largest credits belong to is settled: each of them is above each of the others at the level asked for."""

    k: int

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise ValueError(f"the number of players to settle must be a whole number of at least 1, not {self.k!r}")


Goal = AbsoluteWidth | RelativeWidth | TopSettled


@dataclass(frozen=True)
class Progress:
    """How far credits are from a goal.

    measure, wanted: the widest interval and the width asked for (measure must come down to wanted), or the least sure
    probability of an order and the level (measure must come up to it). sentence: the same in words.
    """

    enough: bool
    measure: float
    wanted: float
    sentence: str


def widest_interval(credits: Credits, level: float = 0.9) -> float:
    """Width of the widest interval of an excess credit, low to high; inf where nothing is left to judge the error by."""
    low, high = credits.excess_interval(level)
    return float((high - low).max())


def judge(credits: Credits, goal: Goal, level: float = 0.9) -> Progress:
    """Whether a goal is reached, at a level in (0, 1).

    ValueError where as many players are to be settled as there are.
    """
    if isinstance(goal, TopSettled):
        return _judge_order(credits, goal.k, level)
    measure = widest_interval(credits, level)
    gain = abs(credits.grand - credits.empty)
    wanted = goal.width if isinstance(goal, AbsoluteWidth) else goal.part * gain
    enough = measure <= wanted
    if isinstance(goal, AbsoluteWidth) or gain == 0:
        found, asked = f"{measure:.3g} wide", f"{wanted:.3g}"
    else:
        found, asked = f"{100 * measure / gain:.3g} % of v(N) − v(∅) wide", f"{100 * goal.part:.3g} %"
    if not math.isfinite(measure):
        found = "not known yet"
    sentence = f"the widest {100 * level:g} % interval is {found}; at most {asked} is wanted"
    return Progress(enough, measure, wanted, sentence)


def _judge_order(credits: Credits, k: int, level: float) -> Progress:
    n = len(credits.values)
    if k >= n:
        raise ValueError(f"the top {k} of {n} players cannot be settled against the others: there are none")
    order = np.argsort(-credits.values, kind="stable")
    sure = credits.probability_greater()[np.ix_(order[:k], order[k:])]  # [k, n - k]
    measure = float(sure.min())
    open_pairs = int((sure < level).sum())
    found = "all of them" if open_pairs == 0 else f"{sure.size - open_pairs} of {sure.size} of them"
    sentence = (
        f"the top {k} are above the others in {sure.size} pairs, {found} with a probability of {100 * level:g} % or more; "
        f"the least sure has {100 * measure:.3g} %"
    )
    return Progress(open_pairs == 0, measure, level, sentence)


def forecast(credits: Credits, goal: Goal, propose: Propose, used: int, level: float = 0.9) -> int | None:
    """How many evaluations a goal will still take; None where that cannot be said, or is over `LOOK_AHEAD` times `used`.

    propose: k -> bool[k, columns], the coalitions that would be evaluated next (fewer where no more are left).
    used: evaluations the credits rest on.

    With a surrogate that knows what more coalitions would tell (`covariance_with`: a Gaussian posterior's covariance does
    not depend on the values), the smallest number is searched for which the goal would hold if the credits stayed as they
    are. Otherwise, and beyond `MOST_ROWS`, widths are taken to fall as 1/√m.
    """
    if judge(credits, goal, level).enough:
        return 0
    covariance_with = getattr(credits.surrogate, "covariance_with", None)
    most = min(LOOK_AHEAD * used, MOST_ROWS - used)
    if covariance_with is None or most < 1:
        return _by_square_root(credits, goal, used, used, level)

    def then(rows: Coalitions) -> Credits:
        return replace(credits, covariance=covariance_with(rows), degrees_of_freedom=np.inf)

    step = 1
    while True:
        step = min(2 * step, most)
        rows = propose(step)
        later = then(rows)
        if judge(later, goal, level).enough:
            return _fewest(rows, lambda some: judge(then(some), goal, level).enough)
        if len(rows) < step:
            return None  # nothing is left to evaluate, and it would not do
        if step == most:
            return _by_square_root(later, goal, used + step, used, level)


def _fewest(rows: Coalitions, enough: Callable[[Coalitions], bool]) -> int:
    """The smallest number of first rows that is enough, to a part of `FINE`; all of them are. More never tell less."""
    low, high = 0, len(rows)  # low is not enough, high is
    while high - low > max(1, high // FINE):
        middle = (low + high) // 2
        if enough(rows[:middle]):
            high = middle
        else:
            low = middle
    return high


def _by_square_root(credits: Credits, goal: Goal, at: int, used: int, level: float) -> int | None:
    """Evaluations beyond `used`, if widths fall as 1/√m from what they are at `at` evaluations."""
    progress = judge(credits, goal, level)
    if isinstance(goal, TopSettled):
        degrees = credits.degrees_of_freedom
        if degrees <= 0 or not 0.5 < progress.measure < 1:
            return None
        ratio = float(stats.t.ppf(level, degrees) / stats.t.ppf(progress.measure, degrees))
    elif math.isfinite(progress.measure) and progress.wanted > 0:
        ratio = progress.measure / progress.wanted
    else:
        return None
    more = at * ratio**2 - used
    return math.ceil(more) if more <= LOOK_AHEAD * used else None
