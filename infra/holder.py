"""Who holds a lease (infra.lease), as it lies in the store, and whether they still do, seen from this process.

Two questions with two answers. Whether its time is over is asked of the seconds since the machine booted wherever the holder
counts the same ones: that is so in all containers of one machine. Whether its process is gone can only be said where its
number means the same process: in the same container.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from infra.process import boot, is_alive, machine, uptime


class Holder(BaseModel):
    """Who holds a study, and until when (seconds since 1970, UTC)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    holder: str
    host: str  # for people
    machine: str = ""  # infra.process.machine: many machines are called "localhost"
    process: int = Field(gt=0, lt=2**31)
    process_started: float
    expires: float
    boot: str | None = None  # infra.process.boot, from which expires_up counts; None where the system names none
    expires_up: float | None = None  # the same as expires, by infra.process.uptime
    given_back: bool = False

    def is_stale(self, now: float) -> bool:
        """Given back, expired, or held by a process of this machine that no longer exists."""
        return self.given_back or self.seconds_left(now) <= 0 or (self._of_here and not self._alive)

    def seconds_left(self, now: float) -> float:
        """Until it expires: by the uptime if it counts from the same boot as ours, else by the clock, which says `now`."""
        return self.expires - now if self._up is None else self._up - uptime()

    def outlived(self, other: Holder) -> bool:
        """Whether it ended later than the other, or has not ended yet."""
        if self._up is not None and other._up is not None:
            return self._up >= other._up
        return self.expires >= other.expires

    @property
    def _up(self) -> float | None:
        """When it expires by this process's uptime; None if it counted from another boot, or from none that has a name."""
        return self.expires_up if self.boot is not None and self.boot == boot() else None

    @property
    def _of_here(self) -> bool:
        return self.machine == machine()

    @property
    def _alive(self) -> bool:
        return is_alive(self.process, self.process_started)
