"""Influence by gradients, from projected gradients of single images: TRAK and D-TRAK at contributor level.

Both are the same kernel ridge on the same features; they differ in what the gradient is of (`OUTPUTS`):

    score(x, i) = g(x)ᵀ (GᵀG + λ 1)⁻¹ g_i          g_i: row of G float[m, k], g(x): gradient at a generated image

Source: Park et al. 2023 (TRAK), with its weights Q of one, since for a loss that is itself the output the derivative is
one; Zheng et al. 2024 (D-TRAK), who found the squared output to serve better than the loss. Scores are averaged over
generated images and summed over a contributor's images by share (Lin et al. 2025, appendix, λ = 0.5). In TRAK a positive
score means that more weight on image i lowers the loss at x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from .checks import Floats
from .ownership import ImageRows, Ownership

RIDGE = 0.5  # the paper's λ


def denoising_loss(predicted: Any, noise: Any) -> Any:
    """Mean squared error of each image: [b, ...] twice to [b]; arrays or tensors. TRAK's output."""
    return ((predicted - noise) ** 2).reshape(len(predicted), -1).mean(-1)


def squared_output(predicted: Any, noise: Any) -> Any:
    """Mean square of the prediction itself, whatever the noise was: [b, ...] to [b]. D-TRAK's output."""
    return (predicted**2).reshape(len(predicted), -1).mean(-1)


OUTPUTS: dict[str, Callable[[Any, Any], Any]] = {"trak": denoising_loss, "d_trak": squared_output}


def gradient_credits(
    train: ImageRows,
    generated: ArrayLike,
    ownership: Ownership,
    *,
    ridge: float = RIDGE,
    over_images: Literal["sum", "average"] = "sum",
) -> Floats:
    """Credits float64[n] from projected gradients.

    train: float[m, k], row by row of the images of `ownership`; generated: float[g, k], of the same output and the same
    projection. ridge: λ > 0, in squared units of the gradients. over_images: `average` takes the head count out.
    Raises RowOrderError where rows are not in the order of ownership, ValueError for bad shapes and numbers.
    """
    features, at = ownership.rows_of(train).astype(np.float64), np.asarray(generated, dtype=np.float64)
    if features.ndim != 2 or at.ndim != 2 or features.shape[1] != at.shape[1] or not len(at):
        raise ValueError(f"gradients must be [m, k] and [g, k] of one projection, not {features.shape} and {at.shape}")
    if not (np.isfinite(features).all() and np.isfinite(at).all()):
        raise ValueError("gradients are not all finite; a step in reduced precision may have overflowed")
    if not (np.isfinite(ridge) and ridge > 0):
        raise ValueError(f"ridge must be positive, not {ridge}; with 0 there may be no answer")
    scores = kernel_ridge(
        features, at.mean(axis=0), ridge
    )  # linear in g(x): the mean of scores is the score of the mean
    return ownership.total(scores) if over_images == "sum" else ownership.average(scores)


def kernel_ridge(features: Floats, at: Floats, ridge: float) -> Floats:
    """G (GᵀG + λ 1)⁻¹ g for G float64[m, k] and g float64[k]: float64[m]. The smaller of the two systems is solved:
    it equals (G Gᵀ + λ 1)⁻¹ G g."""
    m, k = features.shape
    if k <= m:
        return np.asarray(features @ np.linalg.solve(features.T @ features + ridge * np.eye(k), at))
    return np.asarray(np.linalg.solve(features @ features.T + ridge * np.eye(m), features @ at))
