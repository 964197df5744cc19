"""What a vision model's image processor does to an image, as a small value and a few lines of torch.

The settings are those of the model's own `preprocessor_config.json`; the arithmetic is ours, so that the same pixels give
the same numbers whatever version of an image library is installed, and a batch runs on the GPU. Scaling is torch's
antialiased filter on float pixels; nothing is rounded back to 8 bits on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn import functional

_FILTERS: dict[int, Literal["bilinear", "bicubic"]] = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_LARGEST = 2048


@dataclass(frozen=True)
class Preprocessing:
    """Pixels 0..255 -> scaled, cropped at the centre, times `factor`, minus `mean`, over `std` (of red, green, blue).

    size        (height, width) that images are scaled to; or one number, that of the shorter side
    crop        (height, width) kept in the centre; None keeps all
    """

    size: int | tuple[int, int] | None
    crop: tuple[int, int] | None
    filter: Literal["bilinear", "bicubic"]
    factor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def options(self) -> dict[str, Any]:
        """As JSON, for the digest of a score."""
        return {
            "size": list(self.size) if isinstance(self.size, tuple) else self.size,
            "crop": None if self.crop is None else list(self.crop),
            "filter": f"{self.filter}, antialiased",
            "factor": self.factor,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """float32 [b, 3, h, w] in 0..255 -> float32 [b, 3, height, width] as the model was trained."""
        x = pixels
        size = self._scaled_size(x.shape[2], x.shape[3])
        if size != tuple(x.shape[2:]):
            x = functional.interpolate(x, size=size, mode=self.filter, antialias=True).clamp(0, 255)
        if self.crop is not None:
            top, left = ((side - kept) // 2 for side, kept in zip(x.shape[2:], self.crop, strict=True))
            x = x[:, :, top : top + self.crop[0], left : left + self.crop[1]]
        mean, std = (x.new_tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return (x * self.factor - mean) / std

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that an image of this height and width comes out with."""
        return self.crop or self._scaled_size(height, width)

    def _scaled_size(self, height: int, width: int) -> tuple[int, int]:
        if self.size is None:
            return height, width
        if isinstance(self.size, tuple):
            return self.size
        shorter = min(height, width)
        return height * self.size // shorter, width * self.size // shorter


def preprocessing_of(settings: Mapping[str, Any]) -> Preprocessing:
    """From the content of a preprocessor_config.json (or the image_processor of a processor_config.json).

    Raises:
        ValueError: naming the entry that is missing, out of bounds or of a kind that is not supported.
    """
    inner = settings.get("image_processor")
    settings = inner if isinstance(inner, Mapping) else settings
    size, crop = None, None
    if settings.get("do_center_crop"):
        given = settings.get("crop_size", settings.get("size"))
        crop = _pair(_sides(given, "crop_size"))
    if settings.get("do_resize", True):
        size = _sides(settings.get("size"), "size")
        if "crop_pct" in settings and isinstance(size, int):  # the ConvNeXt family's way to say both
            size, crop = _share(size, settings["crop_pct"])
    if size is None:
        raise ValueError("do_resize is false: images of any size go in, and features of another size are no features")
    smallest = size if isinstance(size, tuple) else (size, size)
    if crop is not None and (crop[0] > smallest[0] or crop[1] > smallest[1]):
        raise ValueError(f"crop_size {list(crop)} is larger than size {list(smallest)}")
    number = settings.get("resample", 3)
    if number not in _FILTERS:
        raise ValueError(f"resample {number!r}; supported are 2 (bilinear) and 3 (bicubic)")
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    if settings.get("do_normalize", True):
        mean, std = _colours(settings, "image_mean"), _colours(settings, "image_std")
        if min(std) <= 0:
            raise ValueError(f"image_std {list(std)} must be positive")
    factor = settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0
    if not isinstance(factor, int | float) or not 0 < factor <= 1:
        raise ValueError(f"rescale_factor {factor!r} must lie above 0 and at most at 1")
    return Preprocessing(size, crop, _FILTERS[number], float(factor), mean, std)


def _sides(value: Any, name: str) -> int | tuple[int, int]:
    if isinstance(value, Mapping):
        if value.get("height") is not None and value.get("width") is not None:
            return _side(value["height"], name), _side(value["width"], name)
        value = value.get("shortest_edge")
    return _side(value, name)


def _side(value: Any, name: str) -> int:
    if type(value) is not int or not 1 <= value <= _LARGEST:
        raise ValueError(f"{name} {value!r} is not a side of 1 to {_LARGEST} pixels")
    return value


def _pair(sides: int | tuple[int, int]) -> tuple[int, int]:
    return sides if isinstance(sides, tuple) else (sides, sides)


def _share(edge: int, kept: Any) -> tuple[int | tuple[int, int], tuple[int, int] | None]:
    """ConvNeXt's rule: below 384 pixels scale to edge / kept and crop; from there on scale to the square itself."""
    if edge >= 384:
        return (edge, edge), None
    if not isinstance(kept, int | float) or not 0.1 <= kept <= 1:
        raise ValueError(f"crop_pct {kept!r} must lie between 0.1 and 1")
    return _side(int(edge / kept), "size"), (edge, edge)


def _colours(settings: Mapping[str, Any], name: str) -> tuple[float, ...]:
    values = settings.get(name)
    if not isinstance(values, list) or len(values) != 3 or not all(isinstance(v, int | float) for v in values):
        raise ValueError(f"{name} {values!r} is not three numbers")
    return tuple(float(v) for v in values)
