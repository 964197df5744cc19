"""Inception score: the formula's limits, and both networks."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.properties import RealImages, Samples, resolve_property
from tasks.properties.inception_score import score_of
from tasks.study import PropertiesSpec


@given(classes=st.integers(1, 40), repeats=st.integers(1, 4))
def test_one_hot_over_all_classes_scores_their_number(classes: int, repeats: int) -> None:
    assert score_of(np.tile(np.eye(classes), (repeats, 1))) == pytest.approx(classes)


@given(classes=st.integers(1, 40), n=st.integers(1, 20))
def test_uniform_probabilities_score_one(classes: int, n: int) -> None:
    assert score_of(np.full((n, classes), 1 / classes)) == pytest.approx(1)


@given(seed=st.integers(0, 1000), n=st.integers(2, 12), classes=st.integers(2, 9))
def test_score_lies_between_one_and_classes_whatever_the_order(seed: int, n: int, classes: int) -> None:
    p = np.random.default_rng(seed).dirichlet(np.full(classes, 0.3), n)
    assert 1 - 1e-9 <= score_of(p) <= classes + 1e-9
    assert score_of(p[::-1]) == pytest.approx(score_of(p))


def test_two_images_by_hand() -> None:
    """KL([1,0] || [.75,.25]) = ln(4/3); KL([.5,.5] || [.75,.25]) = ln(2/sqrt 3)."""
    expected = np.exp((np.log(4 / 3) + np.log(2 / np.sqrt(3))) / 2)
    assert score_of(np.array([[1, 0], [0.5, 0.5]])) == pytest.approx(expected)


@pytest.mark.parametrize("bad", [np.array([[0.5, np.nan]]), np.array([[0.5, 0.2]]), np.zeros((0, 3)), np.ones(3) / 3])
def test_what_is_not_a_distribution_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="class probabilities"):
        score_of(bad)


def test_lite_score_of_varied_images_exceeds_that_of_one_repeated(real: RealImages) -> None:
    prop = resolve_property("inception_score_lite", PropertiesSpec(feature_size=64))
    varied = prop.score(Samples(real.train[:30]), {})
    repeated = prop.score(Samples(np.repeat(real.train[:1], 30, axis=0)), {})
    assert repeated == pytest.approx(1, abs=1e-4) and varied > 2


def test_true_score_reads_the_local_inception(inception_file: Path, real: RealImages) -> None:
    prop = resolve_property("inception_score", PropertiesSpec(inception_weights=str(inception_file)))
    assert prop.statistics(real) == {}
    assert 1 < prop.score(Samples(real.train[:12]), {}) < 1008
    with pytest.raises(ValueError, match="at least 2 generated images"):
        prop.score(Samples(real.train[:1]), {})
