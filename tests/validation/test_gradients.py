"""Gradient credits against the formula, a scrambled loader refused, and projections that keep inner products."""

import numpy as np
import pytest
import torch

from tasks.validation.gradients import OUTPUTS, gradient_credits, kernel_ridge
from tasks.validation.ownership import RowOrderError
from tasks.validation.projection import BLOCK_ROWS, Projection
from tests.validation.images import owned, rows, shuffled

SIGNS = [1, 1, -1, 1, 1, -1, -1, 1, -1, -1, -1, 1, 1, -1, 1, 1]


@pytest.mark.parametrize(("m", "k"), [(9, 4), (4, 9)])
def test_credits_are_the_formulas_generated_image_by_generated_image(m, k):
    rng = np.random.default_rng(m)
    train, generated = rng.standard_normal((m, k)), rng.standard_normal((5, k))
    shares = rng.random((m, 3))
    kernel = np.linalg.inv(train.T @ train + 0.7 * np.eye(k))
    credits = np.zeros(3)
    for gradient in generated:
        for image in range(m):
            credits += gradient @ kernel @ train[image] * shares[image] / 5
    found = gradient_credits(rows(train), generated, owned(shares), ridge=0.7)
    assert np.allclose(found, credits, atol=1e-12)
    averaged = gradient_credits(rows(train), generated, owned(shares), ridge=0.7, over_images="average")
    assert np.allclose(averaged, credits / shares.sum(axis=0), atol=1e-12)


def test_scores_foretell_what_leaving_an_image_out_of_a_ridge_regression_does():
    # A linear model trained on squared error: its output at x moves by g(x)ᵀ H⁻¹ g_i r_i per weight of image i.
    rng = np.random.default_rng(0)
    x, y, at = rng.standard_normal((60, 3)), rng.standard_normal(60), rng.standard_normal(3)

    def output(weights):
        return at @ np.linalg.solve(x.T @ (weights[:, None] * x) + 0.5 * np.eye(3), x.T @ (weights * y))

    step = 1e-5
    moved = np.array([(output(np.ones(60) + step * np.eye(60)[i]) - output(np.ones(60))) / step for i in range(60)])
    residual = y - x @ np.linalg.solve(x.T @ x + 0.5 * np.eye(3), x.T @ y)
    assert np.allclose(kernel_ridge(x, at, 0.5) * residual, moved, atol=1e-4)


def test_a_shuffled_loader_is_refused_though_every_image_is_there():
    with pytest.raises(RowOrderError, match="shuffled loader"):
        gradient_credits(shuffled(np.eye(6)), np.ones((1, 6)), owned(np.eye(6)))


def test_what_is_no_gradient_is_refused():
    good = rows(np.eye(3))
    with pytest.raises(ValueError, match="one projection"):
        gradient_credits(good, np.ones((2, 4)), owned(np.eye(3)))
    with pytest.raises(ValueError, match="not all finite"):
        gradient_credits(rows(np.diag([1, np.inf, 1])), np.ones((2, 3)), owned(np.eye(3)))
    with pytest.raises(ValueError, match="ridge must be positive"):
        gradient_credits(good, np.ones((2, 3)), owned(np.eye(3)), ridge=0)


def test_outputs_of_trak_and_d_trak_are_one_number_an_image():
    predicted, noise = torch.arange(12.0).reshape(2, 1, 2, 3), torch.ones(2, 1, 2, 3)
    assert OUTPUTS["trak"](predicted, noise).tolist() == pytest.approx([31 / 6, 355 / 6])
    assert OUTPUTS["d_trak"](predicted, noise).tolist() == pytest.approx([55 / 6, 451 / 6])


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_inner_products_are_kept_as_johnson_and_lindenstrauss_say(kind):
    torch.manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(40, 3000), dim=1)
    x[20:] = torch.nn.functional.normalize(x[:20] + 0.1 * x[20:], dim=1)  # some that are near each other
    errors = []
    for seed in range(8):
        projected = Projection(3000, 512, seed, kind).apply(x)
        errors.append(projected @ projected.T - (x @ x.T).numpy())
    assert np.abs(np.mean(errors)) < 0.004  # unbiased; s.d. 0.0011
    worst = np.sqrt(2 / 512)
    assert np.std([e[np.triu_indices(40, 1)] for e in errors]) < worst
    assert np.std([np.diag(e) for e in errors]) == pytest.approx(worst, rel=0.25)
    assert np.abs(errors).max() < 5 * worst


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_the_matrix_is_the_same_however_the_gradient_is_cut(kind):
    p = 2 * BLOCK_ROWS + 77
    projection = Projection(p, 64, 5, kind)
    whole = np.concatenate([rows for _, _, rows in projection.parts(0, p)])
    assert whole.shape == (p, 64)
    gradients = torch.from_numpy(np.random.default_rng(0).standard_normal((3, p), dtype=np.float32))
    expected = gradients.numpy().astype(float) @ whole / 8
    cut = [gradients[:, :5], gradients[:, 5 : BLOCK_ROWS + 9].reshape(3, 2, -1), gradients[:, BLOCK_ROWS + 9 :]]
    assert np.allclose(projection.apply(gradients), expected, atol=1e-3)
    assert np.allclose(projection.apply(iter(cut)), expected, atol=1e-3)
    assert (Projection(p, 64, 5, kind).block(1) == whole[BLOCK_ROWS : 2 * BLOCK_ROWS]).all()
    assert (Projection(p, 64, 6, kind).block(1) != projection.block(1)).any()
    assert len(np.unique(whole[:, :64], axis=0)) == p  # no row comes twice


def test_signs_are_fair_coins_and_stay_what_they_are():
    block = Projection(1, 256, 0).block(0)
    assert set(np.unique(block)) == {-1.0, 1.0}
    assert abs(block.mean()) < 5 / np.sqrt(block.size)
    assert np.abs((block.T @ block / BLOCK_ROWS)[np.triu_indices(256, 1)]).max() < 6 / np.sqrt(BLOCK_ROWS)
    # The first signs of seed 0, from Philox's counter and key alone: a stored gradient must find the same matrix again.
    assert Projection(1, 64, 0).block(0)[0, :16].astype(int).tolist() == SIGNS


def test_gradients_of_another_length_are_refused():
    projection = Projection(100, 64, 0)
    with pytest.raises(ValueError, match="more than 100 numbers"):
        projection.apply(torch.ones(2, 101))
    with pytest.raises(ValueError, match="have 99 numbers an image, but this projection is of 100"):
        projection.apply([torch.ones(2, 50), torch.ones(2, 49)])
    with pytest.raises(ValueError, match="multiple of 64"):
        Projection(100, 100, 0)
    with pytest.raises(ValueError, match="unknown kind"):
        Projection(100, 64, 0, "sparse")  # type: ignore[arg-type]
