"""Inception score (Salimans et al. 2016): are single images recognisable, and all together varied?

    IS = exp( mean over images of KL( p(class | image) || mean of p ) ),  between 1 and the number of classes

Over all images at once, not the mean of ten splits: splits bias it further down and add nothing to a comparison at one
image count. It is biased by that count; a study has one. `inception_score` asks clean-fid's Inception, so it is the
published measure; `inception_score_lite` asks EfficientNet-Lite and is not comparable with it.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tasks.properties.networks import FeatureNetwork, efficientnet_lite, inception
from tasks.properties.registry import registered
from tasks.properties.types import Property, Samples, Statistics
from tasks.study import PropertiesSpec


@registered("inception_score")
def inception_score(spec: PropertiesSpec) -> Property:
    """The inception score. Raises ValueError when the Inception weights cannot be had."""
    return _build("inception_score", inception(spec.inception_weights), "Inception score; more is better")


@registered("inception_score_lite")
def inception_score_lite(spec: PropertiesSpec) -> Property:
    """The same formula with the classes of EfficientNet-Lite."""
    description = "Inception score's formula with EfficientNet-Lite's classes (not the inception score); more is better"
    return _build("inception_score_lite", efficientnet_lite(spec.feature_size), description)


def _build(name: str, network: FeatureNetwork, description: str) -> Property:
    return Property(
        name=name,
        needs="samples",
        sign=1,
        unit="effective classes",
        description=description,
        version=1,
        options=network.options,
        compute_score=partial(_score, network),
    )


def _score(network: FeatureNetwork, samples: Samples, statistics: Statistics) -> float:
    probabilities = samples.features(network).probabilities
    if probabilities.shape[1] == 0:
        raise ValueError(f"an inception score needs a network with a classifier, and {network.title} has none")
    return score_of(probabilities)


def score_of(probabilities: np.ndarray) -> float:
    """Inception score of class probabilities [n, c], in 1..c. A class of probability 0 adds nothing (0 log 0 = 0)."""
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or 0 in p.shape or not np.isfinite(p).all() or (p < 0).any():
        raise ValueError(
            f"class probabilities must be finite, not negative and [n, c], they have shape {list(p.shape)}"
        )
    if not np.allclose(p.sum(axis=1), 1, atol=1e-3):
        raise ValueError("class probabilities must sum to 1 for each image")
    marginal = np.broadcast_to(p.mean(axis=0), p.shape)
    present = p > 0
    divergence = np.zeros_like(p)
    divergence[present] = p[present] * (np.log(p[present]) - np.log(marginal[present]))
    return float(np.exp(divergence.sum(axis=1).mean()))
