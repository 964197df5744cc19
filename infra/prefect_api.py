"""Asking a Prefect server that may be away for a while: it is restarted, or the network is; the runs go on without it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from infra import patience as asking

T = TypeVar("T")

# What a request raises that was not answered, or refused. A gateway answers with a page while the server behind it starts.
UNANSWERED = (httpx.TransportError, PrefectHTTPStatusError, json.JSONDecodeError)
LATER = (408, 429)  # refused for now: it took too long, there were too many
BRIEF = 2  # times that Prefect's client asks again, within seconds, where whoever asks is patient in their own way


@contextlib.contextmanager
def briefly() -> Iterator[None]:
    """Requests in this block are not asked again for the many minutes for which a flow's client does so."""
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: BRIEF}):
        yield


def show(call: Callable[[], object], what: str, warn: Callable[[str], None]) -> None:
    """Make something that people see in the Prefect UI. It is no reason to lose the work that it shows.

    Args:
        call: makes the artifact.
        what: names it, for the warning if Prefect does not take it.
    """
    try:
        call()
    except UNANSWERED as error:
        warn(f"{what} is not in the Prefect UI: {type(error).__name__}: {error}")


def client() -> SyncPrefectClient:
    """A client of the server of PREFECT_API_URL; use it as a context manager."""
    return get_client(sync_client=True)


def patiently(call: Callable[[], T], say: Callable[[str], None], patience: float) -> T:
    """What a request gives; asked again, ever more slowly, while the server does not answer.

    Args:
        call: makes the request. It may be made more than once: what creates something needs an idempotency key.
        patience: seconds for which the server may be away.

    Raises:
        httpx.TransportError, PrefectHTTPStatusError: when patience is spent, or at once if the server refuses (4xx).
        JSONDecodeError: if what answers for so long is no Prefect server.
    """

    def ask() -> T:
        with briefly():  # so that `say` is told, however patient the client is
            return call()

    return asking.patiently(ask, _passes, say, "the Prefect server", patience)


def is_answer(error: Exception) -> bool:
    """Whether the server itself said this: it is there."""
    return isinstance(error, PrefectHTTPStatusError) and error.response.status_code < 500


def _passes(error: Exception) -> bool:
    if is_answer(error):
        assert isinstance(error, PrefectHTTPStatusError)
        return error.response.status_code in LATER
    return isinstance(error, UNANSWERED)
