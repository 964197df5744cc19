"""A run that was sent to a work pool, and when things happened to it, by the clock of whoever sent it.

Prefect's server dates what happens by its own clock. That one may be years away from ours, and either may be set while we
wait. What is sure is between which two looks something came to be seen: so the server's times, compared with each other,
only say where between the two it lies.
"""

from __future__ import annotations

from datetime import datetime

from infra.process import uptime
from infra.work_pool_server import Life


class Sent:
    """Times are of `uptime`. since: since when it is in its present state. looked: when it was last looked for a sign of
    life; life: what was seen then; lived: when that sign was given, None if there was none."""

    def __init__(self, at: float, created: datetime) -> None:
        self.at, self._created = at, created
        self.since, self._changed, self._asked = at, created, at
        self.looked, self.life, self.lived = float("-inf"), None, None  # type: float, Life | None, float | None

    def saw_state(self, changed: datetime, asked: float) -> None:
        """It is in a state that the server has dated so. asked: when the server was asked."""
        if changed != self._changed:
            self.since, self._changed = self._here(changed, self._asked), changed
        self._asked = asked

    def saw_life(self, life: Life, asked: float) -> None:
        """The signs of life that the server has, likewise. Those that are new were given since the last look, also if their
        dates are older than that of one before: then the server's clock was set back."""
        new = life.signs if self.life is None else life.signs - self.life.signs
        if new:
            self.lived = max(self._here(when, max(self.at, self.looked)) for _, when in new)
        self.looked, self.life = asked, life

    def silent(self, now: float) -> float:
        """Seconds since it began, or since its last sign of life if that came later."""
        return now - self.since if self.lived is None else min(now - self.since, now - self.lived)

    def _here(self, when: datetime, after: float) -> float:
        """A time of the server's, which lies between `after` and now. If it does not, its clock was set: then it is now."""
        here, now = self.at + (when - self._created).total_seconds(), uptime()
        return here if after <= here <= now else now
