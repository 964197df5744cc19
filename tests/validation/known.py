"""Results that are known to hold numbers, for tests to compute with."""

from tasks.validation.correlation import Correlation
from tasks.validation.lds import Difference


def numbers(found: Correlation | Difference) -> tuple[float, float, float]:
    """(value, low, high), none of them None."""
    assert found.value is not None and found.low is not None and found.high is not None, found.reason
    return found.value, found.low, found.high
