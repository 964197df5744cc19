"""What a statement is made from: everything the earlier steps found out, in one frozen record.

The publish step computes no credit. It is handed finished results and says them to people, so all that it
needs is here, and nothing here can reach a store, a server or a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tasks.publish import text

if TYPE_CHECKING:
    from tasks.audit.types import ContributorAudit
    from tasks.partition import Partition
    from tasks.plan.rounds import Ending, Round
    from tasks.shapley import Credits
    from tasks.statements.types import EpochStanding, Since
    from tasks.study import Study
    from tasks.validate.types import Validation


@dataclass(frozen=True)
class PropertyResult:
    """The credits for one property, with how much of what was measured is signal.

    Values in `credits` are sign × raw, so that more is always better. `spread`, `seed_noise` are standard
    deviations in the property's unit: between the coalitions of the design, and between seeds of one coalition
    after each seed's main effect is removed (None where no coalition was repeated). `reused` evaluations were not asked
    for by the study's design; those with the images of former contributors among them inform the estimate indirectly.
    """

    name: str
    sign: int
    unit: str
    description: str
    credits: Credits
    spread: float
    seed_noise: float | None
    seed_correlation: float | None
    audit_rows: int
    reused: int = 0
    reused_with_former: int = 0

    def __post_init__(self) -> None:
        # They come from whoever wrote the property, and stand in pages, plots, tables and logs: once, instead of in each.
        for name in ("unit", "description"):
            object.__setattr__(self, name, text.words(getattr(self, name)))


@dataclass(frozen=True)
class StatementData:
    """All that one statement says.

    evaluations: one row an evaluation; columns role (design|baseline|grand|audit|archive), seed, size, members, cached,
        failure, one column of raw values for each property, `*_seconds`, keys, and one bool column
        "in:<contributor>" each.
    reference_samples: uint8 [k, r, r, 3].
    pruning: rows of model, parameters, macs, seconds_per_step, heldout_loss.
    costs: seconds by step, and the counts evaluations_cached, evaluations_new, evaluations_failed.
    created: ISO 8601, UTC.
    rounds, ending: how sure the credits were after each round, and why there was no further one.
    former: names of contributors who have left and are in reused evaluations. ignored: why evaluations in the ledger were
        not used -> how many.
    since: what changed since the last statement; None for a study's first. epoch: on which one this one stands.
    audits: of the contributors whose credit was checked by retraining. validation: how faithful this recipe was where it was
        measured; None where it was not.
    Raises ValueError where `created` is no time, or the results do not fit the contributors.
    """

    study: Study
    run: str
    created: str
    partition: Partition
    results: tuple[PropertyResult, ...]
    evaluations: pd.DataFrame
    reference_samples: np.ndarray
    pruning: list[dict[str, Any]]
    costs: Mapping[str, float]
    manifest: Mapping[str, Any]
    attribution: str
    rounds: tuple[Round, ...] = ()
    ending: Ending | None = None
    former: tuple[str, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)
    since: Since | None = None
    epoch: EpochStanding | None = None
    audits: tuple[ContributorAudit, ...] = ()
    validation: Validation | None = None

    def __post_init__(self) -> None:
        datetime.fromisoformat(self.created)
        n = len(self.partition.contributors)
        for result in self.results:
            if len(result.credits.values) != n:
                raise ValueError(
                    f"the credits for {result.name} are of {len(result.credits.values)} contributors, "
                    f"but the partition holds {n}"
                )
        names = [result.name for result in self.results]
        if len(set(names)) != len(names):
            raise ValueError(f"a property appears twice in the results: {names}")
