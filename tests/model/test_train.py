"""The training loop: deterministic, resumable to the bit, fair between coalitions, and loud when it diverges."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.model.model import Model, ModelDenoiser
from tasks.model.train import Diverged, TrainingData, TrainRecipe, TrainState, learning_rate, train
from tasks.model.unet import reset_weights, to_model_space, to_pixels
from tests.model.building import same_weights, tiny_data, tiny_schedule, tiny_unet

RECIPE = TrainRecipe(steps=8, batch_size=8, learning_rate=2e-3, ema_decay=0.99, seed=5)


def trained(data: TrainingData, recipe: TrainRecipe = RECIPE, **arguments):
    unet = tiny_unet()
    losses = train(Model(unet, tiny_schedule()), data, recipe, **arguments)
    return unet, losses


def test_two_trainings_give_identical_weights_whatever_the_global_random_state():
    torch.manual_seed(1)
    first, losses = trained(tiny_data())
    torch.manual_seed(2)
    second, again = trained(tiny_data())
    assert same_weights(first, second) and losses == again


def test_the_order_of_the_images_changes_nothing():
    data, order = tiny_data(), np.random.default_rng(3).permutation(24)
    shuffled = TrainingData(data.inputs[order], tuple(np.array(data.digests)[order]), data.weights[order])
    assert same_weights(trained(data)[0], trained(shuffled)[0])


def test_absent_contributors_images_change_nothing():
    data = tiny_data()
    weights = np.where(np.arange(24) < 10, 1.0, 0.0)
    few = TrainingData(data.inputs[:10], data.digests[:10], weights[:10])
    assert same_weights(trained(dataclasses.replace(data, weights=weights))[0], trained(few)[0])


def test_a_training_gone_on_from_any_step_ends_with_the_same_bits():
    states: list[TrainState] = []
    whole, losses = trained(tiny_data(), save=states.append, save_every_seconds=-1)
    assert [s.step for s in states] == list(range(1, 8))
    for state in states[::3]:
        resumed = tiny_unet(seed=9)  # other start weights: all must come from the state
        rest = train(Model(resumed, tiny_schedule()), tiny_data(), RECIPE, resume=state)
        assert same_weights(whole, resumed) and rest == losses[state.step :]


def test_a_state_can_be_gone_on_from_twice():
    states: list[TrainState] = []
    whole, _ = trained(tiny_data(), save=states.append, save_every_seconds=-1)
    assert all(same_weights(whole, trained(tiny_data(), resume=states[2])[0]) for _ in range(2))


def test_a_state_of_another_training_is_refused():
    states: list[TrainState] = []
    trained(tiny_data(), save=states.append, save_every_seconds=-1)
    with pytest.raises(ValueError, match="not those of the network"):
        train(Model(tiny_unet(layers=2), tiny_schedule()), tiny_data(), RECIPE, resume=states[0])
    with pytest.raises(ValueError, match="step 7 of 4"):
        trained(tiny_data(), dataclasses.replace(RECIPE, steps=4), resume=states[-1])


@settings(max_examples=100, deadline=None)
@given(decay=st.floats(0, 0.9999999), steps=st.integers(1, 100_000))
def test_at_most_a_hundredth_of_the_start_is_left_in_the_average(decay, steps):
    bounded = TrainRecipe(steps, 1, 1e-3, decay, 0).bounded_ema_decay
    assert bounded <= decay and bounded**steps <= 0.01 * (1 + 1e-9)


def test_the_average_left_in_the_network_forgets_the_start():
    """With a learning rate so small that weights stand still, the average of a start far away still comes to them."""
    recipe = TrainRecipe(steps=6, batch_size=4, learning_rate=1e-12, ema_decay=0.9999, seed=0)
    states: list[TrainState] = []
    trained(tiny_data(), recipe, save=states.append, save_every_seconds=-1)
    before = states[0]
    moved = {
        n: (t + 1 if n.startswith("average/") else t) for n, t in before.tensors.items()
    }  # as if the average had begun 1 away
    near, far = (trained(tiny_data(), recipe, resume=TrainState(1, tensors))[0] for tensors in (before.tensors, moved))
    left = max((a - b).abs().max().item() for a, b in zip(near.parameters(), far.parameters(), strict=True))
    assert left == pytest.approx(recipe.bounded_ema_decay**5, rel=1e-3)
    assert left * recipe.bounded_ema_decay <= 0.0101


def test_an_image_of_several_owners_weighs_the_sum_of_the_present_owners_shares():
    data = tiny_data()
    ownership = np.zeros((24, 3))
    ownership[:, 0], ownership[12:, 0] = 1, 0.25
    ownership[12:, 1], ownership[12:, 2] = 0.5, 0.25
    a, b = (trained(dataclasses.replace(data, weights=w))[0] for w in (ownership.sum(1), np.ones(24)))
    assert same_weights(a, b)  # all owners present: shares add up to a whole image
    without = trained(dataclasses.replace(data, weights=ownership[:, [0, 2]].sum(1)))[0]
    assert not same_weights(a, without)


def test_the_learning_rate_rises_then_falls_to_nothing():
    recipe = TrainRecipe(100, 8, 1e-3, 0.9, 0, warmup=0.1)
    rates = [learning_rate(recipe, step) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4) and max(rates) == pytest.approx(1e-3) and rates.index(max(rates)) in (9, 10)
    assert rates[9:] == sorted(rates[9:], reverse=True) and 0 < rates[-1] < 1e-6


def test_training_lowers_the_loss():
    data = tiny_data()
    data.inputs[:] = data.inputs[:1]  # one image: easy to learn
    _, losses = trained(data, TrainRecipe(40, 8, 5e-3, 0.9, 0))
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])


def test_a_training_that_diverges_says_so_and_gives_no_weights_away_as_good():
    unet = tiny_unet()
    with torch.no_grad():
        unet.conv_out.weight.fill_(math.inf)
    with pytest.raises(Diverged, match="step 1 of 8; lower the learning rate"):
        train(Model(unet, tiny_schedule()), tiny_data(), RECIPE)


def test_weights_that_become_infinite_in_the_last_step_are_found():
    with pytest.raises(Diverged, match="not finite"):
        trained(tiny_data(), TrainRecipe(1, 4, 1e39, 0.0, 0))


@pytest.mark.parametrize("weights", [np.array([np.nan] * 24), np.array([-1.0] * 24), np.ones(23), np.full(24, np.inf)])
def test_weights_that_mean_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        dataclasses.replace(tiny_data(), weights=weights)


def test_an_empty_coalition_is_refused():
    with pytest.raises(ValueError, match="owns no training image"):
        trained(dataclasses.replace(tiny_data(), weights=np.zeros(24)))


@pytest.mark.parametrize("attention", [[], [0], [1]])
def test_random_weights_leave_nothing_of_what_was_learned_in_any_layer(attention):
    """v(empty) is an untrained network: attention, time embedding and output layers too."""
    marked = tiny_unet(attention=attention)
    with torch.no_grad():
        for parameter in marked.parameters():
            parameter.fill_(77)
    reset_weights(marked, 4)
    assert same_weights(marked, tiny_unet(seed=4, attention=attention))
    assert not any(bool((p == 77).any()) for p in marked.parameters())


def test_random_weights_depend_on_the_seed_alone_and_leave_the_global_state_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = tiny_unet(seed=1)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    assert same_weights(first, tiny_unet(seed=1)) and not same_weights(first, tiny_unet(seed=2))


def test_a_layer_that_cannot_be_reset_is_an_error_not_a_leftover():
    class Learned(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2))

    with pytest.raises(ValueError, match="no initialisation"):
        reset_weights(torch.nn.Sequential(torch.nn.Linear(2, 2), Learned()), 0)


def test_pixels_come_back_from_model_space_unchanged():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    assert torch.equal(to_pixels(to_model_space(pixels)), pixels)
    assert to_pixels(torch.tensor([-9.0, 9.0]).reshape(1, 1, 1, 2)).flatten().tolist() == [0, 255]


def test_the_denoiser_predicts_what_the_network_says():
    unet, x = tiny_unet(), torch.randn(3, 3, 8, 8)
    t = torch.tensor([0, 5, 99])
    with torch.no_grad():
        expected = unet.eval()(x, t).sample
    assert torch.equal(ModelDenoiser(Model(unet, tiny_schedule())).predict_noise(x, t), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_on_a_gpu_a_training_resumes_and_stays_close_to_the_cpu():
    states: list[TrainState] = []
    whole, losses = trained(tiny_data(), device="cuda", save=states.append, save_every_seconds=-1)
    resumed, rest = trained(tiny_data(), device="cuda", resume=states[3])
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert a.is_cuda and torch.allclose(a, b, atol=1e-5)
    assert rest == pytest.approx(losses[4:], rel=1e-3)
    assert losses == pytest.approx(trained(tiny_data())[1], rel=1e-2)
