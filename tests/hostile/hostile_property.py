"""A property whose words are hostile: tests.hostile.hostile_property:warmth."""

import numpy as np

from tasks.properties import RealImages, Samples, Statistics, global_property


def nothing(real: RealImages) -> Statistics:
    return {"real": np.zeros(1)}


def warmth(samples: Samples, statistics: Statistics) -> float:
    return float(samples.images[..., 0].mean() - samples.images[..., 2].mean())


warmth.__doc__ = "<script>alert(8)</script>\n\x1b[31mFORGED-LINE\u202e [x](javascript:alert(9)) | = cells"
warmth = global_property(needs="samples", sign=+1, unit="<b>|`\u202e", statistics=nothing)(warmth)
