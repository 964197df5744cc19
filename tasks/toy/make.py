"""Makes the folder of both models: whole or not at all, and the same again from the same images.

openmoji-models/
    autoencoder/       AutoencoderKL, as `from_pretrained` reads it
    text-to-image/     StableDiffusionPipeline, with the same autoencoder
    stamp.json         the recipe, and the sha256 of every file
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tasks.model.randomness import mix
from tasks.model.threads import one_thread
from tasks.partition.names import clean
from tasks.progress import Say, Ticker
from tasks.toy import autoencoder, text_to_image
from tasks.toy.autoencoder import train_autoencoder
from tasks.toy.images import Lessons, ToyError, read_lessons
from tasks.toy.text_to_image import train_text_to_image
from tasks.toy.tokenizer import save_vocabulary

STAMP = "stamp.json"
SCHEMA = 1  # to be raised when the code of this step changes what it makes
# The players of the toy studies in deployments/studies.
PLAYERS = (
    "Alexander Müller",
    "Crystal Moon",
    "Daniel Utz",
    "Emily Jäger",
    "Ferdinand Sorg",
    "Guemil Project",
    "Johanna Wellnitz",
    "Liz Bravo",
)
ATTRIBUTION = (
    "This model was trained on OpenMoji. All emojis designed by OpenMoji – the open-source emoji and icon project.\n"
    "License: CC BY-SA 4.0\n"
    "https://openmoji.org  https://creativecommons.org/licenses/by-sa/4.0/\n"
    "Changes: rendered as PNG on a white background, reduced to {side} x {side} pixels, without the images of {without}.\n"
)


@dataclass(frozen=True)
class Steps:
    """How long each model is trained; by default so long that both take four minutes on one thread of an ordinary core."""

    autoencoder: int = 2000
    text_to_image: int = 2000


def make(
    images: Path,
    out: Path,
    *,
    without: Sequence[str] = PLAYERS,
    steps: Steps | None = None,
    resolution: int = 32,
    seed: int = 1,
    say: Say = print,
) -> dict[str, Any]:
    """Train both models on `images`, without the designers `without`, into the new folder `out`; returns its stamp.

    All training is done on one thread of the CPU, so that two runs on machines of one kind give the same bytes. A second
    run with the same recipe verifies the files and writes nothing.

    Raises:
        ToyError: if the images cannot be used, or `out` is there and is not what this call would make.
    """
    steps = steps or Steps()
    if min(steps.autoencoder, steps.text_to_image) < 1:
        raise ToyError(f"every model needs at least one step of training, not {steps}")
    lessons = read_lessons(images, without, resolution)
    recipe: dict[str, Any] = {
        "schema": SCHEMA,
        "steps": asdict(steps),
        "autoencoder": autoencoder.CHOICES,
        "text_to_image": text_to_image.CHOICES,
        "resolution": resolution,
        "seed": seed,
        "without": sorted({clean(name) for name in without}),
        "lessons_sha256": lessons.digest,
    }
    if (there := _already_there(out, recipe)) is not None:
        say(f"{out} is there already and verified: {len(there['sha256'])} files")
        return there
    say(f"{len(lessons.prompts)} images to learn from; {lessons.twins} more equal a player's image and are left out")
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    try:
        building.chmod(0o755)  # mkdtemp's 0700 would shut out the group that uses the models
        with one_thread():
            _train(building, lessons, steps, seed, say)
        left_out = ", ".join(recipe["without"]) or "nobody"
        for model in ("autoencoder", "text-to-image"):
            text = ATTRIBUTION.format(side=resolution, without=left_out)
            (building / model / "ATTRIBUTION.txt").write_text(text, encoding="utf-8")
        made_with = {name: version(name) for name in ("torch", "diffusers", "transformers", "tokenizers")}
        stamp = {"recipe": recipe, "images": len(lessons.prompts), "made_with": made_with, "sha256": _digests(building)}
        (building / STAMP).write_text(json.dumps(stamp, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        try:
            building.rename(out)
        except OSError:
            # Another process finished first (rename never replaces a folder that holds files): use theirs.
            if _already_there(out, recipe) is None:
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)  # after a successful rename there is nothing left to remove
    say(f"{out}: autoencoder and text-to-image")
    return stamp


def _train(folder: Path, lessons: Lessons, steps: Steps, seed: int, say: Say) -> None:
    trained = train_autoencoder(lessons, steps=steps.autoencoder, seed=mix(seed, 1), ticker=Ticker(say, "autoencoder"))
    trained.save_pretrained(folder / "autoencoder")
    pipeline = train_text_to_image(
        lessons, trained, steps=steps.text_to_image, seed=mix(seed, 2), ticker=Ticker(say, "text-to-image")
    )
    pipeline.save_pretrained(folder / "text-to-image")
    save_vocabulary(pipeline.tokenizer, folder / "text-to-image" / "tokenizer")


def _already_there(out: Path, recipe: dict[str, Any]) -> dict[str, Any] | None:
    """The stamp of a whole folder made by the same recipe; None if there is no folder; an error for anything else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    advice = "remove it or choose another --out"
    try:
        stamp = json.loads((out / STAMP).read_text(encoding="utf-8"))
        made_by, digests = dict(stamp["recipe"]), dict(stamp["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ToyError(f"{out} exists and was not made by this command (no valid {STAMP}); {advice}") from None
    if made_by != recipe:
        differing = sorted(key for key in made_by.keys() | recipe.keys() if made_by.get(key) != recipe.get(key))
        was = {key: made_by.get(key) for key in differing}
        wanted = {key: recipe.get(key) for key in differing}
        raise ToyError(f"{out} was made with {was}, not with {wanted}; {advice}")
    found = _digests(out)
    if changed := sorted(name for name in found.keys() | digests.keys() if found.get(name) != digests.get(name)):
        raise ToyError(f"{out} was changed since it was made ({', '.join(changed[:5])}); {advice}")
    return dict(stamp)


def _digests(folder: Path) -> dict[str, str]:
    """sha256 (hex) of every file but the stamp, by its path in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / STAMP)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
