"""Runs of a work pool that were given up before they began: each is seen to until it keeps no place in the pool."""

from __future__ import annotations

import time
from functools import partial
from uuid import UUID

from infra import work_pool_server as ask
from infra.patience import PATIENCE
from infra.prefect_api import patiently
from infra.work_pool_types import Say

# Seconds that a run has to hear that it was given up: a process that is importing is refused its beginning while it is
# Cancelling, but not once it is Cancelled.
TO_END = 300.0


class Unbegun:
    """Those that one sender gave up, and asked to end."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._looked: dict[UUID, float] = {}  # run -> when it was given up, or last looked for (`time.monotonic`)

    def add(self, run: UUID) -> None:
        """This one was given up just now, and is Cancelling."""
        self._looked[run] = time.monotonic()

    def see_to(self) -> None:
        """One that is Cancelling still, and never began, is Cancelled: its worker does not know of it, and it would keep its
        place in the pool. One that began after all is cancelled again, and ends itself (infra.cancelled)."""
        due = [run for run, looked in self._looked.items() if time.monotonic() - looked >= TO_END]
        there = [run for wanted in ask.pages(due) for run in patiently(partial(ask.runs, wanted), self._say, PATIENCE)]
        for run_id in due:
            del self._looked[run_id]
        for run in there:
            assert run.state is not None
            if run.state.is_cancelling() and run.start_time is None:
                patiently(partial(ask.close, run.id, "it never began, and no worker ended it"), self._say, PATIENCE)
            elif run.state.is_running():
                why = "it was given up, and what it was to do was sent again"
                patiently(partial(ask.cancel, run.id, why), self._say, PATIENCE)
            if not run.state.is_final():
                self.add(run.id)
