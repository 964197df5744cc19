"""What changed in the credits since the last statement, contributor by contributor.

Excess is credit above an equal share, so whoever joins or leaves shifts everybody's. Differences are therefore taken after
re-centring both statements on the contributors who are in both:

    last statement    A +3   B −1   C −2           A and B are in both: mean +1     A +2   B −2
    this statement    A +1   B −3          D +2    A and B are in both: mean −1     A +2   B −2     nothing has moved

A contributor has moved if |difference| > √(h₁² + h₂²), with h₁ and h₂ the half-widths of the two 90 % intervals. That takes
the errors of the two statements for independent. Within an epoch they rest partly on the same evaluations, so the difference
is really known better than that: the rule is cautious.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from tasks.partition import Partition
from tasks.publish import text
from tasks.publish.tables import LEVEL
from tasks.publish.types import PropertyResult
from tasks.statements.comparable import incomparable
from tasks.statements.people import People, compare_people
from tasks.statements.read import PastProperty, PastStatement
from tasks.statements.types import STATUSES, Excess, Move, PropertyMoves, Since
from tasks.study import Study

_ROUNDING = 1e-9  # part of the largest excess below which a difference is none


def changes_since(
    before: PastStatement,
    study: Study,
    partition: Partition,
    results: tuple[PropertyResult, ...],
    *,
    epoch: int,
    identities: Mapping[str, Mapping[str, Any]],
    from_samples: Collection[str],
) -> Since:
    """Compare finished credits with the last statement's.

    Args:
        epoch: number of the one on which these credits stand.
        identities: what makes each property's numbers what they are.
        from_samples: names of the properties that are of drawn images.
    """
    people = compare_people(before, partition)
    then = {each.name: each for each in before.properties}
    form = study.model_dump(mode="json")
    properties = []
    for result in results:
        if result.name in then:
            now = PastProperty(result.name, result.sign, result.unit, result.credits.estimator)
            reason = incomparable(
                before,
                form,
                then[result.name],
                now,
                identities.get(result.name),
                from_samples=result.name in from_samples,
            )
            properties.append(
                PropertyMoves(result.name, result.unit, incomparable=reason)
                if reason is not None
                else _moves(result, published_excess(before, result.name), _excess_now(result, partition), people)
            )
    return Since(
        run=before.run,
        created=before.created.isoformat(),
        people=people,
        properties=tuple(properties),
        notes=tuple(_notes(before, people, results, properties, epoch)),
        epoch_before=before.epoch,
        epoch_now=epoch,
    )


def _moves(
    result: PropertyResult, then: Mapping[str, Excess], now: Mapping[str, Excess], people: People
) -> PropertyMoves:
    """Everybody's moves for one property.

    Args:
        then, now: excess credits by name.
    """
    formerly = {new: old for old, new in people.renamed}
    common = [(formerly.get(name, name), name) for name in now if formerly.get(name, name) in then]
    centre_before = float(np.mean([then[old].value for old, _ in common])) if common else 0.0
    centre_now = float(np.mean([now[name].value for _, name in common])) if common else 0.0
    rounding = _ROUNDING * max(abs(each.value) for each in (*then.values(), *now.values()))
    rows = []
    for old, name in common:
        difference = (now[name].value - centre_now) - (then[old].value - centre_before)
        half = math.hypot(then[old].half, now[name].half)
        known = math.isfinite(difference) and math.isfinite(half) and len(common) > 1
        moved = known and abs(difference) > half + rounding
        rows.append(
            Move(
                name,
                "not known" if not known else "moved" if moved else "within noise",
                then[old],
                now[name],
                difference if known else None,
                half if known else None,
                formerly.get(name),
                name in people.changed,
            )
        )
    rows += [Move(name, "new", None, now[name]) for name in people.joined]
    rows += [Move(name, "gone", then[name], None) for name in people.left]
    rows.sort(key=lambda row: (STATUSES.index(row.status), -abs(row.difference or 0.0), row.name))
    return PropertyMoves(result.name, result.unit, tuple(rows), centre_before, centre_now)


def published_excess(before: PastStatement, name: str) -> dict[str, Excess]:
    """Excess credits for a property of a statement, by contributor."""
    columns = [before.credits[f"{text.storable(name)}_{kind}"] for kind in ("excess", "excess_low", "excess_high")]
    values = zip(*(column.astype(float) for column in columns), strict=True)
    return {c.name: Excess(*row) for c, row in zip(before.contributors, values, strict=True)}


def _excess_now(result: PropertyResult, partition: Partition) -> dict[str, Excess]:
    low, high = result.credits.excess_interval(LEVEL)
    values = zip(result.credits.excess.tolist(), low.tolist(), high.tolist(), strict=True)
    return {c.name: Excess(*row) for c, row in zip(partition.contributors, values, strict=True)}


def _notes(
    before: PastStatement,
    people: People,
    results: tuple[PropertyResult, ...],
    compared: list[PropertyMoves],
    epoch: int,
) -> list[str]:
    """What must be known to read the figures."""
    notes = []
    if any(each.rows for each in compared):
        if people.joined or people.left:
            notes.append(
                "Excess is above an equal share, so who joins or leaves shifts everybody's. Differences are therefore taken "
                f"after the mean excess of the {_stayed(people)} contributors who are in both statements has been "
                "subtracted in each; the credits themselves are shown as they were published. Beside others a contributor's "
                "images may really be worth more or less than before: such a move is no error."
            )
        chance = (
            "Both statements rest partly on the same evaluations and share their errors, so this is cautious: less than one "
            "in ten of those with nothing behind it would be called moved."
            if before.epoch == epoch
            else "About one in ten of those with nothing behind it would be called moved by chance alone."
        )
        notes.append(
            "A contributor counts as moved where the difference is larger than √(h₁² + h₂²), h₁ and h₂ being half the "
            f"widths of the two 90 % intervals. {chance}"
        )
        if _stayed(people) < 2:
            notes.append("Fewer than two contributors are in both statements, so nothing can be said of moves.")
    if before.epoch is None:
        notes.append(
            f"The last statement is older than epochs; this one stands on epoch {epoch}. Intervals do not cover what "
            "another reference and pruned model do to credits."
        )
    elif before.epoch != epoch:
        notes.append(
            f"The last statement stands on epoch {before.epoch}, this one on epoch {epoch}: reference, pruned model and "
            "reference statistics are others. Intervals do not cover that, so some of what has moved may be the epoch's "
            "doing."
        )
    then = {p.name: p.estimator for p in before.properties}
    otherwise = {(then[r.name], r.credits.estimator) for r in results if r.name in then} - {
        (e, e) for e in then.values()
    }
    for was, is_now in sorted(otherwise):
        notes.append(
            f"The last statement's credits were estimated by '{was}', these are by '{is_now}': both of one value."
        )
    names, old = {r.name for r in results}, {p.name for p in before.properties}
    for new in sorted(names - old):
        notes.append(f"{new} is not in the last statement.")
    for gone in sorted(old - names):
        notes.append(f"{gone} was in the last statement and is not in this one.")
    return notes


def _stayed(people: People) -> int:
    return len(people.unchanged) + len(people.changed) + len(people.renamed)
