"""A user's own global property: one function in one file. The study names it tests.properties.own_property:warmth."""

import numpy as np

from tasks.properties import RealImages, Samples, Statistics, global_property


def typical_warmth(real: RealImages) -> Statistics:
    return {"real": np.array(_warmth(real.train))}


@global_property(needs="samples", sign=+1, unit="levels of 255", statistics=typical_warmth)
def warmth(samples: Samples, statistics: Statistics) -> float:
    """How much redder than blue the generated images are, beyond what the real ones are."""
    return _warmth(samples.images) - float(statistics["real"])


def _warmth(images: np.ndarray) -> float:
    return float(images[..., 0].mean() - images[..., 2].mean())
