"""A Gaussian process over coalitions whose Shapley values have a closed form: the best single estimator we know.

    evidence ─▶ likelihood ─▶ posterior ─▶ credits, predictions, what more coalitions would tell
    rows, repeats   covariance, hyperparameters   owen (Shapley functional), tails (outliers)

Because the posterior of a linear functional needs no sampling, credits and intervals come with any archive of evaluations,
paired or not, with former players or without.
"""

from .estimator import condition, gp
from .evidence import gather
from .posterior import Posterior

__all__ = ["Posterior", "condition", "gather", "gp"]
