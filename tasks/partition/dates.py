"""Dates of images, read only to say who was first; a date that does not settle it must not pretend to.

A date is a span: `2019` is a whole year and `2019-05-01` a whole day. One is before another only if its span ends
before the other's begins.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

_YEAR_OR_MONTH = re.compile(r"([0-9]{4})(?:-([0-9]{2}))?")


def as_text(value: object) -> str | None:
    """A metadata cell as ISO text, None if it is empty. Raises ValueError when it is no ISO 8601 date."""
    if value is None or value != value:  # NaN, the empty cell of a table of floats
        return None
    if isinstance(value, date):  # datetime included
        value = value.isoformat()  # one that no other zone has a name for is refused like any text
    if not isinstance(value, str):
        raise ValueError("it is not a text or a date")
    text = value.strip()
    if text:
        span(text)
    return text or None


def span(text: str) -> tuple[datetime, datetime]:
    """First and last moment (UTC) of an ISO 8601 date, month, year or time; ValueError otherwise."""
    if match := _YEAR_OR_MONTH.fullmatch(text):
        year, month = int(match[1]), int(match[2] or 1)
        start = datetime(year, month, 1, tzinfo=UTC)
        months = 1 if match[2] else 12
        after = (year + (month - 1 + months) // 12, (month - 1 + months) % 12 + 1)
        if after[0] > 9999:
            return start, datetime.max.replace(tzinfo=UTC)
        return start, datetime(*after, 1, tzinfo=UTC) - timedelta.resolution
    moment = datetime.fromisoformat(text)
    try:
        start = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from None
    if _is_day(text):
        return start, start + (timedelta(days=1) - timedelta.resolution)
    return start, start


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
