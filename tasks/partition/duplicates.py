"""Equal images: found by the digest of their pixels, flagged, counted, and held out together.

Equal images are never split between training and held-out set, and a newcomer moves nobody: whether an image is held
out depends on its pixels and the study's salt alone.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

from tasks.partition import dates
from tasks.partition.types import Image, Problem

_NEVER = datetime.max.replace(tzinfo=UTC)


def is_heldout(digest: str, salt: str, fraction: float) -> bool:
    """Whether images with this pixel digest are held out; true for about `fraction` of all digests."""
    drawn = hashlib.sha256(f"{salt}\n{digest}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") < fraction * 2**64


def find_duplicates(images: Iterable[Image]) -> list[Problem]:
    """One problem for each image that equals an earlier one; `images` still have their owners as the data name them.

    Earlier means an earlier date; among images whose dates do not settle it, the order of file names.
    """
    groups: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        groups[image.digest].append(image)
    problems = []
    for _, group in sorted(groups.items()):
        first, *others = sorted(group, key=lambda image: (_begins(image.date), image.file_name))
        for other in sorted(others, key=lambda image: image.file_name):
            problems.append(_compare(first, other))
    return problems


def _compare(first: Image, other: Image) -> Problem:
    equal = f"{other.file_name!r} equals {first.file_name!r} pixel by pixel"
    owner, copier = _owners(first), _owners(other)
    if owner == copier:
        return Problem(other.file_name, "duplicate-within", f"{equal}, both owned by {owner}; both count", "kept")
    if first.date and other.date and dates.span(first.date)[1] < dates.span(other.date)[0]:
        who = f"{owner} had it first ({first.date}), {copier} later ({other.date}); both count"
    else:
        known = [image.date or "no date" for image in (first, other)]
        who = f"both {owner} and {copier} own it and it is not known who was first ({known[0]}, {known[1]}); both count"
    return Problem(other.file_name, "duplicate-across", f"{equal}: {who}", "kept")


def _owners(image: Image) -> str:
    if len(image.shares) == 1:
        return repr(image.shares[0][0])
    return " and ".join(f"{name!r} ({share:g})" for name, share in image.shares)


def _begins(date: str | None) -> datetime:
    return dates.span(date)[0] if date else _NEVER
