"""What a run of a study would do and cost: everything that `attribute` finds out before it spends anything."""

from __future__ import annotations

from infra.digest import sha256
from infra.lease import living
from infra.ledger import Ledger, ModelRecord
from infra.store import Store
from tasks.audit.coalitions import check_audit, most_retrained
from tasks.epoch.choose import in_words
from tasks.epoch.current import look_up_epoch
from tasks.evaluate.statistics import (
    NONE,
    compute_statistics,
    recorded_statistics,
    usable_property,
)
from tasks.evaluate.workers import workers_of
from tasks.families import family_of
from tasks.frozen import Epoch
from tasks.partition import Partition
from tasks.plan.chain import properties_of
from tasks.plan.design import check_budget
from tasks.plan.former import earlier_contributors
from tasks.plan.lacking import Held, lacking, whole
from tasks.preview.extent import foresee
from tasks.preview.prices import device_kind, once, rates
from tasks.preview.storage import storage_of
from tasks.preview.types import IN_STORE, Audit, Preview, Step
from tasks.preview.work import add_up
from tasks.progress import Say
from tasks.recipe import Recipe, pruned_recipe
from tasks.reference.pruned import pruned_is_stored
from tasks.reference.reference import reference_is_stored, reference_of
from tasks.study import Study


def look_ahead(
    study: Study,
    partition: Partition,
    data: Recipe,
    store: Store,
    say: Say,
    pool: tuple[str, int] | None = None,
    *,
    new_epoch: bool = False,
) -> Preview:
    """What `attribute` would do with this study now. Reads the store, and writes nothing to it.

    Args:
        pool: name and places of the work pool that does the work, where it is not this machine.

    Raises:
        ValueError, TooManyFailures: as `attribute` would, before it trains anything.
        StoreError: if the store cannot be read.
    """
    check_budget(study, partition)
    check_audit(study, partition)
    ledger = Ledger(store, packs=False)
    choice, epoch = look_up_epoch(study, partition, data, store, new=new_epoch)
    statistics, missing = _statistics(study, epoch, ledger, say)
    reference = reference_of(study, epoch.data)
    pruned = pruned_recipe(study.pruning, study.model, reference, epoch.data)
    held = Held.of(ledger)
    reference_record, pruned_record = held.models.get(reference.key), held.models.get(pruned.key)
    reference_there = reference_record is not None and reference_is_stored(reference_record, store)
    pruned_there = pruned_record is not None and pruned_is_stored(pruned_record, store)
    family, model = family_of(study.model), None
    if family.base() is not None or (study.model.pretrained is not None and not reference_there):
        model = family.build()  # says now what is wrong with it

    extent = foresee(study, partition, pruned, statistics, ledger, earlier_contributors(store, study.name))
    properties = properties_of(study)
    sure = [lacking(job, held) for job in extent.sure]
    later = [lacking(job, held) for job in extent.later]
    picks = [whole(extent.plan.jobs[0])] * extent.picks
    storage = storage_of(
        study,
        partition,
        epoch.data,
        model,
        reference_there=reference_there,
        pruned=pruned_record if pruned_there else None,
        fine_tunes=any(lack.training for lack in (*sure, *later, *picks)),
        needs_images=any(p.needs == "samples" for p in properties),
        store=store,
    )
    prices = rates(study, pruned, held)
    device = device_kind(study, [r for r in held.models.values() if r.spec.get("pruned") == pruned.key])
    return Preview(
        study=study.name,
        store=store.url,
        contributors=tuple(
            {"name": c.name, "images": c.images, "heldout": c.heldout, "pro_rata": c.pro_rata}
            for c in partition.contributors
        ),
        training_images=len(partition.train_digests),
        heldout_images=len(partition.heldout_digests),
        problems=tuple(
            {"kind": p.kind, "subject": p.subject, "reason": p.reason, "action": p.action} for p in partition.problems
        ),
        epoch=in_words(choice),
        reference=_reference(study, reference, reference_record, reference_there, held, device),
        pruned=_pruned(study, reference, pruned, pruned_record, pruned_there, held, device),
        statistics_missing=missing,
        asked_least=len(extent.plan.jobs),
        asked=extent.asked,
        cached=len(extent.plan.cached) + extent.later_cached,
        reused=len(extent.plan.archive.jobs),
        ignored=dict(extent.plan.archive.ignored),
        least=add_up(sure, prices, storage),
        most=add_up([*sure, *later, *picks], prices, storage),
        ended=extent.plan.ended.sentence if extent.plan.ended is not None else None,
        rates=prices,
        storage=storage,
        workers=workers_of(study.execution) if pool is None else min(pool[1], study.execution.workers or pool[1]),
        where="on this machine" if pool is None else f"in the work pool {pool[0]}",
        running=next((f"{h.holder} on {h.host}" for h in living(store, study.name).values()), None),
        audit=_audit(study, partition),
    )


def _audit(study: Study, partition: Partition) -> Audit | None:
    if not study.audit.contributors:
        return None
    asked = study.audit
    return Audit(len(asked.contributors), asked.pairs, most_retrained(study, partition), study.coalition.retrain_steps)


def _statistics(study: Study, epoch: Epoch, ledger: Ledger, say: Say) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """The digests of all reference statistics, and the properties whose are not in the store: these are computed, for
    otherwise nobody would know whether the images allow it, and thrown away."""
    digests: dict[str, str | None] = {}
    missing = []
    for name in study.properties.names:
        wanted = usable_property(name, study)
        record = recorded_statistics(wanted, epoch.data, ledger)
        digest = record.sha256 if record is not None else sha256(compute_statistics(wanted, epoch.images.real, say))
        digests[name] = None if digest == NONE else digest
        if record is None and digest != NONE:
            missing.append(name)
    return digests, tuple(missing)


def _reference(study: Study, recipe: Recipe, record: ModelRecord | None, there: bool, held: Held, device: str) -> Step:
    if there:
        return Step(IN_STORE)
    if not family_of(study.model).trains:
        return Step(f"is brought in from {study.model.pretrained}")
    start = "" if study.model.pretrained is None else f", from {study.model.pretrained}"
    again = "" if record is None else " again: it was removed from the store"
    kin = {key: r for key, r in held.models.items() if "training" in r.spec and "images" in r.spec}
    seconds = once(recipe, kin, device, {"images"})
    return Step(f"is trained, {study.model.train_steps} steps{start}{again}", seconds)


def _pruned(
    study: Study, reference: Recipe, recipe: Recipe, record: ModelRecord | None, there: bool, held: Held, device: str
) -> Step:
    if there:
        return Step(IN_STORE)
    how = f"{study.pruning.recovery_steps} steps of recovery" if study.pruning.ratio > 0 else "ratio 0"
    again = "" if record is None else " again: it was removed from the store"
    kin = {key: r for key, r in held.models.items() if "ratio" in r.spec and _same_network(r, reference, held)}
    return Step(f"is made, {how}{again}", once(recipe, kin, device, {"images", "reference"}))


def _same_network(pruned: ModelRecord, reference: Recipe, held: Held) -> bool:
    """Whether a pruned model was made from a reference of the same shape as this one."""
    made_from = held.models.get(str(pruned.spec.get("reference")))
    shape = ("network", "pretrained", "base", "adapter")
    return made_from is not None and all(made_from.spec.get(s) == reference.spec.get(s) for s in shape)
