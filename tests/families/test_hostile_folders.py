"""Nothing from a folder that people give is executed or unpickled, and nothing in it can exhaust the memory."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.model.pipeline import PipelineError
from tests.families.bomb import plant
from tests.families.building import edit, family_and_model, pipeline, predicted

WEIGHTS = "diffusion_pytorch_model.safetensors"


def open_base(kind: str, bases: Path) -> Any:
    """Make the model that rests on a base: "ldm" on `kl`, "sd-lora" on `sd`."""
    return family_and_model(kind, bases)[1]


PARTS = [("ldm", "kl"), ("sd-lora", "sd/unet"), ("sd-lora", "sd/vae"), ("sd-lora", "sd/text_encoder")]


@pytest.mark.parametrize(("kind", "part"), PARTS)
def test_pickles_beside_the_weights_are_not_looked_at(kind: str, part: str, own_bases: Path, tmp_path: Path) -> None:
    expected, marker = predicted(open_base(kind, own_bases)), tmp_path / "executed"
    files = family_and_model(kind, own_bases)[0].given()
    for name in ("diffusion_pytorch_model.bin", "pytorch_model.bin", "model.ckpt", "optimizer.pt", "adapter_model.bin"):
        plant(own_bases / part, name, marker)
    family, model = family_and_model(kind, own_bases)
    assert torch.equal(predicted(model), expected) and family.given() == files
    assert not marker.exists()


@pytest.mark.parametrize(("kind", "part"), PARTS)
def test_pickles_instead_of_the_weights_are_refused(kind: str, part: str, own_bases: Path, tmp_path: Path) -> None:
    marker, folder = tmp_path / "executed", own_bases / part
    for path in folder.glob("*.safetensors"):
        path.unlink()
    for name in ("diffusion_pytorch_model.bin", "pytorch_model.bin", "model.ckpt"):
        plant(folder, name, marker)
    with pytest.raises(PipelineError, match="holds no safetensors weights"):
        open_base(kind, own_bases)
    assert not marker.exists()


def test_a_pickle_that_is_called_safetensors_is_refused(own_bases: Path, tmp_path: Path) -> None:
    plant(own_bases / "kl", WEIGHTS, tmp_path / "executed")
    with pytest.raises(PipelineError, match="weights that cannot be read"):
        open_base("ldm", own_bases)
    assert not (tmp_path / "executed").exists()


def test_a_pickle_among_the_adapters_files_is_not_looked_at(bases: Path, tmp_path: Path) -> None:
    family, model = family_and_model("sd-lora", bases)
    family.save(model, tmp_path)
    expected, marker = predicted(model), tmp_path / "executed"
    for name in ("pytorch_lora_weights.bin", "adapter_model.bin", "adapter.pt"):
        plant(tmp_path, name, marker)
    assert torch.equal(predicted(family.load(tmp_path, bases / "sd")), expected)
    (tmp_path / family.weights_file).unlink()
    with pytest.raises(OSError):
        family.load(tmp_path, bases / "sd")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("kind", "config", "entries"),
    [
        ("ldm", "kl/config.json", {"_class_name": "AsymmetricAutoencoderKL"}),
        ("ldm", "kl/config.json", {"_class_name": ["evil", "Evil"]}),
        ("sd-lora", "sd/unet/config.json", {"_class_name": "UNet2DModel"}),
        ("sd-lora", "sd/vae/config.json", {"_class_name": "AutoencoderTiny"}),
        ("sd-lora", "sd/text_encoder/config.json", {"model_type": "t5"}),
        ("sd-lora", "sd/scheduler/scheduler_config.json", {"prediction_type": "v_prediction"}),
        ("sd-lora", "sd/unet/config.json", {"in_channels": 9}),
        ("sd-lora", "sd/unet/config.json", {"quantization_config": {"quant_method": "bitsandbytes"}}),
    ],
)
def test_another_class_than_ours_is_refused(kind: str, config: str, entries: dict[str, Any], own_bases: Path) -> None:
    edit(own_bases / config, **entries)
    with pytest.raises(PipelineError):
        open_base(kind, own_bases)


def test_code_in_a_base_is_not_run(own_bases: Path, tmp_path: Path) -> None:
    expected, marker = predicted(open_base("sd-lora", own_bases)), tmp_path / "executed"
    code = f"open({str(marker)!r}, 'w')\nclass Evil: ...\n"
    auto_map = {name: "evil.Evil" for name in ("AutoModel", "AutoConfig", "AutoTokenizer", "CLIPTextModel")}
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler", "."):
        for name in ("evil.py", "pipeline.py", "__init__.py", "modeling_evil.py"):
            (own_bases / "sd" / part / name).write_text(code)
    for config in ("unet/config.json", "vae/config.json", "text_encoder/config.json"):
        edit(own_bases / "sd" / config, auto_map=auto_map)
    edit(own_bases / "sd/tokenizer/tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]})
    edit(own_bases / "sd/model_index.json", _class_name=["pipeline", "Evil"], unet=["evil", "Evil"])
    assert torch.equal(predicted(open_base("sd-lora", own_bases)), expected)
    assert not marker.exists()


@pytest.mark.parametrize("entry", ["attn_implementation", "_attn_implementation", "experts_implementation"])
def test_a_text_encoder_cannot_ask_for_kernels_from_the_hub(entry: str, own_bases: Path) -> None:
    """transformers fetches and runs a kernel that a config names as owner/name."""
    expected = predicted(open_base("sd-lora", own_bases))
    edit(own_bases / "sd/text_encoder/config.json", **{entry: "somebody/flash-attn3"})
    model = open_base("sd-lora", own_bases)
    assert model.pipeline.text.network.config._attn_implementation in ("sdpa", "eager")
    assert torch.equal(predicted(model), expected)


@pytest.mark.parametrize(
    ("kind", "config", "entries"),
    [
        ("ldm", "kl/config.json", {"block_out_channels": [2**20, 2**20]}),
        ("ldm", "vq/config.json", {"num_vq_embeddings": 10**12}),
        ("ldm", "kl/config.json", {"layers_per_block": 10**9}),
        ("ldm", "kl/config.json", {"block_out_channels": [8] * 10**5}),
        ("ldm", "kl/config.json", {"latent_channels": 10**30}),
        ("ldm", "kl/config.json", {"norm_num_groups": 0}),
        ("sd-lora", "sd/unet/config.json", {"block_out_channels": [2**20, 2**20]}),
        ("sd-lora", "sd/unet/config.json", {"cross_attention_dim": 10**12}),
        ("sd-lora", "sd/unet/config.json", {"layers_per_block": [10**9, 10**9]}),
        ("sd-lora", "sd/unet/config.json", {"transformer_layers_per_block": [[1], [[10**9]]]}),
        ("sd-lora", "sd/text_encoder/config.json", {"vocab_size": 10**13}),
        ("sd-lora", "sd/text_encoder/config.json", {"max_position_embeddings": 10**13}),
        ("sd-lora", "sd/text_encoder/config.json", {"num_hidden_layers": 10**9}),
        ("sd-lora", "sd/scheduler/scheduler_config.json", {"num_train_timesteps": 10**12}),
    ],
)
def test_giant_sizes_are_refused_before_anything_is_allocated(
    kind: str, config: str, entries: dict[str, Any], own_bases: Path
) -> None:
    edit(own_bases / config, **entries)
    if config.startswith("vq"):
        shutil.rmtree(own_bases / "kl")
        (own_bases / "vq").rename(own_bases / "kl")
    before, started = psutil.Process().memory_info().rss, time.monotonic()
    with pytest.raises(PipelineError):
        open_base(kind, own_bases)
    assert psutil.Process().memory_info().rss - before < 300 * 2**20 and time.monotonic() - started < 20


@pytest.mark.parametrize("part", ["kl", "sd/unet", "sd/text_encoder"])
@pytest.mark.parametrize("damage", ["a tensor too few", "a tensor too many", "another shape", "cut off"])
def test_weights_that_do_not_fit_are_refused_not_filled_with_random_ones(
    part: str, damage: str, own_bases: Path
) -> None:
    path = next((own_bases / part).glob("*.safetensors"))
    tensors = load_file(path)
    name = sorted(tensors)[-1]
    if damage == "a tensor too few":
        del tensors[name]
    elif damage == "a tensor too many":
        tensors["evil.weight"] = torch.ones(2)
    elif damage == "another shape":
        tensors[name] = torch.ones(3, 5, 7)
    save_file(tensors, path, metadata={"format": "pt"})
    if damage == "cut off":
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(PipelineError):
        open_base("ldm" if part == "kl" else "sd-lora", own_bases)


OLDER = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


@pytest.mark.parametrize("kind", ["AutoencoderKL", "VQModel"])
def test_an_older_autoencoder_is_refused_with_what_to_do_and_that_helps(kind: str, own_bases: Path) -> None:
    folder = own_bases / ("kl" if kind == "AutoencoderKL" else "vq")
    family = "ldm" if kind == "AutoencoderKL" else "ldm-vq"
    expected, tensors = predicted(open_base(family, own_bases)), load_file(folder / WEIGHTS)
    for name in list(tensors):
        for new, old in OLDER.items():
            if f".{new}." in name:
                tensors[name.replace(f".{new}.", f".{old}.")] = tensors.pop(name)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(PipelineError, match="save it again") as refused:
        open_base(family, own_bases)
    advice = str(refused.value).rpartition("save it again: ")[2].replace("NEW_FOLDER", str(own_bases / "new"))
    exec(advice)
    shutil.rmtree(folder)
    (own_bases / "new").rename(folder)
    assert torch.equal(predicted(open_base(family, own_bases)), expected)


def test_weights_in_a_second_file_do_not_stand_in_for_what_the_first_lacks(own_bases: Path) -> None:
    """Libraries read one file of a folder: what only another one holds would be drawn at random."""
    path = own_bases / "kl" / WEIGHTS
    tensors = load_file(path)
    name = sorted(tensors)[0]
    save_file({name: tensors.pop(name)}, own_bases / "kl/more.safetensors", metadata={"format": "pt"})
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(PipelineError, match=name):
        open_base("ldm", own_bases)


@pytest.mark.parametrize("name", ["../elsewhere.safetensors", "missing.safetensors", 7])
def test_an_index_cannot_lead_out_of_its_folder(name: object, own_bases: Path) -> None:
    path = own_bases / "kl" / WEIGHTS
    shutil.copy(path, own_bases / "elsewhere.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(load_file(path), name)}
    path.rename(own_bases / "kl/part.safetensors")
    (own_bases / "kl/diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(PipelineError, match="not in its folder"):
        open_base("ldm", own_bases)


@pytest.mark.parametrize("damage", [b"", b"not json", b"[]", b"[" * 10**6])
def test_a_damaged_config_is_an_error_of_the_pipeline(damage: bytes, own_bases: Path) -> None:
    (own_bases / "kl/config.json").write_bytes(damage)
    with pytest.raises(PipelineError, match=r"config\.json"):
        open_base("ldm", own_bases)


def test_a_text_encoder_that_does_not_fit_its_network_or_its_tokenizer_is_refused(own_bases: Path) -> None:
    other = pipeline(cross_attention_dim=24).unet
    shutil.rmtree(own_bases / "sd/unet")
    other.save_pretrained(own_bases / "sd/unet")
    with pytest.raises(PipelineError, match="do not fit together"):
        open_base("sd-lora", own_bases)


def test_a_network_that_does_not_fit_its_autoencoder_is_refused(own_bases: Path) -> None:
    shutil.rmtree(own_bases / "sd/unet")
    pipeline(in_channels=3, out_channels=3).unet.save_pretrained(own_bases / "sd/unet")
    with pytest.raises(PipelineError, match="works on 3 channels, its autoencoder makes 4"):
        open_base("sd-lora", own_bases)
