"""The browser that the tests drive: the system's Chromium, headless, with no traffic of its own.

Playwright's own browsers are not downloaded. Where there is no Chromium the tests are skipped and say what to install; in
CI that would hide that nothing was seen working, so there it is a failure.
"""

from __future__ import annotations

import os
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = (
    f"no Chromium on PATH (looked for {', '.join(NAMES)}): nothing was looked at in a browser. Install it: on Debian and "
    "Ubuntu `apt-get install chromium`, or run `make test-browser` as root, which does it"
)
_QUIET = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def find() -> str:
    """The path of Chromium. Skips the test that asks where there is none, and fails it in CI."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(MISSING, pytrace=False)
    pytest.skip(MISSING)


def arguments() -> list[str]:
    """How to start it; root has no sandbox to put it in."""
    return [*_QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
