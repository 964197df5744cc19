"""Statement data for the tests: a game with a known answer, in the sizes and with the names that a test asks for."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from tasks.partition import Contributor, Image, Partition, Problem
from tasks.publish import PropertyResult, StatementData, text
from tasks.shapley import Credits
from tasks.study import Study

NAMES = (
    "Abdullah Wakeel", "Amira Benali", "Carlin MacKenzie", "Emily Jäger", "Hilda Kalyoncu",
    "Johanna Wellnitz", "Kai Magnus Müller", "Mariella Steeb", "Sofie Ascherl", "山田 花子",
)  # fmt: skip
HOSTILE = (
    "<script>alert('x')</script>",
    '=HYPERLINK("http://evil.example")',
    "+1 & more",
    "-2",
    "@sum",
    "\tTab",
    "line\nbreak",
    "right\u202eto\u202cleft",
    "a|b `c` [d](http://evil.example) www.evil.example $x^2$",
    "x" * 10_000,
)
PROPERTIES = (
    ("heldout_loss", -1, "nats", "Denoising loss on images that nobody trained on.", 0.0031, 0.084),
    ("frechet_lite", -1, "squared feature units", "Fréchet distance between samples and held-out images.", 1.9, 41.0),
    ("colourfulness", 1, "points", "Hasler and Süsstrunk's colourfulness of the samples.", 0.62, -0.9),
)


def build(
    names: tuple[str, ...] = NAMES,
    *,
    properties: int = 3,
    failed: int = 2,
    seed: int = 0,
    sure: float = 4.0,
    evaluations: int = 60,
    **changes: Any,
) -> StatementData:
    """A statement over `names`; `sure` is the true spread of credits over their standard error."""
    rng = np.random.default_rng(seed)
    partition = _partition(names, rng)
    results = tuple(_result(row, partition, rng, sure) for row in PROPERTIES[:properties])
    fields: dict[str, Any] = {
        "study": Study(),
        "run": "quiet-heron",
        "created": "2025-11-23T16:20:00Z",
        "partition": partition,
        "results": results,
        "evaluations": _evaluations(names, results, rng, failed, evaluations),
        "reference_samples": _samples(rng),
        "pruning": [
            {"model": model, "parameters": size, "macs": macs, "seconds_per_step": step, "heldout_loss": loss}
            for model, size, macs, step, loss in (
                ("reference", 412_803, 18.4e6, 0.081, 0.0612),
                ("pruned", 203_331, 9.1e6, 0.049, 0.1431),
                ("recovered", 203_331, 9.1e6, 0.049, 0.0640),
            )
        ],
        "costs": {
            "partition": 2.4, "train_reference": 131.0, "prune": 17.2, "evaluate": 702.0, "estimate": 0.8,
            "evaluations_cached": 12.0, "evaluations_new": float(evaluations - 12), "evaluations_failed": float(failed),
        },
        "manifest": {
            "epoch": "7d1f09c2",
            "digests": {"reference": "3f" * 32, "pruned": "a1" * 32, "heldout": "0c" * 32},
            "versions": {"torch": "2.15.0", "diffusers": "0.42.0", "python": "3.11.9"},
            "seeds": {"coalition": 0, "audit": [1, 2], "sampling": 0},
        },
        "attribution": "All emojis designed by OpenMoji, the open-source emoji and icon project. License: CC BY-SA 4.0",
    }  # fmt: skip
    return StatementData(**(fields | changes))


def _partition(names: tuple[str, ...], rng: np.random.Generator) -> Partition:
    counts = np.sort(rng.integers(11, 160, len(names)))[::-1].astype(float)
    counts[-1] += 0.5
    rng.shuffle(counts)
    contributors = tuple(
        Contributor(
            name=name,
            images=float(images),
            heldout=float(images) // 4,
            pro_rata=float(images / counts.sum()),
            fingerprint=hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest(),
            merged=("Lisa Thiel", "Marius Schnabel", "Vanessa Boutzikoudi") if number == 5 else (),
        )
        for number, (name, images) in enumerate(zip(names, counts, strict=True))
    )
    problems = (
        Problem("1F9D1.png", "unreadable", "1F9D1.png cannot be decoded; replace the file.", "left out"),
        Problem("scan<b>7</b>.tif", "converted-depth", "scan<b>7</b>.tif has 16 bits; scaled to 8.", "converted"),
        *(
            Problem(f"twin-{n:03d}.png", "duplicate-across", "Equals an image of another contributor.", "kept")
            for n in range(37)
        ),
        Problem("Lisa Thiel", "small-contributor", "Lisa Thiel has 4 training images, fewer than 10.", "merged"),
        Problem("Nobody", "empty-contributor", "Nobody has no training image left.", "left out"),
    )
    pixels = np.zeros((2, 16, 16, 3), dtype=np.uint8)
    images = (
        Image("a.png", "00" * 32, ((names[0], 1.0),), None, False),
        Image("b.png", "01" * 32, ((names[1], 1.0),), None, False),
    )
    ownership = np.zeros((2, len(names)))
    ownership[0, 0] = ownership[1, 1] = 1
    return Partition(
        contributors, images, problems, ("00" * 32, "01" * 32), ("02" * 32,), ownership, pixels, pixels[:1]
    )


def _result(
    row: tuple[str, int, str, str, float, float], partition: Partition, rng: np.random.Generator, sure: float
) -> PropertyResult:
    name, sign, unit, description, spread, raw = row
    images = np.array([c.images for c in partition.contributors])
    n = len(images)
    gains = spread * (
        0.6 * (np.sqrt(images) - np.sqrt(images).mean()) / max(np.sqrt(images).std(), 1e-9) + 0.8 * rng.normal(size=n)
    )
    values = gains + spread * {"heldout_loss": 30, "frechet_lite": 3, "colourfulness": -0.2}[name]
    factors = rng.normal(size=(n, n)) * 0.25 + np.eye(n)
    covariance = (spread / sure) ** 2 * factors @ factors.T / (1 + 0.0625 * n)
    gap = spread * 0.08 if name == "frechet_lite" else 0.0
    grand = sign * raw if name != "colourfulness" else 24.7
    credits = Credits(
        values=values,
        covariance=covariance,
        degrees_of_freedom=40.0,
        grand=grand,
        empty=grand - float(values.sum()) + gap,
        n_evaluations=60,
        estimator="default",
        efficiency_gap=gap,
        efficiency_gap_se=gap * 0.7,
    )
    return PropertyResult(name, sign, unit, description, credits, spread * 2.1, spread * 0.33, 0.93, 8)


def _evaluations(
    names: tuple[str, ...], results: tuple[PropertyResult, ...], rng: np.random.Generator, failed: int, count: int
) -> pd.DataFrame:
    inside = rng.random((count, len(names))) < 0.5
    inside[0], inside[1] = False, True
    frame = pd.DataFrame(
        {
            "role": ["baseline", "grand", *["design"] * (count - 6), *["audit"] * 4],
            "seed": [0] * (count - 4) + [1, 2, 1, 2],
            "size": inside.sum(axis=1),
            "members": [[name for name, there in zip(names, row, strict=True) if there] for row in inside],
            "cached": [number < 12 for number in range(count)],
            "failure": [None] * count,
            "model_key": [f"model/{number:064x}" for number in range(count)],
        }
    )
    for number in range(failed):
        frame.loc[20 + number, "failure"] = "the worker died: killed by signal 9 <out of memory>"
    for part, seconds in (("load", 0.2), ("fine_tune", 7.9), ("sample", 3.1), ("score", 0.9)):
        frame[f"{part}_seconds"] = seconds * rng.uniform(0.9, 1.1, count)
    for result in results:
        frame[result.name] = rng.normal(result.credits.grand, result.spread, count)
        frame.loc[frame["failure"].notna(), result.name] = np.nan
        frame[f"samples_key_{result.name}"] = "samples/0"
    return pd.concat([frame, pd.DataFrame(inside, columns=[f"in:{text.storable(name)}" for name in names])], axis=1)


def _samples(rng: np.random.Generator, count: int = 48, side: int = 16) -> np.ndarray:
    """Soft coloured discs, uint8 [count, side, side, 3]."""
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1)
    images = np.full((count, side, side, 3), 255, dtype=np.uint8)
    for image in images:
        for _ in range(3):
            distance = np.linalg.norm(grid - rng.uniform(3, side - 3, 2), axis=-1)
            image[distance < rng.uniform(2, 6)] = rng.integers(0, 255, 3)
    return images
