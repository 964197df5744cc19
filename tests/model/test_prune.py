"""Pruning, and the pruned network as data: rebuilt to the bit, and refused where the description is broken or hostile."""

import copy
import functools
import json
import time

import pytest
import torch

from tasks.model.model import Model
from tasks.model.network_config import checked_config, checked_schedule
from tasks.model.prune import architecture, build, count_macs, prune
from tasks.model.train import TrainRecipe, train
from tasks.model.unet import build_unet, reset_weights, unet_config
from tests.model.building import same_weights, tiny_data, tiny_schedule, tiny_unet

NETWORKS = {
    "plain": ([8, 16], 1, [], 4),
    "two layers a block": ([8, 16], 2, [], 4),
    "attention at the coarsest level": ([16, 32], 1, [1], 4),
    "attention everywhere": ([16, 32], 2, [0, 1], 8),
    "three levels": ([8, 16, 16], 1, [2], 4),
}


def network(name: str):
    channels, layers, attention, groups = NETWORKS[name]
    return build_unet(unet_config(8, channels, layers, attention, groups), 0)


def loss_of(unet) -> None:
    """A batch whose loss hangs on the first half of the output channels' inputs: Taylor sees it, magnitude does not."""
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    (unet(x, torch.tensor([1, 30, 60, 99])).sample - x).pow(2).mean().backward()


def output(unet) -> torch.Tensor:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return unet(x, torch.tensor([3, 90])).sample


@pytest.mark.parametrize(
    ("name", "importance", "ratio"),
    [
        ("plain", "magnitude", 0.3),
        ("two layers a block", "taylor", 0.7),
        ("attention at the coarsest level", "magnitude", 0.5),
        ("attention everywhere", "taylor", 0.3),
        ("attention everywhere", "magnitude", 0.7),
        ("three levels", "magnitude", 0.7),
        ("three levels", "taylor", 0.5),
    ],
)
def test_a_pruned_network_is_smaller_trainable_and_rebuilt_to_the_bit(name, importance, ratio):
    unet = network(name)
    macs, parameters = count_macs(unet)
    prune(unet, ratio, importance, loss=loss_of)
    fewer_macs, fewer = count_macs(unet)
    assert fewer < parameters and fewer_macs < macs and not unet.training
    assert unet.conv_out.out_channels == 3
    rebuilt = build(json.loads(json.dumps(architecture(unet))))
    rebuilt.load_state_dict(unet.state_dict())
    assert torch.equal(output(unet), output(rebuilt)) and architecture(rebuilt) == architecture(unet)
    train(Model(rebuilt, tiny_schedule()), tiny_data(8), TrainRecipe(1, 4, 1e-3, 0.9, 0))
    reset_weights(rebuilt, 1)
    assert torch.isfinite(output(rebuilt)).all()


@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_ratio_zero_keeps_the_network(importance):
    unet = network("attention everywhere")
    before = copy.deepcopy(unet)
    prune(unet, 0, importance)
    assert same_weights(before, unet) and torch.equal(output(before.eval()), output(unet))
    rebuilt = build(architecture(unet))
    rebuilt.load_state_dict(unet.state_dict())
    assert torch.equal(output(unet), output(rebuilt))


def test_larger_ratios_leave_smaller_networks():
    sizes = [count_macs(prune(network("three levels"), ratio, "magnitude"))[1] for ratio in (0, 0.3, 0.5, 0.7)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > sizes[1] > sizes[3]


def test_pruning_is_deterministic():
    assert same_weights(prune(network("plain"), 0.5, "magnitude"), prune(network("plain"), 0.5, "magnitude"))


def test_magnitude_and_taylor_keep_different_channels():
    by_size, by_loss = prune(network("plain"), 0.5, "magnitude"), prune(network("plain"), 0.5, "taylor", loss=loss_of)
    assert architecture(by_size) == architecture(by_loss) and not same_weights(by_size, by_loss)


def test_magnitude_removes_channels_of_small_weights():
    unet = network("plain")
    block = unet.down_blocks[0].resnets[0]
    with torch.no_grad():  # of each group's two channels, the first is made tiny
        block.conv1.weight[::2] *= 1e-4
        block.conv1.bias[::2] = 0
        block.time_emb_proj.weight[::2] *= 1e-4
        block.time_emb_proj.bias[::2] = 0
        block.norm2.weight[::2] *= 1e-4
        block.conv2.weight[:, ::2] *= 1e-4
    kept = block.conv1.weight[1::2].clone()
    prune(unet, 0.5, "magnitude")
    pruned = unet.down_blocks[0].resnets[0].conv1.weight
    assert pruned.abs().mean() > 0.5 * kept.abs().mean() and len(pruned) == len(kept)


def test_taylor_without_a_loss_is_refused():
    with pytest.raises(ValueError, match="needs the loss"):
        prune(network("plain"), 0.5, "taylor")


def test_nothing_of_the_gradients_that_pruning_needs_is_left_behind():
    unet = prune(network("plain"), 0.5, "taylor", loss=loss_of)
    assert all(p.grad is None for p in unet.parameters())


@functools.cache
def sound() -> str:
    return json.dumps(architecture(prune(tiny_unet(attention=[1]), 0.5, "magnitude")))


def broken(change) -> dict:
    description = json.loads(sound())
    change(description)
    return description


def layer(**shape: object):
    return lambda d: d["layers"]["conv_in"].update(shape)


def config(**entries: object):
    return lambda d: d["config"].update(entries)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["layers"].update({"evil.layer": {"in_channels": 1, "out_channels": 1}}), "evil.layer"),
        (lambda d: d["layers"].pop("conv_in"), "conv_in"),
        (lambda d: d["layers"].update({"conv_in": None}), "conv_in"),
        (lambda d: d["layers"].update({"": {"in_channels": 1}}), "do not agree"),
        (lambda d: d.pop("layers"), "config and layers"),
        (lambda d: d.update(layers=[]), "config and layers"),
        (lambda d: d.update(code="print()"), "config and layers"),
        (layer(out_channels=0), "outside"),
        (layer(out_channels=-4), "outside"),
        (layer(out_channels=10**9), "outside"),
        (layer(out_channels=True), "outside"),
        (layer(out_channels=2.0), "outside"),
        (layer(out_channels="4"), "outside"),
        (layer(kernel_size=99), "needs in_channels, out_channels"),
        (layer(out_channels=1), "do not fit together"),
        (lambda d: d["layers"]["conv_out"].update(out_channels=2), "makes 2 channels"),
        (config(block_out_channels=[10**9, 10**9]), "block_out_channels"),
        (config(block_out_channels=[16384, 16384], norm_num_groups=4), "do not agree|parameters|outside|fit"),
        (config(sample_size=10**9), "sample_size"),
        (config(layers_per_block=10**6), "layers_per_block"),
        (config(down_block_types=["DownBlock2D"] * 1000), "down_block_types"),
        (config(down_block_types=["os.system", "DownBlock2D"]), "down_block_types"),
        (config(down_block_types=["DownBlock2D"]), "differ in length"),
        (config(time_embedding_dim=10**12), "time_embedding_dim"),
        (config(num_class_embeds=10**12), "num_class_embeds"),
        (config(time_embedding_type="fourier"), "time_embedding_type"),
        (config(dropout=0.1), "dropout"),
        (config(norm_num_groups=0), "norm_num_groups"),
        (config(norm_eps=float("nan")), "norm_eps"),
        (config(trust_remote_code=True), "trust_remote_code"),
        (config(act_fn="__import__('os')"), "act_fn"),
        (config(out_channels=6), "out_channels"),
        (lambda d: d["config"].pop("sample_size"), "sample_size"),
    ],
)
def test_a_broken_or_hostile_architecture_is_refused_quickly_with_the_reason(change, message):
    started = time.monotonic()
    with pytest.raises(ValueError, match=message):
        build(broken(change))
    assert time.monotonic() - started < 10


def test_too_many_parameters_are_refused_before_any_memory_is_taken():
    huge = unet_config(64, [16384] * 4, 16, [], 8)
    with torch.device("meta"):
        from diffusers import UNet2DModel

        description = architecture(UNet2DModel(**huge))
    with pytest.raises(ValueError, match="parameters"):
        build(description)


def test_an_argument_of_a_later_diffusers_may_stand_at_its_default_only(monkeypatch):
    """`UNet2DModel` gains arguments; a study must outlive that, and must not ignore one that changes the network."""
    from diffusers import UNet2DModel

    def later(self, sample_size=None, new_trick: bool = False) -> None: ...

    monkeypatch.setattr(UNet2DModel, "__init__", later)
    plain = unet_config(8, [8, 16], 1, [], 4)
    assert "new_trick" not in checked_config({**plain, "new_trick": False, "_name_or_path": "/home"})
    with pytest.raises(ValueError, match="new_trick"):
        checked_config({**plain, "new_trick": True})


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"num_train_timesteps": 10**12}, "steps"),
        ({"num_train_timesteps": "9"}, "steps"),
        ({"prediction_type": "v_prediction"}, "v_prediction"),
    ],
)
def test_a_broken_or_hostile_noise_schedule_is_refused(schedule, message):
    with pytest.raises(ValueError, match=message):
        checked_schedule(schedule)
