"""Hostile images: each kind is used as the eye sees it, or left out with a reason; what that costs is measured."""

from __future__ import annotations

import contextlib
import io
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import PIL.Image
import PIL.PpmImagePlugin
import pytest

from tasks.partition.images import FORMATS, Decoded, Refused, _Budget, decode
from tasks.partition.structure import MOST_CHUNKS, MOST_EXIF, MOST_METADATA, MOST_SCANS, MOST_VALUES, overload
from tests.hostile.bytes import (
    HONEST,
    animation,
    chunk,
    exif_of_orientations,
    flat,
    gif_of_frames,
    in_png,
    jpeg_of_metadata,
    jpeg_of_scans,
    png,
    png_bomb,
    tiff_of_values,
    tiff_strip,
    tiff_tile,
    webp_canvas,
    with_size,
)
from tests.hostile.measured import decoded
from tests.partition.conftest import encoded, picture

WHITE, RED = [255, 255, 255], [255, 0, 0]


def read(data: bytes, name: str = "a.png", resolution: int = 8) -> Decoded:
    return decode(data, name, resolution=resolution, maximum_megapixels=1)


def colour(data: bytes, name: str = "a.png") -> list[int]:
    return [int(value) for value in read(data, name).pixels[0, 0]]


# Bombs: the most seconds is generous, since what is guarded against takes hours; the most memory is not.
BOMBS: dict[str, tuple[Callable[[], bytes], set[str], float]] = {  # bytes, what may become of it, most megabytes
    "header of gigapixels": (png_bomb, {"too-large"}, 20),
    "text that unpacks": (
        lambda: in_png(*[chunk(b"zTXt", b"k\0\0" + zlib.compress(b"\0" * 1_000_000, 9))] * 3000), {"unreadable"}, 200),
    "international text that unpacks": (
        lambda: in_png(*[chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(b"\0" * 1_000_000, 9))] * 3000), {"unreadable"}, 200),
    "one text that unpacks": (
        lambda: in_png(chunk(b"zTXt", b"k\0\0" + zlib.compress(b"\0" * 400_000_000, 9))), {"unreadable", "used"}, 50),
    "profile that unpacks": (
        lambda: in_png(chunk(b"iCCP", b"k\0\0" + zlib.compress(b"\0" * 400_000_000, 9))), {"unreadable"}, 50),
    "pixels that unpack to more": (
        lambda: png(4, 4, 8, 2, [bytes(12)] * 10_000_000), {"used"}, 60),
    "chunks of nothing": (lambda: in_png(chunk(b"prVt", b"") * 2_000_000), {"too-large"}, 20),
    "scans over and over": (lambda: jpeg_of_scans(20_000, 4096), {"too-large"}, 20),
    "metadata": (lambda: jpeg_of_metadata(3 * MOST_METADATA, b"profile"), {"too-large"}, 20),
    "EXIF": (lambda: jpeg_of_metadata(2 * MOST_EXIF), {"too-large"}, 20),
    "one marker without end": (lambda: b"\xff\xd8" + b"\xff" * 5_000_000 + b"\0", {"unreadable", "truncated"}, 20),
    "orientations of a PNG": (lambda: in_png(chunk(b"eXIf", exif_of_orientations(8_000_000))), {"used"}, 100),
    "strips of a TIFF": (lambda: tiff_of_values(273, 4, 2_000_000, height=2_000_000), {"too-large"}, 20),
    "strips of a BigTIFF": (
        lambda: tiff_of_values(273, 4, 2_000_000, 2_000_000, order=">", big=True), {"too-large"}, 20),
    "strips of a TIFF as bytes": (lambda: tiff_of_values(273, 1, 5_000_000, height=5_000_000), {"too-large"}, 20),
    "as many strips as may be": (lambda: tiff_of_values(273, 4, MOST_VALUES, height=MOST_VALUES), {"used"}, 200),
    **{f"values of a TIFF's tag {tag}, of type {kind}": (
        lambda tag=tag, kind=kind: tiff_of_values(tag, kind, 2_000_000), {"too-large"}, 20)  # type: ignore[misc]
       for tag, kind in ((274, 3), (274, 6), (338, 3), (339, 3), (34665, 4))},
    "frames of a GIF": (lambda: gif_of_frames(1_000_000), {"used"}, 60),
    "frames of a PNG": (lambda: animation("PNG", 300), {"used"}, 20),
    "frames of a WebP": (lambda: animation("WEBP", 300), {"used"}, 20),
    "pages of a TIFF": (lambda: animation("TIFF", 300), {"used"}, 20),
    "canvas of a WebP": (lambda: webp_canvas(65_535, 65_000), {"too-large"}, 20),
    "strip of a TIFF that unpacks": (lambda: tiff_strip(300_000_000), {"used", "unreadable"}, 50),
    "tile of a TIFF": (lambda: tiff_tile(60_000), {"unreadable"}, 50),
    "JPEG 2000 that claims less": (
        lambda: with_size(encoded(flat(size=(6000, 6000)), "JPEG2000"), b"ihdr", 0, (4, 4)), {"unreadable"}, 50),
    "AVIF that claims less": (
        lambda: with_size(encoded(flat(size=(6000, 6000)), "AVIF", speed=10), b"ispe", 4, (4, 4)),
        {"used", "unreadable", "truncated"}, 400),
    **{f"comment of a PPM, {magic!r}": (
        lambda magic=magic: magic + b"#" + b"x" * 30_000_000 + b"\n2 2 255\n" + b"a" * 16, {"too-large"}, 20)  # type: ignore[misc]
       for magic in (b"P6\n", b"P4\n1#\n", b"Pf ", b"P0CMYK", b"PyRGBA", b"PyP ", b"P6 1#\n1#\n1", b"P6 2 2 255")},
    "pixels as text": (lambda: b"P3\n5000 5000 255\n" + b"1 " * 20_000_000, {"too-large"}, 20),
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_costs_little_and_is_used_or_left_out_with_a_reason(kind: str, tmp_path: Path) -> None:
    make, allowed, megabytes = BOMBS[kind]
    found = decoded(make(), tmp_path)
    assert found.said[0] in allowed, found
    assert found.said[0] == "used" or "'a.png'" in found.said[1]
    assert found.megabytes < megabytes, found
    assert found.seconds < 120, found


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16", "P"])
def test_a_large_PNG_takes_about_nine_bytes_a_pixel(mode: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"transparency": 0} if mode == "P" else {}
    data = encoded(PIL.Image.new(mode, (6000, 5000)), compress_level=1, **options)
    found = decoded(data, tmp_path)
    assert found.said == ["used", "6000 x 5000"]
    assert found.megabytes < 30 * 9 + 40, found


@pytest.mark.parametrize(
    ("kind", "mode", "bytes_a_pixel", "options"),
    [
        ("JPEG", "CMYK", 12, {"progressive": True}),
        ("TIFF", "CMYK", 9, {}),
        ("WEBP", "RGB", 16, {"method": 0}),
        ("JPEG2000", "RGB", 19, {"quality_layers": [50]}),
        ("AVIF", "RGB", 12, {"speed": 10}),
    ],
)
def test_a_large_image_of_another_format_takes_what_the_documents_say(
    kind: str, mode: str, bytes_a_pixel: int, options: dict[str, Any], tmp_path: Path
) -> None:
    found = decoded(encoded(PIL.Image.new(mode, (5000, 4000)), kind, **options), tmp_path)
    assert found.said == ["used", "5000 x 4000"]
    assert found.megabytes < 20 * bytes_a_pixel + 40, found


def test_no_more_pixels_than_allowed_are_decoded_at_once_and_nobody_waits_for_ever() -> None:
    budget, lock = _Budget(100), threading.Lock()
    used, most, alone = 0, 0, []

    def work(amount: int) -> None:
        nonlocal used, most
        with contextlib.suppress(ValueError), budget.of(amount):
            with lock:
                used += amount
                most = max(most, used if used <= amount or amount <= 100 else 10**6)
                alone.append(used == amount)
            time.sleep(0.001)
            with lock:
                used -= amount
            if amount % 2:
                raise ValueError("an image that cannot be decoded gives back what it took")

    amounts = [25, 24, 300, 1, 60, 100, 33, 40] * 6
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, amounts))
    assert used == 0 and len(alone) == len(amounts) and most == 300 and not all(alone)


def test_structures_within_bounds_are_no_bombs() -> None:
    assert (
        overload(jpeg_of_scans(MOST_SCANS - 20)) is None
        and overload(jpeg_of_metadata(MOST_METADATA // 2, b"profile")) is None
    )
    assert overload(jpeg_of_metadata(MOST_EXIF // 2)) is None
    for order, big in (("<", False), (">", False), ("<", True), (">", True)):
        assert overload(tiff_of_values(301, 3, 3 * 2**16, order=order, big=big)) is None  # a transfer function
        assert overload(tiff_of_values(34675, 7, 2_000_000, order=order, big=big)) is None  # a profile
        assert overload(tiff_of_values(274, 3, 2_000_000, order=order, big=big))
    assert overload(in_png(chunk(b"prVt", b"") * (MOST_CHUNKS - 10))) is None
    for kind in FORMATS:
        assert overload(encoded(picture(1), kind)) is None
    # What looks like scans within a thumbnail, a profile or behind the end is none.
    data = encoded(picture(1), "JPEG")
    inner = b"\xff\xda" * 10_000
    segment = b"\xff\xe2" + struct.pack(">H", len(inner) + 2) + inner
    assert overload(data[:2] + segment + data[2:] + inner) is None


def test_every_header_that_pillow_takes_for_a_PPM_is_walked_and_whole_ones_pass() -> None:
    for magic in PIL.PpmImagePlugin.MODES:
        long = magic + b" " + b"#" + b"x" * 100_000 + b"\n2 2 255 " + b"a" * 99
        assert overload(long) is not None, magic
        assert overload(magic + b" 2 2 1 " + b" " * 100_000) is None, magic  # pixels that look like more of the header
        assert overload(magic + b"#\n 2 2 1\n" + b"\0" * 100_000) is None or len(magic) < 6, magic
    for second in range(256):
        if PIL.PpmImagePlugin._accept(bytes([80, second])):
            assert overload(bytes([80, second]) + b" " * 100_000) is not None, second


# Decoders


def test_only_the_listed_decoders_are_ever_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    PIL.Image.init()
    tried: list[str] = []

    def trap(name: str) -> Callable[..., object]:
        return lambda *arguments: tried.append(name)

    for name in set(PIL.Image.OPEN) - set(FORMATS):
        monkeypatch.setitem(PIL.Image.OPEN, name, (trap(name), trap(name)))
    others = [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", b"\xc5\xd0\xd3\xc6" + b"\0" * 40,
        b"SIMPLE  =                    T" + b" " * 2850, b"\xd7\xcd\xc6\x9a\0\0" + b"\0" * 40,
        b"\x01\0\0\0" + b"\0" * 36 + b" EMF" + b"\0" * 60, b"8BPS\0\1" + b"\0" * 40, b"\0\0\1\0\1\0" + b"\0" * 40,
        b"icns\0\0\0\x10" + b"\0" * 40, b"GRIB" + b"\0" * 40, b"\x89HDF\r\n\x1a\n" + b"\0" * 40, b"BUFR" + b"\0" * 40,
        b"DDS \x7c\0\0\0" + b"\0" * 120, b"qoif" + b"\0" * 20, b"gimp xcf file\0" + b"\0" * 40, b"%PDF-1.4\n",
        b"\x01\xda\1\1\0\3" + b"\0" * 600, b"\x0a\5\1\1" + b"\0" * 130, b"#define x_width 9\n#define x_height 9\n",
        b"/* XPM */\n", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", b"\0" * 200,
    ]  # fmt: skip
    for data in others:
        with pytest.raises(Refused) as caught:
            read(data)
        assert caught.value.kind == "unreadable"
    for kind in FORMATS:
        read(encoded(picture(1), kind))
    assert tried == []
    assert not set(FORMATS) & {"EPS", "WMF", "FITS", "ICNS", "PSD", "PDF", "MPEG", "GRIB", "HDF5", "BUFR", "SPIDER"}


# Polyglots


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("run.js", "alert(1)")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(HONEST + _zip(), id="PNG and ZIP"),
        pytest.param(in_png(chunk(b"tEXt", b"Comment\0<script>alert(1)</script>")), id="HTML in PNG"),
        pytest.param(HONEST + b"<script>alert(1)</script>", id="HTML behind PNG"),
    ],
)
def test_a_polyglot_is_the_picture_that_is_seen_and_nothing_else_of_it_is_kept(data: bytes) -> None:
    found = read(data)
    assert found.digest == read(HONEST).digest and not found.remarks


def test_what_another_program_takes_for_something_else_is_no_image_unless_it_begins_as_one() -> None:
    gifar = read(encoded(flat("P", 0), "GIF") + _zip(), "a.gif")
    assert gifar.digest == read(encoded(flat("P", 0), "GIF"), "a.gif").digest
    for front in (_zip(), b"%PDF-1.4\n", b"<html>", b"MZ\x90\0"):
        with pytest.raises(Refused, match="not a whole image"):
            read(front + encoded(picture(1), "JPEG"), "a.jpg")


# As the eye sees it


@pytest.mark.parametrize(
    ("depth", "kind", "row", "clear", "expected"),
    [
        (16, 0, struct.pack(">H", 0x8000) * 4, struct.pack(">H", 0x8000), WHITE),
        (16, 0, struct.pack(">H", 0x8000) * 4, struct.pack(">H", 0x8001), [128] * 3),
        (8, 2, bytes([1, 2, 3]) * 4, struct.pack(">3H", 1, 2, 3), WHITE),
        (8, 2, bytes([1, 2, 3]) * 4, struct.pack(">3H", 1, 2, 4), [1, 2, 3]),
        (8, 0, b"\5" * 4, struct.pack(">H", 5), WHITE),
        (4, 0, b"\x55\x55", struct.pack(">H", 5), WHITE),
        (4, 0, b"\x55\x55", struct.pack(">H", 6), [85] * 3),
        (2, 0, b"\x55", struct.pack(">H", 1), WHITE),
        (1, 0, b"\x00", struct.pack(">H", 0), WHITE),
        (1, 0, b"\x00", struct.pack(">H", 1), [0] * 3),
    ],
)
def test_a_transparent_colour_is_white_at_every_depth(
    depth: int, kind: int, row: bytes, clear: bytes, expected: list[int]
) -> None:
    data = png(4, 4, depth, kind, [row] * 4, chunk(b"tRNS", clear))
    assert colour(data) == expected
    assert "converted-mode" in [remark.kind for remark in read(data).remarks]


def test_a_transparent_colour_of_16_bits_a_channel_is_left_out_for_it_cannot_be_told() -> None:
    data = png(4, 4, 16, 2, [struct.pack(">3H", 0x8012, 0x100, 0xFFFF) * 4] * 4, chunk(b"tRNS", bytes(6)))
    with pytest.raises(Refused, match="one transparent colour; save it with an alpha channel"):
        read(data)


@pytest.mark.parametrize(
    ("depth", "kind", "row"), [(16, 4, struct.pack(">2H", 0, 0x3333) * 4), (16, 6, bytes(6) + b"\x33\x33")]
)
def test_alpha_of_16_bits_is_put_on_white(depth: int, kind: int, row: bytes) -> None:
    width = len(row) // (4 if kind == 4 else 8)
    assert colour(png(width, 4, depth, kind, [row] * 4)) == [204] * 3


def test_a_palette_with_degrees_of_transparency_is_put_on_white() -> None:
    palette = chunk(b"PLTE", bytes([0, 0, 0, 255, 0, 0])), chunk(b"tRNS", bytes([255, 51]))
    assert colour(png(8, 4, 4, 3, [b"\x11" * 4] * 4, *palette)) == [255, 204, 204]


def test_a_CMYK_JPEG_of_Adobes_kind_is_not_turned_into_its_negative() -> None:
    assert colour(encoded(flat("CMYK", (0, 255, 255, 0)), "JPEG", quality=95), "a.jpg") == RED


@pytest.mark.parametrize("size", [(1, 100_000), (100_000, 1), (1, 1)])
def test_absurd_dimensions_give_the_middle_square(size: tuple[int, int]) -> None:
    found = read(encoded(flat(size=size)))
    assert (found.width, found.height) == size and (found.pixels == RED).all()


@pytest.mark.parametrize(("kind", "name"), [("GIF", "a.gif"), ("PNG", "a.png"), ("WEBP", "a.webp"), ("TIFF", "a.tif")])
def test_of_an_animation_whose_later_frames_are_damaged_the_first_counts_or_a_reason_is_given(
    kind: str, name: str
) -> None:
    whole = animation(kind, 3)
    try:
        found = read(whole[: len(whole) - 40], name)
    except Refused as refused:
        assert refused.kind in ("truncated", "unreadable") and repr(name) in str(refused)
    else:
        assert [int(v) for v in found.pixels[0, 0]] == RED


@pytest.mark.parametrize(
    "profile", [b"", b"\0" * 128, b"x" * 100_000, b"\xff" * 500], ids=["empty", "zeros", "long", "ones"]
)
def test_a_damaged_colour_profile_changes_nothing(profile: bytes) -> None:
    for kind, name in (("PNG", "a.png"), ("JPEG", "a.jpg"), ("WEBP", "a.webp"), ("TIFF", "a.tif")):
        plain, with_it = encoded(flat(), kind), encoded(flat(), kind, icc_profile=profile)
        assert read(with_it, name).digest == read(plain, name).digest


def test_reasons_that_quote_a_file_hold_nothing_unseen() -> None:
    data = PIL.Image.new("RGB", (4, 4))
    for kind in ("PNG", "TIFF", "JPEG2000", "WEBP", "AVIF"):
        whole = encoded(data, kind)
        for place in range(0, len(whole), 7):
            hurt = whole[:place] + b"\x1b[31m\n" + whole[place + 6 :]
            try:
                read(hurt)
            except Refused as refused:
                assert str(refused).isprintable()
