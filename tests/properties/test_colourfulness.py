"""Hasler & Süsstrunk's colourfulness: hand-computed images and the percentile."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.properties import RealImages, Samples, resolve_property
from tasks.properties.colourfulness import colourfulness_of
from tasks.study import PropertiesSpec

PROPERTY = resolve_property("colourfulness", PropertiesSpec())


@given(level=st.integers(0, 255), seed=st.integers(0, 100))
def test_grey_images_score_zero(level: int, seed: int) -> None:
    flat = np.full((4, 4, 3), level)
    mottled = np.repeat(np.random.default_rng(seed).integers(0, 256, (4, 4, 1)), 3, axis=2)
    assert np.allclose(colourfulness_of(np.stack([flat, mottled]).astype(np.uint8)), 0)


def test_half_red_half_blue_by_hand() -> None:
    """rg is 255 or 0: s.d. 127.5, mean 127.5. yb is 127.5 or -255: s.d. 191.25, mean -63.75."""
    image = np.zeros((1, 2, 1, 3), np.uint8)
    image[0, 0, 0] = [255, 0, 0]
    image[0, 1, 0] = [0, 0, 255]
    expected = np.hypot(127.5, 191.25) + 0.3 * np.hypot(127.5, 63.75)
    assert colourfulness_of(image)[0] == pytest.approx(expected)


def test_score_is_the_ninetieth_percentile_whatever_the_order() -> None:
    """Plain images in one colour of growing strength b have M = 0.3 b (yb = -b, no spread)."""
    images = np.zeros((11, 2, 2, 3), np.uint8)
    images[..., 2] = (np.arange(11) * 10)[:, None, None]
    assert PROPERTY.score(Samples(images), {}) == pytest.approx(0.3 * 90)
    assert PROPERTY.score(Samples(images[::-1].copy()), {}) == pytest.approx(0.3 * 90)


def test_colour_is_worth_more_than_grey_on_real_images(real: RealImages) -> None:
    grey = real.train.mean(axis=3, keepdims=True).repeat(3, axis=3).astype(np.uint8)
    assert PROPERTY.score(Samples(real.train), {}) > 20 > PROPERTY.score(Samples(grey), {})
