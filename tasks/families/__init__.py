"""Families of diffusion models: the three of the paper, and any other that is one file.

    ddpm        UNet2DModel on pixels
    ldm         UNet2DModel on the latents of an autoencoder
    sd-lora     LoRA adapters on a Stable Diffusion pipeline, with prompts

A family of one's own is named as module:class, of a module that Python can import. `types` says what it has to do.
"""

from __future__ import annotations

import importlib
import inspect
from functools import lru_cache
from pathlib import Path
from typing import Any

from infra.digest import sha256_of_file
from tasks.families.types import Base, Family, FamilyError, Files, Maker
from tasks.model_spec import ModelSpec

__all__ = ["Base", "Family", "FamilyError", "Files", "Maker", "family_of", "identity_of"]

# By name, where each one is: loaded when it is asked for, as some bring large libraries.
_OURS = {
    "ddpm": "tasks.families.ddpm:DDPM",
    "ldm": "tasks.families.ldm:LDM",
    "sd-lora": "tasks.families.sd_lora:StableDiffusionLoRA",
}


def family_of(spec: ModelSpec) -> Family:
    """The family that a study's model section names.

    Raises:
        FamilyError: if there is none of that name.
    """
    where = _OURS.get(spec.family, spec.family)
    module, _, name = where.partition(":")
    if not name:
        raise FamilyError(f"model.family '{spec.family}': there are {', '.join(_OURS)}, or your own as module:class")
    try:
        kind = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise FamilyError(
            f"model.family '{spec.family}': {error}; put its folder on PYTHONPATH, on the workers too"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, Family)):
        raise FamilyError(f"model.family '{spec.family}': {module} has no class {name} that is a tasks.families.Family")
    if spec.family not in _OURS:
        _source_sha256(kind)
    return kind(spec)


def identity_of(family: Family) -> dict[str, Any]:
    """What sets a family of one's own apart in a recipe, also where it says nothing itself or what a family of ours says; of
    ours nothing, as their versions are in the recipes.

    Raises:
        FamilyError: if its class is in no file.
    """
    spec = family.spec
    if spec.family in _OURS:
        return {}
    return {"family": spec.family, "options": dict(spec.options), "source_sha256": _source_sha256(type(family))}


@lru_cache  # once a process: what is hashed should be what runs, also if the file changes under a long-lived worker
def _source_sha256(kind: type[Family]) -> str:
    try:
        source = inspect.getsourcefile(kind)
    except TypeError:
        source = None
    if source is None:
        raise FamilyError(f"model.family: {kind.__qualname__} must be defined in a file, its digest is the file's")
    return sha256_of_file(Path(source))
