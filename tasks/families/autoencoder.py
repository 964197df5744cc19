"""Autoencoders that are taken as they are: pixels to latents and back, for families whose networks work on latents.

What the network sees are latents times the autoencoder's `scaling_factor`, which brings them to a standard deviation of
about one (Rombach et al. 2022); diffusers' pipelines divide by it again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import Any, Self

import torch
from diffusers import AutoencoderKL, DDPMScheduler, VQModel
from torch import nn

from tasks.model.model import Model
from tasks.model.parts import PipelineError, load_diffusers_part, read_json
from tasks.model.unet import to_model_space, to_pixels

_KINDS: dict[str, type[Any]] = {"AutoencoderKL": AutoencoderKL, "VQModel": VQModel}
REMEMBERED = 2**28  # bytes of latents of images that are asked for again and again, such as the held-out ones


class Autoencoder:
    """A frozen `AutoencoderKL` or `VQModel`.

    digest: of its files. channels: of its latents. factor: pixels of a side to one latent.
    """

    def __init__(self, network: Any, digest: str) -> None:
        self.network = network
        self.digest = digest
        config = network.config
        self.channels = int(config["latent_channels"])
        self.factor = 2 ** (len(config["block_out_channels"]) - 1)
        self._scale = float(config["scaling_factor"])
        self._known: OrderedDict[bytes, torch.Tensor] = OrderedDict()

    @classmethod
    def load(cls, folder: Path, digest: str) -> Autoencoder:
        """From a folder of config.json and safetensors. Raises PipelineError if it is not one that we know."""
        kind = read_json(folder / "config.json").get("_class_name")
        if kind not in list(_KINDS):  # a list can also be asked about what has no hash
            raise PipelineError(f"{folder} holds a {kind}; an autoencoder is one of {', '.join(_KINDS)}")
        return cls(load_diffusers_part(_KINDS[kind], folder), digest)

    def to(self, device: torch.device | str) -> None:
        """Move it to a device."""
        self.network.to(device)

    @torch.no_grad()
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [b, r, r, 3] -> scaled latents float32 [b, c, r / factor, r / factor], on the CPU. No random numbers: of an
        `AutoencoderKL` the mean of the posterior."""
        encoded = self.network.encode(to_model_space(pixels).to(self.network.device))
        latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        return (latents * self._scale).float().cpu()

    def encode_again(self, pixels: torch.Tensor) -> torch.Tensor:
        """As `encode`, for images that every coalition is asked about: each is encoded once a process, and alone, as the
        last bits depend on how many are encoded at a time."""
        names = [hashlib.sha256(image.numpy().tobytes()).digest() for image in pixels]
        for image, name in zip(pixels, names, strict=True):
            if name not in self._known:
                self._known[name] = self.encode(image[None])[0]
        found = torch.stack([self._known[name] for name in names])
        while sum(latent.nbytes for latent in self._known.values()) > REMEMBERED and self._known:
            self._known.popitem(last=False)
        return found

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """What `encode` gives -> uint8 [b, r, r, 3], on the CPU."""
        decoded = self.network.decode((latents / self._scale).to(self.network.device)).sample
        return to_pixels(decoded.float()).cpu()


class LatentModel(Model):
    """A network on an autoencoder's latents; models of one process share the autoencoder."""

    def __init__(self, network: nn.Module, schedule: DDPMScheduler, autoencoder: Autoencoder) -> None:
        super().__init__(network, schedule)
        self.autoencoder = autoencoder

    def to(self, device: torch.device | str) -> Self:
        super().to(device)
        self.autoencoder.to(device)
        return self

    @property
    def encoder(self) -> str:
        return self.autoencoder.digest

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.autoencoder.encode(pixels)

    def encode_again(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.autoencoder.encode_again(pixels)

    def start(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        return self.autoencoder.decode(x)
