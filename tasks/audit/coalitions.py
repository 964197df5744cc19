"""From a study with contributors to audit to evaluations: the same coalitions, fine-tuned and retrained.

study                 ∅  N  S₁  S₁∪i  S₂  S₂∪i …      fine-tuned; mostly in the ledger already
its retraining twin   ∅  N  S₁  S₁∪i  S₂  S₂∪i …      from random weights; ∅ is the same untrained model
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from infra.ledger import Ledger
from tasks.audit.draw import Coalitions, Draw, draw_coalitions
from tasks.audit_spec import AuditSpec
from tasks.partition import DataError, Partition
from tasks.partition.names import clean, closest
from tasks.plan.aside import plan_aside
from tasks.plan.plan import Plan
from tasks.recipe import Recipe
from tasks.study import Study


@dataclass(frozen=True)
class Audited:
    """One contributor and the coalitions that are looked at.

    player: position in the partition. without: bool[k, contributors], the draw's coalitions as rows over everybody.
    """

    player: int
    draw: Draw
    without: Coalitions

    @property
    def present(self) -> Coalitions:
        """The same coalitions with the contributor: bool[k, contributors]."""
        rows = self.without.copy()
        rows[:, self.player] = True
        return rows


def check_audit(study: Study, partition: Partition) -> None:
    """Raises DataError for a name to audit that is no contributor; with the closest ones."""
    _players(study, partition)


def audited_coalitions(study: Study, partition: Partition) -> tuple[Audited, ...]:
    """For each contributor to audit the coalitions, drawn by what people's images are: who only changes their name, or the
    order of names, changes nothing.

    Raises:
        DataError: as `check_audit`.
    """
    n = len(partition.contributors)
    order = sorted(range(n), key=lambda i: (partition.contributors[i].fingerprint, i))
    found = []
    for player in _players(study, partition):
        own = int(partition.contributors[player].fingerprint[:16], 16)
        draw = draw_coalitions(n - 1, study.audit.pairs, [study.audit.seed, own])
        rows = np.zeros((len(draw.coalitions), n), dtype=bool)
        rows[:, [i for i in order if i != player]] = draw.coalitions
        found.append(Audited(player, draw, rows))
    return tuple(found)


def most_retrained(study: Study, partition: Partition) -> int:
    """The most trainings from random weights that the audits ask for: two a pair. Coalitions that several audits share, and
    what the ledger has, are counted as if they were not."""
    pairs = min(study.audit.pairs, 2 ** min(64, len(partition.contributors) - 1))
    return 2 * pairs * len(_players(study, partition))


def retraining(study: Study) -> Study:
    """The study with all coalitions trained from random weights, and no audit of its own."""
    coalition = study.coalition.model_copy(update={"mode": "retrain"})
    return study.model_copy(update={"coalition": coalition, "audit": AuditSpec()})


def audit_plan(
    study: Study,
    partition: Partition,
    pruned: Recipe,
    statistics: Mapping[str, str | None],
    ledger: Ledger,
    audited: Sequence[Audited],
) -> Plan:
    """Every coalition that the audits need, once, in the realisation of `study`, held against the ledger; the empty and the
    grand one first."""
    n = len(partition.contributors)
    ends = np.array([[False] * n, [True] * n])
    rows = np.concatenate([ends, *(part for one in audited for part in (one.without, one.present))])
    return plan_aside(study, partition, pruned, statistics, ledger, rows, "audit")


def _players(study: Study, partition: Partition) -> list[int]:
    """Positions of the contributors to audit, each once."""
    names = {c.name: i for i, c in enumerate(partition.contributors)}
    wanted = [clean(name) for name in study.audit.contributors]
    if unknown := [name for name in wanted if name not in names]:
        merged = {name: c.name for c in partition.contributors for name in c.merged}
        hints = "; ".join(
            f"{name!r} (merged into {merged[name]!r})"
            if name in merged
            else f"{name!r} (closest: {', '.join(closest(name, names)) or 'none'})"
            for name in unknown
        )
        raise DataError(f"audit.contributors names who is no contributor: {hints}")
    return [names[name] for name in dict.fromkeys(wanted)]
