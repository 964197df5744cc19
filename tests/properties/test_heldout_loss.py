"""The held-out loss: exact for known denoisers, fixed noise by content, no dependence on neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.model.unet import to_model_space
from tasks.properties import RealImages, resolve_property
from tasks.properties.heldout_loss import fixed_noise, stratified_timesteps
from tasks.study import PropertiesSpec

SPEC = PropertiesSpec(heldout_timesteps=5)
LOSS = resolve_property("heldout_loss", SPEC)
ALPHAS = torch.linspace(0.999, 0.01, 100)


@dataclass
class Constant:
    """Predicts one value everywhere."""

    value: float
    alphas_cumprod: torch.Tensor

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return to_model_space(pixels)

    def predict_noise(self, noisy: torch.Tensor, timesteps: torch.Tensor, prompts: Sequence[str] = ()) -> torch.Tensor:
        return torch.full_like(noisy, self.value)


class Perfect(Constant):
    """Knows the only clean image there is, a grey one of value 0 in the model's space, so noise = noisy / sqrt(1-a)."""

    def predict_noise(self, noisy: torch.Tensor, timesteps: torch.Tensor, prompts: Sequence[str] = ()) -> torch.Tensor:
        a = self.alphas_cumprod[timesteps].reshape(-1, 1, 1, 1)
        return (noisy - a.sqrt() * (128 / 127.5 - 1)) / (1 - a).sqrt()


def real_of(images: np.ndarray, digests: list[str]) -> RealImages:
    return RealImages(np.zeros((1, 8, 8, 3), np.uint8), images, tuple(digests))


def hexes(n: int) -> list[str]:
    return [f"{(i * 7919) % 1009:064x}" for i in range(n)]


IMAGES = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), dtype=np.uint8)


def test_a_perfect_denoiser_has_loss_zero() -> None:
    grey = np.full((3, 8, 8, 3), 128, np.uint8)
    assert LOSS.score(Perfect(0, ALPHAS), LOSS.statistics(real_of(grey, hexes(3)))) == pytest.approx(0, abs=1e-8)


def test_a_zero_denoiser_has_the_mean_square_of_the_fixed_noise() -> None:
    value = LOSS.score(Constant(0, ALPHAS), LOSS.statistics(real_of(IMAGES, hexes(7))))
    levels = stratified_timesteps(100, 5)
    noise = [fixed_noise([bytes.fromhex(d)], [int(t)], (3, 8, 8)) for d in hexes(7) for t in levels]
    assert value == pytest.approx(np.mean(np.square(noise, dtype=np.float64)), rel=1e-6)
    assert value == pytest.approx(1, abs=0.1)


def test_the_noised_image_is_what_the_schedule_says() -> None:
    """The model sees sqrt(a) x + sqrt(1-a) eps, in [-1, 1] space, channels first, at the stratified levels."""
    seen = []

    class Recorder(Constant):
        def predict_noise(
            self, noisy: torch.Tensor, timesteps: torch.Tensor, prompts: Sequence[str] = ()
        ) -> torch.Tensor:
            seen.append((noisy, timesteps))
            return noisy

    LOSS.score(Recorder(0, ALPHAS), LOSS.statistics(real_of(IMAGES[:1], hexes(1))))
    noisy, timesteps = torch.cat([a for a, _ in seen]), torch.cat([t for _, t in seen])
    assert timesteps.tolist() == [10, 30, 50, 70, 90] and timesteps.dtype == torch.int64
    clean = torch.from_numpy(IMAGES[0]).permute(2, 0, 1).float() / 127.5 - 1
    for row, t in zip(noisy, timesteps.tolist(), strict=True):
        noise = torch.from_numpy(fixed_noise([bytes.fromhex(hexes(1)[0])], [t], (3, 8, 8))[0])
        assert torch.allclose(row, ALPHAS[t].sqrt() * clean + (1 - ALPHAS[t]).sqrt() * noise, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(7)), left_out=st.integers(0, 6))
def test_noise_and_loss_do_not_depend_on_order_or_on_other_images(order: list[int], left_out: int) -> None:
    """An added held-out image adds its own term and alters nobody else's."""
    model = Constant(0.3, ALPHAS)
    names = hexes(7)

    def loss(rows: list[int]) -> float:
        return LOSS.score(model, LOSS.statistics(real_of(IMAGES[rows], [names[i] for i in rows])))

    assert loss(order) == pytest.approx(loss(list(range(7))), rel=1e-12)
    without = loss([i for i in order if i != left_out])
    assert 7 * loss(order) == pytest.approx(6 * without + loss([left_out]), rel=1e-9)


def test_noise_is_standard_normal_and_pinned() -> None:
    """The first numbers are pinned: they must never change with a library, or old scores would not compare."""
    noise = fixed_noise([bytes([i]) * 32 for i in range(40)], [3] * 40, (3, 16, 16))
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02 and abs((noise**4).mean() - 3) < 0.15
    assert abs(np.corrcoef(noise.reshape(40, -1)) - np.eye(40)).max() < 0.2
    first = fixed_noise([bytes(32)], [0], (4,))[0]
    assert np.allclose(first, PINNED, atol=1e-6)


PINNED = [0.2112320512533188, 0.6157234907150269, -0.38484305143356323, 1.0259405374526978]


def test_more_pairs_than_a_batch_are_all_counted() -> None:
    many = np.random.default_rng(1).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    digests = [f"{i:064x}" for i in range(60)]
    whole = LOSS.score(Constant(0, ALPHAS), LOSS.statistics(real_of(many, digests)))  # 300 pairs
    parts = [
        LOSS.score(Constant(0, ALPHAS), LOSS.statistics(real_of(many[i : i + 30], digests[i : i + 30])))
        for i in (0, 30)
    ]
    assert whole == pytest.approx(np.mean(parts), rel=1e-9)


@given(steps=st.integers(1, 2000), levels=st.integers(1, 50))
def test_levels_are_distinct_and_one_in_each_stratum(steps: int, levels: int) -> None:
    if levels > steps:
        with pytest.raises(ValueError, match="only"):
            stratified_timesteps(steps, levels)
        return
    t = stratified_timesteps(steps, levels)
    assert len(set(t.tolist())) == levels and t.min() >= 0 and t.max() < steps
    assert (np.floor((t + 0.5) * levels / steps).astype(int) == np.arange(levels)).all()


@pytest.mark.parametrize(
    ("images", "digests", "reason"),
    [
        (IMAGES[:0], [], "there are none; raise data.heldout_fraction"),
        (IMAGES[:1], ["photo-1"], "64 hex digits"),
        (IMAGES[:2], ["0" * 64, "0" * 64], "distinct"),
        (IMAGES[:2], ["0" * 64], "2 held-out images but 1 digests"),
    ],
)
def test_unusable_heldout_sets_are_refused(images: np.ndarray, digests: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        LOSS.statistics(real_of(images, digests))


def test_a_diverged_model_is_an_error_with_the_reason() -> None:
    with pytest.raises(ValueError, match="heldout_loss came out as nan: the model has diverged"):
        LOSS.score(Constant(float("nan"), ALPHAS), LOSS.statistics(real_of(IMAGES, hexes(7))))


def test_statistics_survive_plain_storage(tmp_path: Path) -> None:
    """Reference statistics are stored without pickle."""
    statistics = LOSS.statistics(real_of(IMAGES, hexes(7)))
    np.savez(tmp_path / "s.npz", **statistics)  # type: ignore[arg-type]
    with np.load(tmp_path / "s.npz", allow_pickle=False) as back:
        assert LOSS.score(Constant(0, ALPHAS), dict(back)) == LOSS.score(Constant(0, ALPHAS), statistics)
