"""Who is in a study now and was not in a statement before, and the other way round.

Names and fingerprints are compared, never images: a fingerprint changes with whatever would change a coalition's model.

    before  now            is
    A f     A f            unchanged
    A f     A g            changed
    A f     B f, no A      renamed
    A f     no A, no f     left
            B g            joined
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.partition import Partition
from tasks.publish import text
from tasks.statements.read import PastStatement

SHOWN = 10  # names of each kind in a sentence


@dataclass(frozen=True)
class People:
    """Names of contributors by what became of them, each sorted. renamed: (name before, name now)."""

    joined: tuple[str, ...]
    left: tuple[str, ...]
    changed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    unchanged: tuple[str, ...]

    @property
    def any(self) -> bool:
        """Whether anything is not as it was, if only a name."""
        return bool(self.joined or self.left or self.changed or self.renamed)

    def sentence(self) -> str:
        """In words, without a full stop; names are safe to print, not to put into HTML or Markdown."""
        parts = [
            f"{len(names)} {what} ({_listed(names)})"
            for names, what in ((self.joined, "joined"), (self.left, "left"), (self.changed, "changed images"))
            if names
        ]
        if self.renamed:
            pairs = [f"{text.plain(old)}, now {text.plain(new)}" for old, new in self.renamed]
            parts.append(f"{len(pairs)} changed only the name ({_cut(pairs, '; ')})")
        if not (self.joined or self.left or self.changed):
            parts.insert(0, "nobody joined, left or changed images")
        return ", ".join(parts)


def compare_people(before: PastStatement, partition: Partition) -> People:
    """What became of whom since a statement. Every name of then and of now is in exactly one of the classes.

    Two contributors may have one fingerprint, where both own the same images in the same shares; of those whose names are
    gone and those whose names are new, pairs are then made in the order of the names.
    """
    return compare_names(
        {c.name: c.fingerprint for c in before.contributors}, {c.name: c.fingerprint for c in partition.contributors}
    )


def compare_names(then: Mapping[str, str], now: Mapping[str, str]) -> People:
    """The same for any two moments; fingerprints by name."""
    same = {name for name in then if now.get(name) == then[name]}
    gone: dict[str, list[str]] = defaultdict(list)
    for name in sorted(then.keys() - now.keys()):
        gone[then[name]].append(name)
    renamed = []
    for name in sorted(now.keys() - then.keys()):
        if gone[now[name]]:
            renamed.append((gone[now[name]].pop(0), name))
    return People(
        joined=tuple(sorted(now.keys() - then.keys() - {new for _, new in renamed})),
        left=tuple(sorted(then.keys() - now.keys() - {old for old, _ in renamed})),
        changed=tuple(sorted((then.keys() & now.keys()) - same)),
        renamed=tuple(sorted(renamed)),
        unchanged=tuple(sorted(same)),
    )


def _listed(names: Sequence[str]) -> str:
    return _cut([text.plain(name) for name in names], ", ")


def _cut(parts: Sequence[str], between: str) -> str:
    listed = between.join(parts[:SHOWN])
    return listed if len(parts) <= SHOWN else f"{listed} and {len(parts) - SHOWN} more"
