"""Which U-Nets can be credited, as a checked form: the arguments of `UNet2DModel` and their bounds.

A network's description comes from people (a pretrained pipeline) and from storage (`architecture.json`). Both pass here
before anything is built, so that a broken or hostile description is a sentence, not an exhausted memory.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from diffusers import DDPMScheduler, UNet2DModel
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MAXIMUM_PARAMETERS = 4_000_000_000
MAXIMUM_NOISE_STEPS = 10_000

_Width = Annotated[int, Field(ge=1, le=16384)]


class NetworkConfig(BaseModel):
    """Unconditional U-Nets that predict the noise of images or latents. Defaults are those of `UNet2DModel`.

    Dropout must be 0: its random numbers come from torch's global state and could not be common to coalitions.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    sample_size: Annotated[int, Field(ge=1, le=4096)]
    in_channels: Annotated[int, Field(ge=1, le=64)] = 3
    out_channels: Annotated[int, Field(ge=1, le=64)] = 3
    center_input_sample: bool = False
    time_embedding_type: Literal["positional"] = "positional"
    time_embedding_dim: _Width | None = None
    freq_shift: Annotated[int, Field(ge=0, le=1)] = 0
    flip_sin_to_cos: bool = True
    down_block_types: Annotated[list[Literal["DownBlock2D", "AttnDownBlock2D"]], Field(min_length=1, max_length=12)]
    mid_block_type: Literal["UNetMidBlock2D"] | None = "UNetMidBlock2D"
    up_block_types: list[Literal["UpBlock2D", "AttnUpBlock2D"]]
    block_out_channels: list[_Width]
    layers_per_block: Annotated[int, Field(ge=1, le=16)] = 2
    mid_block_scale_factor: float = 1
    downsample_padding: Annotated[int, Field(ge=0, le=1)] = 1
    downsample_type: Literal["conv"] = "conv"
    upsample_type: Literal["conv"] = "conv"
    dropout: Annotated[float, Field(ge=0, le=0)] = 0.0
    act_fn: Literal["silu", "swish", "mish", "gelu", "relu"] = "silu"
    attention_head_dim: _Width | None = 8
    norm_num_groups: Annotated[int, Field(ge=1, le=1024)] = 32
    attn_norm_num_groups: Annotated[int, Field(ge=1, le=1024)] | None = None
    norm_eps: Annotated[float, Field(gt=0)] = 1e-5
    resnet_time_scale_shift: Literal["default"] = "default"
    add_attention: bool = True
    class_embed_type: None = None
    num_class_embeds: None = None
    num_train_timesteps: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _levels_agree(self) -> NetworkConfig:
        levels = {len(self.block_out_channels), len(self.down_block_types), len(self.up_block_types)}
        if len(levels) > 1:
            raise ValueError("block_out_channels, down_block_types and up_block_types differ in length")
        if self.in_channels != self.out_channels:
            raise ValueError("in_channels and out_channels differ: noise has the channels of what it is added to")
        if any(c % self.norm_num_groups for c in self.block_out_channels):
            raise ValueError("block_out_channels are not divisible by norm_num_groups")
        if self.attention_head_dim is not None and any(
            c % min(c, self.attention_head_dim) for c in self.block_out_channels
        ):
            raise ValueError("block_out_channels are not divisible by attention_head_dim")
        return self


def checked_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `UNet2DModel` in a config, checked.

    Names that start with "_" are diffusers' own notes and are left out; an argument that this program does not know is left
    out only where it stands at its default.

    Raises:
        ValueError: naming every argument that is unknown, not supported or out of bounds.
    """
    defaults = {name: p.default for name, p in inspect.signature(UNet2DModel.__init__).parameters.items()}
    given: dict[str, Any] = {}
    for name, value in config.items():
        later = name in defaults and name not in NetworkConfig.model_fields
        if not name.startswith("_") and not (later and value == defaults[name]):
            given[name] = list(value) if isinstance(value, tuple) else value
    try:
        return NetworkConfig.model_validate(given).model_dump()
    except ValidationError as error:
        raise ValueError(f"not a network that can be credited: {_sentence(error)}") from error


def checked_schedule(config: Mapping[str, Any], *, latents: bool = False) -> DDPMScheduler:
    """The noise schedule that a config describes.

    Args:
        latents: it is of latents, which unlike pixels have no bounds: nothing is clipped, whatever the config says. One of a
            scheduler that knows no clipping says nothing, and `DDPMScheduler` would then clip at 1.

    Raises:
        ValueError: if it has too many steps or does not predict noise.
    """
    steps = config.get("num_train_timesteps", 1000)
    if type(steps) is not int or not 1 <= steps <= MAXIMUM_NOISE_STEPS:
        raise ValueError(f"a noise schedule of {steps!r} steps; 1 to {MAXIMUM_NOISE_STEPS} are supported")
    predicts = config.get("prediction_type", "epsilon")
    if predicts != "epsilon":
        raise ValueError(f"it predicts {predicts}; only networks that predict noise (epsilon) are supported")
    return DDPMScheduler.from_config(
        {**config, "clip_sample": False, "thresholding": False} if latents else dict(config)
    )


def _sentence(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'levels'}: {e['msg']}" for e in error.errors())
