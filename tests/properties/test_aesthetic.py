"""LAION's aesthetic score on a small CLIP: by hand, as a percentile, and what is said when weights cannot be had."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tasks.properties import Property, RealImages, Samples, resolve_property, vision_network
from tasks.properties.aesthetic import aesthetic_scores, read_head
from tasks.properties.convert_head import main
from tasks.study import PropertiesSpec
from tests.properties.test_vision import Payload
from tests.properties.vision_models import save_head, save_model

SHARED: dict[str, Path] = {}


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_head(tmp_path_factory.mktemp("head") / "head.safetensors", 24)


def build(clip: Path | str, head: Path | str | None) -> Property:
    spec = PropertiesSpec(aesthetic_model=str(clip), aesthetic_head=None if head is None else str(head))
    return resolve_property("aesthetic_score", spec)


def test_the_score_of_an_image_by_hand(clip: Path, head: Path, real: RealImages) -> None:
    prop = build(clip, head)
    assert prop.per_image is not None
    scores = prop.per_image(Samples(real.train[:5]))
    embedding = vision_network("x", str(clip), "")(real.train[:5]).embedding
    linear = torch.nn.Linear(24, 1)
    linear.load_state_dict(load_file(head))
    with torch.no_grad():
        expected = linear(torch.nn.functional.normalize(torch.from_numpy(embedding))).squeeze(1).numpy()
    assert scores.dtype == np.float32 and scores.shape == (5,)
    assert np.allclose(scores, expected, atol=1e-5)
    assert np.ptp(scores) > 0.01


def test_the_value_is_the_ninetieth_percentile_of_the_images(clip: Path, head: Path, real: RealImages) -> None:
    """Of 11 images it is the second best, exactly; more is better."""
    prop = build(clip, head)
    assert prop.per_image is not None
    samples = Samples(real.train[:11])
    assert prop.score(samples, {}) == pytest.approx(np.sort(prop.per_image(samples))[-2])
    assert prop.sign == 1 and prop.needs == "samples" and prop.statistics(real) == {}
    assert prop.score(Samples(real.train[:1]), {}) == pytest.approx(float(prop.per_image(samples)[0]), abs=1e-5)


@pytest.mark.parametrize("name", ["aesthetic_score", "colourfulness"])
def test_an_images_own_score_does_not_depend_on_its_neighbours(
    name: str, clip: Path, head: Path, real: RealImages
) -> None:
    """Contributors' own images are rated by it, in batches of whatever size."""
    spec = PropertiesSpec(aesthetic_model=str(clip), aesthetic_head=str(head))
    per_image = resolve_property(name, spec).per_image
    assert per_image is not None
    together = per_image(Samples(real.train[:40]))
    assert together[37] == pytest.approx(per_image(Samples(real.train[37:38]))[0], abs=1e-4)
    assert np.allclose(together, per_image(Samples(real.train[:40][::-1].copy()))[::-1], atol=1e-4)
    value = resolve_property(name, spec).score(Samples(real.train[:40]), {})
    assert value == pytest.approx(float(np.percentile(together, 90)))


def test_only_properties_made_of_single_images_rate_single_images() -> None:
    for name in ("frechet_lite", "cluster_entropy", "inception_score_lite", "heldout_loss"):
        assert resolve_property(name, PropertiesSpec()).per_image is None


@given(factor=st.floats(1e-3, 1e3), seed=st.integers(0, 100))
def test_the_length_of_an_embedding_does_not_count(factor: float, seed: int) -> None:
    """CLIP's embedding is a direction: LAION's head was trained on unit vectors."""

    class Given:
        name = title = "given"

        def __init__(self, embedding: np.ndarray) -> None:
            self.embedding = embedding

        def __call__(self, images: np.ndarray, device: str) -> "Given":
            return self

    path = SHARED["head"]
    embedding = np.random.default_rng(seed).normal(size=(3, 24)).astype(np.float32)
    samples = Samples(np.zeros((3, 2, 2, 3), np.uint8))
    once, scaled = (aesthetic_scores(Given(e), str(path), samples) for e in (embedding, embedding * factor))  # type: ignore[arg-type]
    assert np.allclose(once, scaled, atol=1e-3)


@pytest.fixture(scope="module", autouse=True)
def shared(head: Path) -> None:
    SHARED["head"] = head


def test_both_files_decide_the_identity_and_their_places_do_not(clip: Path, head: Path, tmp_path: Path) -> None:
    identity = build(clip, head).identity()
    (tmp_path / "moved.safetensors").write_bytes(head.read_bytes())
    clip.rename(tmp_path / "clip")
    try:
        assert build(tmp_path / "clip", tmp_path / "moved.safetensors").identity() == identity
    finally:
        (tmp_path / "clip").rename(clip)
    other = save_head(tmp_path / "other.safetensors", 24, seed=1)
    assert build(clip, other).identity() != identity
    assert build(save_model("clip", tmp_path / "c", seed=1), head).identity() != identity
    prop = build(clip, head)
    assert pickle.loads(pickle.dumps(prop)).identity() == prop.identity()


def test_an_empty_head_says_which_and_how_to_get_it(clip: Path) -> None:
    with pytest.raises(ValueError, match=r"properties\.aesthetic_head is empty.*sa_0_4_vit_l_14_linear.*convert_head"):
        build(clip, None)


def test_a_pickled_head_is_refused_unopened_and_says_how_to_convert_it(clip: Path, tmp_path: Path) -> None:
    path, mark = tmp_path / "head.pth", tmp_path / "executed"
    path.write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(ValueError, match=r"never read; convert it once: python -m tasks\.properties\.convert_head"):
        build(clip, path)
    assert not mark.exists()


def test_clip_that_cannot_be_had_names_the_setting_and_what_else_there_is(head: Path) -> None:
    """The default is on the hub; here is none."""
    with pytest.raises(ValueError, match=r"properties\.aesthetic_model 'nobody/clip'.*hf download.*colourfulness"):
        build("nobody/clip", head)


@pytest.mark.parametrize("place", ["nowhere.safetensors", "nobody/nothing/head.safetensors", "../nowhere.safetensors"])
def test_a_head_that_is_nowhere(place: str, clip: Path) -> None:
    with pytest.raises(ValueError, match=r"properties\.aesthetic_head.*there is no.*file.*colourfulness"):
        build(clip, place)


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"weight": torch.zeros(1, 24)}, "must hold weight"),
        ({"weight": torch.zeros(2, 24), "bias": torch.zeros(2)}, "must hold weight"),
        ({"weight": torch.zeros(1, 24), "bias": torch.zeros(1), "layers.0": torch.zeros(1)}, "nothing else"),
        (
            {"weight": torch.zeros(1, 20), "bias": torch.zeros(1)},
            "has 20 weights.*gives 24 features: .*different models",
        ),
        ({"weight": torch.full((1, 24), torch.nan), "bias": torch.zeros(1)}, "not finite"),
    ],
)
def test_a_head_of_another_form_is_refused(
    tensors: dict[str, torch.Tensor], reason: str, clip: Path, tmp_path: Path
) -> None:
    save_file(tensors, tmp_path / "head.safetensors")
    with pytest.raises(ValueError, match=rf"properties\.aesthetic_head.*{reason}"):
        build(clip, tmp_path / "head.safetensors")


def test_a_head_that_is_no_safetensors_file_is_refused(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "head.safetensors").write_bytes(b"text")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        build(clip, tmp_path / "head.safetensors")


@pytest.mark.parametrize("kind", ["dinov2", "clip_unprojected"])
def test_a_model_without_a_projection_is_no_clip(kind: str, head: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"properties\.aesthetic_model .*without an image projection"):
        build(save_model(kind, tmp_path), head)


# The command that converts


def test_a_published_head_is_converted_bit_by_bit(tmp_path: Path) -> None:
    linear = torch.nn.Linear(24, 1)
    torch.save(linear.state_dict(), tmp_path / "in.pth")
    files = [str(tmp_path / "in.pth"), str(tmp_path / "out.safetensors")]
    command = [sys.executable, "-m", "tasks.properties.convert_head", *files]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    weight, bias = read_head(str(tmp_path / "out.safetensors"))
    assert np.array_equal(weight, linear.weight.detach().double().numpy()[0]) and bias == float(linear.bias.detach())


def test_conversion_executes_nothing_and_says_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark, target = tmp_path / "executed", tmp_path / "out.safetensors"
    torch.save(Payload(mark), tmp_path / "evil.pth")
    torch.save({"layers.0.weight": torch.zeros(4, 24)}, tmp_path / "perceptron.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("text")
    for name, reason in {
        "evil.pth": "more than tensors",
        "perceptron.pth": "must hold weight",
        "list.pth": "not the saved state",
        "text.pth": "no file of torch",
        "nowhere.pth": "No such file",
    }.items():
        assert main([str(tmp_path / name), str(target)]) == 2
        assert reason in capsys.readouterr().err
    assert main([]) == 2 and "usage" in capsys.readouterr().err
    assert not mark.exists() and not target.exists()
