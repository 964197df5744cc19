"""The nouns of keeping house. Plain data; what a flow returns becomes JSON as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Statements = Literal["all", "latest"]


@dataclass(frozen=True)
class Rules:
    """What is to be kept.

    studies: whose statements are kept with all that they rest on; () means everybody's. statements: all of each study, or
    the latest only. retired_epochs: whether models, their bases and
    statistics may go that the ledger knows, but no kept statement.
    older_than_days: what was written since is kept whatever it is.
    """

    studies: tuple[str, ...] = ()
    statements: Statements = "all"
    retired_epochs: bool = False
    older_than_days: float = 7.0

    def __post_init__(self) -> None:
        if not self.older_than_days >= 0:
            raise ValueError(f"older_than_days must be a number of days, 0 or more, not {self.older_than_days}")


@dataclass(frozen=True)
class Item:
    """Objects that are kept or removed together: a file of weights, a reference's or a base's folder, half a statement."""

    kind: str  # the store's folder: models, samples, …
    keys: tuple[str, ...]
    bytes: int
    written: float  # the last of them, seconds since 1970; infinite where the store does not say


@dataclass(frozen=True)
class Verdict:
    """Whether an item can go, and why."""

    item: Item
    goes: bool
    why: str


@dataclass(frozen=True)
class Group:
    """Items of one kind with one verdict. examples: keys of a few, or their folders."""

    kind: str
    goes: bool
    why: str
    count: int
    bytes: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Cleared:
    """What was found. deleted: whether what can go is gone; if not, it was only looked for. statements: those that are kept
    with all that they rest on. count, bytes: of what can go, or went. running: who runs a study, so that nothing may be
    deleted now."""

    store: str
    deleted: bool
    statements: int
    count: int
    bytes: int
    groups: tuple[Group, ...]
    running: tuple[str, ...] = ()
