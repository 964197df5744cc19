"""Drawing images: the same as diffusers' own pipelines, and one image's noise is its own."""

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDPMPipeline

from tasks.model.model import Model, Sampler, make_sampler
from tasks.model.randomness import mix
from tasks.model.sample import sample
from tasks.model.train import Diverged, TrainRecipe, train
from tests.model.building import SIDE, tiny_data, tiny_schedule, tiny_unet

SAMPLERS: list[Sampler] = ["ddim", "dpmsolver++"]


@pytest.fixture(scope="module")
def unet():
    network = tiny_unet()
    train(Model(network, tiny_schedule()), tiny_data(), TrainRecipe(30, 16, 5e-3, 0.9, 0))
    return network


def drawn(unet, sampler: Sampler = "ddim", images: int = 7, batch_size: int = 3, steps: int = 6, seed: int = 2):
    return sample(
        Model(unet, tiny_schedule()), sampler=sampler, steps=steps, images=images, batch_size=batch_size, seed=seed
    )


def levels_apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_neither_batch_size_nor_count_changes_an_image(unet, sampler):
    whole = drawn(unet, sampler, images=7, batch_size=7)
    assert whole.shape == (7, SIDE, SIDE, 3) and whole.dtype == np.uint8
    assert levels_apart(whole, drawn(unet, sampler, batch_size=1)) <= 1
    assert levels_apart(whole, drawn(unet, sampler, batch_size=3)) <= 1
    assert levels_apart(whole[:4], drawn(unet, sampler, images=4)) <= 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_equal_calls_give_equal_images_and_another_seed_others(unet, sampler):
    assert np.array_equal(drawn(unet, sampler), drawn(unet, sampler))
    assert levels_apart(drawn(unet, sampler), drawn(unet, sampler, seed=3)) > 30


def test_images_are_those_of_diffusers_own_pipelines(unet):
    """The same starting noise through DDIMPipeline (eta 0), and DPM-Solver++ through DDPMPipeline's loop."""
    schedule = tiny_schedule()

    def generators() -> list[torch.Generator]:
        return [torch.Generator().manual_seed(mix(2, index, 2)) for index in range(4)]

    ddim = DDIMPipeline(unet, make_sampler("ddim", schedule))
    ddim.set_progress_bar_config(disable=True)
    theirs = ddim(batch_size=4, generator=generators(), eta=0.0, num_inference_steps=6, output_type="np").images
    assert levels_apart((theirs * 255).round(), drawn(unet, "ddim", images=4)) <= 1
    solver = DDPMPipeline(unet, make_sampler("dpmsolver++", schedule))
    solver.scheduler = make_sampler("dpmsolver++", schedule)
    solver.set_progress_bar_config(disable=True)
    theirs = solver(batch_size=4, generator=generators(), num_inference_steps=6, output_type="np").images
    assert levels_apart((theirs * 255).round(), drawn(unet, "dpmsolver++", images=4)) <= 1


def test_ddim_takes_the_steps_of_its_paper(unet):
    """x' = sqrt(a') x0 + sqrt(1 - a') eps with x0 clipped to [-1, 1] (Song et al. 2021, eq. 12, sigma 0)."""
    schedule, x = tiny_schedule(), torch.randn((3, SIDE, SIDE), generator=torch.Generator().manual_seed(mix(2, 0, 2)))
    x, levels = x[None], [80, 60, 40, 20, 0]
    with torch.no_grad():
        for t, following in zip(levels, [*levels[1:], None], strict=True):
            a = schedule.alphas_cumprod[t]
            later = schedule.alphas_cumprod[following] if following is not None else torch.tensor(1.0)
            noise = unet(x, torch.tensor(t)).sample
            x0 = ((x - (1 - a).sqrt() * noise) / a.sqrt()).clamp(-1, 1)
            x = later.sqrt() * x0 + (1 - later).sqrt() * noise
    expected = ((x[0].clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).numpy()
    assert levels_apart(expected, drawn(unet, "ddim", images=1, steps=5)[0]) <= 1


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_samplers_neither_scale_their_input_nor_their_starting_noise(name):
    """Why `sample` may start from unit noise and give the network the image as it is."""
    solver, x = make_sampler(name, tiny_schedule()), torch.randn(1, 3, SIDE, SIDE)
    solver.set_timesteps(5)
    assert float(solver.init_noise_sigma) == 1.0
    assert all(torch.equal(solver.scale_model_input(x, t), x) for t in solver.timesteps)


def test_images_that_are_not_finite_are_a_failure():
    broken = tiny_unet()
    with torch.no_grad():
        broken.conv_out.bias.fill_(float("nan"))
    with pytest.raises(Diverged, match="not finite"):
        drawn(broken)


def test_more_steps_than_noise_levels_are_refused_with_both_numbers(unet):
    with pytest.raises(ValueError, match=r"sampling\.steps is 101.*only 100"):
        drawn(unet, steps=101)


def test_progress_ends_at_the_number_of_images(unet):
    seen: list[tuple[int, int]] = []
    sample(
        Model(unet, tiny_schedule()),
        sampler="ddim",
        steps=2,
        images=5,
        batch_size=2,
        seed=0,
        progress=lambda done, all_: seen.append((done, all_)),
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]


class Cramped(Model):
    """A model on a card that holds so many images at a time."""

    def __init__(self, unet, holds: int) -> None:
        super().__init__(unet, tiny_schedule())
        self.holds, self.asked = holds, list[int]()

    def draw(self, noise, *rest):
        self.asked.append(len(noise))
        if len(noise) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().draw(noise, *rest)


def test_a_batch_that_memory_does_not_hold_is_drawn_in_smaller_ones_to_the_same_images(unet):
    cramped, seen = Cramped(unet, holds=2), list[int]()
    images = sample(
        cramped,
        sampler="dpmsolver++",
        steps=6,
        images=9,
        batch_size=8,
        seed=2,
        progress=lambda done, _: seen.append(done),
    )
    assert cramped.asked == [8, 4, 2, 2, 2, 2, 1]  # the size that fits is remembered
    assert seen == [2, 4, 6, 8, 9]
    assert levels_apart(images, drawn(unet, "dpmsolver++", images=9, batch_size=9)) <= 1


def test_where_not_one_image_fits_the_error_names_the_settings(unet):
    with pytest.raises(torch.OutOfMemoryError, match=r"sampling\.batch_size is 3.*execution\.device.*CUDA out of"):
        sample(Cramped(unet, holds=0), sampler="ddim", steps=2, images=5, batch_size=3, seed=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_on_a_gpu_images_are_those_of_the_cpu(unet):
    cpu = drawn(unet)
    gpu = sample(
        Model(tiny_copy(unet), tiny_schedule()), sampler="ddim", steps=6, images=7, batch_size=3, seed=2, device="cuda"
    )
    assert np.abs(cpu.astype(int) - gpu.astype(int)).mean() < 1


def tiny_copy(unet):
    copy = tiny_unet()
    copy.load_state_dict(unet.state_dict())
    return copy
