"""Tells a Prefect server that somebody handed something in: the event `contributor.joined`, on which `reattribute` wakes.

    POST {PREFECT_API_URL}/events    with PREFECT_API_AUTH_STRING or PREFECT_API_KEY, as Prefect's own clients send them

It is a plain request, so that whoever hands in needs no Prefect. An event that is lost costs time only: the schedule of
`reattribute` finds the upload too.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from uuid import uuid4

from infra.names import key_part
from infra.uploads import Upload

JOINED = "contributor.joined"
PATIENCE = 20.0  # seconds for an answer


class NotAnnounced(RuntimeError):
    """Nobody was told; the message says why."""


def event_of(upload: Upload) -> dict[str, Any]:
    """The event for an upload; each call makes a new one."""
    return {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": JOINED,
        "resource": {
            "prefect.resource.id": f"contributor.{key_part(upload.contributor)}",
            "prefect.resource.name": upload.contributor,
            "credit.collection": upload.collection,
        },
        "payload": {
            "contributor": upload.contributor,
            "collection": upload.collection,
            "upload": upload.digest,
            "files": len(upload.files),
        },
    }


def announce(upload: Upload, settings: Mapping[str, str] = os.environ) -> str:
    """Send the event to the Prefect API that the environment names. Returns its address.

    Raises:
        NotAnnounced: if no API is named, it does not answer, or it refuses.
    """
    api = settings.get("PREFECT_API_URL", "").rstrip("/")
    if not api:
        raise NotAnnounced("PREFECT_API_URL is not set")
    if not api.startswith(("http://", "https://")):
        raise NotAnnounced(f"PREFECT_API_URL is no address of an API: {api}")
    headers = {"Content-Type": "application/json"} | _who(settings)
    data = json.dumps([event_of(upload)]).encode()
    try:
        request = urllib.request.Request(f"{api}/events", data, headers, method="POST")
        with urllib.request.urlopen(request, timeout=PATIENCE):
            return api
    except urllib.error.HTTPError as error:
        hint = "; set PREFECT_API_AUTH_STRING as its server has it" if error.code in (401, 403) else ""
        raise NotAnnounced(f"the Prefect API at {api} refused: {error.code} {error.reason}{hint}") from error
    except (OSError, HTTPException, ValueError) as error:  # URLError is an OSError; ValueError: an address that is none
        reason = getattr(error, "reason", error)
        raise NotAnnounced(f"the Prefect API at {api} does not answer: {reason}") from error


def _who(settings: Mapping[str, str]) -> dict[str, str]:
    """Who asks, in the order in which Prefect's own clients look."""
    if secret := settings.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}
    if key := settings.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    return {}
