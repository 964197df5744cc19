"""Runs of a work pool that were given up before they began: one that begins after all is cancelled again.

Prefect refuses a run its beginning while it is Cancelling, but no longer once it has marked it as Cancelled, which it does
after five minutes. A process that was importing all the while then does what was long sent again.
"""

from __future__ import annotations

from functools import partial
from uuid import UUID

from infra import work_pool_server as ask
from infra.process import uptime
from infra.work_pool_types import Patiently

WATCHED = 900.0  # seconds for which one may yet begin
LOOK_AGAIN = 60.0  # seconds between two looks


class Unbegun:
    """Those that one sender gave up, and asked to end."""

    def __init__(self, patiently: Patiently) -> None:
        self._patiently = patiently
        self._since: dict[UUID, float] = {}  # run -> when it was given up (`uptime`)
        self._looked = float("-inf")

    @property
    def runs(self) -> list[UUID]:
        """Those that may yet begin."""
        return list(self._since)

    def add(self, run: UUID) -> None:
        """This one was given up just now, and is Cancelling."""
        self._since[run] = uptime()

    def see_to(self) -> None:
        """Cancel those that began."""
        now = uptime()
        if not self._since or now - self._looked < LOOK_AGAIN:
            return
        self._looked = now
        for wanted in ask.pages(self._since):
            for run in self._patiently(partial(ask.runs, wanted)):
                if run.state is not None and run.state.is_running():
                    # Its process sees that, and ends (infra.cancelled).
                    why = "it was given up, and what it was to do was sent again"
                    self._patiently(partial(ask.cancel, run.id, why))
        self._since = {run: since for run, since in self._since.items() if now - since < WATCHED}
