"""The seam between a family of models and everything else: what a family has to be able to do.

    start ─▶ build ─▶ (trained) ─▶ save ─▶ load ─▶ prune ─▶ (recovered) ─▶ describe ─▶ maker ─▶ (one coalition after another)
    └─ recipe ─┘      └──────────── reference ───────────┘  └─────────────── pruned model ──────────────┘

Data are prepared, networks trained and images drawn by the `Model` that a family gives out (tasks.model.model). A family is
one file of this room, or one of the user's own; nothing else knows which one it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode

from infra.digest import canonical_json, sha256
from tasks.model.model import Loss, Model
from tasks.study import ModelSpec, PruningSpec, Study

Files = Mapping[str, str]  # sha256 by relative name
Maker = Callable[[], Model]


class FamilyError(ValueError):
    """A study asks for what its family of models cannot do, or for a model that cannot be used; says what to do."""


@dataclass(frozen=True)
class Base:
    """What a family takes as it is and never trains, in a folder: an autoencoder, or a whole text-to-image pipeline.

    files: sha256 of everything that is read of it, by relative name.
    """

    folder: Path
    files: Files

    @property
    def digest(self) -> str:
        """sha256: the name of it all."""
        return base_digest(self.files)


def base_digest(files: Files) -> str:
    """sha256 over names and digests of a base's files."""
    return sha256(canonical_json(dict(files)))


class Family(ABC):
    """One family of diffusion models, with the model section of one study.

    name: as the study's model.family says it. takes_prompts: whether images come with prompts and are drawn for some.
    weights_file: what is trained, in the folder that `save` writes; its digest names a reference trained here.
    """

    name: ClassVar[str]
    takes_prompts: ClassVar[bool] = False
    weights_file: ClassVar[str] = "weights.safetensors"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def check(self, study: Study) -> None:  # noqa: B027 - most families have nothing to say beyond the form
        """Raises FamilyError if the study asks for what this family cannot do; before anything is read or trained."""

    # --- the reference -----------------------------------------------------------------------------------------------
    def base(self) -> Base | None:
        """What is never trained; None if there is no such part. Raises FamilyError or PipelineError if it is not there."""
        return None

    @property
    def trains(self) -> bool:
        """Whether the reference is trained here; False if it is given as it is."""
        return self.spec.pretrained is None or self.spec.pretrained_is == "base"

    def given(self) -> Files | None:
        """Digests of the files of a model that is given; None if none is. Raises PipelineError if it is not there."""
        return None

    def start(self, given: Files | None) -> dict[str, Any]:
        """What the reference starts from, as a part of its recipe: only what decides the result. A base's files stand in
        it as "base"."""
        return {"family": self.spec.family, "options": dict(self.spec.options), "resolution": self.spec.resolution}

    @abstractmethod
    def build(self) -> Model:
        """What the reference's training starts from, or the given reference."""

    def save(self, model: Model, folder: Path) -> None:
        """Write a reference into an empty folder, in diffusers' own format where there is one, safetensors only."""
        save_file({name: t.contiguous() for name, t in model.weights().items()}, folder / self.weights_file)

    def load(self, folder: Path, base: Path | None) -> Model:
        """Read what `save` wrote. base: folder with the base's files. Executes nothing that it reads."""
        model = self.build()
        model.load_weights(load_file(folder / self.weights_file))
        return model

    def parameters(self) -> int:
        """Numbers that the reference holds and a coalition's weights cannot be more than; nothing is allocated."""
        return sum(parameter.numel() for parameter in self.build().trainable().values())

    # --- the pruned model --------------------------------------------------------------------------------------------
    @abstractmethod
    def prune(self, model: Model, pruning: PruningSpec, loss: Loss) -> None:
        """Remove pruning.ratio of the model, in place. loss: on batches of the images; calling it back-propagates."""

    def describe(self, model: Model) -> dict[str, Any]:
        """All that is needed besides its weights to make the pruned model again, as JSON; nothing where pruning leaves the
        shapes as they are. A base's files stand in it as "base"."""
        return {}

    def maker(self, description: Mapping[str, Any], base: Path | None) -> Maker:
        """From what `describe` gave, checked once, a way to get models of that shape with meaningless numbers.

        A model may share its large parts with the ones that were made before, which are then not used any more.

        Raises:
            ValueError: if the description is not of a model of this family.
        """
        if description:
            raise ValueError(
                f"models of the family {self.name} have no description, and this one has {list(description)}"
            )
        return self.build

    def count(self, model: Model) -> tuple[int, int]:
        """Multiply-accumulates of one forward pass of one image, and the number of parameters that are trained."""
        x = torch.zeros(1, *model.shape, device=model.device)
        condition = model.embed([""])  # not counted: prompts are encoded once
        with FlopCounterMode(display=False) as counted, torch.no_grad():
            model.predict(x, torch.zeros(1, dtype=torch.long, device=model.device), condition)
        return counted.get_total_flops() // 2, sum(p.numel() for p in model.trainable().values())

    def baseline(self, study: Study) -> Literal["random", "base"]:
        """What the empty coalition starts from."""
        return "base" if study.coalition.baseline == "base" else "random"

    def to_base(self, model: Model) -> None:
        """Turn a model of the pruned shape into the base that knows no contributor's images, where there is one."""
        raise FamilyError(f"coalition.baseline 'base': models of the family {self.name} have none")
