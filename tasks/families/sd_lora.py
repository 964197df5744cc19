"""Stable Diffusion with LoRA adapters, images with prompts: the paper's case of aesthetic quality.

The base is a whole `StableDiffusionPipeline` that is never changed; what contributors' images train are the adapters. So
the empty coalition is the base itself, whether asked for as `untrained` or as `base`: adapters whose up matrices are zero
change nothing. Pruning removes single ranks of the adapters (tasks.families.lora).
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from peft.utils import get_peft_model_state_dict
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.families.autoencoder import Autoencoder, LatentModel
from tasks.families.lora import (
    ADAPTER,
    adapter_config,
    add_adapter,
    layers_named,
    prune_adapter,
    ranks_of,
    reset_adapter,
)
from tasks.families.text import TextEncoder
from tasks.families.types import Base, Family, FamilyError, Files, Maker, base_digest
from tasks.model.model import Condition, Loss, Model
from tasks.model.network_config import checked_schedule
from tasks.model.parts import PipelineError, digests_of_folder, load_diffusers_part, read_json
from tasks.model.pipeline import pipeline_folder
from tasks.study import PruningSpec, Study

# Of a pipeline's folder, and whether weights must be there; a safety checker and a feature extractor are not used.
PARTS = {"unet": True, "vae": True, "text_encoder": True, "tokenizer": False, "scheduler": False}
REMEMBERED = 2**30  # bytes of encoded prompts kept


class Adapter(BaseModel):
    """Which adapters a model has: rank by layer, and what their product is multiplied by."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    ranks: dict[str, int] = Field(min_length=1, max_length=100_000)
    scale: float = Field(gt=0)


class Pipeline:
    """The parts of a base, loaded once a process and shared by all models made from it."""

    def __init__(self, folder: Path) -> None:
        self.unet: UNet2DConditionModel = load_diffusers_part(UNet2DConditionModel, folder / "unet")
        self.autoencoder = Autoencoder.load(folder / "vae", base_digest(digests_of_folder(folder / "vae")))
        self.text = TextEncoder.load(folder / "text_encoder", folder / "tokenizer")
        self.known: OrderedDict[str, torch.Tensor] = OrderedDict()  # prompts that were encoded, the newest last
        config = read_json(folder / "scheduler" / "scheduler_config.json")
        try:
            self.schedule: DDPMScheduler = checked_schedule(config, latents=True)
        except ValueError as error:
            raise PipelineError(f"{folder}: {error}") from error
        has, wanted = self.unet.config["in_channels"], self.autoencoder.channels
        if has != wanted or self.unet.config["out_channels"] != wanted:
            raise PipelineError(f"{folder}: its network works on {has} channels, its autoencoder makes {wanted}")
        if self.unet.config["cross_attention_dim"] != self.text.width:
            raise PipelineError(f"{folder}: its network and its text encoder do not fit together")


class LoRAModel(LatentModel):
    """A base with adapters. Only the adapters are trained and stored. All models of one base share its network: the newest
    one is the one that is used."""

    def __init__(self, pipeline: Pipeline, side: int, scale: float) -> None:
        super().__init__(pipeline.unet, pipeline.schedule, pipeline.autoencoder)
        self.pipeline, self.scale = pipeline, scale
        self._side = side

    def to(self, device: torch.device | str) -> LoRAModel:
        super().to(device)
        self.pipeline.text.to(device)
        return self

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        return {name: p for name, p in self.network.named_parameters() if p.requires_grad}

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: p.detach().cpu().clone() for name, p in self.trainable().items()}

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        mine = self.trainable()
        if {name: p.shape for name, p in mine.items()} != {name: t.shape for name, t in weights.items()}:
            raise RuntimeError("these are not weights of these adapters")
        with torch.no_grad():
            for name, parameter in mine.items():
                parameter.copy_(weights[name])

    def reset(self, seed: int) -> None:
        reset_adapter(self.network, seed)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.autoencoder.channels, self._side, self._side

    def embed(self, prompts: Sequence[str]) -> Condition:
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self.pipeline.known]
        if new:
            for prompt, embedding in zip(new, self.pipeline.text.encode(new), strict=True):
                self.pipeline.known[prompt] = embedding
        found = torch.stack([self.pipeline.known[prompt] for prompt in prompts])
        while self.pipeline.known and len(self.pipeline.known) * found[0].nbytes > REMEMBERED:
            self.pipeline.known.popitem(last=False)
        return found

    def predict(self, noisy: torch.Tensor, timesteps: torch.Tensor, condition: Condition = None) -> torch.Tensor:
        if condition is None:
            condition = self.embed([""] * len(noisy))
            assert condition is not None
        return self.network(noisy, timesteps, encoder_hidden_states=condition.to(noisy.device)).sample


class StableDiffusionLoRA(Family):
    """LoRA adapters on a `StableDiffusionPipeline`; the reference is a `pytorch_lora_weights.safetensors` that plain
    diffusers loads."""

    name: ClassVar[str] = "sd-lora"
    takes_prompts: ClassVar[bool] = True
    weights_file: ClassVar[str] = "pytorch_lora_weights.safetensors"

    def check(self, study: Study) -> None:
        if self.spec.pretrained is None:
            raise FamilyError(
                "model.family 'sd-lora' needs a base: set model.pretrained to a Stable Diffusion pipeline, by path or hub id"
            )
        if study.pruning.ratio > 0 and study.pruning.importance != "magnitude":
            raise FamilyError("pruning.importance: ranks of adapters are pruned by magnitude")
        if any(p for p in study.properties.names if p != "heldout_loss") and not study.sampling.prompts:
            raise FamilyError("sampling.prompts is empty: name what images are drawn for, such as one prompt for all")
        self.base()  # says now if it is not there

    @property
    def trains(self) -> bool:
        return True  # adapters always are

    def base(self) -> Base:
        folder = self._folder()
        return Base(folder, digests_of_folder(folder, PARTS))

    def given(self) -> Files | None:
        return None if self.spec.pretrained is None else self.base().files

    def start(self, given: Files | None) -> dict[str, Any]:
        spec = self.spec
        return {
            "family": self.name,
            "base": dict(given or {}),
            "adapter": {"rank": spec.lora_rank, "scale": self._scale, "targets": sorted(set(spec.lora_targets))},
        }

    def build(self) -> Model:
        pipeline = self._open()
        names = layers_named(pipeline.unet, self.spec.lora_targets)
        if not names:
            raise FamilyError(f"model.lora_targets {self.spec.lora_targets}: the base has no such layers")
        model = self._adapted(pipeline, Adapter(ranks=dict.fromkeys(names, self.spec.lora_rank), scale=self._scale))
        model.reset(self.spec.seed)
        return model

    def save(self, model: Model, folder: Path) -> None:
        assert isinstance(model, LoRAModel)
        adapter = Adapter(ranks=ranks_of(model.network), scale=model.scale)
        numbers = {name: t.cpu().contiguous() for name, t in get_peft_model_state_dict(model.network).items()}
        StableDiffusionPipeline.save_lora_weights(
            folder,
            unet_lora_layers=numbers,
            unet_lora_adapter_metadata=adapter_config(model.network),  # the scale, for plain diffusers
            weight_name=self.weights_file,
        )
        (folder / "adapter.json").write_text(json.dumps(adapter.model_dump()), encoding="utf-8")

    def load(self, folder: Path, base: Path | None) -> Model:
        from safetensors.torch import load_file

        if base is None:
            raise ValueError("the record of this reference names no base")
        model = self._adapted(Pipeline(base), _adapter(read_json(folder / "adapter.json")))
        stored = load_file(folder / self.weights_file)
        prefix = "unet."
        model.load_weights(
            {f"{name.removeprefix(prefix).removesuffix('.weight')}.{ADAPTER}.weight": t for name, t in stored.items()}
        )
        return model

    def prune(self, model: Model, pruning: PruningSpec, loss: Loss) -> None:
        assert isinstance(model, LoRAModel)
        prune_adapter(model.network, pruning.ratio, model.scale)

    def describe(self, model: Model) -> dict[str, Any]:
        assert isinstance(model, LoRAModel)
        adapter = Adapter(ranks=ranks_of(model.network), scale=model.scale)
        return {"adapter": adapter.model_dump(), "base": dict(self.base().files)}

    def maker(self, description: Mapping[str, Any], base: Path | None) -> Maker:
        if base is None or set(description) != {"adapter", "base"}:
            raise ValueError("this is not the description of adapters on a base")
        model = self._adapted(Pipeline(base), _adapter(description["adapter"]))
        return lambda: LoRAModel(model.pipeline, model.shape[1], model.scale)

    def baseline(self, study: Study) -> Literal["random", "base"]:
        return "base"

    def to_base(self, model: Model) -> None:
        model.reset(0)  # adapters that change nothing

    @property
    def _scale(self) -> float:
        return 1.0 if self.spec.lora_alpha is None else self.spec.lora_alpha / self.spec.lora_rank

    def _folder(self) -> Path:
        return pipeline_folder(str(self.spec.pretrained), StableDiffusionPipeline)

    def _open(self) -> Pipeline:
        return Pipeline(self._folder())

    def _adapted(self, pipeline: Pipeline, adapter: Adapter) -> LoRAModel:
        factor = pipeline.autoencoder.factor
        if self.spec.resolution % factor:
            raise FamilyError(
                f"model.resolution {self.spec.resolution} is not divisible by {factor}, the base's factor"
            )
        add_adapter(pipeline.unet, adapter.ranks, adapter.scale)
        return LoRAModel(pipeline, self.spec.resolution // factor, adapter.scale)


def _adapter(content: Any) -> Adapter:
    try:
        return Adapter.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"this is not the description of adapters: {error}") from error
