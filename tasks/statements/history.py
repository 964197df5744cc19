"""Every contributor's credit over time, from all statements of a study.

    statements   1          2          3                  4
    epoch        1          1          2                  2
    Anna         •          •          •   as Anne        •       one line: same images, another name
    Ben          •          •                                     left
    Cleo                               •                  •       joined

Excess credits as they were published: each is above an equal share of whoever was in that statement. Only figures of the
same making can stand in one picture, so a picture begins after a property was last measured in another way.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tasks.statements.comparable import incomparable
from tasks.statements.moved import published_excess
from tasks.statements.people import People, compare_names
from tasks.statements.read import PastStatement
from tasks.statements.types import Excess


@dataclass(frozen=True)
class Line:
    """One contributor. formerly: earlier names, the oldest first. points: by position of the statement."""

    name: str
    formerly: tuple[str, ...]
    points: dict[int, Excess]


@dataclass(frozen=True)
class PropertyHistory:
    """One property. lines: largest credit in its last statement first; then those who are not in it, by name.

    last: position of the last statement that has the property. first: of the earliest whose figures can stand beside that
    one's. why: what was other before, as the end of the sentence "not comparable because …"; None if nothing was.
    """

    name: str
    unit: str
    lines: tuple[Line, ...]
    first: int
    last: int
    why: str | None


@dataclass(frozen=True)
class Boundary:
    """Where an epoch follows another. at: when it was opened, where that is known; else half-way between two statements."""

    epoch: int
    at: datetime


@dataclass(frozen=True)
class StatementMark:
    """One statement. since: who came and went since the one before; None for the first."""

    run: str
    created: datetime
    epoch: int | None
    contributors: int
    since: People | None


@dataclass(frozen=True)
class History:
    """All statements of a study, oldest first, and what they say."""

    study: str
    statements: tuple[StatementMark, ...]
    properties: tuple[PropertyHistory, ...]
    boundaries: tuple[Boundary, ...]


@dataclass
class _Person:
    """Somebody who is followed from statement to statement. places: position of a statement -> the name there."""

    names: list[str]
    places: dict[int, str] = field(default_factory=dict)


def history_of(study: str, statements: Sequence[PastStatement]) -> History:
    """Put a study's statements one beside the other.

    Args:
        statements: oldest first, as from `all_statements`.

    Raises:
        ValueError: if there is none.
    """
    if not statements:
        raise ValueError(f"the study {study!r} has no statements")
    people = _people(statements)
    names = dict.fromkeys(p.name for statement in reversed(statements) for p in statement.properties)
    pairs = itertools.pairwise(_fingerprints(statement) for statement in statements)
    since = [None, *(compare_names(then, now) for then, now in pairs)]
    marks = [
        StatementMark(s.run, s.created, s.epoch, len(s.contributors), people_since)
        for s, people_since in zip(statements, since, strict=True)
    ]
    return History(
        study,
        tuple(marks),
        tuple(_property(name, statements, people) for name in names),
        tuple(_boundaries(statements)),
    )


def _people(statements: Sequence[PastStatement]) -> list[_Person]:
    """Everybody who was ever in a statement. A new name for the same images is the same person; so is somebody who comes
    back under the name under which they left."""
    everybody: list[_Person] = []
    known: dict[str, _Person] = {}
    before: dict[str, str] = {}
    for place, statement in enumerate(statements):
        now = _fingerprints(statement)
        for old, new in compare_names(before, now).renamed:
            person = known.pop(old)
            person.names.append(new)
            known[new] = person
        for name in now:
            if name not in known:
                known[name] = _Person([name])
                everybody.append(known[name])
            known[name].places[place] = name
        before = now
    return everybody


def _property(name: str, statements: Sequence[PastStatement], people: Sequence[_Person]) -> PropertyHistory:
    having = [i for i, statement in enumerate(statements) if any(p.name == name for p in statement.properties)]
    excess = {i: published_excess(statements[i], name) for i in having}
    last = having[-1]
    first, why = last, None
    for i in reversed(having[:-1]):
        why = _other_making(name, statements[i], statements[last])
        if why is not None:
            break
        first = i
    lines = []
    for person in people:
        points = {i: excess[i][called] for i, called in person.places.items() if i in excess}
        if points:
            formerly = tuple(dict.fromkeys(each for each in person.names[:-1] if each != person.names[-1]))
            lines.append(Line(person.names[-1], formerly, points))
    # Those without a figure in the last statement come last.
    lines.sort(key=lambda line: (-line.points[last].value if last in line.points else math.inf, line.name))
    unit = next(p.unit for p in statements[last].properties if p.name == name)
    return PropertyHistory(name, unit, tuple(lines), first, last, why)


def _other_making(name: str, then: PastStatement, now: PastStatement) -> str | None:
    """Why figures of two statements cannot stand in one picture. Whether a property is of drawn images is not known of all
    statements, so another way of drawing them counts for each."""
    old, new = (next(p for p in each.properties if p.name == name) for each in (then, now))
    return incomparable(then, now.study, old, new, now.identities.get(name))


def _boundaries(statements: Sequence[PastStatement]) -> list[Boundary]:
    found = []
    for before, after in itertools.pairwise(statements):
        if after.epoch is not None and after.epoch != before.epoch:
            opened = after.opened
            if opened is None or not before.created <= opened <= after.created:
                opened = before.created + (after.created - before.created) / 2
            found.append(Boundary(after.epoch, opened))
    return found


def _fingerprints(statement: PastStatement) -> dict[str, str]:
    return {c.name: c.fingerprint for c in statement.contributors}
