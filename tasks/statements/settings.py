"""Which fields of a study's form decide anything: judged by the keys of what the study makes, as nothing else is.

A rank of adapters in a study without adapters, an option of another family, how to recover what is not pruned: put back to
what it was, such a field leaves every key as it is, and is no other setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.families import family_of
from tasks.recipe import Recipe, model_recipe, pruned_recipe, reference_recipe, samples_recipe
from tasks.study import Study

Field = tuple[str, str]  # section, name
_JUDGED = ("model", "pruning", "coalition", "sampling")  # sections that enter the keys below
_COALITIONS = (("a" * 64,), ())  # somebody, and nobody


def fields_that_decide(study: Study, were: Mapping[Field, Any]) -> frozenset[Field]:
    """Those fields of which another value would make other models or images.

    Where that cannot be found out (a model that would have to be fetched, or is gone; a value that is none), a field counts.

    Args:
        were: other values of fields of the study, as JSON.
    """
    judged = {field: value for field, value in were.items() if field[0] in _JUDGED}
    keys = _keys(study)
    if keys is None:
        return frozenset(were)
    decide = {field for field in judged if _keys_with(study, {field: judged[field]}) != keys}
    rest = {field: value for field, value in judged.items() if field not in decide}
    if rest and _keys_with(study, rest) != keys:  # none of them alone, but together
        decide |= rest.keys()
    return frozenset(decide | (were.keys() - judged.keys()))


def _keys_with(study: Study, changes: Mapping[Field, Any]) -> tuple[str, ...] | None:
    sections = {}
    for section in {section for section, _ in changes}:
        before = getattr(study, section)
        changed = {**before.model_dump(mode="json"), **{n: v for (s, n), v in changes.items() if s == section}}
        try:
            sections[section] = type(before).model_validate(changed)
        except ValueError:
            return None
    return _keys(study.model_copy(update=sections))


def _keys(study: Study) -> tuple[str, ...] | None:
    """Of reference, pruned model, a coalition's model, nobody's, and images of both; None if they are not to be had."""
    places = [place for place in (study.model.pretrained, study.model.autoencoder) if place is not None]
    if not all(Path(place).is_dir() for place in places):
        return None
    images = {"preprocessing": 0, "resolution": study.model.resolution, "train": [["0" * 64, 1.0]], "heldout": []}
    data = Recipe("data", images)
    try:
        reference = reference_recipe(study.model, data, family_of(study.model).given())
        pruned = pruned_recipe(study.pruning, study.model, reference, data)
        models = [model_recipe(pruned, members, study, study.coalition.seed) for members in _COALITIONS]
    except (ValueError, OSError):  # of a family, or a model of it, that is not here any more
        return None
    drawn = [samples_recipe(model, study, study.coalition.seed) for model in models]
    return tuple(recipe.key for recipe in (reference, pruned, *models, *drawn))
