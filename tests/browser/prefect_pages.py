"""Prefect's own pages, as a person goes through them: deployment, form, run, artifacts.

What is looked for are words on the screen and roles, as a person or a screen reader finds them. Where Prefect's pages
change, this file changes and the tests do not.
"""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tasks.study import Study

SCHEMA: dict[str, Any] = Study.model_json_schema()
SLOW = 30_000  # milliseconds for a page to come up while both cores are busy


def sections() -> dict[str, dict[str, Any]]:
    """The JSON schema of each section of the form, by its field's name: data, model, …"""
    found = {}
    for name, field in SCHEMA["properties"].items():
        reference = field.get("$ref") or next((part["$ref"] for part in field.get("allOf", []) if "$ref" in part), None)
        if reference:
            found[name] = SCHEMA["$defs"][reference.rpartition("/")[2]] | {
                key: value for key, value in field.items() if key in ("title", "description")
            }
    return found


class Form:
    """Deployments → a deployment (flow/name) → Run → Custom run."""

    def __init__(self, page: Page, url: str, deployment: str) -> None:
        self.page = page
        page.goto(f"{url}/v2/deployments")
        flow, _, name = deployment.partition("/")
        page.get_by_placeholder("Search deployments").fill(name)  # the list shows ten at a time
        # Other flows have deployments of the same name, and `attribute` is a part of `reattribute`.
        row = page.get_by_role("row").filter(has=page.get_by_text(flow, exact=True))
        row.get_by_role("link", name=name, exact=True).click(timeout=SLOW)
        page.get_by_role("button", name="Run", exact=True).click(timeout=SLOW)
        page.get_by_role("menuitem", name="Custom run").click()
        expect(page.get_by_role("heading", name="Parameters")).to_be_visible(timeout=SLOW)
        expect(self.field("name")).to_be_visible(timeout=SLOW)

    def field(self, path: str) -> Locator:
        """The box or the list of choices of a field: `name`, `execution.mode`."""
        section, _, name = path.rpartition(".")
        if not section:
            return self.page.get_by_label(_label(SCHEMA["properties"][name]["title"])).first
        schema = sections()[section]
        field = schema["properties"][name]
        if "enum" in field:
            return self.section(section).get_by_role("button", name=f"Select {field['title']}", exact=True)
        return self.section(section).get_by_label(_label(field["title"]))

    def items(self, path: str) -> Locator:
        """The boxes of a field that is a list of words: `data.only`."""
        section, _, name = path.rpartition(".")
        title = sections()[section]["properties"][name]["title"]
        return self._group(title, self.section(section)).get_by_role("textbox")

    def section(self, name: str) -> Locator:
        """A section with all its fields."""
        return self._group(str(sections()[name]["title"]), self.page.locator("form"))

    def choices(self, path: str) -> list[str]:
        """What a field lets one choose."""
        self.field(path).click()
        options = self.page.get_by_role("option")
        expect(options.first).to_be_visible()
        words = options.all_inner_texts()
        self.page.keyboard.press("Escape")
        expect(options).to_have_count(0)
        return [word.strip() for word in words]

    def choose(self, path: str, choice: str) -> None:
        """Choose it."""
        self.field(path).click()
        self.page.get_by_role("option", name=choice, exact=True).click()

    def submit(self) -> None:
        """Press the button; what follows is the caller's to look at."""
        self.page.get_by_role("button", name="Submit", exact=True).click()

    def refusal(self) -> Locator:
        """What the server says when it refuses."""
        return self.page.get_by_text("Error creating flow run")

    def _group(self, title: str, inside: Locator) -> Locator:
        # Groups lie in one another, and all of them hold the label: the last is the innermost.
        label = self.page.locator("label").filter(has_text=_label(title))
        return inside.locator("div.group").filter(has=label).last


class Run:
    """The page of a run that was just submitted."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.get_by_role("button", name="View run").or_(page.get_by_role("link", name="View run")).first.click(
            timeout=SLOW
        )
        page.wait_for_url(re.compile(r"/runs/flow-run/"), timeout=SLOW)
        self.address = page.url.partition("?")[0]

    def state(self, name: str) -> Locator:
        """The badge with the run's state, if it is `name`."""
        return self.page.get_by_text(name, exact=True).first

    def tab(self, name: str) -> None:
        """Open Logs, Artifacts, …"""
        self.page.get_by_role("tab", name=name).click(timeout=SLOW)

    def newest_first(self) -> None:
        """Turn the log round; the page keeps only those lines that are in view."""
        self.page.get_by_role("combobox").filter(has_text="Oldest to newest").click()
        self.page.get_by_role("option", name="Newest to oldest").click()


def open_artifact(page: Page, url: str, key: str) -> None:
    """From an artifact's key to the page that shows its newest version."""
    page.goto(f"{url}/v2/artifacts/key/{key}")
    page.locator("a[href*='/artifacts/artifact/']").first.click(timeout=SLOW)
    page.wait_for_url(re.compile(r"/artifacts/artifact/"), timeout=SLOW)


def _label(title: str) -> re.Pattern[str]:
    return re.compile(rf"^\s*{re.escape(title)}( \(Optional\))?\s*$")
