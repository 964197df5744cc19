"""Numbers as people read them: as many digits as the interval supports, the same number in a whole column."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

MISSING = "–"
MINUS = "\u2212"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Scale:
    """How one column is written: value · 10^-exponent with a fixed number of decimals."""

    exponent: int = 0
    decimals: int = 2

    @classmethod
    def of(cls, values: Iterable[float], half_widths: Iterable[float] = ()) -> Scale:
        """Two significant digits of the median half-width; without one, four of the largest value."""
        finite = np.abs([v for v in values if math.isfinite(v)] or [0.0])
        largest = float(finite.max())
        widths = [w for w in half_widths if math.isfinite(w) and w > 0]
        step = float(np.median(widths)) / 10 if widths else largest / 1000
        if step <= 0 or step < largest * 1e-9:  # nothing varies, or the interval is only rounding
            step = largest / 1000 or 1.0
        place = math.floor(math.log10(step) + 1e-9)
        exponent = 0
        if largest > 0 and (place < -5 or place > 3):
            exponent = 3 * math.floor(math.log10(max(largest, step * 10)) / 3)
        return cls(exponent, max(0, exponent - place))

    @property
    def suffix(self) -> str:
        """What the column's head must say: "" or "×10⁻³"."""
        return f"×10{str(self.exponent).translate(_SUPERSCRIPT)}" if self.exponent else ""

    def write(self, value: float, *, sign: bool = False, minus: str = MINUS) -> str:
        """The number without the power of ten; `sign` puts a plus before positive ones."""
        if value is None or not math.isfinite(value):
            return MISSING
        text = f"{value / 10**self.exponent:{'+' if sign else ''}.{self.decimals}f}"
        if not text.strip("+-0."):  # no "-0.00" and no "+0.00"
            text = text.lstrip("+-")
        return text.replace("-", minus)

    def round(self, value: float) -> float | None:
        """The number itself, rounded as `write` shows it; None where it is not finite."""
        if value is None or not math.isfinite(value):
            return None
        return round(float(value), self.decimals - self.exponent)


def alone(value: float | None, digits: int = 3) -> str:
    """One number by itself with so many significant digits: 0.0123, 45.6, 1,230, 4.5×10⁻⁷."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)))
    if -4 <= power < 6:
        return f"{round(value, digits - 1 - power):,.{max(0, digits - 1 - power)}f}".replace("-", MINUS)
    mantissa = f"{value / 10**power:.{digits - 1}f}".replace("-", MINUS)
    return f"{mantissa}×10{str(power).translate(_SUPERSCRIPT)}"


def alike(*values: float | None, digits: int = 3) -> list[str]:
    """Numbers to be read together, to the same decimal place: that of the largest."""
    finite = [v for v in values if v is not None and math.isfinite(v)]
    scale = Scale.of(finite, [max(map(abs, finite), default=0) / 10 ** (digits - 2)])
    return [MISSING if v is None else scale.write(v) + scale.suffix for v in values]


def percent(share: float, decimals: int = 1) -> str:
    """0.1234 → "12.3 %"."""
    return f"{100 * share:.{decimals}f} %".replace("-", MINUS) if math.isfinite(share) else MISSING


def share_decimals(contributors: int) -> int:
    """Decimals of a percentage at which an equal share of so many still has two digits."""
    return 1 if contributors <= 40 else 2 if contributors <= 400 else 3


def count(value: float) -> str:
    """A count that may be fractional, since images can have several owners: 12, 1,234, 7.5."""
    if not math.isfinite(value):
        return MISSING
    return f"{value:,.0f}" if abs(value - round(value)) < 1e-6 else f"{value:,.1f}"


def big(value: float | None) -> str:
    """Parameters and operations: 950, 12.3 k, 4.56 M, 1.20 G."""
    if value is None or not math.isfinite(value):
        return MISSING
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{float(f'{value / factor:.3g}'):g} {letter}"
    return f"{value:,.4g}"


def size(count: float | None) -> str:
    """Bytes: 950 B, 12.3 kB, 4.56 MB."""
    if count is None or not math.isfinite(count):
        return MISSING
    return f"{big(count)}B" if abs(count) >= 1000 else f"{count:.0f} B"


def duration(seconds: float | None) -> str:
    """45 ms, 0.45 s, 12.3 s, 4 min 05 s, 3 h 12 min."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 0.0995:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min"


def moment(iso: str) -> str:
    """2025-11-23T16:20:00Z → 23 November 2025, 16:20 UTC."""
    time = datetime.fromisoformat(iso)
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return f"{time.day} {time:%B %Y, %H:%M} UTC"
