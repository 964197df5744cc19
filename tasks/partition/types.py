"""The nouns of the first step: what was found, whose it is, and what was wrong with it.

folder + metadata ──▶ Image (one accepted row) ──▶ Contributor (one player of the game)
                 └──▶ Problem (everything left out, converted or merely remarkable, by name)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from tasks.partition.prompts import as_array, row_key

Action = Literal["left out", "kept", "merged", "converted"]
Shares = tuple[tuple[str, float], ...]  # (contributor, share), sorted by contributor


class Files(Protocol):
    """Files that were listed once: a data folder, or one upload.

    files: sizes in bytes by name, with forward slashes. prefix: of all names, put there by us.
    """

    url: str
    prefix: str
    files: dict[str, int]
    refused: dict[str, Problem]

    def read(self, name: str) -> bytes:
        """The bytes of a listed file. Raises OSError, StoreError, or images.Refused where only this file is to blame."""
        ...


@dataclass(frozen=True)
class Problem:
    """One remark on the data; nothing is left out or changed without one."""

    subject: str  # file name or contributor name as found, never escaped: whoever prints it escapes it
    kind: str  # slug, such as unreadable or duplicate-across
    reason: str  # one sentence for people; names inside are quoted by repr, so that it is safe to log
    action: Action


@dataclass(frozen=True)
class Claim:
    """A file that exists, with the owners, the date and the prompt that its row gives it."""

    file_name: str
    shares: Shares
    date: str | None
    prompt: str = ""


@dataclass
class Claims:
    """All claims, what was wrong with the others, and every name that was understood (also without an image).

    prompts: whether an image needs one.
    """

    prompts: bool = False
    accepted: list[Claim] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def refuse(self, subject: str, kind: str, reason: str) -> None:
        self.problems.append(Problem(subject, kind, reason, "left out"))


@dataclass(frozen=True)
class Image:
    """One accepted row of the data set."""

    file_name: str
    digest: str  # sha256 (hex) over width, height and RGB bytes as decoded, before any resizing
    shares: Shares  # after merging and dropping; sums to less than one where an owner was dropped
    date: str | None  # ISO 8601, as found
    heldout: bool
    prompt: str = ""  # normalised; empty where the model takes none

    @property
    def key(self) -> str:
        """Which row of the data it is: equal pixels with other prompts are other rows. sha256 (hex)."""
        return row_key(self.digest, self.prompt)


@dataclass(frozen=True)
class Contributor:
    """One player. Counts are sums of shares: half an image is 0.5."""

    name: str
    images: float  # over training images
    heldout: float  # over held-out images
    pro_rata: float  # images / total images of all contributors
    fingerprint: str  # sha256 (hex) over the sorted (digest, share, prompt) of its training images
    merged: tuple[str, ...] = ()  # the names merged into this contributor


@dataclass(frozen=True)
class Partition:
    """Images by owner, ready for training: m distinct training rows, k distinct held-out ones, n contributors.

    A row is an image, and where the model takes prompts, an image with a prompt; its key is then not the pixels' digest.
    """

    contributors: tuple[Contributor, ...]  # sorted by name
    images: tuple[Image, ...]  # sorted by (digest, file_name)
    problems: tuple[Problem, ...]
    train_digests: tuple[str, ...]  # keys, distinct, sorted: the rows of ownership, train_pixels and train_prompts
    heldout_digests: tuple[str, ...]  # keys, distinct, sorted: the rows of heldout_pixels and heldout_prompts
    ownership: np.ndarray  # float64 [m, n], sum of shares over equal rows, so that duplicates count
    train_pixels: np.ndarray  # uint8 [m, r, r, 3]
    heldout_pixels: np.ndarray  # uint8 [k, r, r, 3]
    train_prompts: tuple[str, ...] = ()  # m, or none where the model takes none
    heldout_prompts: tuple[str, ...] = ()  # k, or none

    def stored(self) -> dict[str, np.ndarray]:
        """The images as the models will see them, as they are put in the store; `prompts_of` reads the prompts."""
        pixels = {"train_pixels": self.train_pixels, "heldout_pixels": self.heldout_pixels}
        if not self.train_prompts:
            return pixels
        return pixels | {
            "train_prompts": as_array(self.train_prompts),
            "heldout_prompts": as_array(self.heldout_prompts),
        }


class DataError(ValueError):
    """The data cannot be used as they are; the message lists the problems found so far, `problems` holds all of them."""

    LISTED = 1_000

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        lines = [message]
        if problems:
            lines.append(f"{len(problems)} problems were found:")
            listed = problems[: self.LISTED]
            lines += [f"- {p.kind} {p.subject!r}: {p.reason} ({p.action})" for p in listed]
            lines += [f"- and {len(problems) - len(listed):,} more"] if len(problems) > len(listed) else []
        super().__init__("\n".join(lines))
