"""A real browser, and a Prefect server with `attribute` served, for the tests of what people see.

The browser and the server end with the last test of this folder: Playwright keeps an event loop running in this thread,
beside which other tests could not call `asyncio.run`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser import chromium
from tests.browser.pictures import folder
from tests.browser.serving import Served, lay_out, served
from tests.browser.watched import Watched
from tests.small import DESIGNERS

HOSTILE = '<img src=x onerror="alert(1)">'  # what one of the contributors is called
RENAMED = DESIGNERS[-1]
_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Remember for the page fixture whether the test failed."""
    report: pytest.TestReport = yield  # type: ignore[assignment]  # a wrapper's yield gives the hook's result
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report  # type: ignore[return-value]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Headless Chromium with a fresh profile."""
    path = chromium.find()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=chromium.arguments())
        yield opened
        opened.close()


@pytest.fixture
def watched(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A page of its own for each test; if the test fails, its picture and what the page did are kept."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(20_000)
    page = Watched(context)
    yield page
    picture = folder() / "failed" / f"{re.sub(r'[^a-zA-Z0-9-]+', '-', request.node.name)}.png"
    for old in (picture, picture.with_suffix(".txt")):
        old.unlink(missing_ok=True)
    if request.node.stash.get(_FAILED, False):
        page.keep(picture)
        print(f"what was on the page: {picture}, and beside it what the page did")
    context.close()


@pytest.fixture(scope="package")
def prefect_ui(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`make ui` on four contributors' images, one of whom has a hostile name. Asks for the browser first: without one
    there is nothing to start."""
    place: Path = tmp_path_factory.mktemp("ui")
    lay_out(place, rename={RENAMED: HOSTILE})
    with served(place) as server:
        yield server
