"""The browser and the watched pages of tests/browser, for the reports of hostile data."""

from tests.browser.conftest import browser, pytest_runtest_makereport, watched, watched_page

__all__ = ["browser", "pytest_runtest_makereport", "watched", "watched_page"]
