"""Asking a Prefect server that may be away for a while: it is restarted, or the network is; the runs go on without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError

from infra import patience as asking

T = TypeVar("T")

UNANSWERED = (httpx.TransportError, PrefectHTTPStatusError)  # what a request raises that was not answered, or refused


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
    """
    return asking.patiently(call, _passes, say, "the Prefect server", patience)


def _passes(error: Exception) -> bool:
    refused = isinstance(error, PrefectHTTPStatusError) and error.response.status_code < 500
    return isinstance(error, UNANSWERED) and not refused
