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
from infra.work_pool import places_of
from tasks.epoch.task import prepare_epoch_on_pool
from tasks.evaluate.evaluator import Evaluator
from tasks.evaluate.failures import TooManyFailures
from tasks.evaluate.jobs import Outcome, Setting
from tasks.evaluate.shards.pool import FLOW as SHARDS
from tasks.evaluate.task import evaluate_coalitions, workers_for
from tasks.evaluate.workers import workers_of
from tasks.frozen import Epoch
from tasks.partition import Partition
from tasks.plan.aside import plan_aside
from tasks.plan.design import with_ends
from tasks.plan.lacking import Held
from tasks.plan.plan import Plan
from tasks.preview.prices import device_kind
from tasks.publish.types import PropertyResult
from tasks.recipe import Recipe, pruned_recipe
from tasks.reference.pruned import pruning_table
from tasks.reference.task import prune_reference
from tasks.study import Study
from tasks.validate.costs import in_lines, priced
from tasks.validate.credited import credited, papers_rows
from tasks.validate.judge import Evaluated, Evidence, judge
from tasks.validate.methods import free_credits
from tasks.validate.types import RANDOM, Validation
from tasks.validate.worlds import (
    Asked,
    chosen_coalitions,
    estimation_digest,
    other_ways,
    recipe_digest,
    repeated_truth,
    truth,
    without_one,
)
from tasks.validation.counterfactual import most_coalitions, plan_counterfactuals
from tasks.validation_spec import ValidationSpec

Reference = tuple[Recipe, ModelRecord]
MOST_WEIGHTS = 5_000_000  # whose gradients are projected: an image takes a tenth of a second at 600,000 on one core
METHODS = 14  # that are compared, at most


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
        rows = with_ends(way.rows) if way.ends else way.rows
        plan = plan_aside(study, self.partition, pruned, self.statistics, Ledger(self.store), rows, "validation")
        log.info("%s: %d evaluations, %d of them in the ledger", way.name, len(plan.jobs), len(plan.cached))
        self.trained += len(plan.missing)
        self.found += len(plan.cached)
        record = Ledger(self.store).get(ModelRecord, pruned.key)
        macs = None if record is None else float(pruning_table(record)[-1]["macs"])
        if not plan.missing:
            return Evaluated(plan, [plan.known[i] for i in range(len(plan.jobs))], macs)
        world = study, self.partition, self.pixels, pruned, self.statistics, self.store, self.still_ours
        with workers_for(*world) as workers:
            return Evaluated(plan, evaluate_coalitions(study, plan, self.partition, workers, self.store), macs)

    def say_plan(self, ways: Sequence[Asked], cuts: bool) -> None:
        """What there is to be evaluated, what of it is in the ledger, and how long that takes, before anything is.

        Args:
            ways: the second is the truth.
        """
        ledger, people = Ledger(self.store), len(self.partition.contributors)
        held, found = Held.of(ledger), []
        for way in ways:
            study = way.study
            pruned = pruned_recipe(study.pruning, study.model, self.reference[0], self.epoch.data)
            rows = with_ends(way.rows) if way.ends else way.rows
            plan = plan_aside(study, self.partition, pruned, self.statistics, ledger, rows, "validation")
            found.append(priced(way, pruned, plan, held))
        study = ways[0].study
        most = most_coalitions(people, METHODS * len(study.properties.names)) if cuts else 0
        in_lines(found, most, _places(study), get_run_logger().info)


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
    started, partition, shortfalls = time.monotonic(), prover.partition, list[str]()
    log = get_run_logger()
    n = len(partition.contributors)
    chosen = chosen_coalitions(study, n, asked)
    drawn = papers_rows(study, partition, plan.draws) if asked.paper else np.zeros((0, n), bool)
    beside_rows = [chosen.rows, drawn, *([without_one(n)] if asked.leave_one_out else [])]
    own, others = Asked(study, np.concatenate(beside_rows), own=True), other_ways(study, chosen, asked)
    repeat = repeated_truth(study, chosen, asked)
    beside_truth = [*others, *([repeat] if repeat else [])]
    prover.say_plan([own, Asked(truth(study), chosen.rows), *beside_truth], asked.counterfactuals)
    beside = prover.evaluated(own)
    free, left_out = _free(study, asked, prover, pruned, plan)
    methods = {}
    for result in results:
        log.info("credits for %s by every method, with %d replicates …", result.name, asked.replicates)
        given = study, partition, asked, result, plan, outcomes, beside, drawn, free[result.name]
        methods[result.name], missing = credited(*given)
        left_out += missing
    names = [contributor.name for contributor in partition.contributors]
    cuts = {
        name: plan_counterfactuals({m: each.credits for m, each in of_property.items() if m != RANDOM}, names)
        for name, of_property in methods.items()
        if asked.counterfactuals
    }
    rows = [chosen.rows, *(each.coalitions for each in cuts.values())]
    retrained = prover.evaluated(Asked(truth(study), np.concatenate(rows)))
    ways = []
    for way in beside_truth:
        try:
            ways.append((way, prover.evaluated(way)))
        except TooManyFailures as error:  # it is one of several, and would fail again: the rest is worth having
            shortfalls.append(f"{way.name} is left out: {str(error).partition(chr(10))[0]}")
            log.warning("%s", shortfalls[-1])
    mine = Ledger(prover.store).find(ModelRecord, (job.model.key for job in plan.jobs))
    log.info("fidelity, scores and their intervals …")
    found = tuple(
        judge(
            Evidence(
                result=result,
                chosen=chosen,
                own=(replace(own, rows=chosen.rows), beside),
                truth=retrained,
                ways=[each for each in ways if not each[0].repeat],
                repeat=next((each for each in ways if each[0].repeat), None),
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
            "estimation": estimation_digest(study, names),
            "epoch": prover.epoch.number,
            "contributors": tuple(names),
            "one_size": chosen.size,
            "coalitions_of_one_size": chosen.of_one_size,
            "coalitions_across": len(chosen.rows) - chosen.of_one_size,
            "trained": prover.trained,
            "found": prover.found,
            "seconds": time.monotonic() - started,
            "retrain_steps": study.model.train_steps,
            "device": device_kind(study, mine.values()),
            "evaluations": plan.draws,
            "shortfalls": (*chosen.shortfalls, *left_out, *shortfalls),
            "properties": found,
        }
    )


def _free(
    study: Study, asked: ValidationSpec, prover: Prover, pruned: Recipe, plan: Plan
) -> tuple[dict[str, dict[str, np.ndarray]], list[str]]:
    """By property, credits of the methods that evaluate nothing: from everybody's images and the grand coalition's model;
    and what was left out, in words."""
    partition = prover.partition
    grand = next(job for job in plan.jobs if job.role == "grand")
    setting = Setting(
        store_url=prover.store.url,
        study=_on_this_machine(study),
        data_sha256=prover.pixels,
        train_digests=partition.train_digests,
        ownership=partition.ownership,
        pruned_key=pruned.key,
        statistics=dict(prover.statistics),
    )
    record, left_out = Ledger(prover.store).get(ModelRecord, pruned.key), []
    weights = 0 if record is None else int(pruning_table(record)[-1]["parameters"])
    if asked.gradients and weights > MOST_WEIGHTS:
        asked = asked.model_copy(update={"gradients": False})
        left_out.append(
            f"TRAK, D-TRAK and gradient similarity are left out: gradients of {weights:,} weights are not projected here, "
            f"{MOST_WEIGHTS:,} are the most"
        )
    return free_credits(study, asked, partition, Evaluator(setting), grand, say=get_run_logger().info), left_out


def _on_this_machine(study: Study) -> Study:
    """The study as what is made beside its evaluations is made here: the driver of a work pool has perhaps no card."""
    if study.execution.mode != "work_pool" or study.execution.device == "cpu":
        return study
    return study.model_copy(update={"execution": study.execution.model_copy(update={"device": "auto"})})


def _places(study: Study) -> int:
    """How many evaluations go on at a time."""
    if study.execution.mode != "work_pool":
        return workers_of(study.execution)
    places = places_of(f"{SHARDS}/{study.execution.deployment}", study.execution.queue)
    return max(1, min(places, study.execution.workers or places))
