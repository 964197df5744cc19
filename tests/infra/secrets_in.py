"""Passwords and keys that stand in a file in clear."""

from __future__ import annotations

import re
from typing import Any

# A setting whose name says that it is secret; `..._secret` names where one lies, `secretKeyRef` and its like too.
_SECRET = re.compile(
    r"(password|passwd|auth_?string|secret_key|secret_?access_?key|access_key|token|api_?key|connection_?(url|string))$",
    re.I,
)
# A value that only says where the secret comes from, or that there is none.
_REFERENCE = re.compile(r"\$\{\w+(:\?[^}]*)?\}|\{\{ \w+ \}\}|")
# A user and a password in an address, and the shape of an AWS key.
_CLEAR = re.compile(r"://[^/\s:@{$]+:[^/\s@{$]+@|\bAKIA[0-9A-Z]{16}\b")


def literal_secrets(document: Any, path: str = "") -> list[str]:
    """Dotted paths of what looks like a secret in clear in a parsed YAML or JSON document."""
    if isinstance(document, dict):
        found = []
        for name, value in document.items():
            here = f"{path}.{name}".lstrip(".")
            if _SECRET.search(str(name)) and isinstance(value, str | int) and not _harmless(value):
                found.append(here)
            found += literal_secrets(value, here)
        return found
    if isinstance(document, list):
        # Kubernetes writes settings as {name: …, value: …}, compose also as NAME=value.
        found = []
        for number, each in enumerate(document):
            here = f"{path}[{number}]"
            if (
                isinstance(each, dict)
                and _SECRET.search(str(each.get("name", "")))
                and not _harmless(each.get("value"))
            ):
                found.append(here)
            if isinstance(each, str) and "=" in each:
                name, _, value = each.partition("=")
                if _SECRET.search(name) and not _harmless(value):
                    found.append(here)
            found += literal_secrets(each, here)
        return found
    return [path] if isinstance(document, str) and _CLEAR.search(document) else []


def _harmless(value: Any) -> bool:
    return value is None or isinstance(value, bool) or _REFERENCE.fullmatch(str(value)) is not None
