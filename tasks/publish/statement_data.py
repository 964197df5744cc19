"""Collects what the steps found out into the one record that a statement is made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from infra.ledger import ModelRecord
from infra.provenance import now, versions
from tasks.audit.types import ContributorAudit
from tasks.estimate.noise import measure_noise
from tasks.evaluate.jobs import Outcome
from tasks.evaluate.table import evaluations_table
from tasks.frozen import Epoch
from tasks.partition import Partition, attribution
from tasks.plan.plan import Plan
from tasks.publish.types import PropertyResult, StatementData
from tasks.recipe import Recipe
from tasks.reference.pruned import pruning_table
from tasks.statements.moved import changes_since
from tasks.statements.read import PastStatement
from tasks.statements.standing import epoch_standing
from tasks.study import Study
from tasks.validate.types import Validation


def collect(
    study: Study,
    run: str,
    partition: Partition,
    data: Recipe,
    epoch: Epoch,
    statistics: Mapping[str, str | None],
    reference: tuple[Recipe, ModelRecord],
    pruned: tuple[Recipe, ModelRecord],
    plan: Plan,
    outcomes: Sequence[Outcome],
    results: tuple[PropertyResult, ...],
    reference_samples: np.ndarray,
    seconds: Mapping[str, float],
    before: PastStatement | None = None,
    audits: tuple[ContributorAudit, ...] = (),
    validation: Validation | None = None,
) -> StatementData:
    """Everything a statement says, with the digests it rests on.

    Args:
        before: the study's last statement. audits: of credits that were checked by retraining.
        validation: the newest of this study and recipe.
    """
    identities, from_samples = _properties(plan)
    failed = sum(bool(outcome.failures) for outcome in outcomes)
    archive, cached, reused = plan.archive, len(plan.cached), len(plan.archive.jobs)
    new = len(plan.jobs) - cached
    return StatementData(
        study=study,
        run=run,
        created=now(after=None if before is None else before.created),
        partition=partition,
        results=results,
        evaluations=evaluations_table(partition, plan.jobs, outcomes, archive),
        reference_samples=reference_samples,
        pruning=pruning_table(pruned[1]),
        costs={
            **seconds,
            "evaluations_cached": cached,
            "evaluations_new": new,
            "evaluations_reused": reused,
            "evaluations_failed": failed,
        },
        manifest={
            "schema_version": 1,
            "data": data.key,
            "epoch": {
                "number": epoch.number,
                "opened": epoch.opened,
                "why": epoch.why,
                "data": epoch.data.key,
                "drift": epoch.drift,
            },
            "reference": {"key": reference[0].key, "sha256": reference[1].sha256, "spec": reference[0].spec},
            "pruned": {"key": pruned[0].key, "sha256": pruned[1].sha256, "spec": pruned[0].spec},
            "statistics": dict(statistics),
            "identities": identities,
            "noise": {name: _noise(name, plan, outcomes) for name in study.properties.names},
            "seeds": {
                "reference": study.model.seed,
                "coalitions": study.coalition.seed,
                "audit": list(study.coalition.audit_seeds),
                "sampling": study.sampling.seed,
                "design": study.estimation.seed,
            },
            "seconds": dict(seconds),
            "evaluations": {"cached": cached, "new": new, "reused": reused, "failed": failed},
            "rounds": [dataclasses.asdict(this) for this in plan.rounds],
            "ending": None if plan.ended is None else dataclasses.asdict(plan.ended),
            "former": dict(zip(archive.former, archive.former_names, strict=True)),
            "ignored": dict(archive.ignored),
            "versions": versions(),
        },
        attribution=attribution(study.data),
        rounds=plan.rounds,
        ending=plan.ended,
        former=archive.former_names,
        ignored=archive.ignored,
        since=None
        if before is None
        else changes_since(
            before,
            study,
            partition,
            results,
            epoch=epoch.number,
            identities=identities,
            from_samples=from_samples,
        ),
        epoch=epoch_standing(epoch, partition),
        audits=audits,
        validation=validation,
    )


def _properties(plan: Plan) -> tuple[dict[str, Any], set[str]]:
    """What makes each property's numbers what they are, and the names of those that are of drawn images."""
    job = plan.jobs[0]  # every job has the same
    drawn = None if job.samples is None else job.samples.key
    identities = {name: recipe.spec["property"] for name, recipe in job.scores.items()}
    return identities, {name for name, recipe in job.scores.items() if recipe.spec["subject"] == drawn}


def _noise(name: str, plan: Plan, outcomes: Sequence[Outcome]) -> dict[str, float | int | None]:
    noise = measure_noise(name, plan.jobs, outcomes)
    return {**dataclasses.asdict(noise), "cautious_variance": noise.cautious_variance}
