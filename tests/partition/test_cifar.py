"""CIFAR-100's binary version becomes a data folder: the right pixels under the right names, whole or not at all."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.partition import partition
from tasks.partition.cifar import RECORD, RELEASED, chosen, convert, main, read
from tasks.partition.openmoji import ConversionError
from tasks.study import DataSpec

FINE = tuple(f"class_{i:02d}" for i in range(100))
COARSE = tuple(f"group_{i:02d}" for i in range(20))
EACH = 12


def records(fine: np.ndarray, coarse: np.ndarray, planes: np.ndarray) -> bytes:
    """Labels uint8 [n] and colour planes uint8 [n, 3, 32, 32] as the archive has them."""
    return np.concatenate([coarse[:, None], fine[:, None], planes.reshape(len(fine), -1)], axis=1).tobytes()


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-100-binary/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def names(*, fine: tuple[str, ...] = FINE, coarse: tuple[str, ...] = COARSE) -> dict[str, bytes]:
    return {
        "fine_label_names.txt": ("\n".join(fine) + "\n\n").encode(),
        "coarse_label_names.txt": ("\n".join(coarse) + "\n").encode(),
    }


@pytest.fixture(scope="module")
def planes() -> np.ndarray:
    """Random, so that no two images are alike; in the order of the labels below."""
    return np.random.default_rng(0).integers(0, 256, (100 * EACH, 3, 32, 32), dtype=np.uint8)


@pytest.fixture(scope="module")
def made_up(planes: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 classes in turn, class i in superclass i % 20."""
    fine = np.tile(np.arange(100, dtype=np.uint8), EACH)
    content = {**names(), "train.bin": records(fine, fine % 20, planes), "test.bin": b"not looked at"}
    return archive(tmp_path_factory.mktemp("cifar") / "cifar-100-binary.tar.gz", content)


def test_pixels_and_labels_are_where_the_format_has_them(made_up: Path, planes: np.ndarray) -> None:
    found = read(made_up)
    assert found.pixels.shape == (100 * EACH, 32, 32, 3)
    assert (found.pixels[7, 3, 30] == planes[7, :, 3, 30]).all()  # row 3, column 30
    assert (found.fine[205], found.coarse[205]) == (5, 5)
    assert found.fine_names == FINE and found.coarse_names == COARSE


def test_without_a_word_it_takes_the_twenty_classes_of_the_released_code(
    made_up: Path, planes: np.ndarray, tmp_path: Path
) -> None:
    out = tmp_path / "cifar20"
    assert main([str(made_up), "--out", str(out)]) == 0
    assert sorted(folder.name for folder in out.iterdir()) == [FINE[label] for label in RELEASED]
    with PIL.Image.open(out / "class_41" / "00141.png") as image:
        assert image.mode == "RGB"
        assert (np.asarray(image) == planes[141].transpose(1, 2, 0)).all()
    parts = partition(DataSpec(url=str(out), minimum_images=1), 32)
    assert len(parts.contributors) == 20 and not parts.problems
    assert sum(c.images for c in parts.contributors) + len(parts.heldout_digests) == 20 * EACH
    assert not list(tmp_path.glob(".*"))


def test_classes_and_superclasses_can_be_named(made_up: Path, tmp_path: Path) -> None:
    cifar = read(made_up)
    assert chosen(cifar, ["class_03", "class_01"]) == [1, 3]
    assert chosen(cifar, ["class_01"], ["group_02"]) == [1, 2, 22, 42, 62, 82]
    counts = convert(made_up, tmp_path / "two", classes=["class_03", "class_01"], say=lambda _: None)
    assert counts == {"class_01": EACH, "class_03": EACH}


def test_an_unknown_class_is_named_with_the_closest_and_leaves_nothing(
    made_up: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(made_up), "--out", str(tmp_path / "out"), "--classes", "clas_07"]) == 1
    assert "class_07" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_is_there_already_is_not_touched(made_up: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConversionError, match="exists already"):
        convert(made_up, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


ONE = records(np.array([1], np.uint8), np.array([1], np.uint8), np.zeros((1, 3, 32, 32), np.uint8))
BROKEN = {
    "no images": ({**names()}, r"no train\.bin"),
    "the pickled version": ({"train": b"\x80\x04.", "meta": b"\x80\x04."}, "binary version"),
    "cut off": ({**names(), "train.bin": ONE[:-1]}, "is it whole"),
    "empty": ({**names(), "train.bin": b""}, "is it whole"),
    "a label without a name": ({**names(fine=("only",)), "train.bin": ONE}, "only 1 names"),
    "a name that leads elsewhere": ({**names(fine=("a", "../b")), "train.bin": ONE}, "odd"),
    "a name twice": ({**names(fine=("a", "a")), "train.bin": ONE}, "twice"),
    "not a hundred classes": ({**names(fine=("a", "b")), "train.bin": ONE}, "not 100"),
}


@pytest.mark.parametrize(("files", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_an_archive_of_something_else_is_refused_with_the_reason(
    files: dict[str, bytes], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match=message):
        convert(archive(tmp_path / "a.tar.gz", files), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_that_was_cut_off_on_the_way_is_refused(made_up: Path, tmp_path: Path) -> None:
    whole = made_up.read_bytes()
    for length in (len(whole) // 2, len(whole) - 100):
        (tmp_path / "cut.tar.gz").write_bytes(whole[:length])
        with pytest.raises(ConversionError, match=r"cannot be read|holds no"):
            read(tmp_path / "cut.tar.gz")


@given(content=st.binary(max_size=2 * RECORD + 1))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_bytes_are_it_is_a_data_set_or_a_sentence(content: bytes, tmp_path: Path) -> None:
    """Both of the archive itself, and of its images."""
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with pytest.raises(ConversionError):
        read(path)
    try:
        found = read(archive(path, {**names(), "train.bin": content}))
    except ConversionError:
        return
    assert len(found.pixels) * RECORD == len(content)
