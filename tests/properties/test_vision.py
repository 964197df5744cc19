"""Vision models of `transformers` as features: the real loading code, on small models saved in the same format."""

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tasks.properties import RealImages, Samples, VisionModel, resolve_property, vision_network
from tasks.properties import vision as module
from tasks.properties.inception_score import _build
from tasks.properties.preprocessing import preprocessing_of
from tasks.properties.weights_files import read_json
from tasks.study import PropertiesSpec
from tests.chain import changed, keys, study, with_field
from tests.properties.vision_models import HALF, edit_json, save_model


def network_of(folder: Path) -> VisionModel:
    return vision_network("properties.vision_model", str(folder), "leave it empty")


@pytest.mark.parametrize(
    ("kind", "features", "dimension"),
    [
        ("clip", "projected image embedding", 24),
        ("clip_vision", "projected image embedding", 20),
        ("clip_unprojected", "pooled output", 32),
        ("vit", "pooled output", 32),
        (
            "vit_classifier",
            "mean of the last hidden states",
            32,
        ),  # its pooler has no weights: random ones are no features
        ("dinov2", "pooled output", 32),
        ("resnet", "pooled output", 16),
        ("siglip", "pooled output", 32),
        ("blip_vqa", "pooled output", 32),
    ],
)
def test_any_vision_model_gives_what_its_own_class_gives(
    kind: str, features: str, dimension: int, tmp_path: Path, glyphs: np.ndarray
) -> None:
    folder = save_model(kind, tmp_path)
    network = network_of(folder)
    assert (network.features, network.dimension) == (features, dimension)
    ours = network(glyphs[:3])
    assert ours.embedding.shape == (3, dimension) and ours.embedding.dtype == np.float32
    assert ours.probabilities.shape == (3, 0)

    x = preprocessing_of(read_json(folder / "preprocessor_config.json"))(
        torch.from_numpy(glyphs[:3].copy()).permute(0, 3, 1, 2).float()
    )
    own = own_class(kind)
    with torch.no_grad():
        if kind == "clip":
            output = own.from_pretrained(folder).eval().get_image_features(pixel_values=x)
            expected = output if isinstance(output, torch.Tensor) else output.pooler_output
        elif kind == "blip_vqa" or kind == "siglip":
            expected = own.from_pretrained(folder).eval().vision_model(pixel_values=x).pooler_output
        elif kind == "vit_classifier":
            expected = own.from_pretrained(folder).eval().vit(pixel_values=x).last_hidden_state.mean(dim=1)
        elif kind == "resnet":
            expected = own.from_pretrained(folder).eval().resnet(pixel_values=x).pooler_output.flatten(1)
        elif kind == "clip_vision":
            expected = own.from_pretrained(folder).eval()(pixel_values=x).image_embeds
        else:
            expected = own.from_pretrained(folder).eval()(pixel_values=x).pooler_output
    assert np.allclose(ours.embedding, expected.numpy(), atol=1e-4)
    assert np.ptp(ours.embedding, axis=0).max() > 1e-2  # else agreement means nothing


def own_class(kind: str) -> Any:
    names = {
        "clip": "CLIPModel",
        "clip_vision": "CLIPVisionModelWithProjection",
        "clip_unprojected": "CLIPVisionModel",
        "vit": "ViTModel",
        "vit_classifier": "ViTForImageClassification",
        "dinov2": "Dinov2Model",
        "resnet": "ResNetForImageClassification",
        "siglip": "SiglipModel",
        "blip_vqa": "BlipForQuestionAnswering",
    }
    return getattr(transformers, names[kind])


def test_features_of_an_image_do_not_depend_on_its_neighbours(clip: Path, glyphs: np.ndarray) -> None:
    network = network_of(clip)
    together = network(glyphs[:40]).embedding  # two batches
    assert np.allclose(together[37], network(glyphs[37:38]).embedding[0], atol=1e-4)
    assert np.allclose(together, network(glyphs[:40][::-1]).embedding[::-1], atol=1e-4)


def test_the_same_files_elsewhere_are_the_same_network(clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(clip, copy)
    (copy / "README.md").write_text("what else lies there does not count")
    assert network_of(copy) == network_of(clip) and hash(network_of(copy)) == hash(network_of(clip))
    assert network_of(copy).options == network_of(clip).options
    assert str(copy) not in json.dumps(network_of(copy).options)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_every_file_that_is_read_is_in_the_digest(file: str, clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clip, copy)
    if file == "model.safetensors":
        shutil.copy(save_model("clip", tmp_path / "other", seed=1) / file, copy / file)
    else:
        edit_json(copy / file, note="x")
    assert network_of(copy).digest != network_of(clip).digest


def test_the_digest_is_what_sha256sum_says(clip: Path) -> None:
    """People can compute it without this program: sha256sum of the lines that sha256sum prints."""
    files = "config.json model.safetensors preprocessor_config.json"
    said = os.popen(f"cd '{clip}' && sha256sum {files} | sha256sum").read().split()[0]
    assert network_of(clip).digest == said


def test_weights_in_several_files_give_the_same_features(clip: Path, tmp_path: Path, glyphs: np.ndarray) -> None:
    parts = tmp_path / "parts"
    shutil.copytree(clip, parts)
    (parts / "model.safetensors").unlink()
    transformers.CLIPModel.from_pretrained(clip).save_pretrained(parts, max_shard_size="40KB")
    assert len(network_of(parts).files.weights) > 1
    assert np.allclose(network_of(parts)(glyphs[:2]).embedding, network_of(clip)(glyphs[:2]).embedding, atol=1e-5)


def test_processors_settings_in_the_newer_file_are_read(clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clip, copy)
    old = copy / "preprocessor_config.json"
    (copy / "processor_config.json").write_text(json.dumps({"image_processor": json.loads(old.read_text())}))
    old.unlink()
    assert network_of(copy).preprocessing == network_of(clip).preprocessing


# What cannot be used


class Payload:
    """What a hostile pickle would be: made, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.ckpt"])
def test_pickled_weights_are_refused_and_not_opened(name: str, clip: Path, tmp_path: Path) -> None:
    copy, mark = tmp_path / "copy", tmp_path / "executed"
    shutil.copytree(clip, copy)
    (copy / "model.safetensors").unlink()
    (copy / name).write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(ValueError, match=rf"properties\.vision_model .*only {name}: pickled files.*never read"):
        network_of(copy)
    assert not mark.exists()


def test_code_kernels_and_adapters_that_come_with_a_model_are_left_alone(
    clip: Path, tmp_path: Path, glyphs: np.ndarray
) -> None:
    """Each of these makes plain from_pretrained look for code or other weights."""
    copy = tmp_path / "copy"
    shutil.copytree(clip, copy)
    (copy / "evil.py").write_text("raise SystemExit('executed')")
    edit_json(
        copy / "config.json",
        auto_map={"AutoModel": "evil.Model", "AutoConfig": "evil.Config"},
        attn_implementation="someone/kernels",
        _attn_implementation="someone/kernels",
        return_dict=False,
    )
    (copy / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "someone/else", "peft_type": "LORA"})
    )
    assert np.array_equal(network_of(copy)(glyphs[:2]).embedding, network_of(clip)(glyphs[:2]).embedding)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "my_own"}, "model_type 'my_own', which transformers .* has not"),
        ({"model_type": None}, "model_type None"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised"),
        ({"hidden_size": 64}, "do not have the shapes that its config.json says, such as"),
        ({"num_hidden_layers": 3}, r"its weights lack .*layer.*and \d+ more, which ViTModel needs"),
        ({"num_hidden_layers": 10**9}, "1000 layers are the most"),
        ({"hidden_size": 4 * 10**6, "intermediate_size": 4 * 10**6}, "parameters; 4,000,000,000 are the most"),
        ({"num_attention_heads": 0}, r"ViTModel can be made of its config.json|is not a vit"),
        ({"hidden_size": "many"}, "its config.json is not a vit|can be made of its config.json"),
        ({"image_size": 64}, "do not have the shapes|does not take images of 32 x 32"),
    ],
)
def test_a_description_that_cannot_be_is_refused_before_it_costs_anything(
    changes: dict[str, object], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_load", None)  # no weights are read on the way
    folder = save_model("vit", tmp_path)
    edit_json(folder / "config.json", **changes)
    with pytest.raises(ValueError, match=reason) as caught:
        network_of(folder)
    assert "properties.vision_model" in str(caught.value)


def test_images_of_a_size_that_the_network_was_not_made_for_are_refused(tmp_path: Path) -> None:
    folder = save_model("vit", tmp_path)
    edit_json(folder / "preprocessor_config.json", crop_size={"height": 24, "width": 24})
    with pytest.raises(ValueError, match="ViTModel does not take images of 24 x 24 pixels"):
        network_of(folder)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("bert", "no vision model: it must take images"), ("vit_mae", "at random, so its features are not")],
)
def test_a_model_that_is_no_fixed_function_of_an_image_is_refused(kind: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=reason):
        network_of(save_model(kind, tmp_path))


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("config.json", None, "has no config.json"),
        ("config.json", b"{", "config.json is not JSON"),
        ("config.json", b"[]", "config.json is not a JSON object"),
        ("preprocessor_config.json", None, "has no preprocessor_config.json.*save the model's image processor"),
        ("model.safetensors", None, "has no model.safetensors.*save_pretrained"),
        ("model.safetensors", b"no weights", "model.safetensors is not a whole safetensors file"),
    ],
)
def test_missing_and_broken_files_are_named(
    file: str, content: bytes | None, reason: str, clip: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clip, copy)
    (copy / file).unlink()
    if content is not None:
        (copy / file).write_bytes(content)
    with pytest.raises(ValueError, match=reason) as caught:
        network_of(copy)
    assert "properties.vision_model" in str(caught.value)


def test_an_index_cannot_name_files_outside_of_its_folder(clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clip, copy)
    (copy / "model.safetensors").rename(tmp_path / "model.safetensors")
    index = {"weight_map": {"logit_scale": "../model.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"names \.\./model\.safetensors, which is not there"):
        network_of(copy)


@pytest.mark.parametrize("place", ["nobody/nothing", "no folder", "/nowhere/clip", "nobody/nothing@v1"])
def test_a_model_that_is_nowhere_says_where_it_may_be_and_what_else_there_is(place: str) -> None:
    with pytest.raises(
        ValueError, match=r"properties\.vision_model .*there is no such folder.*leave it empty"
    ) as caught:
        vision_network("properties.vision_model", place, "leave it empty")
    assert repr(place) in str(caught.value)


def test_a_model_in_the_hubs_cache_needs_no_network(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, glyphs: np.ndarray
) -> None:
    """The cache's own layout: a reference names a commit, whose snapshot holds links to the files."""
    repository = tmp_path / "models--somebody--small-clip"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("c" * 40)
    snapshot = repository / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    for path in clip.iterdir():
        (snapshot / path.name).symlink_to(path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub._snapshot_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    network = vision_network("properties.vision_model", "somebody/small-clip", "leave it empty")
    assert network == network_of(clip)
    assert vision_network("properties.vision_model", f"somebody/small-clip@{'c' * 40}", "-") == network
    assert network(glyphs[:1]).embedding.shape == (1, 24)


# The properties that use it


def test_a_vision_model_changes_the_scores_that_use_features_and_no_others(clip: Path) -> None:
    before = study()
    after = with_field(before, "properties.vision_model", str(clip))
    assert changed(keys(before), keys(after)) == {"frechet_lite", "cluster_entropy"}
    other_size = with_field(after, "properties.feature_size", 64)  # the model's own processor decides
    assert changed(keys(after), keys(other_size)) == set()


def test_cluster_entropy_with_clip_features(clip: Path, real: RealImages) -> None:
    """The paper's 20 clusters: no more than log2 20 bits, nothing for one image, and flags alone are less diverse."""
    prop = resolve_property("cluster_entropy", PropertiesSpec(vision_model=str(clip), clusters=20))
    assert prop.options["features"] == "projected image embedding" and prop.options["clusters"] == 20
    statistics = prop.statistics(real)
    assert statistics["centres"].shape == (20, 24)
    everybody, flags = (prop.score(Samples(images), statistics) for images in (real.train, real.train[:20]))
    assert 0 <= flags < everybody <= np.log2(20)
    assert prop.score(Samples(real.train[:1].repeat(4, axis=0)), statistics) == 0


def test_frechet_in_the_models_features(clip: Path, real: RealImages) -> None:
    prop = resolve_property("frechet_lite", PropertiesSpec(vision_model=str(clip), frechet_components=8))
    statistics = prop.statistics(real)
    assert prop.score(Samples(real.train), statistics) == pytest.approx(0, abs=1e-6)
    assert prop.score(Samples(real.train[:20]), statistics) > 1e-3
    assert "clip features (not FID)" in prop.description


def test_equal_models_share_one_forward_pass_and_can_be_sent(clip: Path, real: RealImages) -> None:
    samples = Samples(real.train[:4])
    assert samples.features(network_of(clip)) is samples.features(network_of(clip))
    assert pickle.loads(pickle.dumps(network_of(clip))) == network_of(clip)


def test_an_inception_score_of_a_network_without_classes_is_refused(clip: Path, real: RealImages) -> None:
    with pytest.raises(ValueError, match="needs a network with a classifier, and clip has none"):
        _build("inception_score", network_of(clip), "").score(Samples(real.train), {})


def test_layers_are_bounded_wherever_they_are_said(tmp_path: Path) -> None:
    folder = save_model("clip", tmp_path)
    edit_json(folder / "config.json", vision_config={**HALF, "num_hidden_layers": 10**6})
    with pytest.raises(ValueError, match="1000 layers are the most"):
        network_of(folder)
