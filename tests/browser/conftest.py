"""A real browser, and a Prefect server with `attribute` served, for the tests of what people see.

The browser and the server end with the last test of this folder: Playwright keeps an event loop running in this thread,
beside which other tests could not call `asyncio.run`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
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
def watched_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Watched]]:
    """Opens pages that share nothing with one another: what one of them left unfinished is not heard of in the next.

    The argument is a word for what is looked at there. If the test fails, the pictures of its pages and what they did are
    kept.
    """
    with contextlib.ExitStack() as contexts:
        pages: dict[str, Watched] = {}

        def opened(what: str) -> Watched:
            context = contexts.enter_context(browser.new_context(viewport={"width": 1280, "height": 900}))
            context.set_default_timeout(20_000)
            pages[what] = Watched(context)
            return pages[what]

        yield opened
        for what, page in pages.items():
            picture = folder() / "failed" / f"{re.sub(r'[^a-zA-Z0-9-]+', '-', f'{request.node.name}-{what}')}.png"
            for old in (picture, picture.with_suffix(".txt")):
                old.unlink(missing_ok=True)
            if request.node.stash.get(_FAILED, False):
                page.keep(picture)
                print(f"what was on the page: {picture}, and beside it what the page did")


@pytest.fixture
def watched(watched_page: Callable[[str], Watched]) -> Watched:
    """A page of its own for each test."""
    return watched_page("page")


@pytest.fixture(scope="package")
def prefect_ui(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`make ui` on four contributors' images, one of whom has a hostile name. Asks for the browser first: without one
    there is nothing to start."""
    place: Path = tmp_path_factory.mktemp("ui")
    lay_out(place, rename={RENAMED: HOSTILE})
    with served(place) as server:
        yield server
