"""Fréchet distances: closed forms, clean-fid's own value, and behaviour on real images."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.properties import RealImages, Samples, resolve_property
from tasks.properties.frechet import _clean_fid_distance, _moments, frechet
from tasks.study import PropertiesSpec

LITE = PropertiesSpec(feature_size=64, frechet_components=8)


def with_moments(mu: np.ndarray, sigma: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """float64 [n, d] points whose sample mean and covariance are exactly mu and sigma."""
    z = np.random.default_rng(seed).standard_normal((n, len(mu)))
    z -= z.mean(axis=0)
    whitened = z @ np.linalg.inv(np.linalg.cholesky(np.cov(z, rowvar=False))).T
    return whitened @ np.linalg.cholesky(sigma).T + mu


@settings(max_examples=25, deadline=None)
@given(
    shift=st.lists(st.floats(-5, 5), min_size=3, max_size=3),
    scales=st.lists(st.floats(0.1, 3), min_size=6, max_size=6),
)
def test_distance_of_gaussians_with_known_moments(shift: list[float], scales: list[float]) -> None:
    """For diagonal covariances: |shift|^2 + sum (s1 - s2)^2."""
    s1, s2 = np.array(scales[:3]), np.array(scales[3:])
    points = with_moments(np.array(shift), np.diag(s1**2), 50)
    expected = np.sum(np.square(shift)) + np.sum((s1 - s2) ** 2)
    assert frechet(points, np.zeros(3), np.diag(s2**2)) == pytest.approx(expected, abs=1e-6)


def test_fewer_images_than_features_gives_the_same_value_as_clean_fid() -> None:
    """The short cut through the span of the images is exact."""
    rng = np.random.default_rng(1)
    real = rng.standard_normal((400, 40)) @ rng.standard_normal((40, 40))
    few = rng.standard_normal((12, 40)) @ rng.standard_normal((40, 40)) + 0.5
    mu, sigma = _moments(real)
    assert frechet(few, mu, sigma) == pytest.approx(_clean_fid_distance(*_moments(few), mu, sigma), rel=1e-4)


@pytest.mark.parametrize("n", [3, 50])
def test_equal_images_have_the_closed_form(n: int) -> None:
    """A collapsed model has no spread left: |mu_g - mu_r|^2 + Tr S_r."""
    sigma = np.diag([1.0, 2.0, 3.0, 4.0])
    assert frechet(np.full((n, 4), 1.1), np.zeros(4), sigma) == pytest.approx(4 * 1.21 + 10)


def test_a_direction_without_spread_has_the_closed_form() -> None:
    """More images than features, but one feature is constant at 2 (a dead unit): its share is (2 - 0)^2 + 9."""
    points = np.column_stack([with_moments(np.zeros(2), np.eye(2), 40), np.full(40, 2.0)])
    assert frechet(points, np.zeros(3), np.diag([4.0, 1.0, 9.0])) == pytest.approx(1 + 0 + 4 + 9)


def test_distance_is_zero_to_itself_and_grows_with_damage(real: RealImages) -> None:
    prop = resolve_property("frechet_lite", LITE)
    statistics = prop.statistics(real)
    noise = np.random.default_rng(0).normal(0, 1, real.train.shape)
    damaged = [np.clip(real.train + level * noise, 0, 255).astype(np.uint8) for level in (0, 20, 60, 120)]
    values = [prop.score(Samples(images), statistics) for images in damaged]
    assert values[0] == pytest.approx(0, abs=1e-4 * values[3])
    assert values == sorted(values) and prop.sign == -1


def test_a_narrow_coalition_is_farther_than_a_broad_one(real: RealImages) -> None:
    """24 flags against a mix of as many: the measure must see what is missing."""
    prop = resolve_property("frechet_lite", LITE)
    statistics = prop.statistics(real)
    flags, mix = real.train[:20], real.train[::3]
    assert prop.score(Samples(flags), statistics) > 1.5 * prop.score(Samples(mix), statistics)


def test_order_of_samples_and_of_training_images_does_not_matter(real: RealImages) -> None:
    prop = resolve_property("frechet_lite", LITE)
    shuffled = RealImages(real.train[::-1].copy(), real.heldout, real.heldout_digests)
    value = prop.score(Samples(real.train[:30]), prop.statistics(real))
    again = prop.score(Samples(real.train[:30][::-1].copy()), prop.statistics(shuffled))
    assert again == pytest.approx(value, rel=1e-3)


def test_too_few_images_are_refused_with_the_setting_to_change(real: RealImages) -> None:
    prop = resolve_property("frechet_lite", LITE)
    with pytest.raises(ValueError, match=r"needs at least 9 generated images, there are 8; raise sampling\.images"):
        prop.score(Samples(real.train[:8]), prop.statistics(real))
    few = RealImages(real.train[:8], real.heldout, real.heldout_digests)
    with pytest.raises(ValueError, match=r"more training images than components \(8\).*frechet_components"):
        prop.statistics(few)


def test_fid_through_clean_fid_with_a_local_weights_file(inception_file: Path, real: RealImages) -> None:
    """The whole way of `fid`: local file, clean-fid's resizing, its wrapper, its distance."""
    prop = resolve_property("fid", PropertiesSpec(inception_weights=str(inception_file)))
    small = RealImages(real.train[:16], real.heldout, real.heldout_digests)
    statistics = prop.statistics(small)
    assert statistics["mu"].shape == (2048,) and statistics["sigma"].shape == (2048, 2048)
    own = prop.score(Samples(real.train[:16]), statistics)
    other = prop.score(Samples(255 - real.train[:16]), statistics)
    assert own == pytest.approx(0, abs=1e-3 * other)
    assert prop.options["resize"] == "clean" and str(inception_file) not in str(prop.identity())
