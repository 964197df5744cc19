"""The proof with Prefect: its evaluations are task runs of the flow, or shards on a work pool, as all others are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from prefect.logging import get_run_logger

from infra.ledger import Ledger, ModelRecord
from infra.provenance import now
from infra.store import Store
from tasks.epoch.task import prepare_epoch_on_pool
from tasks.evaluate.evaluator import Evaluator
from tasks.evaluate.jobs import Outcome, Setting
from tasks.evaluate.task import evaluate_coalitions, workers_for
from tasks.frozen import Epoch
from tasks.model.threads import device_of
from tasks.partition import Partition
from tasks.plan.aside import plan_aside
from tasks.plan.plan import Plan
from tasks.publish.types import PropertyResult
from tasks.recipe import Recipe
from tasks.reference.task import prune_reference
from tasks.study import Study
from tasks.validate.credited import credited, papers_rows
from tasks.validate.judge import Evaluated, Evidence, judge
from tasks.validate.methods import free_credits
from tasks.validate.types import Validation
from tasks.validate.worlds import (
    Asked,
    chosen_coalitions,
    other_ways,
    recipe_digest,
    truth,
    with_ends,
    without_one,
)
from tasks.validation.counterfactual import plan_counterfactuals
from tasks.validation_spec import ValidationSpec

Reference = tuple[Recipe, ModelRecord]


class Prover:
    """Makes evaluations of a study in other ways, and counts them.

    still_ours: raises if the study's lease was lost.
    """

    def __init__(
        self,
        partition: Partition,
        pixels: str,
        epoch: Epoch,
        reference: Reference,
        statistics: Mapping[str, str | None],
        store: Store,
        still_ours: Callable[[], None],
    ) -> None:
        self.partition, self.pixels, self.epoch, self.reference = partition, pixels, epoch, reference
        self.statistics, self.store, self.still_ours = statistics, store, still_ours
        self.trained = self.found = 0

    def evaluated(self, way: Asked) -> Evaluated:
        """The empty and the grand coalition and all of the way's, in its way: found in the ledger, or made now.

        Raises:
            TooManyFailures, WorkPoolError: as `evaluate_coalitions`.
        """
        log, study = get_run_logger(), way.study
        prepare_epoch_on_pool(study, self.epoch, self.store)
        pruned = prune_reference(study, self.epoch, self.reference, self.store)[0]
        rows = with_ends(way.rows, len(self.partition.contributors))
        plan = plan_aside(study, self.partition, pruned, self.statistics, Ledger(self.store), rows, "validation")
        log.info("%s: %d evaluations, %d of them in the ledger", way.name, len(plan.jobs), len(plan.cached))
        self.trained += len(plan.missing)
        self.found += len(plan.cached)
        if not plan.missing:
            return Evaluated(plan, [plan.known[i] for i in range(len(plan.jobs))])
        world = study, self.partition, self.pixels, pruned, self.statistics, self.store, self.still_ours
        with workers_for(*world) as workers:
            return Evaluated(plan, evaluate_coalitions(study, plan, self.partition, workers, self.store))


def prove(
    study: Study,
    asked: ValidationSpec,
    run: str,
    prover: Prover,
    pruned: Recipe,
    plan: Plan,
    outcomes: Sequence[Outcome],
    results: Sequence[PropertyResult],
) -> Validation:
    """Hold a study's credits against models retrained from scratch. Called by the flow itself, whose child runs the
    evaluations are.

    Args:
        plan, outcomes, results: of the study, finished.

    Raises:
        TooManyFailures, WorkPoolError: as `evaluate_coalitions`.
    """
    started, partition = time.monotonic(), prover.partition
    n = len(partition.contributors)
    chosen, drawn = chosen_coalitions(study, n, asked), papers_rows(study, partition)
    own = Asked(study, np.concatenate([chosen.rows, without_one(n), drawn]), own=True)
    beside = prover.evaluated(own)
    free = _free(study, asked, prover, pruned, plan, results)
    methods = {
        result.name: credited(study, partition, asked, result, plan, outcomes, beside, drawn, free[result.name])
        for result in results
    }
    names = [contributor.name for contributor in partition.contributors]
    cuts = {
        name: plan_counterfactuals({method: each.credits for method, each in of_property.items()}, names)
        for name, of_property in methods.items()
        if asked.counterfactuals
    }
    rows = [chosen.rows, *(each.coalitions for each in cuts.values())]
    retrained = prover.evaluated(Asked(truth(study), np.concatenate(rows)))
    ways = [(way, prover.evaluated(way)) for way in other_ways(study, chosen, asked)]
    found = tuple(
        judge(
            Evidence(
                result=result,
                chosen=chosen,
                own=(replace(own, rows=chosen.rows), beside),
                truth=retrained,
                ways=ways,
                methods=methods[result.name],
                cuts=cuts.get(result.name),
                asked=asked,
            )
        )
        for result in results
    )
    return Validation.model_validate(
        {
            "study": study.name,
            "run": run,
            "created": now(),
            "recipe": recipe_digest(study),
            "epoch": prover.epoch.number,
            "contributors": tuple(names),
            "one_size": chosen.size,
            "coalitions_of_one_size": chosen.of_one_size,
            "coalitions_across": len(chosen.rows) - chosen.of_one_size,
            "trained": prover.trained,
            "found": prover.found,
            "seconds": time.monotonic() - started,
            "retrain_steps": study.model.train_steps,
            "device": device_of(study.execution.device),
            "shortfalls": chosen.shortfalls,
            "properties": found,
        }
    )


def _free(
    study: Study, asked: ValidationSpec, prover: Prover, pruned: Recipe, plan: Plan, results: Sequence[PropertyResult]
) -> dict[str, dict[str, np.ndarray]]:
    """By property, credits of the methods that evaluate nothing: from everybody's images and the grand coalition's model."""
    partition = prover.partition
    grand = next(job for job in plan.jobs if job.role == "grand")
    setting = Setting(
        store_url=prover.store.url,
        study=study,
        data_sha256=prover.pixels,
        train_digests=partition.train_digests,
        ownership=partition.ownership,
        pruned_key=pruned.key,
        statistics=dict(prover.statistics),
    )
    return free_credits(study, asked, partition, Evaluator(setting), grand, say=get_run_logger().info)
