"""What of an untrusted image file would make its decoder work without end, found by walking its parts before it is decoded.

A decoder's time and memory are bounded by the size of the image, which is checked elsewhere, and by the length of the file;
but not where a few bytes stand for much work (a JPEG of thousands of scans goes over all its pixels for each of them), and
not where the work is done piece by piece in Python. Every walk here is linear in the file's length and copies nothing.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

MOST_SCANS = 100  # of a JPEG; encoders make about ten
MOST_METADATA = 16 * 2**20  # bytes beside the pixels of a JPEG: profiles, EXIF, comments
MOST_CHUNKS = 10_000  # of a PNG, beside those of pixels
MOST_PIXEL_CHUNKS = 1_000_000
MOST_TEXT = 32 * 2**20  # bytes of a format that is decoded in Python, some MB a second
_LONGEST_HEADER = 2**16  # bytes of a PPM before its pixels

_MARKER = re.compile(rb"\xff+[^\x00\x01\xd0-\xd7\xff]", re.DOTALL)  # one that a length follows, but for those two:
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_PNG = b"\x89PNG\r\n\x1a\n"
_OF_PIXELS = (b"IDAT", b"fdAT", b"fcTL")
_COMMENT = re.compile(rb"#[^\r\n]*")


def overload(data: bytes) -> str | None:
    """What makes the file too much work, as the end of the sentence "the file …"; None if nothing does.

    Says nothing about whether it is an image at all.
    """
    walk: Callable[[bytes], str | None] | None = None
    if data.startswith(b"\xff\xd8"):
        walk = _jpeg
    elif data.startswith(_PNG):
        walk = _png
    elif data.startswith(b"BM"):
        walk = _bmp
    elif re.match(rb"P[1-6]\s", data):
        walk = _ppm
    return walk(data) if walk else None


def _jpeg(data: bytes) -> str | None:
    """SOI, then segments with their lengths; after the header of a scan follow its bits, up to the next marker."""
    place, scans, metadata = 2, 0, 0
    while found := _MARKER.search(data, place):
        kind, place = data[found.end() - 1], found.end()
        if kind == _END:
            break
        if kind == _START or place + 2 > len(data):
            continue
        length = struct.unpack_from(">H", data, place)[0]
        place += max(2, length)
        scans += kind == _SCAN
        metadata += length if kind >= 0xE0 else 0  # APP0 to APP15, comments
        if scans > MOST_SCANS:
            return f"holds more than {MOST_SCANS} scans, each of which goes over all its pixels"
        if metadata > MOST_METADATA:
            return f"holds more than {MOST_METADATA:,} bytes of metadata"
    return None


def _png(data: bytes) -> str | None:
    place, others, of_pixels = len(_PNG), 0, 0
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        place += 12 + length
        if kind == b"IEND":
            break
        if kind in _OF_PIXELS:
            of_pixels += 1
        else:
            others += 1
        if others > MOST_CHUNKS or of_pixels > MOST_PIXEL_CHUNKS:
            return f"is made of more than {MOST_CHUNKS if others > MOST_CHUNKS else MOST_PIXEL_CHUNKS:,} chunks"
    return None


def _bmp(data: bytes) -> str | None:
    if len(data) > MOST_TEXT and len(data) >= 34 and struct.unpack_from("<I", data, 30)[0] in (1, 2):
        return f"is a run-length encoded bitmap of more than {MOST_TEXT:,} bytes"
    return None


def _ppm(data: bytes) -> str | None:
    head = data[:_LONGEST_HEADER]
    if len(_COMMENT.sub(b" ", head).split(None, 4)) < 4 and len(data) > _LONGEST_HEADER:
        return f"has a header of more than {_LONGEST_HEADER:,} bytes"
    if data[1:2] in b"123" and len(data) > MOST_TEXT:
        return f"writes its pixels as text of more than {MOST_TEXT:,} bytes"
    return None
