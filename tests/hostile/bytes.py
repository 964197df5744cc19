"""Hostile bytes of images, made by hand where no encoder would make them."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import PIL.Image

from tests.partition.conftest import encoded, picture

PNG = b"\x89PNG\r\n\x1a\n"
HONEST = encoded(picture(1))


def picture_of(number: int, side: int) -> bytes:
    """A PNG that is different for every number."""
    return encoded(picture(number, size=(side, side)))


def chunk(kind: bytes, body: bytes, length: int | None = None) -> bytes:
    """One chunk of a PNG; `length` is what it claims."""
    head = struct.pack(">I", len(body) if length is None else length)
    return head + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, rows: list[bytes], *extra: bytes) -> bytes:
    """A PNG of these packed rows, with other chunks before its pixels."""
    header = struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return PNG + chunk(b"IHDR", header) + b"".join(extra) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def png_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A few bytes that claim gigabytes."""
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return PNG + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def in_png(*extra: bytes) -> bytes:
    """The honest picture with chunks of one's own behind its header."""
    return HONEST[:33] + b"".join(extra) + HONEST[33:]


def flat(mode: str = "RGB", value: Any = "#ff0000", size: tuple[int, int] = (16, 16)) -> PIL.Image.Image:
    return PIL.Image.new(mode, size, value)


def animation(kind: str, count: int = 2) -> bytes:
    """Red first, green after that."""
    frames = [flat(), *[flat(value="#00ff00")] * (count - 1)]
    options = {"lossless": True} if kind == "WEBP" else {}
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def jpeg_of_scans(count: int, side: int = 64) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = encoded(flat("L", 128, (side, side)), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * count + data[-2:]


def jpeg_of_metadata(size: int, head: bytes = b"Exif\0\0") -> bytes:
    """A JPEG with so many bytes of EXIF, or of what begins otherwise."""
    data = encoded(flat(), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 65_535) + head + b"x" * (65_533 - len(head))
    return data[:2] + segment * (size // len(segment) + 1) + data[2:]


def gif_of_frames(count: int) -> bytes:
    """A GIF of so many more frames of one pixel each."""
    data = encoded(flat("P", 0), "GIF")
    frame = b"," + struct.pack("<4H", 0, 0, 1, 1) + b"\0" + b"\x02\x02\x44\x01\0"
    return data[:-1] + frame * count + b";"


def tiff(tags: list[tuple[int, int, int]], data: bytes, next_page: int = 0) -> bytes:
    """A little-endian TIFF of one page: (tag, type, value) each, `data` from byte 400 on."""
    page = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags
    )
    return (b"II*\0" + struct.pack("<I", 8) + page + struct.pack("<I", next_page)).ljust(400, b"\0") + data


def tiff_of_values(tag: int, kind: int, count: int, height: int = 1, order: str = "<", big: bool = False) -> bytes:
    """One column of grey pixels, with that many values of 1 in an entry of this type."""
    size = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1}[kind]
    tags = {256: 1, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 1}
    entry, number = order + ("HHQQ" if big else "HHLL"), order + ("Q" if big else "H")
    start = 16 if big else 8
    behind = start + struct.calcsize(number) + len({*tags, tag}) * struct.calcsize(entry) + (8 if big else 4)
    entries = {t: (t, 4, 1, value) for t, value in tags.items()}
    entries[tag] = tag, kind, count, behind
    front = b"II" if order == "<" else b"MM"
    head = front + (struct.pack(order + "HHHQ", 43, 8, 0, start) if big else struct.pack(order + "HL", 42, start))
    if big and order == ">":  # a number of four bytes lies at the left
        entries = {t: (*e[:3], e[3] if t == tag else e[3] << 32) for t, e in entries.items()}
    page = struct.pack(number, len(entries)) + b"".join(struct.pack(entry, *entries[t]) for t in sorted(entries))
    one = (1).to_bytes(size, "little" if order == "<" else "big")
    return head + page + struct.pack(entry[0] + entry[-1], 0) + one * count


def exif_of_orientations(count: int) -> bytes:
    """EXIF data whose orientation is so many numbers."""
    return b"II*\0" + struct.pack("<LHHHLLL", 8, 1, 274, 3, count, 26, 0) + b"\6\1" * count


def tiff_strip(unpacked: int) -> bytes:
    """One pixel, said to lie in a strip that unpacks to so many bytes."""
    data = zlib.compress(b"\0" * unpacked, 9)
    tags = [(256, 3, 1), (257, 3, 1), (258, 3, 8), (259, 3, 8), (262, 3, 1), (273, 4, 400), (277, 3, 1)]
    return tiff([*tags, (278, 4, 2**31 - 1), (279, 4, len(data))], data)


def tiff_tile(side: int) -> bytes:
    """One pixel, said to lie in a tile of side x side."""
    data = zlib.compress(b"\0" * 100_000_000, 9)
    tags = [
        (256, 3, 1),
        (257, 3, 1),
        (258, 3, 8),
        (259, 3, 8),
        (262, 3, 1),
        (277, 3, 1),
        (322, 4, side),
        (323, 4, side),
    ]
    return tiff([*tags, (324, 4, 400), (325, 4, len(data))], data)


def webp_canvas(width: int, height: int) -> bytes:
    """An animation of 16 x 16 pixels on a canvas of width x height."""
    still = encoded(flat(), "WEBP", lossless=True)[12:]
    frame = b"\0" * 6 + (15).to_bytes(3, "little") * 2 + b"\0" * 4 + still
    extended = b"\x02\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    parts = [(b"VP8X", extended), (b"ANIM", b"\0" * 6), (b"ANMF", frame)]
    body = b"WEBP" + b"".join(kind + struct.pack("<I", len(part)) + part for kind, part in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def with_size(data: bytes, box: bytes, skip: int, size: tuple[int, int]) -> bytes:
    """A file of boxes (JPEG 2000, AVIF) whose box claims another size than its pixels have."""
    at = data.index(box) + len(box) + skip
    return data[:at] + struct.pack(">2I", *size) + data[at + 8 :]


def noise(seed: int, size: int) -> bytes:
    return np.random.default_rng(seed).bytes(size)
