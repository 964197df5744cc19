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
MOST_EXIF = 2**20  # bytes; Pillow makes a Python number of each that it holds
MOST_CHUNKS = 10_000  # of a PNG, beside those of pixels
MOST_PIXEL_CHUNKS = 1_000_000
MOST_TEXT = 32 * 2**20  # bytes of a format that is decoded in Python, some MB a second
MOST_VALUES = 200_000  # of one entry of a TIFF; a transfer function of 16 bits has 196,608
MOST_ENTRIES = 10_000  # of a TIFF
_LONGEST_HEADER = 2**16  # bytes of a PPM before its pixels

_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]", re.DOTALL)  # one that a length follows, but for those two:
_START, _END, _SCAN, _EXIF = 0xD8, 0xD9, 0xDA, 0xE1
_PNG = b"\x89PNG\r\n\x1a\n"
_OF_PIXELS = (b"IDAT", b"fdAT", b"fcTL")
_COMMENT = re.compile(rb"#[^\r\n]*[\r\n]?")  # Pillow goes on behind its end, with the same word
_PPM_MAGIC = re.compile(rb"\S{1,6}")
_TIFF = (b"II*\0", b"MM\0*", b"MM*\0", b"II\0*", b"MM\0+", b"II+\0")  # all that Pillow takes for one
# Bytes of a value, by its type.
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_KEPT_AS_BYTES = (1, 2, 7)  # not the signed bytes of type 6: Pillow makes numbers of them
_PLACES = (273, 324)  # of strips and tiles: Pillow makes an object of each, whatever their type


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
    elif re.match(rb"P[0-6fy]", data):  # as Pillow does, which then reads on
        walk = _ppm
    elif data.startswith(_TIFF):
        walk = _tiff
    return walk(data) if walk else None


def _jpeg(data: bytes) -> str | None:
    """SOI, then segments with their lengths; after the header of a scan follow its bits, up to the next marker."""
    place, scans, metadata, exif = 2, 0, 0, 0
    while found := _MARKER.search(data, place):
        kind, place = data[found.end() - 1], found.end()
        if kind == _END:
            break
        if kind == _START or place + 2 > len(data):
            continue
        length = struct.unpack_from(">H", data, place)[0]
        if kind == _EXIF and data.startswith(b"Exif\0\0", place + 2):
            exif += length  # Pillow puts them together
        place += max(2, length)
        scans += kind == _SCAN
        metadata += length if kind >= 0xE0 else 0  # APP0 to APP15, comments
        if scans > MOST_SCANS:
            return f"holds more than {MOST_SCANS} scans, each of which goes over all its pixels"
        if metadata > MOST_METADATA:
            return f"holds more than {MOST_METADATA:,} bytes of metadata"
        if exif > MOST_EXIF:
            return f"holds more than {MOST_EXIF:,} bytes of EXIF"
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
    magic = _PPM_MAGIC.match(data)
    head = _COMMENT.sub(b"", data[magic.end() if magic else 0 : _LONGEST_HEADER])
    more = 1 if data[1:2] in b"14" else 2  # numbers behind the first: the height, and mostly what is white
    if not re.match(rb"\s*(\S+\s+){%d}\S+\s" % more, head) and len(data) > _LONGEST_HEADER:
        return f"has a header of more than {_LONGEST_HEADER:,} bytes"
    if data[1:2] in b"123" and len(data) > MOST_TEXT:
        return f"writes its pixels as text of more than {MOST_TEXT:,} bytes"
    return None


def _tiff(data: bytes) -> str | None:
    order = "<" if data.startswith(b"II") else ">"
    # Both ways where Pillow takes a BigTIFF of the other byte order for a small one.
    ways = (_page(data, order, big) for big in {data[2] == 43, 43 in data[2:4]})
    return next((found for found in ways if found), None)


def _page(data: bytes, order: str, big: bool) -> str | None:
    """The first page's entries: no other is looked at, here or by Pillow."""
    number = struct.Struct(order + ("Q" if big else "H"))
    entry = struct.Struct(order + ("HHQ8x" if big else "HHL4x"))
    try:
        (place,) = struct.unpack_from(order + ("Q" if big else "L"), data, 8 if big else 4)
        (entries,) = number.unpack_from(data, min(place, len(data)))
    except struct.error:
        return None  # cut off
    if entries > MOST_ENTRIES and entries * entry.size <= len(data):
        return f"has a page of more than {MOST_ENTRIES:,} entries"
    place += number.size
    whole = min(entries, (len(data) - place) // entry.size)
    for tag, kind, values in entry.iter_unpack(memoryview(data)[place : place + whole * entry.size]):
        if values <= MOST_VALUES or kind not in _BYTES or values * _BYTES[kind] > len(data):
            continue  # of the last two Pillow reads nothing
        if tag in _PLACES or kind not in _KEPT_AS_BYTES:
            return f"has an entry (tag {tag}) of more than {MOST_VALUES:,} numbers"
    return None
