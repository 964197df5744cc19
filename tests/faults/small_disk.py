"""A disk that can be filled: a real file system of a few megabytes, in memory, mounted for one process and its children."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.faults.running import Run, wait_for

FILLER = "filler"


def mounting(folder: Path, megabytes: int) -> tuple[str, ...]:
    """The command under which a process has such a file system at `folder`.

    Where it is not possible the test is skipped, with the reason; but for CI, which is root: there it fails.
    """
    as_root = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    alone = ("unshare", *as_root, "--mount", "--propagation", "private", "sh", "-c")
    mount = f'mount -t tmpfs -o size={megabytes}m,mode=700 tmpfs "$0" && exec "$@"'
    try:
        subprocess.run([*alone, mount, str(folder), "true"], check=True, capture_output=True, text=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        why = f"no file system can be mounted here: {getattr(error, 'stderr', '') or error}"
        if os.environ.get("CI") == "true" and as_root == ():
            pytest.fail(why)
        pytest.skip(why)
    return (*alone, mount, str(folder))


class SmallDisk:
    """Such a file system as seen from outside.

    Args:
        process: that has it mounted.
    """

    def __init__(self, process: int, folder: Path) -> None:
        self.seen_at = Path(f"/proc/{process}/root{folder}")

    def fill_until(self, run: Run) -> None:
        """Take every byte that is free or becomes free, until the run has ended."""
        with open(self.seen_at / FILLER, "ab", buffering=0) as filler:

            def full_and_ended() -> bool:
                for size in (2**20, 2**12, 1):
                    try:
                        while filler.write(bytes(size)) == size:
                            pass
                    except OSError:
                        continue
                return run.ended

            wait_for(full_and_ended, what="the end of the run on a full disk")

    def make_room(self) -> None:
        (self.seen_at / FILLER).unlink()

    def copy(self, target: Path) -> Path:
        """What lies there, in a folder that needs no process to be seen."""
        shutil.copytree(self.seen_at, target, ignore=shutil.ignore_patterns(FILLER))
        return target


def look_anew_for_temporary_files() -> None:
    """In a forked run: their folder, which Python looks for once in a process, and not where it finds no room just then."""
    tempfile.tempdir = None
    tempfile.gettempdir()
