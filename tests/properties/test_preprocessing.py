"""Image processors' settings: their arithmetic against transformers' own, and what is refused."""

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from tasks.properties.preprocessing import preprocessing_of

CLIP: dict[str, Any] = {
    "size": {"shortest_edge": 24},
    "do_center_crop": True,
    "crop_size": {"height": 16, "width": 16},
    "resample": 3,
    "rescale_factor": 1 / 255,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}


def tensor(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images.copy()).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 64), (17, 16)])
@pytest.mark.parametrize(("resample", "crop"), [(3, True), (2, True), (3, False)])
def test_it_is_what_transformers_own_processor_does(height: int, width: int, resample: int, crop: bool) -> None:
    """Up to its rounding to 8 bits after each direction: about a level of 255, over a deviation of 0.2."""
    rows, columns, colours = np.ogrid[:height, :width, :3]
    wave = 128 + 50 * np.sin(rows / 5 + colours) + 50 * np.cos(columns / 3 - colours)  # smooth, and never clipped
    images = np.stack([wave, wave[::-1]]).astype(np.uint8)
    settings = {**CLIP, "resample": resample, "do_center_crop": crop}
    own = transformers.CLIPImageProcessor(**settings)(images=list(images), return_tensors="pt")["pixel_values"]
    ours = preprocessing_of(settings)(tensor(images))
    assert ours.shape == own.shape
    assert (ours - own).abs().max() < 1.25 / 255 / 0.2
    assert (own.amax(dim=(2, 3)) - own.amin(dim=(2, 3))).min() > 0.5  # else any grey would do


@pytest.mark.parametrize(
    ("changes", "size", "crop"),
    [
        ({}, 24, (16, 16)),
        ({"size": 20, "crop_size": 18}, 20, (18, 18)),  # as the first CLIP models say it
        ({"size": {"height": 30, "width": 20}, "do_center_crop": False}, (30, 20), None),
        ({"do_center_crop": None}, 24, None),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875, "do_center_crop": False}, 256, (224, 224)),  # ConvNeXt
        ({"size": {"shortest_edge": 384}, "crop_pct": 1.0, "do_center_crop": False}, (384, 384), None),
    ],
)
def test_the_ways_to_say_a_size(changes: dict[str, Any], size: Any, crop: Any) -> None:
    found = preprocessing_of({**CLIP, **changes})
    assert (found.size, found.crop) == (size, crop)
    if crop is not None:
        assert found(torch.zeros(1, 3, 50, 60)).shape[2:] == crop == found.output_size(50, 60)


def test_scale_is_by_hand() -> None:
    """White of 255 is 1 before the normalisation; black is 0."""
    settings = preprocessing_of({**CLIP, "size": 4, "crop_size": 4})
    white = settings(torch.full((1, 3, 4, 4), 255.0))
    assert torch.allclose(white[0, :, 0, 0], torch.tensor([0.5 / 0.2, 0.6 / 0.3, 0.7 / 0.4]))
    unscaled = preprocessing_of({**CLIP, "size": 4, "crop_size": 4, "do_rescale": False, "do_normalize": False})
    assert torch.equal(unscaled(torch.full((1, 3, 4, 4), 7.0)), torch.full((1, 3, 4, 4), 7.0))


@given(st.integers(1, 90), st.integers(1, 90))
def test_a_shorter_side_is_the_size_and_the_rest_keeps_its_shape(height: int, width: int) -> None:
    settings = preprocessing_of({**CLIP, "do_center_crop": False})
    found = settings.output_size(height, width)
    assert min(found) == 24
    assert 0 <= max(height, width) / min(height, width) - max(found) / 24 < 1 / 24


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size": None}, "size None is not a side"),
        ({"size": {"longest_edge": 20}}, "size None is not a side"),
        ({"size": 10**9}, "size 1000000000 is not a side of 1 to 2048"),
        ({"size": True}, "size True is not a side"),
        ({"crop_size": 30}, r"crop_size \[30, 30\] is larger than size \[24, 24\]"),
        ({"resample": 0}, r"resample 0; supported are 2 \(bilinear\) and 3"),
        ({"image_mean": None}, "image_mean None is not three numbers"),
        ({"image_mean": [0.5]}, "image_mean .* is not three numbers"),
        ({"image_std": [0.5, 0.0, 0.5]}, "image_std .* must be positive"),
        ({"rescale_factor": "x"}, "rescale_factor 'x' must lie"),
        ({"do_resize": False}, "do_resize is false"),
    ],
)
def test_settings_that_make_no_sense_are_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        preprocessing_of({**CLIP, **changes})
