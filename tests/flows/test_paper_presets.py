"""The paper's three cases as presets: they are the paper's networks, and say what they take before anything is spent.

What would come from a hub is stood in for by small models of the same classes; images by noise in the presets' layout. Of
the presets only the places are changed.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from diffusers import UNet2DConditionModel, UNet2DModel, VQModel

from flows.validate_data import validate_data
from infra.store import Store
from infra.study_file import load_preset
from tasks.families import family_of
from tasks.families.autoencoder import Autoencoder
from tasks.families.lora import layers_named
from tasks.families.unet import network_of, schedule_of
from tasks.model.prune import architecture, prune, skeleton
from tasks.model.unet import build_unet
from tasks.partition import partition
from tasks.preview import Preview
from tasks.preview.text import NOT_MEASURED, answers
from tasks.study import Study
from tests.families.building import edit, pipeline
from tests.flows.seen import artifacts
from tests.properties.conftest import InceptionLike
from tests.properties.vision_models import save_head, save_model

STUDIES = Path(__file__).parents[2] / "deployments/studies"
CIFAR, CELEBA, ARTBENCH = "cifar20", "celeba-hq", "artbench"
SIDES = {CIFAR: 32, CELEBA: 64}  # of what the network sees
REPEATS = 4 * 2  # of the audit: coalitions, further seeds


def preset(name: str, *places: str) -> Study:
    return load_preset(STUDIES / f"{name}.yaml", Study, places)


def save_images(folder: Path, count: int, side: int, rng: np.random.Generator) -> list[Path]:
    """Blocks of noise, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        small = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        PIL.Image.fromarray(small.repeat(side // 8, 0).repeat(side // 8, 1)).save(path, compress_level=1)
    return paths


def cifar20(folder: Path) -> Study:
    """A folder a class; clean-fid's Inception."""
    rng = np.random.default_rng(0)
    for number in range(20):
        save_images(folder / f"images/class_{number}", 12, 32, rng)
    torch.jit.save(torch.jit.script(InceptionLike().eval()), str(folder / "inception.pt"))
    return preset(CIFAR, f"data.url={folder}/images", f"properties.inception_weights={folder}/inception.pt")


def save_vqvae(folder: Path) -> None:
    """Of 256 x 256 pixels it makes latents of 3 x 64 x 64."""
    VQModel(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 8),
        norm_num_groups=4,
        latent_channels=3,
        num_vq_embeddings=16,
        sample_size=256,
        scaling_factor=1.0,
    ).save_pretrained(folder)


def celeba_hq(folder: Path) -> Study:
    """A folder an identity; a VQ autoencoder, and BLIP for questions."""
    rng = np.random.default_rng(1)
    for number in range(50):
        save_images(folder / f"images/{number}", 3, 256, rng)
    save_vqvae(folder / "vqvae")
    save_model("blip_vqa", folder / "blip")
    return preset(
        CELEBA,
        f"data.url={folder}/images",
        f"model.autoencoder={folder}/vqvae",
        f"properties.vision_model={folder}/blip",
    )


def artbench(folder: Path) -> Study:
    """metadata.csv with artists and prompts; a Stable Diffusion, CLIP and a linear head."""
    rng = np.random.default_rng(2)
    rows = [
        (path.relative_to(folder / "images"), f"artist-{number}", "a Post-Impressionist painting")
        for number in range(258)
        for path in save_images(folder / f"images/{number}", 2, 256, rng)
    ]
    with (folder / "images/metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file_name", "contributor", "prompt"), *rows])
    pipeline().save_pretrained(folder / "minisd")
    save_model("clip", folder / "clip")
    save_head(folder / "head.safetensors", 24)
    return preset(
        ARTBENCH,
        f"data.url={folder}/images",
        f"model.pretrained={folder}/minisd",
        f"properties.aesthetic_model={folder}/clip",
        f"properties.aesthetic_head={folder}/head.safetensors",
    )


def previewed(made: Callable[[Path], Study], folder: Path, store: Store) -> tuple[Preview, dict[str, str]]:
    """What `validate-data` finds of a preset, and the lines that it prints; nothing is stored."""
    study = made(folder)
    found = validate_data(study)
    assert not Path(store.url).exists()
    assert not found.problems
    said = dict(answers(found))
    page = str(artifacts(f"preview-{study.name}")[-1].data)
    for what in ("images", "evaluations", "added to the store"):
        assert what in page
    return found, said


def parameters_of(name: str) -> int:
    """Of a preset's network, counted and not made."""
    with torch.device("meta"):
        return sum(p.numel() for p in UNet2DModel(**network_of(preset(name).model, SIDES[name])).parameters())


def adapted_widths(unet: torch.nn.Module) -> int:
    """Of the layers that the preset adapts, inputs and outputs together: what a rank costs."""
    layers = dict(unet.named_modules())
    linear = [layers[name] for name in layers_named(unet, preset(ARTBENCH).model.lora_targets)]
    assert all(isinstance(layer, torch.nn.Linear) for layer in linear)
    return sum(int(layer.in_features) + int(layer.out_features) for layer in linear)


def test_the_first_case_says_what_it_takes_and_leaves_no_trace(store: Store, tmp_path: Path) -> None:
    found, said = previewed(cifar20, tmp_path, store)
    assert said["images"] == "239 for training, of 20 contributors; 1 held out"
    assert said["reference model"] == f"is trained, 20000 steps; {NOT_MEASURED}"
    assert said["pruned model"] == f"is made, 10000 steps of recovery; {NOT_MEASURED}"
    asked = 502 + REPEATS
    assert (found.asked_least, found.asked, found.most.evaluations, found.most.trainings) == (*[asked] * 3, asked - 1)
    assert said["evaluations"].startswith("510 are asked for")
    assert found.most.scores == {"inception_score": asked}
    assert found.storage.models == 2 * 4 * parameters_of(CIFAR)
    assert found.most.samples_bytes == asked * 10_240 * 32 * 32 * 3
    assert "16 GB of drawn images" in said["added to the store"]


@pytest.mark.slow
def test_the_second_case_says_what_it_takes_and_leaves_no_trace(store: Store, tmp_path: Path) -> None:
    found, said = previewed(celeba_hq, tmp_path, store)
    assert said["images"] == "147 for training, of 50 contributors; 3 held out"
    assert said["reference statistics"] == "are computed for cluster_entropy"
    assert said["evaluations"].startswith("510 are asked for")
    assert found.most.scores == {"cluster_entropy": 502 + REPEATS}
    assert found.storage.models == 2 * 4 * parameters_of(CELEBA)
    assert found.storage.latents == 147 * 4 * 3 * 64 * 64
    assert "2.19 GB of reference and pruned model" in said["added to the store"]


@pytest.mark.slow
def test_the_third_case_says_what_it_takes_and_leaves_no_trace(store: Store, tmp_path: Path) -> None:
    found, said = previewed(artbench, tmp_path, store)
    assert said["images"] == "515 for training, of 258 contributors; 1 held out"
    assert said["reference model"].startswith("is trained, 15800 steps, from ")
    assert said["evaluations"].startswith("1,010 are asked for")
    assert (found.asked, found.most.trainings) == (1002 + REPEATS, 1002 + REPEATS - 1)
    assert found.most.scores == {"aesthetic_score": 1002 + REPEATS}
    unet = UNet2DConditionModel.from_pretrained(tmp_path / "minisd/unet")
    assert found.storage.models == 2 * 4 * 256 * adapted_widths(unet)  # of adapters only
    assert "of the autoencoder or pipeline that models stand on" in said["added to the store"]


@pytest.mark.parametrize(("name", "millions"), [(CIFAR, 35.7), (CELEBA, 274.1)])
def test_networks_are_as_large_as_the_papers(name: str, millions: float) -> None:
    assert round(parameters_of(name) / 1e6, 1) == millions


def test_adapters_are_as_large_as_the_papers() -> None:
    """On the network of Stable Diffusion 1, whose attention has 51 million numbers at rank 256."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964
    assert preset(ARTBENCH).model.lora_rank * adapted_widths(unet) == 51_019_776


def test_the_noise_schedules_are_the_papers() -> None:
    cifar, celeba = (schedule_of(preset(name).model, clip=name == CIFAR).config for name in (CIFAR, CELEBA))
    fields = ("num_train_timesteps", "beta_schedule", "beta_start", "beta_end", "clip_sample", "prediction_type")
    assert [cifar[f] for f in fields] == [1000, "linear", 0.0001, 0.02, True, "epsilon"]
    assert [celeba[f] for f in fields] == [1000, "scaled_linear", 0.0015, 0.0195, False, "epsilon"]


@pytest.mark.parametrize("name", [CIFAR, CELEBA])
def test_heads_and_betas_come_back_from_the_store(name: str, tmp_path: Path) -> None:
    """Of the presets' own kinds, on networks that are small."""
    places = ["model.channels=[64, 128, 64, 64]", "model.layers_per_block=1"]
    if name == CELEBA:
        save_vqvae(tmp_path / "vqvae")
        places.append(f"model.autoencoder={tmp_path}/vqvae")
    family = family_of(preset(name, *places).model)
    model = family.build()
    family.save(model, tmp_path / "reference")
    base = family.base()
    again = family.load(tmp_path / "reference", None if base is None else base.folder)
    assert again.schedule.config["beta_start"] == preset(name).model.beta_start
    config: Any = again.network.config
    assert config["attention_head_dim"] == preset(name).model.attention_head_dim
    x, when = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([500])
    with torch.no_grad():
        outputs = [each.network.eval()(x, when).sample for each in (model, again)]
    assert torch.equal(*outputs)


@pytest.mark.parametrize(
    ("name", "removed"),
    [(CIFAR, 0.437), pytest.param(CELEBA, 0.758, marks=pytest.mark.slow)],  # the paper: 0.445 and 0.74
)
def test_pruning_leaves_about_what_it_left_in_the_paper_and_can_be_rebuilt(name: str, removed: float) -> None:
    """Which channels have the smallest weights decides nothing about how many go."""
    study = preset(name)
    unet = build_unet(network_of(study.model, SIDES[name]), 0)
    before = sum(p.numel() for p in unet.parameters())
    prune(unet, study.pruning.ratio, "magnitude")
    assert 1 - sum(p.numel() for p in unet.parameters()) / before == pytest.approx(removed, abs=0.001)
    shapes = {key: p.shape for key, p in skeleton(architecture(unet)).named_parameters()}
    assert shapes == {key: p.shape for key, p in unet.named_parameters()}


def test_the_papers_own_draw_and_estimator_are_two_fields_away() -> None:
    for name in (CIFAR, CELEBA, ARTBENCH):
        study = preset(name, "estimation.design=kernelshap", "estimation.estimator=kernelshap")
        assert study.estimation.design == study.estimation.estimator == "kernelshap"


def blocks(title: str) -> str:
    """The Python that the page has under a bold title."""
    page = (STUDIES.parents[1] / "docs/paper.md").read_text(encoding="utf-8")
    return page.partition(f"**{title}.**")[2].partition("```python\n")[2].partition("```")[0]


def test_faces_are_laid_out_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    people = [f"{i}" for i in range(52) for _ in range(3 + (i > 1))]  # numbers 0 and 1 have the fewest images
    save_images(tmp_path / "CelebA-HQ-img", len(people), 256, np.random.default_rng(3))
    for path in Path("CelebA-HQ-img").iterdir():
        path.rename(path.with_suffix(".jpg"))  # what a file is stands in its first bytes
    identity = "\n".join(f"{i:06}.jpg {name}" for i, name in enumerate(people))
    Path("identity_CelebA.txt").write_text(identity + "\n")
    table = "\n".join(f"{i}   {i}   {i:06}.jpg" for i in range(len(people)))
    Path("CelebA-HQ-to-CelebA-mapping.txt").write_text(f"idx orig_idx orig_file\n{table}\n")
    exec(blocks("CelebA-HQ"), {})
    parts = partition(preset(CELEBA).data, 256)
    assert {c.name for c in parts.contributors} == set(people) - {"0", "1"}
    assert len(parts.images) == 200


def test_paintings_are_laid_out_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for artist in ("paul-cezanne", "vincent-van-gogh"):
        for number, path in enumerate(
            save_images(tmp_path / "data/artbench", 3, 256, np.random.default_rng(len(artist)))
        ):
            path.rename(path.with_name(f"{artist}_title-{number}-1888.jpg"))
    exec(blocks("ArtBench"), {})
    parts = partition(preset(ARTBENCH).data, 256, prompts=True)
    assert [c.name for c in parts.contributors] == ["paul-cezanne", "vincent-van-gogh"]
    assert set(parts.train_prompts) == set(preset(ARTBENCH).sampling.prompts)


def test_an_autoencoder_keeps_the_scale_that_it_is_brought_in_with(tmp_path: Path) -> None:
    save_vqvae(tmp_path / "vqvae")
    edit(tmp_path / "vqvae/config.json", scaling_factor=None)  # as in the hub's, which is older than the setting
    VQModel.from_pretrained(tmp_path, subfolder="vqvae", scaling_factor=1.0).save_pretrained(tmp_path / "again")
    latents = [
        Autoencoder.load(tmp_path / name, "").encode(torch.zeros(1, 256, 256, 3, dtype=torch.uint8))
        for name in ("vqvae", "again")
    ]
    assert torch.allclose(latents[0], 0.18215 * latents[1])
    assert latents[1].shape == (1, 3, 64, 64)
