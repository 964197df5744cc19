"""A data folder as an attacker would fill it: hostile names, prompts, files and pixels, beside those of honest people."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from infra.names import one_spelling, refused_contributor
from tests.hostile.bytes import HONEST, animation, chunk, picture_of, png_bomb

FORGED = "FORGED-LINE"  # what no line of output may begin with
# Names that are allowed, because they may be people's; each would do harm in some place where names are shown.
ALLOWED = (
    "=cmd|' C calc'!A0",
    "\uff1d1+1",
    "<img src=x onerror=alert(1)>",
    "a|b `c` [d](javascript:alert(1)) **x** {{7*7}} ${7*7}",
    one_spelling("Z" + "\u0301\u0302\u0303\u0304" * 20),
    "Emily J\u00e4ger",
    "Emily J\u00e4g\u0435r",  # the second e is Cyrillic
)
REFUSED = (
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\Windows\\NUL",
    f"two\n{FORGED} lines",
    f"two\r{FORGED} lines",
    "\x1b[31mred\x1b[2J",
    "nul\0",
    "\u202egnp.exe",
    "\u2066isolated",
    "half \ud800 a pair",
    "x" * 10_000,
    "\u200b",
    "line\u2028separator",
)
PROMPTS = (
    "<script>alert(1)</script>",
    f"a red\n{FORGED} circle",
    "\x1b]0;title\x07a blue square",
    "=cmd|' /C calc'!A0",
    "\u202eright to left",
    "../../../etc/passwd",
    "w" * 999,
    "Z" + "\u0301" * 500,
    '"}],"files":[]',
)
BAD_PROMPTS = ("p" * 10_001, "half \udfff a pair", "\u200b\u200b", "", 7)
# Names of files that are on disk and in the table.
FILES = (
    "=1+1.png",
    "-rf.png",
    "<script>alert(2)<.png",
    "a|b`c`[d](e).png",
    "CON.png",
    "aux.png",
    "trailing. .png",
    "\u202egnp.exe.png",
    "Z" + "\u0301" * 100 + ".png",
    "n" * 251 + ".png",
)
# On disk; the table cannot name them.
UNNAMED = (f"two\n{FORGED} lines.png", "\x1b[31mred.png", "back\\slash.png", os.fsdecode(b"not \xff unicode.png"))
# In the table; nothing lies there, or nothing that may be read.
PATHS = (
    "../outside.png",
    "/etc/passwd",
    "C:/Windows/x.png",
    "..\\outside.png",
    "~/x.png",
    "file:///etc/passwd",
    "a/../../outside.png",
    "nul\0.png",
    f"{FORGED}\n.png",
    "d" * 10_000,
    "CON",
    "\ud800.png",
)


def fill(folder: Path, side: int = 16) -> dict[str, int]:
    """Write it. Returns how many files and rows there are that must each be used or reported.

    Outside of the folder lies a picture `outside.png` that nobody may read.
    """
    folder.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    number = 0

    def add(name: str, owner: Any, content: bytes | None = None, prompt: Any = "a red circle") -> None:
        nonlocal number
        number += 1
        (folder / name).write_bytes(picture_of(number, side) if content is None else content)
        rows.append({"file_name": name, "contributor": owner, "prompt": prompt, "date": "2024-01-01"})

    for owner in ALLOWED:
        for i in range(8):
            add(f"allowed{ALLOWED.index(owner)}-{i}.png", owner, prompt=PROMPTS[i % len(PROMPTS)])
    for i, owner in enumerate(REFUSED):
        add(f"refused{i}.png", owner)
    for i, prompt in enumerate(BAD_PROMPTS):
        add(f"prompt{i}.png", ALLOWED[0], prompt=prompt)
    for name in FILES:
        add(name, ALLOWED[1])
    for i, content in enumerate(HOSTILE_CONTENT):
        add(f"content{i}.png", ALLOWED[2], content)
    for i, odd in enumerate((7.5, None, ["list"], {"a": 1}, f"{ALLOWED[0]}:0.5;{REFUSED[0]}:0.5", "a:nan", "b:2")):
        add(f"owner{i}.png", odd)
    for name in UNNAMED:
        (folder / name).write_bytes(picture_of(number := number + 1, side))
    for path in PATHS:
        rows.append({"file_name": path, "contributor": ALLOWED[3], "prompt": "x"})
    (folder.parent / "outside.png").write_bytes(picture_of(9_999, side))
    links(folder, rows)
    (folder / "ATTRIBUTION.txt").write_text(
        f"<script>alert(3)</script>\n{FORGED} \u202e [x](javascript:alert(4))\x1b[0m"
    )
    (folder / "metadata.jsonl").write_text("\n".join([json.dumps(row) for row in rows] + ["not json \x1b[31m", "[]"]))
    return {"rows": len(rows), "files": len(list(folder.iterdir()))}


def links(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Links, pipes, sockets and devices that are pictures by name."""
    (folder / "link-out.png").symlink_to(folder.parent / "outside.png")
    (folder / "link-folder").symlink_to(folder.parent)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "device.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.png")
    bound = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(folder)  # a socket's address may have a hundred characters
    try:
        bound.bind("socket.png")
    finally:
        os.chdir(here)
        bound.close()
    for name in ("link-out.png", "link-folder/outside.png", "loop.png", "device.png", "pipe.png", "socket.png"):
        rows.append({"file_name": name, "contributor": ALLOWED[3], "prompt": "x"})


HOSTILE_CONTENT = (
    b"",
    b"<script>alert(5)</script>",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    HONEST[: len(HONEST) // 2],
    png_bomb(),
    HONEST.replace(b"IEND", b"IEND") + b"PK\x03\x04<script>alert(6)</script>",
    HONEST[:33] + chunk(b"tEXt", b"Comment\0<script>alert(7)</script>") + HONEST[33:],
    animation("GIF"),
)

assert all(refused_contributor(name) is None for name in ALLOWED) and all(map(refused_contributor, REFUSED))
