"""Whether the figures of two statements are of the same thing.

An epoch more or less leaves them comparable, and is said; so does another estimator, for all are of the same Shapley value.
Another way of making or measuring a coalition's model does not: then a difference says nothing about a contributor. Sections
are read as this version reads them, so that a field that did not exist yet stands at its default; fields that change no
figure, or that this family of models does not use, are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from tasks.statements.read import PastProperty, PastStatement
from tasks.statements.settings import Field, fields_that_decide
from tasks.study import CoalitionSpec, ModelSpec, PropertiesSpec, PruningSpec, SamplingSpec, Study

_HARMLESS = {
    "model": {"seed"},  # another reference of the same kind: another epoch
    "pruning": set[str](),
    "coalition": {"audit_seeds", "audit_coalitions"},
    "sampling": {"batch_size"},
    "properties": {"names"},  # which ones there are changes none of them
}
_SECTIONS: dict[str, type[BaseModel]] = {
    "model": ModelSpec,
    "pruning": PruningSpec,
    "coalition": CoalitionSpec,
    "sampling": SamplingSpec,
    "properties": PropertiesSpec,
}
_BY_MODE = {"finetune": {"retrain_steps"}, "retrain": {"steps", "learning_rate"}}  # of a coalition, and not used


def incomparable(
    before: PastStatement,
    form: Mapping[str, Any],
    then: PastProperty,
    now: PastProperty,
    identity: Mapping[str, Any] | None = None,
    *,
    from_samples: bool = True,
) -> str | None:
    """Why the credits for one property cannot be compared, as the end of the sentence "not comparable because …".

    Args:
        form: the later study as plain data, section by section.
        identity: what makes the property's numbers what they are, `Property.identity()`; None where it is not known.
        from_samples: whether the property is of drawn images, so that it matters how they are drawn.
    """
    for what in ("unit", "sign"):  # another estimator is of the same value, and its interval says how well
        if getattr(then, what) != getattr(now, what):
            return f"its {what} was {getattr(then, what)!r} and is {getattr(now, what)!r}"
    sections = ["model", "pruning", "coalition", *(["sampling"] if from_samples else [])]
    known = before.identities.get(then.name)
    if known is None or identity is None:
        sections.append("properties")
    others: dict[Field, tuple[Any, Any]] = {}
    try:
        for section in sections:
            others |= _changed(section, before.study.get(section, {}), form.get(section, {}))
        decide = fields_that_decide(_study(form), {field: was for field, (was, _) in others.items()})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"its settings are not known in this version ({where}: {first['msg']})"
    changed = [
        f"{section}.{name} was {was!r} and is {value!r}"
        for (section, name), (was, value) in others.items()
        if (section, name) in decide
    ]
    if known is not None and identity is not None and dict(known) != dict(identity):
        changed += [f"{then.name} itself: {_differences(known, identity)}"]
    if not changed:
        return None
    listed = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
    return f"other settings made its figures: {listed}"


def _study(form: Mapping[str, Any]) -> Study:
    """The sections of a form that decide figures, as a study."""
    return Study().model_copy(
        update={name: kind.model_validate(form.get(name, {})) for name, kind in _SECTIONS.items()}
    )


def _changed(name: str, then: Any, now: Any) -> dict[Field, tuple[Any, Any]]:
    """Fields of a section that are others and can change figures, with what they were and are."""
    section: type[BaseModel] = _SECTIONS[name]
    old, new = (section.model_validate(each).model_dump(mode="json") for each in (then, now))
    harmless = _HARMLESS[name]
    if name == "coalition" and old["mode"] == new["mode"]:
        harmless = harmless | _BY_MODE[new["mode"]]
    return {
        (name, field): (old[field], value)
        for field, value in new.items()
        if field not in harmless and old[field] != value
    }


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which options of a property, or its version."""
    flat = [{"version": each.get("version"), **dict(each.get("options") or {})} for each in (then, now)]
    names = sorted(name for name in flat[0].keys() | flat[1].keys() if flat[0].get(name) != flat[1].get(name))
    return ", ".join(f"{name} was {flat[0].get(name)!r} and is {flat[1].get(name)!r}" for name in names)[:300]
