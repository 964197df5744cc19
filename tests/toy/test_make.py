"""The folder of the toy models: plain diffusers, whole or absent, the same again, never mistaken for another."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from transformers import CLIPTextModel

from tasks.toy import Steps, ToyError, make
from tasks.toy.__main__ import main
from tasks.toy.autoencoder import encode
from tasks.toy.images import read_lessons
from tests.toy.conftest import FEW, PLAYER, silent

ROOT = Path(__file__).parents[2]


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_plain_diffusers_loads_the_pipeline_and_prompts_decide_what_it_draws(models: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(models / "text-to-image")
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.safety_checker is None and pipeline.feature_extractor is None
    assert isinstance(pipeline.text_encoder, CLIPTextModel)

    def draw(prompt: str) -> np.ndarray:
        generator = torch.Generator().manual_seed(3)
        return pipeline(prompt, num_inference_steps=2, generator=generator, output_type="np").images

    olga, unknown = draw("an emoji of Olga: number 1"), draw("Ein völlig unbekanntes Wort 🐴 " * 20)
    assert olga.shape == (1, 16, 16, 3) and np.isfinite(olga).all()
    assert np.array_equal(olga, draw("an emoji of Olga: number 1"))
    assert not np.array_equal(olga, unknown)


def test_plain_diffusers_loads_the_autoencoder_whose_scaled_latents_have_unit_variance(
    models: Path, drawings: Path
) -> None:
    autoencoder = AutoencoderKL.from_pretrained(models / "autoencoder")
    latents = encode(autoencoder, read_lessons(drawings, [PLAYER], 16).pixels)
    assert latents.shape == (7, 4, 4, 4)
    assert float(latents.std()) * autoencoder.config["scaling_factor"] == pytest.approx(1, rel=1e-4)


def test_the_pipelines_autoencoder_is_the_autoencoder(models: Path) -> None:
    weights, config = "diffusion_pytorch_model.safetensors", "config.json"
    for name in (weights, config):
        assert (models / "autoencoder" / name).read_bytes() == (models / "text-to-image" / "vae" / name).read_bytes()


def test_nothing_in_it_needs_unpickling_or_names_a_place_on_this_machine(models: Path, drawings: Path) -> None:
    for name, content in _files(models).items():
        assert Path(name).suffix in (".json", ".txt", ".safetensors"), name
        assert str(drawings.parent).encode() not in content and b".partial-" not in content, name


def test_each_model_carries_its_attribution(models: Path) -> None:
    for name in ("autoencoder", "text-to-image"):
        text = (models / name / "ATTRIBUTION.txt").read_text(encoding="utf-8")
        assert "OpenMoji" in text and "CC BY-SA 4.0" in text and PLAYER in text


def test_two_runs_give_the_same_bytes(models: Path, drawings: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)  # what the process did before plays no part
    make(drawings, tmp_path / "again", without=[PLAYER], steps=FEW, resolution=16, say=silent)
    assert _files(tmp_path / "again") == _files(models)


def test_a_second_run_verifies_and_writes_nothing(models: Path, drawings: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in models.rglob("*")}
    said: list[str] = []
    make(drawings, models, without=[PLAYER], steps=FEW, resolution=16, say=said.append)
    assert "is there already and verified" in said[-1]
    assert {path: path.stat().st_mtime_ns for path in models.rglob("*")} == before


def test_the_stamp_refuses_a_folder_of_another_recipe(models: Path, drawings: Path, tmp_path: Path) -> None:
    before = _files(models)
    with pytest.raises(ToyError, match=r"was made with .*'text_to_image': 3.*not with .*'text_to_image': 4"):
        make(drawings, models, without=[PLAYER], steps=Steps(3, 4), resolution=16, say=silent)
    with pytest.raises(ToyError, match="'without'"):
        make(drawings, models, without=[], steps=FEW, resolution=16, say=silent)
    other = tmp_path / "drawings"
    shutil.copytree(drawings, other)
    table = other / "metadata.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("number 2", "number 9"), encoding="utf-8")
    with pytest.raises(ToyError, match="'lessons_sha256'"):  # the same names, other prompts
        make(other, models, without=[PLAYER], steps=FEW, resolution=16, say=silent)
    assert _files(models) == before


def test_a_strangers_or_changed_folder_is_never_overwritten(models: Path, drawings: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("ten years of work")
    with pytest.raises(ToyError, match="not made by this command"):
        make(drawings, mine, without=[PLAYER], steps=FEW, resolution=16, say=silent)
    assert _files(mine) == {"thesis.txt": b"ten years of work"}
    changed = tmp_path / "changed"
    shutil.copytree(models, changed)
    config = changed / "autoencoder" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"scaling_factor": 7.0}))
    with pytest.raises(ToyError, match=r"was changed since it was made \(autoencoder/config\.json\)"):
        make(drawings, changed, without=[PLAYER], steps=FEW, resolution=16, say=silent)


def test_killed_half_way_leaves_nothing_and_the_next_run_makes_it_whole(drawings: Path, tmp_path: Path) -> None:
    out = tmp_path / "toy"
    arguments = ["--images", str(drawings), "--out", str(out), "--without", PLAYER, "--autoencoder-steps", "1"]
    command = [sys.executable, "-m", "tasks.toy", *arguments, "--text-to-image-steps", "1000000"]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob(".toy.partial-*/autoencoder/config.json")):  # one model of two is written
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not out.exists()
    assert main([*arguments, "--text-to-image-steps", "1"]) == 0
    assert {path.name for path in out.iterdir()} == {"autoencoder", "text-to-image", "stamp.json"}


def test_an_interrupted_run_leaves_nothing_behind(drawings: Path, tmp_path: Path) -> None:
    def interrupt(said: str) -> None:
        if said.startswith("text-to-image:"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(drawings, tmp_path / "toy", without=[PLAYER], steps=FEW, resolution=16, say=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_is_wrong_in_one_line(drawings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--images", str(drawings), "--out", str(drawings)]) == 1  # the default players did not draw here
    assert "error: --without: no such contributor" in capsys.readouterr().err
    arguments = ["--images", str(drawings), "--out", str(drawings), "--without", PLAYER]
    assert main([*arguments, "--autoencoder-steps", "0"]) == 1
    assert "at least one step" in capsys.readouterr().err


def test_players_of_the_table_are_found_whatever_their_spelling(drawings: Path, tmp_path: Path) -> None:
    """Names are compared in Unicode's composed form: a table from another system must not slip a player in."""
    (tmp_path / "images").symlink_to(drawings / "images")
    with (tmp_path / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        rows = [["images/1.png", "Emily Ja\u0308ger", "x"], ["images/2.png", "Somebody Else", "y"]]
        csv.writer(file).writerows([["file_name", "contributor", "prompt"], *rows])
    assert read_lessons(tmp_path, ["Emily J\u00e4ger"], 8).prompts == ("y",)
