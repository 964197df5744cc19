"""What a round came to: the nouns that the plan, the Prefect UI and the statement share. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.shapley.stopping import Progress


@dataclass(frozen=True)
class Standing:
    """How well one property's credits are known after a round.

    widest: the widest interval of an excess credit at the study's stop_level, low to high, in the property's unit.
    gain: v(N) − v(∅), same unit. progress: against the stop rule, None without one. more: evaluations still needed, None
    where that cannot be said.
    """

    name: str
    unit: str
    widest: float
    gain: float
    progress: Progress | None = None
    more: int | None = None


@dataclass(frozen=True)
class Round:
    """One round: propose, evaluate, estimate.

    draws: what the design had asked for by then, of the study's budget. evaluated: new evaluations in this round, the
    audit's among them. reused: evaluations of the archive that entered. seconds: median of one evaluation on one worker,
    None where none is known.
    """

    number: int
    draws: int
    evaluated: int
    reused: int
    seconds: float | None
    standings: tuple[Standing, ...]

    @property
    def enough(self) -> bool:
        """Whether every property has reached the goal of a stop rule."""
        return all(s.progress is not None and s.progress.enough for s in self.standings)

    @property
    def slowest(self) -> Standing:
        """The property that is farthest from the goal, by the evaluations it will still take."""
        return max(self.standings, key=lambda s: float("inf") if s.more is None else s.more)


@dataclass(frozen=True)
class Ending:
    """Why there was no further round. reached: whether the stop rule's goal was reached; None without a rule."""

    reached: bool | None
    sentence: str
