"""Digits: as many as the interval supports, the same in a whole column."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.publish.numbers import Scale, alike, alone, big, count, duration, moment, percent, share_decimals


@pytest.mark.parametrize(
    ("values", "widths", "written", "suffix"),
    [
        ([0.0123456, 0.5], [0.00031, 0.00029], "0.01235", ""),
        ([1.23456], [0.034], "1.235", ""),
        ([412.03421], [3.3], "412.0", ""),
        ([123456.0], [340.0], "123456", ""),
        ([3.21e-7], [4e-9], "321.0", "×10⁻⁹"),
        ([4.56e9], [1.2e7], "4.560", "×10⁹"),
        ([2.0], [], "2.000", ""),
        ([0.0], [0.0], "0", ""),
    ],
)
def test_decimals_follow_the_width_of_the_interval(
    values: list[float], widths: list[float], written: str, suffix: str
) -> None:
    scale = Scale.of(values, widths)
    assert (scale.write(values[0]), scale.suffix) == (written, suffix)


@given(st.floats(1e-9, 1e9), st.floats(1e-4, 1.0))
def test_what_is_written_is_within_a_tenth_of_the_half_width(value: float, ratio: float) -> None:
    width = value * ratio
    scale = Scale.of([value], [width])
    back = float(scale.write(value)) * 10.0**scale.exponent
    assert abs(back - value) <= 0.051 * width + 1e-12 * value
    rounded = scale.round(value)
    assert rounded is not None and math.isclose(rounded, back, rel_tol=1e-9)


def test_signs_are_typographic_and_zero_has_none() -> None:
    scale = Scale(0, 2)
    assert scale.write(-1.5) == "\u22121.50" and scale.write(1.5, sign=True) == "+1.50"
    assert scale.write(-0.001, sign=True) == "0.00" and scale.write(-1.5, minus="-") == "-1.50"


def test_what_is_not_finite_is_a_dash() -> None:
    for value in (math.nan, math.inf):
        assert Scale().write(value) == alone(value) == percent(value) == count(value) == "\u2013"
        assert Scale().round(value) is None
    assert alike(None, 1.0)[0] == alone(None) == big(None) == duration(None) == "\u2013"


def test_single_numbers() -> None:
    assert [alone(v) for v in (0, 0.01234, 45.61, 1234.5, 4.5e-7)] == ["0", "0.0123", "45.6", "1,230", "4.50×10⁻⁷"]
    assert [big(v) for v in (950, 12_345, 4.56e6, 1.2e9)] == ["950", "12.3 k", "4.56 M", "1.2 G"]
    assert [count(v) for v in (12.0, 1234, 7.5)] == ["12", "1,234", "7.5"]
    assert [duration(v) for v in (0.045, 0.451, 12.34, 245, 11520)] == [
        "45 ms", "0.45 s", "12.3 s", "4 min 05 s", "3 h 12 min",
    ]  # fmt: skip
    assert moment("2025-11-23T17:20:00+01:00") == "23 November 2025, 16:20 UTC"
    assert [share_decimals(n) for n in (10, 300, 3000)] == [1, 2, 3]
