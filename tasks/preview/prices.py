"""What one piece of work takes on one worker: medians of what the ledger's records say it took, nearest kin first.

    fine-tuning   1 coalitions of this pruned model by this recipe (any seed)
                  2 this recipe's steps, timed when the model was pruned
                  3 a step of coalitions of other models on the same kind of device
    drawing       1 this recipe on this pruned model       2 a step of an image of other models on the same kind of device
    scoring       1 this property on coalitions of this pruned model       2 the same property elsewhere, same kind of device

What has no kin was not measured, and no figure is made up. Where the study leaves the device open, it is the one on which
its own coalitions were evaluated last, or the one that is found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from infra.ledger import ModelRecord, Record
from tasks.model.threads import device_of
from tasks.plan.chain import properties_of
from tasks.plan.lacking import Held
from tasks.preview.types import Measured
from tasks.properties import Property
from tasks.recipe import Recipe, coalition_training, model_recipe, samples_recipe
from tasks.reference.pruned import pruning_table
from tasks.study import Study

OURS = "by this recipe"


def rates(study: Study, pruned: Recipe, held: Held) -> dict[str, Measured | None]:
    """Seconds of "fine_tune", "sample" and "score/<property>"; None for what was never measured."""
    mine = {key: r for key, r in held.models.items() if r.spec.get("pruned") == pruned.key}
    device = device_kind(study, mine.values())
    properties = properties_of(study)
    found = {"fine_tune": _fine_tuning(study, pruned, held, mine, device)}
    if any(p.needs == "samples" for p in properties):
        found["sample"] = _drawing(study, pruned, held, mine, device)
    images = {r.key for r in held.samples.values() if r.model in mine}
    found |= {f"score/{p.name}": _scoring(p, held, images | mine.keys(), device) for p in properties}
    return found


def device_kind(study: Study, mine: Iterable[Record]) -> str:
    """ "cpu" or "cuda": where the study's evaluations will be made, as far as that can be known."""
    if study.execution.device != "auto":
        return study.execution.device
    newest = max(mine, key=lambda record: record.created, default=None)
    return (_kind(newest) if newest is not None else "") or device_of("auto").partition(":")[0]


def once(recipe: Recipe, records: Mapping[str, ModelRecord], device: str, apart_from: set[str]) -> Measured | None:
    """What making the reference or the pruned model took before: of the same recipe on other images (`apart_from` names
    the fields that may differ) or from another seed. The steps are the same, and every step is the same work."""

    def kin(spec: Mapping[str, Any]) -> dict[str, Any]:
        fields = {name: value for name, value in spec.items() if name not in apart_from}
        return {
            name: {**f, "seed": None} if isinstance(f, Mapping) and "seed" in f else f for name, f in fields.items()
        }

    alike = [r for r in _on(device, records.values()) if r.spec.keys() == recipe.spec.keys()]
    return _median(
        [r.seconds for r in alike if kin(r.spec) == kin(recipe.spec)],
        f"{OURS} from other images or another seed, {device}",
    )


def _fine_tuning(
    study: Study, pruned: Recipe, held: Held, mine: Mapping[str, ModelRecord], device: str
) -> Measured | None:
    seed = study.coalition.seed
    how, steps = model_recipe(pruned, ["anybody"], study, seed).spec["how"], coalition_training(study, seed).steps
    alike = [
        r.seconds for r in _on(device, mine.values()) if r.spec.get("members") and _seedless(r) == {**how, "seed": None}
    ]
    if alike:
        return _median(alike, f"{OURS}, {device}")
    record = held.models.get(pruned.key)
    stages = pruning_table(record) if record is not None and _kind(record) == device else []
    if stages:
        return Measured(
            steps * stages[-1]["seconds_per_step"], 1, f"{steps} steps, timed when the model was pruned, {device}"
        )
    others = [
        r for r in _on(device, held.models.values()) if r.spec.get("members") and r.spec.get("how", {}).get("steps")
    ]
    return _scaled([r.seconds / r.spec["how"]["steps"] for r in others], steps, f"a step of other models, {device}")


def _drawing(study: Study, pruned: Recipe, held: Held, mine: Mapping[str, ModelRecord], device: str) -> Measured | None:
    model = model_recipe(pruned, ["anybody"], study, study.coalition.seed)
    wanted = samples_recipe(model, study, study.coalition.seed).spec
    own = {"model": None, "seed": None}
    drawn = _on(device, held.samples.values())
    alike = [r.seconds for r in drawn if r.model in mine and {**r.spec, **own} == {**wanted, **own}]
    if alike:
        return _median(alike, f"{OURS}, {device}")
    work = [r.seconds / (r.spec["images"] * r.spec["steps"]) for r in drawn]
    return _scaled(work, wanted["images"] * wanted["steps"], f"a step of an image of other models, {device}")


def _scoring(wanted: Property, held: Held, subjects: set[str], device: str) -> Measured | None:
    done = [r for r in _on(device, held.scores.values()) if r.spec["property"] == wanted.identity()]
    alike = [r.seconds for r in done if r.subject in subjects]
    if alike:
        return _median(alike, f"{OURS}, {device}")
    return _scaled([r.seconds for r in done], 1, f"on other models, {device}")


def _seedless(record: ModelRecord) -> dict[str, Any]:
    return {**record.spec.get("how", {}), "seed": None}


def _on(device: str, records: Iterable[Any]) -> list[Any]:
    """Records of what came off, on this kind of device."""
    return [r for r in records if r.failure is None and _kind(r) == device]


def _kind(record: Record) -> str:
    return record.provenance.get("device", "").partition(":")[0]


def _median(seconds: list[float], source: str) -> Measured | None:
    return Measured(median(seconds), len(seconds), source) if seconds else None


def _scaled(seconds: list[float], times: int, source: str) -> Measured | None:
    found = _median(seconds, source)
    return None if found is None else Measured(found.seconds * times, found.count, found.source, rough=True)
