"""In a terminal an error for people stands alone; one that nobody foresaw keeps its traceback, and the UI has both."""

import logging
import sys
import textwrap
from collections.abc import Callable

import pytest

from flows.command import LOGGING
from infra.addresses import without_secret
from infra.console import Brief
from infra.store import StoreError
from tasks.evaluate.failures import TooManyFailures
from tasks.partition import DataError


def record_of(error: Exception | Callable[[], object]) -> logging.LogRecord:
    try:
        if isinstance(error, Exception):
            raise error
        error()
        raise AssertionError("nothing was raised")
    except Exception:
        return logging.LogRecord("prefect.flow_runs", logging.ERROR, __file__, 1, "it failed", None, sys.exc_info())


@pytest.mark.parametrize("kind", [DataError, StoreError, TooManyFailures])
def test_an_error_of_ours_is_said_without_a_traceback_and_other_handlers_still_have_it(kind: type[Exception]) -> None:
    record = record_of(kind("a/2.png is not there"))
    assert Brief("%(message)s", flow_run_fmt="%(message)s").format(record) == "it failed"
    assert "Traceback" in logging.Formatter("%(message)s").format(record)
    # Whoever formatted it first has left the traceback in it.
    assert Brief("%(message)s", flow_run_fmt="%(message)s").format(record) == "it failed"


@pytest.mark.parametrize("error", [ValueError("shapes differ"), KeyError("x"), RuntimeError("CUDA error")])
def test_an_error_that_nobody_foresaw_keeps_its_traceback(error: Exception) -> None:
    said = Brief("%(message)s", flow_run_fmt="%(message)s").format(record_of(error))
    assert said.startswith("it failed\nTraceback") and repr(error).partition("(")[0] in said


def test_a_value_error_is_for_people_only_if_we_raised_it() -> None:
    brief = Brief("%(message)s", flow_run_fmt="%(message)s")
    assert brief.format(record_of(lambda: without_secret("s3://me:secret@host/bucket"))) == "it failed"
    # int() in a line of ours, and a library's own raise: nobody wrote them for a person.
    assert "Traceback" in brief.format(record_of(lambda: exec("int('x')", {"__name__": "tasks.lines"})))
    assert "Traceback" in brief.format(record_of(lambda: textwrap.wrap("x", 0)))


def test_what_is_no_error_is_said_as_it_is() -> None:
    record = logging.LogRecord("prefect.flow_runs", logging.INFO, __file__, 1, "%d left", (3,), None)
    assert Brief("%(message)s", flow_run_fmt="run: %(message)s").format(record) == "run: 3 left"


def test_flows_are_started_with_it() -> None:
    assert LOGGING["PREFECT_LOGGING_FORMATTERS_STANDARD_"] == f"{Brief.__module__}.{Brief.__name__}"
