"""A page whose console, requests and dialogs are remembered, so that a test can ask what happened while it looked away."""

from __future__ import annotations

import urllib.parse
from pathlib import Path

from playwright.sync_api import BrowserContext, Dialog, Page, Request, Route

from infra.server import LOOPBACK


class Watched:
    """A page and what it did.

    `errors`: console errors and uncaught exceptions; `asked`: every address requested, but for data: addresses; `outside`:
    those of them on other machines (all refused, so that a test needs no network and never waits for one); `dialogs`:
    alerts that a script raised.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.outside: list[str] = []
        self.dialogs: list[str] = []
        context.route(_elsewhere, self._refuse)
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self._error(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self._error(f"uncaught: {error}"))
        self.page.on("request", self._request)
        self.page.on("dialog", self._dialog)

    def keep(self, picture: Path) -> None:
        """Write what is on the screen now, and beside it, as text, what the page did."""
        picture.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=picture)
        lines = [f"address: {self.page.url}"]
        for name in ("errors", "outside", "dialogs"):
            lines += [f"{name}: {entry}" for entry in getattr(self, name)]
        picture.with_suffix(".txt").write_text("\n".join(lines) + "\n")

    def _error(self, message: str) -> None:
        self.errors.append(message)

    def _request(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.asked.append(request.url)

    def _refuse(self, route: Route) -> None:
        self.outside.append(route.request.url)
        route.abort()

    def _dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


def _elsewhere(url: str) -> bool:
    """Whether an address is on another machine."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme not in ("file", "data", "blob", "about") and parts.hostname not in LOOPBACK
