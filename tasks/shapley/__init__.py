"""Credits: which coalitions to evaluate, and Shapley values with their uncertainty from what came back.

A plain library on numpy and scipy: it knows nothing of images, models or flows, only players, rows and numbers.

    propose_coalitions ─▶ bool[k, n] ─▶ (somebody evaluates) ─▶ values[k] ─▶ estimate_credits ─▶ Credits
    designs.py                                                              estimators.py        credits.py

Design, estimator and result know each other only by those arrays, so each can be exchanged alone.
"""

from .credits import Credits
from .designs import propose_coalitions
from .estimators import estimate_credits
from .noise import MeasuredNoise
from .validate import UnidentifiedError

__all__ = ["Credits", "MeasuredNoise", "UnidentifiedError", "estimate_credits", "propose_coalitions"]
