"""LoRA adapters on a frozen network (Hu et al. 2022), by peft: ranks layer by layer, pruning of single ranks, random starts.

    W x + scale · B A x        A: float32 [rank, in] ("down"), B: float32 [out, rank] ("up")

A rank is a pair of a row of A and a column of B. What is stored of an adapter is these two matrices a layer; how many ranks
each layer has is plain JSON.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import nn

from tasks.model.randomness import mix

ADAPTER = "default"
MAXIMUM_RANK = 4096
_NAME = re.compile(r"[A-Za-z0-9_.]{1,500}")


def add_adapter(network: Any, ranks: Mapping[str, int], scale: float) -> None:
    """Put adapters on the named layers of a diffusers network, which is frozen; their numbers are meaningless until `reset`.

    Raises:
        ValueError: if a layer is not there or can have no adapter, or a rank is out of bounds.
    """
    layers = dict(network.named_modules())
    for name, rank in ranks.items():
        if not _NAME.fullmatch(name) or name not in layers:
            raise ValueError(f"there is no layer '{name}' to put an adapter on")
        if type(rank) is not int or not 0 < rank <= MAXIMUM_RANK:
            raise ValueError(
                f"layer '{name}' is to have an adapter of rank {rank!r}; 1 to {MAXIMUM_RANK} are supported"
            )
    network.requires_grad_(False)
    config = LoraConfig(
        r=1,
        lora_alpha=scale,
        target_modules=list(ranks),
        rank_pattern={f"^{re.escape(name)}$": rank for name, rank in ranks.items()},
        alpha_pattern={f"^{re.escape(name)}$": scale * rank for name, rank in ranks.items()},
        init_lora_weights=False,
        lora_dropout=0.0,
    )
    network.add_adapter(config, adapter_name=ADAPTER)
    found = ranks_of(network)
    if found != dict(ranks):
        wrong = min(set(found.items()) ^ set(ranks.items()))
        raise ValueError(f"layer '{wrong[0]}' cannot have an adapter of rank {ranks.get(wrong[0])}")


def layers_named(network: nn.Module, targets: list[str]) -> list[str]:
    """Names of the linear layers and convolutions whose name ends as one of `targets`, in the network's order."""
    return [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and any(name == t or name.endswith(f".{t}") for t in targets)
    ]


def adapters(network: nn.Module) -> dict[str, LoraLayer]:
    """The adapted layers by name."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, LoraLayer)}


def adapter_config(network: Any) -> dict[str, Any]:
    """peft's own description of the adapters, as plain data."""
    return dict(network.peft_config[ADAPTER].to_dict())


def ranks_of(network: nn.Module) -> dict[str, int]:
    """Rank of each adapted layer."""
    return {name: int(layer.r[ADAPTER]) for name, layer in adapters(network).items()}


def down_up(layer: LoraLayer) -> tuple[nn.Parameter, nn.Parameter]:
    """A [rank, …] and B [out, rank, …] of an adapted layer."""
    return layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight


@torch.no_grad()
def reset_adapter(network: nn.Module, seed: int) -> None:
    """Adapters that change nothing yet: B is zero, A uniform (Hu et al. 2022), drawn from `seed` alone layer by layer."""
    for number, (_, layer) in enumerate(sorted(adapters(network).items())):
        down, up = down_up(layer)
        bound = 1 / math.sqrt(down[0].numel())  # Kaiming's with a = √5, as nn.Linear's own
        generator = torch.Generator().manual_seed(mix(seed, number, 4))
        down.copy_((torch.rand(down.shape, generator=generator) * 2 - 1) * bound)
        up.zero_()


@torch.no_grad()
def kept_ranks(network: nn.Module, ratio: float) -> dict[str, torch.Tensor]:
    """Which ranks of each layer stay when about `ratio` of the adapters' numbers are removed: int64 positions, ascending.

    Pairs go in the order of their magnitude ‖B_j‖ ‖A_j‖, the Frobenius norm of what they add to the layer, the lowest of the
    whole network first (Lin et al. 2025, for LoRA), as long as not more than `ratio` of all numbers are gone.

    Raises:
        ValueError: if nothing would be left.
    """
    pairs: list[tuple[float, str, int, int]] = []
    for name, layer in adapters(network).items():
        down, up = down_up(layer)
        norms = down.flatten(1).norm(dim=1) * up.transpose(0, 1).flatten(1).norm(dim=1)
        size = down[0].numel() + up[:, 0].numel()
        pairs += [(float(norm), name, j, size) for j, norm in enumerate(norms)]
    total, gone, removed = sum(size for *_, size in pairs), 0, set()
    for _, name, j, size in sorted(pairs):
        if gone + size > ratio * total:
            break
        gone += size
        removed.add((name, j))
    if len(removed) == len(pairs):
        raise ValueError("pruning.ratio leaves no rank of the adapters; lower it")
    return {
        name: torch.tensor([j for j in range(rank) if (name, j) not in removed], dtype=torch.int64)
        for name, rank in ranks_of(network).items()
    }


@torch.no_grad()
def prune_adapter(network: Any, ratio: float, scale: float) -> None:
    """Remove about `ratio` of the adapters' numbers, in place; layers that lose all their ranks lose their adapter."""
    kept = kept_ranks(network, ratio)
    numbers = {name: tuple(p.detach().clone() for p in down_up(layer)) for name, layer in adapters(network).items()}
    network.delete_adapters(ADAPTER)
    network.unload_lora()
    add_adapter(network, {name: len(rows) for name, rows in kept.items() if len(rows)}, scale)
    for name, layer in adapters(network).items():
        for now, before, axis in zip(down_up(layer), numbers[name], (0, 1), strict=True):
            now.copy_(before.index_select(axis, kept[name].to(before.device)))
