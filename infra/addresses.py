"""Addresses that people give: none may hold a secret, for they stand in forms, logs, records and statements."""

from __future__ import annotations

import re
import urllib.parse

# Queries that let in whoever has the address: presigned S3, Google and Azure addresses, tokens.
_LETS_IN = re.compile(
    r"(^|[&;])(x-amz-signature|x-goog-signature|signature|sig|token|access_token|api_key)=", re.IGNORECASE
)


def holds_secret(url: str) -> str:
    """Which part of an address may hold a secret, in words; empty where none does.

    fsspec chains addresses with "::", and writes a repository's revision as github://owner:name@revision.
    """
    for each in url.split("::"):
        scheme, separator, rest = each.partition("://")
        if not separator:
            continue
        if "@" in re.split(r"[/?#]", rest, maxsplit=1)[0] and scheme != "github":
            return "an '@' before its host, where a name and a password stand"
        if _LETS_IN.search(urllib.parse.urlsplit(each).query):
            return "a signature or a token in its query"
    return ""


def without_secret(url: str) -> str:
    """The address itself. Raises ValueError, which does not repeat it, if it may hold a secret."""
    if where := holds_secret(url):
        raise ValueError(
            f"the address holds {where}, and everybody who sees the form, a log or a statement would read it; give it "
            "without, and the credentials in the environment (docs/storage.md)"
        )
    return url
