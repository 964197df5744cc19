"""Properties of somebody's own that ask the machine for what it has not."""

from __future__ import annotations

import torch

from tasks.properties import Samples, Statistics, global_property


@global_property(needs="samples", sign=+1, unit="1")
def fills_a_disk(samples: Samples, statistics: Statistics) -> float:
    """Writes where there is never any room."""
    with open("/dev/full", "wb") as file:
        file.write(b"a cache of one's own")
    return 0.0


@global_property(needs="samples", sign=+1, unit="1")
def asks_for_too_much(samples: Samples, statistics: Statistics) -> float:
    """Asks for a pebibyte, which torch refuses in words of its own."""
    return float(torch.ones(2**48).sum())
