"""What of an epoch is not in the store yet."""

from __future__ import annotations

from infra.ledger import Ledger, ModelRecord
from infra.store import Store
from tasks.evaluate.statistics import recorded_statistics, usable_property
from tasks.recipe import Recipe, pruned_recipe
from tasks.reference.pruned import pruned_is_stored
from tasks.reference.reference import reference_is_stored, reference_of
from tasks.reference.shown import was_shown
from tasks.study import Study


def lacking(study: Study, data: Recipe, store: Store) -> tuple[str, ...]:
    """What would have to be made before the first coalition, in words; nothing if the epoch is complete.

    Args:
        data: recipe of the images that the epoch froze.

    Raises:
        ValueError: if a property does not exist, or the study draws too few images for it.
    """
    ledger = Ledger(store)
    wanted = [usable_property(name, study) for name in study.properties.names]
    missing = [f"statistics of {each.name}" for each in wanted if recorded_statistics(each, data, ledger) is None]
    reference = reference_of(study, data)
    pruned = pruned_recipe(study.pruning, study.model, reference, data)
    made = ledger.get(ModelRecord, reference.key)
    if made is None or not reference_is_stored(made, store):
        missing.append("the reference model")
    made = ledger.get(ModelRecord, pruned.key)
    if made is None or not pruned_is_stored(made, store):
        missing.append("the pruned model")
    if not was_shown(study, reference, store):
        missing.append("images of the reference model")
    return tuple(missing)
