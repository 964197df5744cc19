"""How much of a value is chance, as far as repeating evaluations has shown.

Apart from the estimators, because who measures (an audit, a bench, a test) and who uses the figure should share no more
than it: a variance, and how surely it is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import chi2

CAUTION = 0.1  # the true variance is above the cautious one with at most this probability


@dataclass(frozen=True)
class MeasuredNoise:
    """Variance of one evaluation, in the square of the property's unit, measured from replicates.

    degrees: degrees of freedom of the residuals it was measured from; inf means known exactly.
    by_size: the same apart for each size of coalition that was repeated, as (|S|, variance, degrees); empty where that is
    not known. Only with it can an estimator find that small coalitions are noisier.
    Raises ValueError for a negative or not finite variance and for degrees below one.
    """

    variance: float
    degrees: float = math.inf
    by_size: tuple[tuple[int, float, float], ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.variance) and self.variance >= 0):
            raise ValueError(f"the variance of the noise must be finite and not negative, not {self.variance!r}")
        if not self.degrees >= 1:
            raise ValueError(f"the degrees of freedom of the noise must be at least one, not {self.degrees!r}")
        for size, variance, degrees in self.by_size:
            if not (size >= 1 and math.isfinite(variance) and variance >= 0 and degrees > 0):
                raise ValueError(
                    "noise by size needs sizes of at least one, finite variances and degrees of freedom above zero, not "
                    f"{(size, variance, degrees)!r}"
                )

    @property
    def cautious_variance(self) -> float:
        """Upper 90 % confidence limit of the variance.

        A few repeats measure noise only roughly, and too small a figure would make every interval too narrow; by the
        chi-squared distribution of the residuals' sum of squares the true one is below this with 90 % confidence.
        """
        if math.isinf(self.degrees):
            return self.variance
        return float(self.degrees * self.variance / chi2.ppf(CAUTION, self.degrees))
