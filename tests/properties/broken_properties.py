"""Mistakes users make in their own properties; the tests read what they are told."""

from tasks.properties import Samples, Statistics, global_property


def forgot_the_decorator(samples: Samples, statistics: Statistics) -> float:
    return 1.0


@global_property(needs="samples", sign=+1, unit="")
def not_a_number(samples: Samples, statistics: Statistics) -> float:
    return float("nan")


@global_property(needs="samples", sign=+1, unit="")
def returns_text(samples: Samples, statistics: Statistics) -> str:
    return "warm"
