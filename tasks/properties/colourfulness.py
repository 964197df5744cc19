"""Appeal that needs no network: Hasler & Süsstrunk's colourfulness (2003), as the 90th percentile over the images.

    rg = R - G,  yb = (R + G) / 2 - B,   M = sqrt(var rg + var yb) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2)

Pixels are taken on the scale 0..255, so the authors' words apply: 0 not, 15 slightly, 33 moderately, 45 averagely, 59
quite, 82 highly and 109 extremely colourful. The 90th percentile stands where the paper has it for its aesthetic score
(ArtBench): what matters is how good the better images are.
"""

from __future__ import annotations

import numpy as np

from tasks.properties.registry import registered
from tasks.properties.types import Property, Samples, Statistics
from tasks.study import PropertiesSpec

PERCENTILE = 90.0


@registered("colourfulness")
def colourfulness(spec: PropertiesSpec) -> Property:
    """90th percentile of the images' colourfulness. It has no options."""
    return Property(
        name="colourfulness",
        needs="samples",
        sign=1,
        unit="Hasler-Süsstrunk, 0..255 scale",
        description="90th percentile of the generated images' colourfulness; more is more colourful",
        version=1,
        options={"percentile": PERCENTILE},
        compute_score=_score,
        minimum_images=1,
        per_image=_per_image,
    )


def _per_image(samples: Samples) -> np.ndarray:
    return colourfulness_of(samples.images)


def _score(samples: Samples, statistics: Statistics) -> float:
    return float(np.percentile(_per_image(samples), PERCENTILE))


def colourfulness_of(images: np.ndarray) -> np.ndarray:
    """float64 [n]: colourfulness M of uint8 images [n, h, w, 3]."""
    red, green, blue = np.moveaxis(images.astype(np.float64), 3, 0)  # each [n, h, w]
    rg = red - green
    yb = (red + green) / 2 - blue
    spread = np.sqrt(rg.var(axis=(1, 2)) + yb.var(axis=(1, 2)))
    return spread + 0.3 * np.hypot(rg.mean(axis=(1, 2)), yb.mean(axis=(1, 2)))
