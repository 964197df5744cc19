"""Diversity over Ward clusters: closed forms, real images, no dependence on order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.properties import RealImages, Samples, cluster_entropy, resolve_property
from tasks.properties.cluster_entropy import entropy_bits, nearest, ward_centres
from tasks.study import PropertiesSpec

SPEC = PropertiesSpec(feature_size=64, clusters=6)


@given(k=st.integers(1, 30), size=st.integers(1, 5), empty=st.integers(0, 3))
def test_equal_clusters_have_log2_k_bits_and_empty_ones_add_nothing(k: int, size: int, empty: int) -> None:
    assert entropy_bits(np.repeat(np.arange(k), size), k + empty) == pytest.approx(np.log2(k))


def test_three_quarters_against_one_by_hand() -> None:
    assert entropy_bits(np.array([0, 0, 0, 1]), 2) == pytest.approx(0.75 * np.log2(4 / 3) + 0.25 * 2)


def test_entropy_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no images"):
        entropy_bits(np.array([], dtype=int), 3)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(2, 6))
def test_ward_finds_separated_groups_and_points_return_to_them(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    middles = 100.0 * np.eye(k, 8)
    sizes = 3 + np.arange(k)
    labels = np.repeat(np.arange(k), sizes)
    points = middles[labels] + rng.normal(0, 0.5, (len(labels), 8))
    centres = ward_centres(points, k)
    found = nearest(points, centres)
    assert np.allclose(centres[found], np.stack([points[labels == i].mean(axis=0) for i in labels]))
    assert entropy_bits(found, k) == pytest.approx(entropy_bits(labels, k))
    assert (np.bincount(found) == np.sort(sizes)[::-1]).all()


def test_a_narrow_coalition_is_less_diverse_on_real_images(real: RealImages) -> None:
    prop = resolve_property("cluster_entropy", SPEC)
    statistics = prop.statistics(real)
    assert statistics["centres"].shape == (6, 1280)
    flags, mix = prop.score(Samples(real.train[:20]), statistics), prop.score(Samples(real.train[::3]), statistics)
    assert 0 <= flags < mix <= np.log2(6)
    assert prop.score(Samples(real.train[:1].repeat(5, axis=0)), statistics) == 0


def test_order_of_images_does_not_matter(real: RealImages) -> None:
    prop = resolve_property("cluster_entropy", SPEC)
    shuffled = RealImages(real.train[::-1].copy(), real.heldout, real.heldout_digests)
    centres, again = prop.statistics(real)["centres"], prop.statistics(shuffled)["centres"]
    assert np.allclose(centres, again, atol=1e-4)
    value = prop.score(Samples(real.train), {"centres": centres})
    assert prop.score(Samples(real.train[::-1].copy()), {"centres": again}) == value


def test_many_images_are_thinned_by_content(real: RealImages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which images are clustered follows from the images, not from their order."""
    monkeypatch.setattr(cluster_entropy, "MOST_IMAGES", 20)
    prop = resolve_property("cluster_entropy", SPEC)
    shuffled = RealImages(real.train[::-1].copy(), real.heldout, real.heldout_digests)
    thinned, again = prop.statistics(real)["centres"], prop.statistics(shuffled)["centres"]
    assert np.allclose(thinned, again, atol=1e-4)


def test_fewer_images_than_clusters_is_refused(real: RealImages) -> None:
    few = RealImages(real.train[:5], real.heldout, real.heldout_digests)
    with pytest.raises(ValueError, match=r"as many training images as clusters \(6\).*properties\.clusters"):
        resolve_property("cluster_entropy", SPEC).statistics(few)
