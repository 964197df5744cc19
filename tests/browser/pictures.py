"""Pictures of what people see, kept as files of the run: in `SCREENSHOTS`, or in .credit/screenshots of the project."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image

PROJECT = Path(__file__).resolve().parents[2]
LIMIT = 150_000  # bytes: they are loaded by everybody who opens the README


def folder() -> Path:
    """Where the pictures of this run are kept."""
    given = os.environ.get("SCREENSHOTS")
    return Path(given).absolute() if given else PROJECT / ".credit" / "screenshots"


def keep(content: bytes, name: str, where: Path | None = None) -> Path:
    """Write a PNG as <name>.png below `where` (default: `folder()`), in as few colours as make it small enough."""
    path = (where or folder()) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(small(content))
    return path


def small(content: bytes) -> bytes:
    """The same picture with a palette; blue and vermilion of the plots stay themselves, which 32 colours no longer do.

    Raises:
        ValueError: if it stays over `LIMIT`; show less of the page.
    """
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    for colours in (256, 128, 64):
        buffer = io.BytesIO()
        reduced = picture.quantize(colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        reduced.save(buffer, format="PNG", optimize=True)
        if buffer.tell() <= LIMIT:
            return buffer.getvalue()
    raise ValueError(f"a picture of {picture.width} x {picture.height} takes {buffer.tell():,} bytes, over {LIMIT:,}")
