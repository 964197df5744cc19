"""Studies as files: YAML presets beside the deployments, with single fields changed on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)
# What PyYAML raises of its own, and what it lets through: a date of month 13, and a document of a thousand brackets.
_NO_YAML = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
_SHOWN, _LONGEST = 50, 2_000  # errors of a file, and characters of each


class StudyFileError(ValueError):
    """A preset cannot be read; the message names the file and every field that is wrong."""


def load_preset(path: Path, model: type[M], changes: Sequence[str] = ()) -> M:
    """Read a YAML file into a model.

    Args:
        changes: "section.field=value" each, the value as YAML, applied in order.

    Raises:
        StudyFileError: if the file is not there, not YAML, or does not fit the model.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        there = ", ".join(sorted(p.name for p in path.parent.glob("*.yaml"))) or "no .yaml file"
        raise StudyFileError(f"there is no {path}; in {path.parent} there are: {there}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFileError(f"{path} cannot be read: {error}") from error
    except _NO_YAML as error:
        raise StudyFileError(f"{path} is not YAML: {_shown(error)}") from error
    if content is None:
        raise StudyFileError(f"{path} is empty; it must hold fields of a study")
    if not isinstance(content, dict):
        raise StudyFileError(f"{path} must hold fields of a study, not {type(content).__name__}")
    for change in changes:
        _apply(content, change)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_input=False)
        wrong = [f"- {_shown('.'.join(map(str, e['loc'])) or 'study')}: {_shown(e['msg'])}" for e in found[:_SHOWN]]
        wrong += [f"- and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        raise StudyFileError("\n".join([f"{path} does not describe a study:", *wrong])) from error


def _apply(content: dict[str, Any], change: str) -> None:
    place, equals, value = change.partition("=")
    *sections, name = place.split(".")
    if not equals or not name:
        raise StudyFileError(f"'{change}' is not a change; write section.field=value, such as coalition.seed=3")
    here = content
    for section in sections:
        if here.get(section) is None:  # absent, or a heading with nothing below it
            here[section] = {}
        here = here[section]
        if not isinstance(here, dict):
            raise StudyFileError(f"'{change}': {section} is not a section")
    try:
        here[name] = yaml.safe_load(value)
    except _NO_YAML as error:
        raise StudyFileError(f"'{change}': the value is not YAML: {_shown(error)}") from error


def _shown(said: object) -> str:
    """What quotes the file, line by line, without anything that a terminal would obey or nobody sees."""
    text = "\n".join(line if line.isprintable() else repr(line)[1:-1] for line in str(said).splitlines())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
