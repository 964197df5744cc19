"""A property of somebody's own that fails without saying why."""

from __future__ import annotations

from tasks.properties import Samples, Statistics, global_property


@global_property(needs="samples", sign=1, unit="1")
def wordless(samples: Samples, statistics: Statistics) -> float:
    """Nothing."""
    raise ValueError
