"""Turns CIFAR-100's binary version into a data folder of the kind `partition` reads: a folder a class, its contributor.

The paper's first case credits 20 of the 100 classes with 500 images each. The version that Python users know is a pickled
file, which nothing here opens; the binary one is plain bytes, an image a record:

    coarse label (1 byte)   fine label (1 byte)   red, green, blue (1,024 bytes each, row by row)

    python -m tasks.partition.cifar cifar-100-binary.tar.gz --out data/cifar20 [--classes leopard lion …]
                                                                              [--superclasses "large_carnivores" …]

The folder appears whole or not at all.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from tasks.partition.names import closest
from tasks.partition.openmoji import ConversionError

SIDE = 32
RECORD = 2 + 3 * SIDE * SIDE  # bytes of an image
MOST_RECORDS = 60_000  # of all of CIFAR-100
NAMES = {"fine": "fine_label_names.txt", "coarse": "coarse_label_names.txt"}
IMAGES = "train.bin"
# The classes that the authors' released code keeps, by position in fine_label_names.txt, which is in alphabetical order.
# As far as we know these are the paper's 20; its comments call them superclasses, which in this order they are not.
RELEASED = (*range(40, 45), *range(55, 65), *range(80, 85))


@dataclass(frozen=True)
class Cifar:
    """pixels: uint8 [n, 32, 32, 3]. fine, coarse: uint8 [n], positions in fine_names and coarse_names."""

    pixels: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray
    fine_names: tuple[str, ...]
    coarse_names: tuple[str, ...]


def read(archive: Path) -> Cifar:
    """The training images of cifar-100-binary.tar.gz. Raises ConversionError if it is something else."""
    try:
        with tarfile.open(archive, "r:*") as tar:
            found = {os.path.basename(member.name): member for member in tar if member.isfile()}
            texts = {kind: _content(tar, found, name, 100_000) for kind, name in NAMES.items()}
            records = _content(tar, found, IMAGES, MOST_RECORDS * RECORD)
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise ConversionError(f"{archive} cannot be read as an archive: {error}") from error
    if not records or len(records) % RECORD:
        raise ConversionError(f"{archive}: {IMAGES} has {len(records):,} bytes, no multiple of {RECORD}; is it whole?")
    names = {kind: _names(text, archive, NAMES[kind]) for kind, text in texts.items()}
    rows = np.frombuffer(records, dtype=np.uint8).reshape(-1, RECORD)
    coarse, fine = rows[:, 0], rows[:, 1]
    for kind, labels in (("fine", fine), ("coarse", coarse)):
        if labels.max() >= len(names[kind]):
            raise ConversionError(
                f"{archive}: {IMAGES} has the {kind} label {labels.max()}, but {NAMES[kind]} only {len(names[kind])} names"
            )
    pixels = rows[:, 2:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return Cifar(pixels, fine, coarse, names["fine"], names["coarse"])


def chosen(cifar: Cifar, classes: Sequence[str] = (), superclasses: Sequence[str] = ()) -> list[int]:
    """Fine labels of the classes that are named, alone or by superclass; without either, those of the released code.

    Raises ConversionError for a name that the archive does not have.
    """
    if not classes and not superclasses:
        if max(RELEASED) >= len(cifar.fine_names):
            raise ConversionError(f"the archive has {len(cifar.fine_names)} classes, not 100; name some with --classes")
        return list(RELEASED)
    labels = {cifar.fine_names.index(name) for name in _known(classes, cifar.fine_names, "class")}
    for name in _known(superclasses, cifar.coarse_names, "superclass"):
        labels |= set(cifar.fine[cifar.coarse == cifar.coarse_names.index(name)].tolist())
    return sorted(labels)


def convert(
    archive: Path,
    out: Path,
    *,
    classes: Sequence[str] = (),
    superclasses: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> dict[str, int]:
    """Write the chosen classes to `out`, a folder of PNG files each; returns how many images each has.

    Raises ConversionError when the archive is something else, a name is unknown, or `out` is there already.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConversionError(f"{out} exists already; remove it or choose another --out")
    cifar = read(archive)
    labels = chosen(cifar, classes, superclasses)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    counts: dict[str, int] = {}
    try:
        building.chmod(0o755)  # mkdtemp's 0700 would shut out the group that reads the data
        for label in labels:
            name = cifar.fine_names[label]
            (building / name).mkdir()
            rows = np.flatnonzero(cifar.fine == label)
            for row in rows:
                PIL.Image.fromarray(np.ascontiguousarray(cifar.pixels[row])).save(building / name / f"{row:05d}.png")
            counts[name] = len(rows)
        building.rename(out)
    finally:
        shutil.rmtree(building, ignore_errors=True)  # after a successful rename there is nothing left to remove
    say(f"{out}: {sum(counts.values()):,} images of {len(counts)} classes: {', '.join(counts)}")
    return counts


def _content(tar: tarfile.TarFile, found: dict[str, tarfile.TarInfo], name: str, most: int) -> bytes:
    if name not in found:
        raise ConversionError(
            f"the archive holds no {name}; it must be CIFAR-100's binary version, cifar-100-binary.tar.gz"
        )
    if found[name].size > most:
        raise ConversionError(f"{name} in the archive has {found[name].size:,} bytes; {most:,} are the most")
    file = tar.extractfile(found[name])
    assert file is not None  # it is a regular file
    return file.read()


def _names(text: bytes, archive: Path, name: str) -> tuple[str, ...]:
    try:
        names = tuple(text.decode("ascii").split())
    except UnicodeDecodeError as error:
        raise ConversionError(f"{archive}: {name} is not plain text") from error
    bad = [each for each in names if not each.replace("_", "").isalnum()]  # they become names of folders
    if bad or len(set(names)) < len(names):
        raise ConversionError(f"{archive}: {name} holds names that are odd or come twice: {bad or names}")
    return names


def _known(wanted: Sequence[str], names: tuple[str, ...], kind: str) -> Sequence[str]:
    for name in wanted:
        if name not in names:
            near = ", ".join(closest(name, set(names)))
            raise ConversionError(f"there is no {kind} {name!r} in the archive{f'; closest: {near}' if near else ''}")
    return wanted


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tasks.partition.cifar", description=__doc__.split("\n")[0])
    parser.add_argument("archive", type=Path, help="cifar-100-binary.tar.gz")
    parser.add_argument("--out", type=Path, required=True, help="folder to make, such as data/cifar20")
    parser.add_argument(
        "--classes", nargs="+", default=[], metavar="NAME", help="these classes, as the archive names them"
    )
    parser.add_argument(
        "--superclasses", nargs="+", default=[], metavar="NAME", help="all classes of these superclasses"
    )
    options = parser.parse_args(arguments)
    try:
        convert(
            options.archive,
            Path(os.path.normpath(options.out)),
            classes=options.classes,
            superclasses=options.superclasses,
        )
    except ConversionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
