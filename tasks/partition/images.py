"""Turns the bytes of one untrusted file into RGB pixels, and says what had to be changed on the way.

The size is read from the header before anything is decoded, so a decompression bomb costs nothing. Only common
formats are tried (Pillow would otherwise start Ghostscript for EPS). Embedded colour profiles are not applied.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import PIL
import PIL.Image
import PIL.ImageFile

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


def decode(data: bytes, name: str, *, resolution: int, maximum_megapixels: float) -> Decoded:
    """Decode a file: first frame, upright, 8-bit RGB, transparent parts over white; then the middle square, resized.

    The filter is Pillow's Lanczos, which averages over the whole area of each output pixel when it reduces.
    Raises Refused, whatever the bytes; only running out of memory is passed on, for it says nothing about the file.
    """
    if not data:
        raise Refused("empty-file", f"{name!r} is empty (0 bytes)")
    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > maximum_megapixels * 1e6:
                limit = f"more than data.maximum_megapixels ({maximum_megapixels:g})"
                raise Refused("too-large", f"{name!r} is {width} x {height} pixels, {limit}")
            remarks = _remarks_on_file(opened, name)
            rgb = _rgb(_upright(opened, name, remarks), name, remarks)
    except (Refused, MemoryError):
        raise
    except PIL.UnidentifiedImageError:
        raise Refused("unreadable", f"{name!r} is not a whole image of a known format ({_KINDS})") from None
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise Refused("too-large", f"{name!r} is refused by Pillow as a decompression bomb: {error}") from None
    except Exception as error:  # a hostile file can make a decoder raise nearly anything
        text = str(error) or type(error).__name__
        if "truncated" in text.lower() or isinstance(error, EOFError):
            raise Refused("truncated", f"{name!r} ends too early ({text}); copy it again") from error
        raise Refused("unreadable", f"{name!r} cannot be decoded ({text})") from error
    digest = hashlib.sha256(b"%d,%d," % rgb.size + rgb.tobytes()).hexdigest()
    return Decoded(digest, _square(rgb, resolution), *rgb.size, remarks=tuple(remarks))


def _remarks_on_file(image: PIL.ImageFile.ImageFile, name: str) -> list[Remark]:
    remarks = []
    ending = PurePosixPath(name).suffix.lower()
    kind = "JPEG" if image.format == "MPO" else str(image.format)  # MPO: a JPEG with further views behind it
    if ENDINGS.get(ending) != kind:
        remarks.append(Remark("wrong-extension", f"{name!r} ends in {ending!r} but is a {kind} file", "kept"))
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        remarks.append(Remark("animated", f"{name!r} holds {frames} frames or pages; the first is used", "converted"))
    # Pillow keeps the upper 8 of 16 bits of a colour image by itself; only the raw mode of its tiles still tells.
    if image.mode[0] not in "IF" and any(";16" in str(tile[3]) for tile in image.tile):
        remarks.append(Remark("converted-depth", f"{name!r} has 16 bits a channel; they were scaled to 8", "converted"))
    return remarks


def _upright(image: PIL.Image.Image, name: str, remarks: list[Remark]) -> PIL.Image.Image:
    image.load()
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception as error:  # broken EXIF is common and takes nothing from the pixels
        remarks.append(Remark("bad-exif", f"the EXIF data of {name!r} cannot be read ({error}); not rotated", "kept"))
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
    if how == "put on white":
        over = image.convert("RGBA")
        return PIL.Image.alpha_composite(PIL.Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return image.convert("RGB")


def _from_16_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    values = np.asarray(image).astype(np.int64)  # [h, w]
    tags = getattr(image, "tag_v2", {})  # TIFF only
    white = 2 ** int(tags.get(_BITS_PER_SAMPLE, (16,))[0]) - 1
    grey = np.clip((values * 255 + white // 2) // white, 0, 255).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == 0:  # "white is zero", which Pillow leaves as it is for 16 bits
        grey = 255 - grey
    return PIL.Image.fromarray(grey).convert("RGB")


def _square(image: PIL.Image.Image, resolution: int) -> np.ndarray:
    """The middle square at resolution x resolution as uint8 [r, r, 3]."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    # Cropped first: resize(box=...) would let the filter look beyond the box.
    middle = image.crop((left, top, left + side, top + side))
    return np.asarray(middle.resize((resolution, resolution), PIL.Image.Resampling.LANCZOS))
