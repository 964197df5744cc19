"""Does a process grow? Memory and open files over time, without its warm-up, held against chance.

Successive samples of a process depend on one another, so they are averaged in blocks, and Kendall's rank test is made of the
blocks. Growth is suspected only if it is no chance, goes on in the later half (one step is no leak) and is large enough to
matter: any real process drifts by a little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

WARM_UP = 120.0  # seconds of a process's life that are not judged
SHORTEST = 180.0  # seconds after that, without which nothing is said
BLOCKS = 9
LEVEL = 0.01  # probability of a false alarm where nothing grows; the later half alone is held to LATE
LATE = 0.05
MATTERS = 0.10  # of the median, over the time that was judged


@dataclass(frozen=True)
class Growth:
    """slope: units an hour, Theil and Sen's. rise: over the time judged, as a part of the median. suspected: see above.
    judged: seconds that were looked at; 0 where the process did not live long enough, and nothing is said."""

    judged: float
    slope: float
    rise: float
    p: float
    suspected: bool


NOT_JUDGED = Growth(0.0, float("nan"), float("nan"), float("nan"), False)


def growth(times: ArrayLike, sizes: ArrayLike) -> Growth:
    """Whether one process grows.

    Args:
        times: seconds since it started, ascending.
        sizes: in any unit, one for each.
    """
    t, size = np.asarray(times, float), np.asarray(sizes, float)
    t, size = t[t >= WARM_UP], size[t >= WARM_UP]
    if len(t) < 2 * BLOCKS or t[-1] - t[0] < SHORTEST:
        return NOT_JUDGED
    middles = np.array([block.mean() for block in np.array_split(t, BLOCKS)])
    means = np.array([block.mean() for block in np.array_split(size, BLOCKS)])
    slope = float(stats.theilslopes(means, middles).slope)
    if np.ptp(means) == 0:
        return Growth(float(t[-1] - t[0]), 0.0, 0.0, 1.0, False)
    p = float(stats.kendalltau(middles, means, alternative="greater").pvalue)
    later = middles[BLOCKS // 2 :], means[BLOCKS // 2 :]
    goes_on = np.ptp(later[1]) > 0 and stats.kendalltau(*later, alternative="greater").pvalue < LATE
    rise = slope * float(t[-1] - t[0]) / max(float(np.median(size)), 1.0)
    return Growth(float(t[-1] - t[0]), 3600 * slope, rise, p, bool(p < LEVEL and goes_on and rise > MATTERS))
