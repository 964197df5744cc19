"""The shared feature networks: real weights, stable rows, and clear words when weights are missing."""

import hashlib
import urllib.error
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from matplotlib import cbook

from tasks.properties import RealImages, Samples, efficientnet_lite, inception
from tasks.properties.networks import _lite_weights, _load_lite


def test_lite_recognises_a_photograph() -> None:
    """Weights, channel order and normalisation are right together: Grace Hopper wears a military uniform (652)."""
    photo = PIL.Image.open(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))).convert("RGB")
    pixels = np.asarray(photo.crop((0, 0, 512, 512)))[None]
    features = efficientnet_lite(224)(pixels)
    assert features.probabilities[0].argmax() == 652
    assert features.embedding.shape == (1, 1280) and features.embedding.dtype == np.float32


@pytest.mark.parametrize("size", [96, 70])
def test_folded_network_is_the_packages_network(size: int) -> None:
    """The faster form changes no feature beyond rounding, also at a size that halves unevenly."""
    from efficientnet_lite_pytorch import EfficientNet

    plain = EfficientNet.from_name("efficientnet-lite0", image_size=size)
    plain.load_state_dict(torch.load(_lite_weights(), weights_only=True))
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(plain.eval()(x), _load_lite(size, "cpu")(x), atol=1e-4)


def test_features_of_an_image_do_not_depend_on_its_neighbours(glyphs: np.ndarray) -> None:
    network = efficientnet_lite(64)
    together = network(glyphs[:40])
    alone = network(glyphs[37:38])
    reverse = network(glyphs[:40][::-1])
    assert np.allclose(together.embedding[37], alone.embedding[0], atol=1e-4)
    assert np.allclose(together.embedding, reverse.embedding[::-1], atol=1e-4)
    assert np.allclose(together.probabilities.sum(axis=1), 1, atol=1e-5)


def test_equal_networks_share_one_forward_pass(real: RealImages) -> None:
    """Three properties on one coalition must not cost three passes."""
    samples = Samples(real.train[:4])
    assert samples.features(efficientnet_lite(64)) is samples.features(efficientnet_lite(64))
    assert samples.features(efficientnet_lite(32)) is not samples.features(efficientnet_lite(64))
    assert real.features(efficientnet_lite(64)) is real.features(efficientnet_lite(64))


def test_digest_is_that_of_the_weights_file(inception_file: Path) -> None:
    assert inception(str(inception_file)).digest == hashlib.sha256(inception_file.read_bytes()).hexdigest()
    assert efficientnet_lite(96).options["feature_size"] == 96
    assert efficientnet_lite(96) != efficientnet_lite(64)


def test_same_weights_elsewhere_are_the_same_network(inception_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.pt"
    copy.write_bytes(inception_file.read_bytes())
    assert inception(str(copy)) == inception(str(inception_file))


def test_inception_matches_the_files_own_answers(inception_file: Path, glyphs: np.ndarray) -> None:
    """Features go through clean-fid's wrapper; probabilities are the file's own, without the output bias."""
    from cleanfid.resize import build_resizer

    resize = build_resizer("clean")
    base = torch.jit.load(str(inception_file)).eval()
    x = torch.from_numpy(np.stack([resize(image) for image in glyphs[:3]])).permute(0, 3, 1, 2)
    features = inception(str(inception_file))(glyphs[:3])
    with torch.no_grad():
        assert np.allclose(features.embedding, base(x, return_features=True).numpy(), atol=1e-5)
        assert np.allclose(features.probabilities, base(x, no_output_bias=True).numpy(), atol=1e-6)
    assert features.embedding.shape == (3, 2048) and features.probabilities.shape == (3, 1008)


def test_missing_inception_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"properties\.inception_weights: there is no local file"):
        inception(str(tmp_path / "nowhere.pt"))


def test_a_file_that_is_not_torchscript_is_refused(tmp_path: Path, glyphs: np.ndarray) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(b"not a model")
    with pytest.raises(ValueError, match="is not the TorchScript file of clean-fid"):
        inception(str(path))(glyphs[:1])


def test_failed_download_says_what_to_do_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the study's author learns of the setting and of the offline properties; no half file stays."""
    import cleanfid.downloads_helper as helper

    # A port nobody listens on: clean-fid's own download code runs and fails.
    monkeypatch.setattr(helper, "inception_url", "http://127.0.0.1:9/inception.pt")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(ValueError, match=r"properties\.inception_weights.*frechet_lite") as caught:
        inception(None)
    assert isinstance(caught.value.__cause__, urllib.error.URLError)
    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (np.zeros((0, 8, 8, 3), np.uint8), "at least 1 are needed"),
        (np.full((2, 8, 8, 3), np.nan, np.float32), "must be uint8"),
        (np.zeros((2, 8, 8), np.uint8), "must have shape"),
        (np.zeros((2, 3, 8, 8), np.uint8), "must have shape"),
    ],
)
def test_unusable_images_are_refused_with_a_reason(images: np.ndarray, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Samples(images)
