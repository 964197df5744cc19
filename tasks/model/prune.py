"""Structured pruning of the reference, once an epoch, and the pruned network as data.

Pruning removes whole channels (torch-pruning's dependency graph keeps the shapes consistent), so a coalition is cheaper to
fine-tune and to sample. A pruned network no longer fits its diffusers config; `Architecture` is what is needed beside that
config, as plain JSON, to build the same shapes again without executing anything from storage:

    {"config": {...UNet2DModel arguments...},
     "layers": {"down_blocks.0.resnets.0.conv1": {"in_channels": 12, "out_channels": 8}, "...norm1": {"num_channels": 12}}}
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
import torch_pruning as tp
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.upsampling import Upsample2D
from torch import nn

from tasks.model.network_config import MAXIMUM_PARAMETERS, checked_config

Importance = Literal["magnitude", "taylor"]

# The numbers of each kind of layer that pruning changes.
_SHAPE: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("in_channels", "out_channels"),
    nn.Linear: ("in_features", "out_features"),
    nn.GroupNorm: ("num_channels",),
}


def prune(
    unet: UNet2DModel,
    ratio: float,
    importance: Importance,
    *,
    loss: Callable[[UNet2DModel], None] | None = None,
) -> UNet2DModel:
    """Remove about `ratio` of the channels of every layer, in place; 0 leaves the network as it is.

    `conv_out` keeps its channels, as in Lin et al. 2025. torch-pruning takes equally many channels from every group of a
    group normalisation and from every attention head, so shapes stay divisible; with few channels a group the ratio reached
    is coarser than the one asked for (2 channels a group: one half or nothing). `round_to` would round within each *group*
    and leave most layers whole, so it is not used.

    Args:
        unet: the reference network.
        ratio: share of channels to remove, 0 <= ratio < 1.
        importance: "magnitude" ranks channels by the size of their weights (Lin et al. 2025); "taylor" by the first-order
            change of the loss (Molchanov et al. 2019), and needs `loss`.
        loss: back-propagates the denoising loss on training images into the weights' gradients.

    Raises:
        ValueError: if `taylor` is asked for without a loss, or the ratio would leave a layer without channels.
    """
    if ratio == 0:
        return unet.eval()
    if importance == "taylor":
        if loss is None:
            raise ValueError("taylor importance needs the loss on a batch of training images")
        unet.zero_grad()
        loss(unet)
    measure = tp.importance.MagnitudeImportance() if importance == "magnitude" else tp.importance.TaylorImportance()
    unet.cpu()
    heads = {}
    for module in unet.modules():
        if isinstance(module, Attention):
            heads.update({module.to_q: module.heads, module.to_k: module.heads, module.to_v: module.heads})
    unet.train()
    pruner = tp.pruner.MetaPruner(
        unet,
        _example(unet, "cpu"),
        importance=measure,
        pruning_ratio=ratio,
        ignored_layers=[unet.conv_out],
        num_heads=heads,
        prune_head_dims=True,
    )
    pruner.step()
    unet.zero_grad(set_to_none=True)
    _settle(unet)
    return unet.eval()


def architecture(unet: UNet2DModel) -> dict[str, Any]:
    """The JSON that `build` needs: the diffusers config and every layer's present shape."""
    config = checked_config(unet.config)
    layers: dict[str, dict[str, int]] = {}
    for name, module in unet.named_modules():
        if _is_shaped(module):
            layers[name] = {number: int(getattr(module, number)) for number in _numbers(module)}
    return {"config": config, "layers": layers}


def build(description: Mapping[str, Any]) -> UNet2DModel:
    """The network that `architecture` described, with meaningless weights.

    Raises:
        ValueError: as `skeleton`.
    """
    return fill(skeleton(description))


def fill(bones: UNet2DModel) -> UNet2DModel:
    """A network of its own from a `skeleton`, with meaningless weights on the CPU."""
    return copy.deepcopy(bones).to_empty(device="cpu").eval()


def skeleton(description: Mapping[str, Any]) -> UNet2DModel:
    """The network that `architecture` described, without any numbers.

    Built and tried without memory first (torch's "meta" device), so that nothing in a description can exhaust it.

    Raises:
        ValueError: if the config is not one we make, a layer is missing or is one that the config does not have, numbers
            are out of bounds, or the layers do not fit together.
    """
    if set(description) != {"config", "layers"} or not all(isinstance(part, dict) for part in description.values()):
        raise ValueError("architecture.json must hold a config and layers")
    config, layers = checked_config(description["config"]), description["layers"]
    with torch.device("meta"):
        unet = UNet2DModel(**config)
    shaped: dict[str, nn.Module] = {name: module for name, module in unet.named_modules() if _is_shaped(module)}
    if set(shaped) != set(layers):
        name = min(set(shaped) ^ set(layers), key=str)
        raise ValueError(f"architecture.json and its config do not agree about a layer '{name}'")
    for name, module in shaped.items():
        shape, numbers = layers[name], _numbers(module)
        if not isinstance(shape, dict) or set(shape) != set(numbers):
            raise ValueError(f"architecture.json describes layer '{name}' by {shape}; it needs {', '.join(numbers)}")
        if any(type(n) is not int or not 0 < n <= getattr(module, key) for key, n in shape.items()):
            raise ValueError(f"architecture.json gives layer '{name}' sizes {shape} outside those of its config")
        _resize(module, shape)
    _settle(unet)
    count = sum(p.numel() for p in unet.parameters())
    if count > MAXIMUM_PARAMETERS:
        raise ValueError(f"architecture.json describes {count:,} parameters; {MAXIMUM_PARAMETERS:,} are supported")
    try:
        with torch.no_grad():
            made = unet(*_example(unet, "meta")).sample
    except (RuntimeError, ValueError, AssertionError, ZeroDivisionError) as error:
        raise ValueError(f"the layers that architecture.json describes do not fit together: {error}") from error
    if made.shape[1] != config["out_channels"]:
        raise ValueError(f"architecture.json describes a network that makes {made.shape[1]} channels")
    return unet


def _is_shaped(module: nn.Module) -> bool:
    return isinstance(module, tuple(_SHAPE))


def _numbers(module: nn.Module) -> tuple[str, ...]:
    return next(numbers for kind, numbers in _SHAPE.items() if isinstance(module, kind))


def _resize(module: nn.Module, shape: Mapping[str, int]) -> None:
    if all(getattr(module, number) == value for number, value in shape.items()):
        return
    for number, value in shape.items():
        setattr(module, number, value)
    if isinstance(module, nn.Conv2d):
        size: tuple[int, ...] = (module.out_channels, module.in_channels, *module.kernel_size)
        width = module.out_channels
    elif isinstance(module, nn.Linear):
        size, width = (module.out_features, module.in_features), module.out_features
    else:
        assert isinstance(module, nn.GroupNorm)
        size, width = (module.num_channels,), module.num_channels
    module.weight = nn.Parameter(torch.empty(size, device="meta"))
    if module.bias is not None:
        module.bias = nn.Parameter(torch.empty(width, device="meta"))


def _settle(unet: UNet2DModel) -> None:
    """Bring the numbers that diffusers keeps beside the weights in line with the pruned shapes."""
    for module in unet.modules():
        if isinstance(module, Downsample2D | Upsample2D) and isinstance(module.conv, nn.Conv2d):
            module.channels = module.conv.in_channels
            module.out_channels = module.conv.out_channels
        if isinstance(module, Attention):
            module.inner_dim = module.to_q.out_features
            module.inner_kv_dim = module.to_k.out_features


def count_macs(unet: UNet2DModel) -> tuple[int, int]:
    """Multiply-accumulates of one forward pass of one image, and the number of parameters."""
    macs, _ = tp.utils.count_ops_and_params(unet, _example(unet, unet.device))
    return int(macs), sum(p.numel() for p in unet.parameters())


def _example(unet: UNet2DModel, device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor]:
    """One image and one timestep."""
    side = unet.config["sample_size"]
    return (
        torch.zeros(1, unet.config["in_channels"], side, side, device=device),
        torch.zeros(1, dtype=torch.long, device=device),
    )
