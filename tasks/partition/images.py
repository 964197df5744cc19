"""Turns the bytes of one untrusted file into RGB pixels, and says what had to be changed on the way.

The size is read from the header before anything is decoded, so a decompression bomb costs nothing; what is a bomb in another
way is found by tasks.partition.structure. Only common formats are tried (Pillow would otherwise start Ghostscript for EPS).
Embedded colour profiles are not applied. Conversions go through an image in bands of rows, and no more than 100 megapixels
are decoded at a time, so that memory is bounded: beside the files, about nine bytes for each of those pixels, 12 as JPEG or
AVIF, 16 as WebP, 19 as JPEG 2000.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import PIL
import PIL.Image
import PIL.ImageFile

from tasks.partition.names import LONGEST, quoted
from tasks.partition.structure import MOST_EXIF, overload
from tasks.partition.types import Action

ENDINGS = {
    ".png": "PNG", ".apng": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP",
    ".tif": "TIFF", ".tiff": "TIFF", ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM", ".avif": "AVIF",
    ".jp2": "JPEG2000",
}  # fmt: skip
FORMATS = sorted(set(ENDINGS.values()))
_KINDS = ", ".join(FORMATS)
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262
_BITS = "bits a channel of the file"
_ROWS = 256  # of a band
_PIXELS_AT_ONCE = 100_000_000
_UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}


class Refused(ValueError):
    """The file gives no image: `kind` is the problem's slug, the message its reason."""

    def __init__(self, kind: str, reason: str) -> None:
        self.kind = kind
        super().__init__(reason)


@dataclass(frozen=True)
class Remark:
    """What had to be changed, or is worth knowing, about an image that is used."""

    kind: str
    reason: str
    action: Action


@dataclass(frozen=True)
class Decoded:
    """One image, twice: its identity at full size and its pixels at the study's resolution."""

    digest: str  # sha256 (hex) over width, height and RGB bytes
    pixels: np.ndarray  # uint8 [r, r, 3]
    width: int  # as shown, that is after rotation
    height: int
    remarks: tuple[Remark, ...]


class _Budget:
    """What threads may use at once; what is more than all of it is used alone. Whoever comes first is served first."""

    def __init__(self, total: int) -> None:
        self._total, self._used = total, 0
        self._next, self._freed = threading.Lock(), threading.Condition()

    @contextlib.contextmanager
    def of(self, amount: int) -> Iterator[None]:
        with self._next, self._freed:  # who waits for much is not passed by those who need little
            self._freed.wait_for(lambda: not self._used or self._used + amount <= self._total)
            self._used += amount
        try:
            yield
        finally:
            with self._freed:
                self._used -= amount
                self._freed.notify_all()


_in_memory = _Budget(_PIXELS_AT_ONCE)


def decode(data: bytes, name: str, *, resolution: int, maximum_megapixels: float) -> Decoded:
    """Decode a file: first frame, upright, 8-bit RGB, transparent parts over white; then the middle square, resized.

    The filter is Pillow's Lanczos, which averages over the whole area of each output pixel when it reduces.
    Raises Refused, whatever the bytes; only running out of memory is passed on, for it says nothing about the file.
    """
    if not data:
        raise Refused("empty-file", f"{name!r} is empty (0 bytes)")
    if too_much := overload(data):
        raise Refused("too-large", f"{name!r} {too_much}")
    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > maximum_megapixels * 1e6:
                limit = f"more than data.maximum_megapixels ({maximum_megapixels:g})"
                raise Refused("too-large", f"{name!r} is {width} x {height} pixels, {limit}")
            with _in_memory.of(width * height):
                if opened.format == "PNG":
                    opened.info[_BITS] = data[24]  # the header comes first, or Pillow would not have opened it
                remarks = _remarks_on_file(opened, name)
                rgb = _rgb(_upright(opened, name, remarks), name, remarks)
                if rgb is not opened:
                    opened.close()  # its pixels are no longer needed, and what follows makes more of the same size
                return Decoded(_digest(rgb), _square(rgb, resolution), *rgb.size, remarks=tuple(remarks))
    except (Refused, MemoryError):
        raise
    except PIL.UnidentifiedImageError:
        raise Refused("unreadable", f"{name!r} is not a whole image of a known format ({_KINDS})") from None
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise Refused(
            "too-large", f"{name!r} is refused by Pillow as a decompression bomb: {unquoted(error)}"
        ) from None
    except Exception as error:  # a hostile file can make a decoder raise nearly anything
        text = unquoted(error)
        if "truncated" in text.lower() or isinstance(error, EOFError):
            raise Refused("truncated", f"{name!r} ends too early ({text}); copy it again") from error
        raise Refused("unreadable", f"{name!r} cannot be decoded ({text})") from error


def _digest(rgb: PIL.Image.Image) -> str:
    """sha256 (hex) over width, height and RGB bytes."""
    found = hashlib.sha256(b"%d,%d," % rgb.size)
    for box in _bands(rgb):
        found.update(rgb.crop(box).tobytes())
    return found.hexdigest()


def _bands(image: PIL.Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Boxes of `_ROWS` rows each, from the top; fewer rows where they are very long."""
    width, height = image.size
    rows = max(1, min(_ROWS, 2**20 // max(1, width)))
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)


def _by_bands(image: PIL.Image.Image, convert: Callable[[PIL.Image.Image], PIL.Image.Image]) -> PIL.Image.Image:
    """RGB, a band at a time: each conversion on the way would otherwise hold all pixels once more."""
    rgb = PIL.Image.new("RGB", image.size)
    for box in _bands(image):
        band = image.crop(box)
        band.info = image.info
        rgb.paste(convert(band), box)
    return rgb


def unquoted(error: Exception) -> str:
    """What an error says, in one line without anything that cannot be seen: it may quote the file."""
    text = str(error) or type(error).__name__
    return quoted(text)[1:-1] if not text.isprintable() or len(text) > LONGEST else text


def _remarks_on_file(image: PIL.ImageFile.ImageFile, name: str) -> list[Remark]:
    remarks = []
    ending = PurePosixPath(name).suffix.lower()
    kind = "JPEG" if image.format == "MPO" else str(image.format)  # MPO: a JPEG with further views behind it
    if ENDINGS.get(ending) != kind:
        remarks.append(Remark("wrong-extension", f"{name!r} ends in {ending!r} but is a {kind} file", "kept"))
    # How many there are is not asked: some formats are read to their end for it, page by page.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        remarks.append(Remark("animated", f"{name!r} holds several frames or pages; the first is used", "converted"))
    # Pillow keeps the upper 8 of 16 bits of a colour image by itself; only the raw mode of its tiles still tells.
    if image.mode[0] not in "IF" and any(";16" in str(tile[3]) for tile in image.tile):
        remarks.append(Remark("converted-depth", f"{name!r} has 16 bits a channel; they were scaled to 8", "converted"))
    return remarks


def _upright(image: PIL.Image.Image, name: str, remarks: list[Remark]) -> PIL.Image.Image:
    image.load()
    exif = image.info.get("exif") or b""
    if len(exif) > MOST_EXIF:
        reason = f"the EXIF data of {name!r} has {len(exif):,} bytes, more than {MOST_EXIF:,}; not rotated"
        remarks.append(Remark("bad-exif", reason, "kept"))
        return image
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception as error:  # broken EXIF is common and takes nothing from the pixels
        remarks.append(
            Remark("bad-exif", f"the EXIF data of {name!r} cannot be read ({unquoted(error)}); not rotated", "kept")
        )
        return image
    if orientation not in _UPRIGHT:
        return image
    remarks.append(
        Remark("rotated", f"{name!r} was turned upright as its EXIF orientation {orientation} says", "converted")
    )
    bits = image.info
    turned = image.transpose(_UPRIGHT[orientation])
    turned.info = bits
    return turned


def _rgb(image: PIL.Image.Image, name: str, remarks: list[Remark]) -> PIL.Image.Image:
    """8-bit RGB; 16 bits are scaled, not clipped."""
    mode = image.mode
    transparent = "transparency" in image.info
    if mode.startswith("I;16") or (mode == "I" and image.format in ("PNG", "PPM")):
        remarks.append(Remark("converted-depth", f"{name!r} has 16 bits a pixel; they were scaled to 8", "converted"))
        if transparent:
            remarks.append(
                Remark("converted-mode", f"{name!r} has a transparent grey; it was put on white", "converted")
            )
        return _from_16_bits(image)
    if mode in ("I", "F"):
        what = "32-bit integers" if mode == "I" else "floating-point numbers"
        raise Refused("unsupported-depth", f"{name!r} holds {what}, whose white is unknown; save it with 8 or 16 bits")
    if mode == "RGB" and not transparent:
        return image
    how = "put on white" if transparent or mode in ("RGBA", "LA", "PA", "RGBa", "La") else "converted to RGB"
    remarks.append(
        Remark("converted-mode", f"{name!r} is {mode}{' with transparency' * transparent}; it was {how}", "converted")
    )
    if how == "converted to RGB":
        return _by_bands(image, lambda band: band.convert("RGB"))
    if transparent and image.format == "PNG":
        _mend_transparency(image, name, remarks)
    return _by_bands(image, _on_white)


def _on_white(band: PIL.Image.Image) -> PIL.Image.Image:
    over = band.convert("RGBA")
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", over.size, "white"), over).convert("RGB")


def _mend_transparency(image: PIL.Image.Image, name: str, remarks: list[Remark]) -> None:
    """A PNG's transparent colour is given in the file's own bits, and Pillow compares it with pixels of 8.

    Raises Refused for 16 bits a channel, of which Pillow has kept only the upper half: nobody knows which pixels are meant.
    """
    bits = image.info.get(_BITS)
    if image.mode == "RGB" and bits == 16:
        reason = "has 16 bits a channel and one transparent colour; save it with an alpha channel, or with 8 bits"
        raise Refused("unsupported-depth", f"{name!r} {reason}")
    if image.mode == "L" and bits in (2, 4) and isinstance(image.info["transparency"], int):
        image.info["transparency"] *= 255 // (2**bits - 1)


def _from_16_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Transparent grey is white; every other of 2^16 - 1 (or what a TIFF says) levels is the nearest of 255."""
    tags = getattr(image, "tag_v2", {})  # TIFF only
    white = 2 ** int(tags.get(_BITS_PER_SAMPLE, (16,))[0]) - 1
    turned = tags.get(_PHOTOMETRIC) == 0  # "white is zero", which Pillow leaves as it is for 16 bits
    clear = image.info.get("transparency")

    def convert(band: PIL.Image.Image) -> PIL.Image.Image:
        values = np.asarray(band).astype(np.int64)  # [rows, w]
        grey = np.clip((values * 255 + white // 2) // white, 0, 255).astype(np.uint8)
        if turned:
            grey = 255 - grey
        if isinstance(clear, int):
            grey[values == clear] = 255
        return PIL.Image.fromarray(grey).convert("RGB")

    return _by_bands(image, convert)


def _square(image: PIL.Image.Image, resolution: int) -> np.ndarray:
    """The middle square at resolution x resolution as uint8 [r, r, 3]."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    # Cropped first: resize(box=...) would let the filter look beyond the box.
    middle = image.crop((left, top, left + side, top + side))
    return np.asarray(middle.resize((resolution, resolution), PIL.Image.Resampling.LANCZOS))
