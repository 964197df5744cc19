"""Decoding: what is read, what is converted and said, what is refused; hostile bytes never do more than that."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.partition.images import Decoded, Refused, decode
from tests.partition.conftest import encoded, picture


def read(data: bytes, name: str = "a.png", resolution: int = 8, maximum_megapixels: float = 100) -> Decoded:
    return decode(data, name, resolution=resolution, maximum_megapixels=maximum_megapixels)


def kinds(found: Decoded) -> list[str]:
    return [remark.kind for remark in found.remarks]


def colour(found: Decoded) -> list[int]:
    return [int(value) for value in found.pixels[0, 0]]


def flat(mode: str, value: object, size: tuple[int, int] = (16, 16)) -> PIL.Image.Image:
    return PIL.Image.new(mode, size, value)  # type: ignore[arg-type]


def refusal(data: bytes, **options: float) -> str:
    with pytest.raises(Refused) as caught:
        read(data, **options)  # type: ignore[arg-type]
    assert "'a.png'" in str(caught.value)
    return caught.value.kind


def test_an_rgb_image_is_kept_without_remark_and_unscaled_at_its_own_size() -> None:
    found = read(encoded(picture(1)), resolution=12)
    assert found.remarks == ()
    assert np.array_equal(found.pixels, np.asarray(picture(1)))
    assert found.pixels.dtype == np.uint8


def test_the_digest_is_of_pixels_not_of_files_or_resolutions() -> None:
    png = read(encoded(picture(1)))
    assert read(encoded(picture(1), "BMP"), "b.bmp", resolution=4).digest == png.digest
    assert read(encoded(picture(1), compress_level=0)).digest == png.digest
    assert read(encoded(picture(2))).digest != png.digest
    # The same bytes in another shape are another image.
    wide, high = flat("RGB", "red", (8, 2)), flat("RGB", "red", (2, 8))
    assert read(encoded(wide)).digest != read(encoded(high)).digest


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (flat("L", 100), [100, 100, 100]),
        (flat("1", 1), [255, 255, 255]),
        (flat("P", 0), [0, 0, 0]),
        (flat("RGBA", (255, 0, 0, 0)), [255, 255, 255]),
        (flat("RGBA", (255, 0, 0, 255)), [255, 0, 0]),
        (flat("RGBA", (0, 0, 0, 51)), [204, 204, 204]),
        (flat("LA", (0, 51)), [204, 204, 204]),
    ],
)
def test_other_modes_become_rgb_over_white_and_say_so(image: PIL.Image.Image, expected: list[int]) -> None:
    found = read(encoded(image))
    assert kinds(found) == ["converted-mode"]
    assert image.mode in found.remarks[0].reason or image.mode == "P"
    assert colour(found) == expected


def test_palette_colours_and_their_transparency_are_kept() -> None:
    image = flat("P", 1)
    image.putpalette([0, 0, 255, 0, 128, 0])
    assert colour(read(encoded(image))) == [0, 128, 0]
    assert colour(read(encoded(image, transparency=1))) == [255, 255, 255]


def test_cmyk_becomes_rgb() -> None:
    found = read(encoded(flat("CMYK", (0, 255, 255, 0)), "TIFF"), "a.tif")
    assert colour(found) == [255, 0, 0]
    assert kinds(found) == ["converted-mode"]


@pytest.mark.parametrize("value", [0, 257, 10_000, 32_768, 65_535])
@pytest.mark.parametrize(("kind", "name"), [("PNG", "a.png"), ("TIFF", "a.tif")])
def test_16_bits_are_scaled_not_clipped(value: int, kind: str, name: str) -> None:
    image = PIL.Image.fromarray(np.full((16, 16), value, dtype=np.uint16))
    found = read(encoded(image, kind), name)
    assert kinds(found) == ["converted-depth"]
    assert colour(found) == [round(value / 257)] * 3


def test_16_bit_colour_is_scaled_not_clipped() -> None:
    # Pillow cannot write this, so the PNG is written by hand: one colour (0x8000, 0x0100, 0xFFFF), 4 x 4.
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\0" + struct.pack(">3H", 0x8000, 0x0100, 0xFFFF) * 4
    header = struct.pack(">2I5B", 4, 4, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * 4)) + chunk(b"IEND", b"")
    found = read(png)
    assert colour(found) == [128, 1, 255]
    assert kinds(found) == ["converted-depth"]


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_depths_without_a_known_white_are_refused(kind: type) -> None:
    image = PIL.Image.fromarray(np.ones((4, 4), dtype=kind))
    assert refusal(encoded(image, "TIFF")) == "unsupported-depth"


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_rotation_is_applied_and_said(orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    found = read(encoded(picture(1, size=(12, 8)), exif=exif), resolution=8)
    assert kinds(found) == ["rotated"]
    assert (found.width, found.height) == ((12, 8) if orientation < 5 else (8, 12))
    exif_image = picture(1, size=(12, 8))
    exif_image.getexif()[0x0112] = orientation
    upright = PIL.ImageOps.exif_transpose(exif_image)
    assert found.digest == read(encoded(upright)).digest


def test_broken_exif_is_said_and_the_image_kept() -> None:
    found = read(encoded(picture(1), exif=b"Exif\0\0" + b"\xff" * 20))
    assert kinds(found) == ["bad-exif"]


@pytest.mark.parametrize(("kind", "name"), [("GIF", "a.gif"), ("PNG", "a.png"), ("WEBP", "a.webp"), ("TIFF", "a.tif")])
def test_the_first_frame_of_an_animation_is_used_and_said(kind: str, name: str) -> None:
    frames = [flat("RGB", "#ff0000"), flat("RGB", "#00ff00")]
    options = {"lossless": True} if kind == "WEBP" else {}
    found = read(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options), name)
    assert "animated" in kinds(found)
    assert colour(found) == [255, 0, 0]


def test_a_wrong_extension_is_said_and_the_image_kept() -> None:
    assert kinds(read(encoded(picture(1), "JPEG"), "a.png")) == ["wrong-extension"]
    assert kinds(read(encoded(picture(1)), "a.data")) == ["wrong-extension"]
    assert kinds(read(encoded(picture(1), "JPEG"), "A.JPG")) == []


def test_files_that_are_no_images_are_refused() -> None:
    assert refusal(b"") == "empty-file"
    assert refusal(b"hello, I am no image") == "unreadable"
    assert refusal(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n") == "unreadable"  # never to Ghostscript
    assert refusal(b"<svg xmlns='http://www.w3.org/2000/svg'/>") == "unreadable"


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_truncated_files_are_refused_as_truncated(kind: str) -> None:
    data = encoded(picture(1, size=(64, 64)), kind)
    assert refusal(data[: len(data) // 2]) == "truncated"


def test_a_decompression_bomb_is_refused_from_its_header_alone() -> None:
    header = struct.pack(">2I5B", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    idat = b"IDAT" + zlib.compress(b"\0" * 1000)
    bomb += struct.pack(">I", len(idat) - 4) + idat + struct.pack(">I", zlib.crc32(idat))
    assert refusal(bomb) == "too-large"
    assert refusal(encoded(picture(1)), maximum_megapixels=0.0001) == "too-large"


def test_the_middle_square_is_used() -> None:
    image = flat("RGB", "#ff0000", (32, 16))
    image.paste((0, 0, 255), (8, 0, 24, 16))
    assert (read(encoded(image)).pixels == [0, 0, 255]).all()


def test_reducing_averages_whole_areas_and_does_not_alias() -> None:
    checks = np.indices((64, 64)).sum(axis=0) % 2 * 255  # single-pixel chequerboard
    found = read(encoded(PIL.Image.fromarray(checks.astype(np.uint8)).convert("RGB")), resolution=8)
    assert np.abs(found.pixels.astype(int) - 127).max() <= 2


_WHOLE = [
    encoded(picture(1), "PNG"),
    encoded(picture(1), "JPEG"),
    encoded(picture(1), "GIF"),
    encoded(picture(1), "TIFF"),
    encoded(picture(1), "WEBP"),
    encoded(picture(1, "RGBA"), "PNG"),
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(_WHOLE), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6))
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_decoded_or_refused_and_never_crash(data: bytes, edits: list[tuple[int, int]]) -> None:
    damaged = bytearray(data)
    for place, value in edits:
        damaged[place % len(damaged)] = value
    try:
        found = read(bytes(damaged), maximum_megapixels=1)
    except Refused as refused:
        assert refused.kind in {"unreadable", "truncated", "too-large", "unsupported-depth"}
    else:
        assert found.pixels.shape == (8, 8, 3)
