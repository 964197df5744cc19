"""Fréchet distances between the generated and the real images' features: `fid` and `frechet_lite`.

    d^2 = |mu_g - mu_r|^2 + Tr(S_g + S_r - 2 (S_g S_r)^(1/2))                           (Heusel et al. 2017)

Both go through clean-fid's own code for the distance; `fid` also through its resizing and its Inception, so it is FID.
`frechet_lite` uses the features of EfficientNet-Lite, or of the study's `vision_model`, and is not comparable with any
published FID: it has its own name.

The value is biased upwards, the more the fewer images there are (Chong & Forsyth 2020), so values compare only at one
image count; a study has one (`sampling.images`). That is also why the bias does no harm to credits.
"""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np

from tasks.properties.networks import FeatureNetwork, inception
from tasks.properties.registry import registered
from tasks.properties.types import Property, RealImages, Samples, Statistics, take
from tasks.properties.vision import feature_network
from tasks.study import PropertiesSpec


@registered("fid")
def fid(spec: PropertiesSpec) -> Property:
    """FID against the training images. Raises ValueError when the Inception weights cannot be had."""
    network = inception(spec.inception_weights)
    return Property(
        name="fid",
        needs="samples",
        sign=-1,
        unit="squared feature distance",
        description="Fréchet Inception distance to the training images (clean-fid); less is better",
        version=1,
        options=network.options,
        compute_statistics=partial(_full_statistics, network),
        compute_score=partial(_full_score, network),
    )


@registered("frechet_lite")
def frechet_lite(spec: PropertiesSpec) -> Property:
    """Fréchet distance in the first principal components of the features of `vision_model` or EfficientNet-Lite."""
    network = feature_network(spec)
    return Property(
        name="frechet_lite",
        needs="samples",
        sign=-1,
        unit="squared feature distance",
        description=f"Fréchet distance to the training images in {spec.frechet_components} principal components of "
        f"{network.title} features (not FID); less is better",
        version=1,
        options={**network.options, "components": spec.frechet_components},
        compute_statistics=partial(_projected_statistics, network, spec.frechet_components),
        compute_score=partial(_projected_score, network),
        # With no more images than components the generated covariance is singular by construction.
        minimum_images=spec.frechet_components + 1,
    )


def _full_statistics(network: FeatureNetwork, real: RealImages) -> Statistics:
    if len(real.train) < 2:
        raise ValueError(f"fid needs at least 2 training images for a covariance, there are {len(real.train)}")
    mu, sigma = _moments(real.features(network).embedding)
    return {"mu": mu, "sigma": sigma}


def _full_score(network: FeatureNetwork, samples: Samples, statistics: Statistics) -> float:
    mu, sigma = take(statistics, "fid", "mu", "sigma")
    return frechet(samples.features(network).embedding, mu, sigma)


def _projected_statistics(network: FeatureNetwork, components: int, real: RealImages) -> Statistics:
    if len(real.train) <= components:
        raise ValueError(
            f"frechet_lite needs more training images than components ({components}), there are {len(real.train)}; "
            "lower properties.frechet_components"
        )
    embedding = real.features(network).embedding.astype(np.float64)
    if components > embedding.shape[1]:
        raise ValueError(
            f"properties.frechet_components is {components}, the network has {embedding.shape[1]} features"
        )
    # Principal components of the real images, frozen with the epoch. No whitening: a direction counts by how much real
    # images vary along it. Sign and rotation of the axes do not matter, the distance is invariant to both.
    centre = embedding.mean(axis=0)
    _, _, axes = np.linalg.svd(embedding - centre, full_matrices=False)
    mu, sigma = _moments((embedding - centre) @ axes[:components].T)
    return {"centre": centre, "axes": axes[:components], "mu": mu, "sigma": sigma}


def _projected_score(network: FeatureNetwork, samples: Samples, statistics: Statistics) -> float:
    centre, axes, mu, sigma = take(statistics, "frechet_lite", "centre", "axes", "mu", "sigma")
    return frechet((samples.features(network).embedding.astype(np.float64) - centre) @ axes.T, mu, sigma)


def frechet(features: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> float:
    """Squared Fréchet distance between the Gaussian of `features` [n, d] and the Gaussian (mu [d], sigma [d, d]).

    Where the generated images do not vary in every direction (there are fewer of them than features, or the model has
    collapsed) their covariance is singular. Then clean-fid's distance is taken inside the span Q of what varies, where
    Tr (S_g S_r)^(1/2) = Tr (Q'S_g Q  Q'S_r Q)^(1/2), and the rest is added: outside, only |mu_g - mu_r|^2 and Tr S_r
    remain. The same value without the root of a singular matrix; for 256 images in 2,048 dimensions also far faster.
    """
    features = np.asarray(features, dtype=np.float64)
    if len(features) < 2:
        raise ValueError(f"a Fréchet distance needs at least 2 images, there are {len(features)}")
    if features.shape[1] != len(mu):
        raise ValueError(f"the images have {features.shape[1]} features, the reference statistics {len(mu)}")
    span = _span(features, float(np.trace(sigma)))
    if span.shape[1] == features.shape[1]:
        return _clean_fid_distance(*_moments(features), mu, sigma)
    difference = features.mean(axis=0) - mu
    within = span.T @ sigma @ span
    rest = float(difference @ difference - np.sum((span.T @ difference) ** 2) + np.trace(sigma) - np.trace(within))
    if span.shape[1] == 0:  # all images are equal
        return rest
    return rest + _clean_fid_distance(*_moments(features @ span), mu @ span, within)


def _span(features: np.ndarray, scale: float) -> np.ndarray:
    """Orthonormal axes [d, rank] along which features [n, d] vary, by more than float32 features round."""
    n, d = features.shape
    centred = features - features.mean(axis=0)
    if n <= d:
        _, singular, rows = np.linalg.svd(centred, full_matrices=False)
        variances, axes = singular**2 / (n - 1), rows.T
    else:
        variances, axes = np.linalg.eigh(centred.T @ centred / (n - 1))
    return axes[:, variances > 1e-14 * max(float(variances.max()), scale)]


def _clean_fid_distance(mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray) -> float:
    from cleanfid.fid import frechet_distance

    with warnings.catch_warnings():
        # SciPy announces that sqrtm(disp=) goes in 1.18; the project's SciPy range is pinned below that.
        warnings.filterwarnings("ignore", message="The `disp` argument is deprecated", category=DeprecationWarning)
        return float(frechet_distance(mu1, sigma1, mu2, sigma2))


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [d] and unbiased covariance [d, d] of features [n, d], as clean-fid takes them."""
    features = np.asarray(features, dtype=np.float64)
    return features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False))
