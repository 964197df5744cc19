"""Images that no encoder would write: real ones of every format, changed in their bytes and in their parts."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import PIL.Image
from hypothesis import strategies as st

from tests.hostile.bytes import PNG, animation, chunk, jpeg_of_scans
from tests.partition.conftest import encoded, picture

KINDS = {
    "PNG": "a.png", "JPEG": "b.jpg", "GIF": "c.gif", "TIFF": "d.tif", "WEBP": "e.webp", "BMP": "f.bmp", "PPM": "g.ppm",
    "AVIF": "h.avif", "JPEG2000": "i.jp2",
}  # fmt: skip


def _exif(orientation: int) -> PIL.Image.Exif:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    return exif


def seeds() -> list[bytes]:
    """Whole images to start from: each format, in several modes, some animated, rotated, or with profiles and texts."""
    found = [encoded(picture(1), kind) for kind in KINDS]
    found += [encoded(picture(2, mode), "PNG") for mode in ("RGBA", "L", "LA", "P", "1")]
    found += [encoded(PIL.Image.new("I;16", (6, 5), 40_000), kind) for kind in ("PNG", "TIFF", "JPEG2000")]
    found += [
        encoded(picture(3, mode), "TIFF", compression=how)
        for mode, how in (
            ("RGB", "tiff_lzw"),
            ("RGB", "tiff_adobe_deflate"),
            ("1", "group4"),
            ("CMYK", "packbits"),
            ("YCbCr", "jpeg"),
        )
    ]
    found += [encoded(PIL.Image.new(mode, (6, 5)), "TIFF") for mode in ("F", "I", "LAB", "PA")]
    found += [
        encoded(picture(4), "JPEG", progressive=True),
        encoded(picture(4, "CMYK"), "JPEG"),
        encoded(picture(4, "L"), "JPEG", icc_profile=b"profile" * 9),
        jpeg_of_scans(3),
    ]
    found += [encoded(picture(5, size=(9, 5)), kind, exif=_exif(6).tobytes()) for kind in ("JPEG", "PNG", "WEBP")]
    found += [animation(kind, 3) for kind in ("GIF", "PNG", "WEBP", "TIFF", "AVIF")]
    found += [encoded(picture(6, "RGBA"), "WEBP", lossless=True), encoded(picture(6, "P"), "PNG", transparency=1)]
    found += [b"P3\n2 2\n255\n" + b"1 2 3 " * 4, b"P1\n4 2\n0 1 0 1 1 0 1 0\n", b"P5 2 2 65535\n" + b"\1\2" * 4]
    return found  # fmt: skip


SEEDS = seeds()
_NUMBERS = (0, 1, 2, 7, 8, 127, 255, 256, 4095, 32_767, 65_535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


_NEW_CHUNKS = b"tRNS", b"PLTE", b"gAMA", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"tEXt", b"pHYs", b"IEND", b"prVt"
_PACKED = {
    b"IDAT": b"",
    b"zTXt": b"k\0\0",
    b"iTXt": b"k\0\1\0\0\0",
    b"iCCP": b"k\0\0",
}  # what comes before what is packed


@st.composite
def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """Some edits anywhere: bytes, numbers of 2 or 4, pieces left out, doubled, or taken from another image."""
    out = bytearray(data)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(out) - 1)))
        how = draw(st.sampled_from(("byte", "number", "cut", "double", "insert", "other", "end")))
        size = draw(st.integers(1, 40))
        if how == "byte":
            out[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif how == "number":
            packed = struct.pack(draw(st.sampled_from(("<I", ">I"))), draw(st.sampled_from(_NUMBERS)))
            out[at : at + 4] = packed if draw(st.booleans()) else packed[:2]
        elif how == "cut":
            del out[at : at + size]
        elif how == "double":
            out[at:at] = out[at : at + size] * draw(st.integers(1, 50))
        elif how == "insert":
            out[at:at] = draw(st.binary(max_size=20))
        elif how == "other":
            other = draw(st.sampled_from(SEEDS))
            out[at:at] = other[at % len(other) :][:size]
        else:
            del out[at:]
    return bytes(out)


@st.composite
def rebuilt_png(draw: st.DrawFn) -> bytes:
    """A PNG of right check sums, with its chunks left out, doubled, moved, and with bodies and sizes of the drawer's own."""
    data = draw(st.sampled_from([seed for seed in SEEDS if seed.startswith(PNG)]))
    parts: list[tuple[bytes, bytes]] = []
    place = len(PNG)
    while place + 8 <= len(data):
        (length, kind), body = struct.unpack_from(">I4s", data, place), data[place + 8 :]
        parts.append((kind, body[:length]))
        place += 12 + length
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(parts) - 1)) if parts else 0
        how = draw(st.sampled_from(("drop", "double", "move", "header", "new", "body", "unpacks")))
        if how == "drop" and parts:
            parts.pop(at)
        elif how == "double" and parts:
            parts[at:at] = [parts[at]] * draw(st.integers(1, 30))
        elif how == "move" and parts:
            parts.insert(draw(st.integers(0, len(parts) - 1)), parts.pop(at))
        elif how == "header" and parts and parts[0][0] == b"IHDR":
            size = [draw(st.sampled_from((1, 2, 12, 500, 1_001, 60_000, 2**31 - 1))) for _ in range(2)]
            depth, colour = draw(st.sampled_from((1, 2, 4, 8, 16, 3))), draw(st.sampled_from((0, 2, 3, 4, 6, 1)))
            flags = draw(st.sampled_from(((0, 0, 0), (0, 0, 1), (1, 0, 0))))
            parts[0] = b"IHDR", struct.pack(">2I5B", *size, depth, colour, *flags)
        elif how == "new":
            kinds = (
                b"tRNS",
                b"PLTE",
                b"gAMA",
                b"iCCP",
                b"eXIf",
                b"acTL",
                b"fcTL",
                b"fdAT",
                b"tEXt",
                b"pHYs",
                b"IEND",
                b"prVt",
            )
            parts.insert(at, (draw(st.sampled_from(kinds)), draw(st.binary(max_size=40))))
        elif how == "body" and parts:
            parts[at] = parts[at][0], draw(changed(parts[at][1]))
        elif how == "unpacks":
            packed = zlib.compress(b"\0" * draw(st.sampled_from((10, 10_000, 5_000_000))))
            kind = draw(st.sampled_from((b"IDAT", b"zTXt", b"iTXt", b"iCCP")))
            parts.insert(
                at, (kind, {b"IDAT": b"", b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"iCCP": b"k\0\0"}[kind] + packed)
            )
    return PNG + b"".join(chunk(kind, body) for kind, body in parts)


@st.composite
def rebuilt_jpeg(draw: st.DrawFn) -> bytes:
    """A JPEG whose segments are left out, doubled and moved, lengths kept right."""
    data = draw(st.sampled_from([seed for seed in SEEDS if seed.startswith(b"\xff\xd8")]))
    parts, place = [], 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        length = struct.unpack_from(">H", data, place + 2)[0]
        parts.append(data[place : place + 2 + length])
        place += 2 + length
    rest = data[place:]
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(parts) - 1)) if parts else 0
        how = draw(st.sampled_from(("drop", "double", "move", "size", "new", "scans")))
        if how == "drop" and parts:
            parts.pop(at)
        elif how == "double" and parts:
            parts[at:at] = [parts[at]] * draw(st.integers(1, 200))
        elif how == "move" and parts:
            parts.insert(draw(st.integers(0, len(parts) - 1)), parts.pop(at))
        elif how == "size":
            size = struct.pack(">2H", *(draw(st.sampled_from((0, 1, 12, 999, 65_535))) for _ in range(2)))
            parts = [p[:5] + size + p[9:] if p[1] in (0xC0, 0xC1, 0xC2) else p for p in parts]
        elif how == "new":
            body = draw(
                st.sampled_from((b"", b"Exif\0\0", b"ICC_PROFILE\0\1\1", b"MPF\0", b"Adobe", b"Photoshop 3.0\0"))
            )
            body += draw(st.binary(max_size=60))
            parts.insert(at, b"\xff" + bytes([draw(st.integers(0xC0, 0xFE))]) + struct.pack(">H", len(body) + 2) + body)
        elif how == "scans":
            rest = rest[:-2] * draw(st.integers(1, 150)) + rest[-2:]
    return b"\xff\xd8" + b"".join(parts) + rest


def files() -> st.SearchStrategy[tuple[str, bytes]]:
    """A file: its name, whose ending may be wrong, and its bytes."""
    whole: Callable[[bytes], st.SearchStrategy[bytes]] = changed
    content = st.one_of(
        st.sampled_from(SEEDS).flatmap(whole),
        rebuilt_png(),
        rebuilt_jpeg(),
        rebuilt_png().flatmap(whole),
        st.binary(max_size=60),
    )
    return st.tuples(st.sampled_from([*KINDS.values(), "j", "k.txt", "=\u202e.png"]), content)
