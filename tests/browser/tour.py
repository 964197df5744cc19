"""`python -m tests.browser.tour`: the pictures of the README, made anew: the demo, started from the form of `make ui`.

Takes as long as the demo. What it shows is what anybody would see, so nothing is prepared but the images.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser import chromium
from tests.browser.pictures import PROJECT, keep
from tests.browser.prefect_pages import Form, Run, open_artifact
from tests.browser.serving import Served, lay_out, served
from tests.browser.watched import Watched

_PATIENCE = 3_600_000  # milliseconds for the demo, on a machine that has other things to do
_SIZE = {"width": 1280, "height": 960}


def main() -> None:
    """Serve, run, take the four pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.tour", description=__doc__)
    parser.add_argument("--study", default="openmoji", help="a preset of deployments/studies")
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder to work in")
    parser.add_argument("--out", type=Path, default=PROJECT / "docs" / "screenshots")
    arguments = parser.parse_args()
    lay_out(arguments.folder, contributors=())
    with served(arguments.folder) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.arguments())
        watched = Watched(browser.new_context(viewport={"width": _SIZE["width"], "height": _SIZE["height"]}))
        try:
            _take(watched.page, server, arguments.study, arguments.out)
        except BaseException:
            watched.keep(arguments.folder / "failed.png")
            raise
        finally:
            browser.close()


def _take(page: Page, server: Served, study: str, out: Path) -> None:
    form = Form(page, server.url, f"attribute/{study}")
    keep(page.screenshot(), "form", out)
    form.submit()
    run = Run(page)
    expect(run.state("Running")).to_be_visible(timeout=_PATIENCE)
    run.tab("Logs")
    run.newest_first()
    half = re.compile(r"\b(3\d of \d\d|8 of \d\d) evaluations done")  # well under way, in the demo or in a small study
    expect(page.get_by_text(half).first).to_be_visible(timeout=_PATIENCE)
    keep(page.screenshot(), "run", out)
    _wait_for_its_end(page, server, run)
    open_artifact(page, server.url, f"statement-{study}")
    expect(page.get_by_role("img").first).to_be_visible()
    without_the_address = page.screenshot(
        clip={"x": 255, "y": 130, "width": 1025, "height": 830}
    )  # it is of this machine
    keep(without_the_address, "artifacts", out)
    where = page.get_by_text("The statement, in full at").inner_text().partition("in full at ")[2].strip()
    page.goto(Path(where).as_uri())
    page.set_viewport_size({"width": 1160, "height": 1400})
    keep(page.screenshot(), "report", out)


def _wait_for_its_end(page: Page, server: Served, run: Run) -> None:
    """On an empty page: the run's own redraws its graph all the time, with the cores that the run needs."""
    page.goto("about:blank")
    while True:
        answer = page.request.get(f"{server.url}/api/flow_runs/{run.address.rpartition('/')[2]}")
        state = answer.json()["state"]
        if state["type"] == "COMPLETED":
            return
        if state["type"] in ("FAILED", "CRASHED", "CANCELLED"):
            raise RuntimeError(f"the run ended as {state['name']}: {state['message']}")
        page.wait_for_timeout(2_000)


if __name__ == "__main__":
    main()
