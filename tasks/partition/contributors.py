"""From owners to players: restrict, merge or drop the small, count shares, and give each player a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from tasks.partition.claims import named
from tasks.partition.names import MERGED, closest
from tasks.partition.types import Claim, Contributor, DataError, Image, Problem

_ROUNDING = 1e-9  # ten shares of 0.1 are one image


def restrict(
    claims: list[Claim], names: set[str], only: Sequence[str], opted_out: Collection[str]
) -> tuple[list[Claim], set[str], list[Problem]]:
    """Claims that have an owner among `only` (all if empty), with the shares of these owners; and the names of these, also
    of those who opted out and of whom the data know nothing any more.

    Raises DataError for any other name that is not in the data.
    """
    if not only:
        return claims, names, []
    if unknown := [name for name in only if name not in names and name not in opted_out]:
        hints = "; ".join(f"{name!r} (closest: {', '.join(closest(name, names)) or 'none'})" for name in unknown)
        there = named([repr(name) for name in sorted(names)])
        raise DataError(
            f"data.only names contributors that are not in the data: {hints}; there are: {there}. Leave data.only out to "
            "take everybody"
        )
    counts = count(claim.shares for claim in claims)
    problems = [
        Problem(name, "not-in-only", f"{name!r} is not in data.only; {counts.get(name, 0):g} images", "left out")
        for name in sorted(names - set(only))
    ]
    kept = [replace(claim, shares=tuple(pair for pair in claim.shares if pair[0] in only)) for claim in claims]
    return [claim for claim in kept if claim.shares], set(only), problems


def leave_out(
    claims: list[Claim], names: set[str], opted_out: Collection[str]
) -> tuple[list[Claim], set[str], list[Problem]]:
    """Claims and names without those who have opted out. Of a shared image their share goes, and the image with its last
    owner; the others' shares stay as they are."""
    out = names & set(opted_out)
    if not out:
        return claims, names, []
    counts = count(claim.shares for claim in claims)
    problems = [
        Problem(name, "opted-out", f"{name!r} has opted out; {counts.get(name, 0):g} images are left out", "left out")
        for name in sorted(out)
    ]
    kept = [replace(claim, shares=tuple(pair for pair in claim.shares if pair[0] not in out)) for claim in claims]
    return [claim for claim in kept if claim.shares], names - out, problems


def settle_small(
    images: list[Image], names: set[str], *, minimum: int, small: Literal["merge", "drop", "keep"]
) -> tuple[dict[str, str | None], list[Problem]]:
    """What becomes of each name: itself, MERGED, or None (it is no player); with a problem for each that changes.

    `names` are all that the data name; those without an image are reported, and can be no players.
    """
    counts = count(image.shares for image in images if not image.heldout)
    owned = count(image.shares for image in images)
    becomes: dict[str, str | None] = {}
    problems = []
    for name in sorted(names):
        trained = counts.get(name, 0.0)
        few = f"{name!r} has {trained:g} training images, fewer than data.minimum_images ({minimum})"
        becomes[name] = name
        if name not in owned:
            becomes[name] = None
            problems.append(Problem(name, "empty-contributor", f"{name!r} has no usable image", "left out"))
        elif trained >= minimum - _ROUNDING:
            continue
        elif small == "merge":
            becomes[name] = MERGED
            problems.append(Problem(name, "small-contributor", f"{few}; merged into {MERGED!r}", "merged"))
        elif small == "drop" or not trained:
            becomes[name] = None
            kind = "small-contributor" if trained else "empty-contributor"
            reason = few
            if not trained:
                files = named([image.file_name for image in images if name in dict(image.shares)])
                reason = f"all {owned[name]:g} images of {name!r} are held out, none is for training ({files})"
            problems.append(Problem(name, kind, f"{reason}; left out with its images", "left out"))
        else:
            problems.append(Problem(name, "small-contributor", f"{few}; its credit will be uncertain", "kept"))
    merged = [name for name, new in becomes.items() if new == MERGED]
    together = sum(counts.get(name, 0.0) for name in merged)
    if merged and not together:
        becomes |= dict.fromkeys(merged)
        reason = f"the merged contributors {merged} have no training image at all; left out"
        problems.append(Problem(MERGED, "empty-contributor", reason, "left out"))
    elif len(merged) == 1:
        reason = f"only {merged[0]!r} was small, so {MERGED!r} stands for one name"
        problems.append(Problem(MERGED, "small-contributor", reason, "kept"))
    if merged and 0 < together < minimum - _ROUNDING:
        reason = f"{MERGED!r} has {together:g} training images, still fewer than data.minimum_images ({minimum})"
        problems.append(Problem(MERGED, "small-contributor", f"{reason}; its credit will be uncertain", "kept"))
    return becomes, problems


def rename(images: Iterable[Image], becomes: Mapping[str, str | None]) -> list[Image]:
    """Images with the shares of their players; images without any player left are left out."""
    renamed = []
    for image in images:
        shares: dict[str, float] = defaultdict(float)
        for name, share in image.shares:
            if (new := becomes[name]) is not None:
                shares[new] += share
        if shares:
            renamed.append(replace(image, shares=tuple(sorted(shares.items()))))
    return renamed


def describe(images: Sequence[Image], becomes: Mapping[str, str | None]) -> tuple[Contributor, ...]:
    """The players, sorted by name; all of them have training images."""
    training = [image for image in images if not image.heldout]
    trained, heldout = count(image.shares for image in training), count(i.shares for i in images if i.heldout)
    total = sum(trained.values())
    owned: dict[str, list[tuple[str, float, str]]] = defaultdict(list)
    for image in training:
        for name, share in image.shares:
            owned[name].append((image.digest, share, image.prompt))
    merged = tuple(sorted(name for name, new in becomes.items() if new == MERGED))
    return tuple(
        Contributor(
            name=name,
            images=images_owned,
            heldout=heldout.get(name, 0.0),
            pro_rata=images_owned / total,
            fingerprint=fingerprint(owned[name]),
            merged=merged if name == MERGED else (),
        )
        for name, images_owned in sorted(trained.items())
    )


def fingerprint(owned: Iterable[tuple[str, float, str]]) -> str:
    """sha256 (hex) over the sorted (digest, share, prompt) of a contributor's training images, duplicates counted.

    Prompts are empty for unconditional models. Neither the name nor the files' names nor the resolution enter.
    """
    rows = sorted([digest, round(share, 9), prompt] for digest, share, prompt in owned)
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def ownership(images: Iterable[Image], rows: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """float64 [len(rows), len(names)]: whose each distinct training row (a key) is, summed over equal ones."""
    row, column = ({key: i for i, key in enumerate(keys)} for keys in (rows, names))
    matrix = np.zeros((len(rows), len(names)))
    for image in images:
        if not image.heldout:
            for name, share in image.shares:
                matrix[row[image.key], column[name]] += share
    return matrix


def count(shares: Iterable[Sequence[tuple[str, float]]]) -> dict[str, float]:
    """Sum of shares by name. Rounded, so that three thirds are one image."""
    sums: dict[str, float] = defaultdict(float)
    for pairs in shares:
        for name, share in pairs:
            sums[name] += share
    return {name: round(total, 9) for name, total in sums.items()}
