"""The nouns of opting out. Plain data; what a flow returns becomes JSON as it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Left:
    """What became of an opt-out, or of a return.

    event: left, or returned. since: ISO 8601, UTC. removed: objects and bytes by kind, by this run. still: what holds their
    data yet, and until when. could_not: what cannot be done any more because of it. record: where it lies.
    """

    contributor: str
    event: str
    since: str
    by: str
    removed: dict[str, tuple[int, int]]
    still: tuple[str, ...]
    could_not: tuple[str, ...]
    record: str
