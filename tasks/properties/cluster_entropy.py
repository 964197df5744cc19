"""Diversity: how evenly do the generated images spread over the kinds of image there really are?

The paper's demographic diversity (its CelebA-HQ case), for any images: the real images' features are grouped by Ward
clustering, a generated image goes to the nearest cluster centre, and the score is the entropy of the clusters' shares,

    H = - sum_c p_c log2 p_c   in bits, between 0 and log2(clusters).

The plug-in estimate is biased down by about (clusters - 1) / (2 n ln 2) bits, so values compare at one image count.
"""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
from scipy.cluster.hierarchy import cut_tree, ward

from tasks.properties.networks import FeatureNetwork
from tasks.properties.registry import registered
from tasks.properties.types import Property, RealImages, Samples, Statistics, take
from tasks.properties.vision import feature_network
from tasks.study import PropertiesSpec

# Ward clustering takes time and memory with the square of the images; the paper clusters about as many faces.
MOST_IMAGES = 4000


@registered("cluster_entropy")
def cluster_entropy(spec: PropertiesSpec) -> Property:
    """Entropy over Ward clusters of the training images' features, those of `vision_model` or EfficientNet-Lite."""
    network = feature_network(spec)
    return Property(
        name="cluster_entropy",
        needs="samples",
        sign=1,
        unit="bits",
        description=f"Entropy of the generated images over {spec.clusters} clusters of the training images; "
        "more is more diverse",
        version=1,
        options={**network.options, "clusters": spec.clusters, "most_images": MOST_IMAGES},
        compute_statistics=partial(_statistics, network, spec.clusters),
        compute_score=partial(_score, network),
    )


def _statistics(network: FeatureNetwork, clusters: int, real: RealImages) -> Statistics:
    if len(real.train) < clusters:
        raise ValueError(
            f"cluster_entropy needs at least as many training images as clusters ({clusters}), there are "
            f"{len(real.train)}; lower properties.clusters"
        )
    # Order by content, so that neither the order of the images nor who else is there decides which are clustered.
    order = np.argsort([hashlib.sha256(image.tobytes()).hexdigest() for image in real.train], kind="stable")
    embedding = real.features(network).embedding[order[:MOST_IMAGES]]
    return {"centres": ward_centres(embedding, clusters)}


def _score(network: FeatureNetwork, samples: Samples, statistics: Statistics) -> float:
    (centres,) = take(statistics, "cluster_entropy", "centres")
    return entropy_bits(nearest(samples.features(network).embedding, centres), len(centres))


def ward_centres(points: np.ndarray, clusters: int) -> np.ndarray:
    """Means [clusters, d] of the Ward clusters of points [n, d], largest cluster first."""
    points = np.asarray(points, dtype=np.float64)
    labels = cut_tree(ward(points), n_clusters=clusters)[:, 0]
    sizes = np.bincount(labels, minlength=clusters)
    centres = np.stack([points[labels == label].mean(axis=0) for label in range(clusters)])
    return centres[np.argsort(-sizes, kind="stable")]


def nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Index [n] of the Euclidean nearest of centres [k, d] for each of points [n, d]; the first one on a tie."""
    points = np.asarray(points, dtype=np.float64)
    if points.shape[1] != centres.shape[1]:
        raise ValueError(f"the images have {points.shape[1]} features, the cluster centres {centres.shape[1]}")
    # |x - c|^2 without |x|^2, which is the same for all centres.
    return np.argmin(np.sum(centres**2, axis=1) - 2 * points @ centres.T, axis=1)


def entropy_bits(labels: np.ndarray, clusters: int) -> float:
    """Entropy in bits of the shares of labels 0..clusters-1; an empty cluster adds nothing."""
    if len(labels) == 0:
        raise ValueError("the entropy of no images is not defined")
    shares = np.bincount(labels, minlength=clusters) / len(labels)
    shares = shares[shares > 0]
    return float(np.sum(shares * np.log2(1 / shares)))
