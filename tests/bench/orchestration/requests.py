"""How often this process asks the Prefect API: every request of every HTTP client in it."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Any

import httpx

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
_AT: list[tuple[float, str]] = []


def count() -> None:
    """Count from now on."""
    once, alone = httpx.Client.send, httpx.AsyncClient.send

    def send(self: httpx.Client, request: httpx.Request, **how: Any) -> httpx.Response:
        _note(request)
        return once(self, request, **how)

    async def send_alone(self: httpx.AsyncClient, request: httpx.Request, **how: Any) -> httpx.Response:
        _note(request)
        return await alone(self, request, **how)

    httpx.Client.send, httpx.AsyncClient.send = send, send_alone  # type: ignore[method-assign]


def _note(request: httpx.Request) -> None:
    _AT.append((time.monotonic(), f"{request.method} {_ID.sub('…', request.url.path)}"))


def counted(since: float, window: float = 10.0) -> dict[str, Any]:
    """How many there were since then (`time.monotonic`), the most in a second, averaged over `window` seconds, and of which
    kind."""
    times = sorted(at for at, _ in _AT if at >= since)
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] > window:
            first += 1
        most = max(most, last - first + 1)
    kinds = Counter(kind for at, kind in _AT if at >= since)
    return {"requests": len(times), "most_a_second": most / window, "kinds": dict(kinds.most_common())}
