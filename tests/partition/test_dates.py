"""Dates settle who was first only when they really do."""

import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.partition.dates import as_text, span


@pytest.mark.parametrize("earlier, later", [("2018", "2019"), ("2018-12", "2019-01"), ("2019-05-01", "2019-05-02"),
    ("2019-05-01T23:00+02:00", "2019-05-02"), ("2019-05-01T10:00", "2019-05-01T10:01")])  # fmt: skip
def test_a_date_that_ends_before_another_begins_is_before_it(earlier: str, later: str) -> None:
    assert span(earlier)[1] < span(later)[0]


@pytest.mark.parametrize("one, other", [("2019", "2019-05-01"), ("2019-05", "2019-05-31"), ("2019-05-01", "20190501"),
    ("2019-05-01", "2019-05-01T12:00"), ("9999", "9999-12")])  # fmt: skip
def test_dates_that_overlap_are_not_ordered(one: str, other: str) -> None:
    assert not span(one)[1] < span(other)[0]
    assert not span(other)[1] < span(one)[0]


def test_cells_of_any_type_become_text_nothing_or_a_value_error() -> None:
    assert as_text(datetime.date(2019, 5, 1)) == "2019-05-01"
    assert as_text(" 2019 ") == "2019"
    assert as_text("") is as_text(None) is as_text(float("nan")) is None
    for wrong in ("yesterday", "2019-13", "0000", 2019, ["2019"]):
        with pytest.raises(ValueError):
            as_text(wrong)


@given(st.text())
@example("0001-01-01T00:00+23:59")
@example("9999-12-31")
def test_any_text_is_a_date_or_a_value_error(text: str) -> None:
    try:
        kept = as_text(text)
    except ValueError:
        return
    if kept is not None:
        assert span(kept)[0] <= span(kept)[1]
