"""What each role may do in a store's bucket, as AWS policy documents: least privilege, in the JSON files beside this one.

    worker      evaluates coalitions, and makes an epoch's models: trains, samples, scores, adds to the ledger
    publisher   runs studies: freezes data and epochs, sends work, publishes statements
    keeper      keeps house and carries out opt-outs: removes weights, images and uploads
    reader      reads statements
    uploader    hands in, for one contributor and one collection

Who runs a study on one machine, without a work pool, is worker and publisher. `{bucket}`, `{prefix}`, `{collection}` and
`{contributor}` are filled in by `policy`; docs/security.md says what each role is trusted with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.names import key_part, one_spelling, refused_contributor

FOLDER = Path(__file__).parent
ROLES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))
UPLOADER = "uploader"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]*/)*")  # no '*', '?' or '$': a policy would take them for patterns
_COLLECTION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class PolicyError(ValueError):
    """No policy can be made of what was asked for; names the argument."""


def policy(roles: Sequence[str], store: str, *, collection: str = "", contributor: str = "") -> dict[str, Any]:
    """The policy document of somebody who has these roles, to be attached to a user or an IAM role.

    Args:
        store: as CREDIT_STORE, s3://bucket or s3://bucket/prefix.
        collection, contributor: of an uploader. The contributor's name as they hand in with it.

    Raises:
        PolicyError: if there is no such role, the store is no bucket, or an uploader's own is not said or is no name.
    """
    if unknown := [role for role in roles if role not in ROLES]:
        raise PolicyError(f"there is no role {unknown[0]!r}: {', '.join(ROLES)}")
    if not roles:
        raise PolicyError(f"no role was asked for: {', '.join(ROLES)}")
    bucket, prefix = _place(store)
    values = {"bucket": bucket, "prefix": prefix}
    if UPLOADER in roles:
        if not _COLLECTION.fullmatch(collection):
            raise PolicyError(f"--collection {collection[:80]!r} is none: lower-case letters, digits and dashes")
        name = one_spelling(contributor).strip()
        if reason := refused_contributor(name):
            raise PolicyError(f"--contributor {name[:80]!r} {reason}")
        values |= {"collection": collection, "contributor": key_part(name)}
    statements: list[Any] = []
    for role in dict.fromkeys(roles):
        document = json.loads((FOLDER / f"{role}.json").read_text(encoding="utf-8"))
        statements += _filled(document["Statement"], values)
    return {"Version": "2012-10-17", "Statement": statements}


def _place(store: str) -> tuple[str, str]:
    scheme, _, rest = store.partition("://")
    bucket, _, prefix = rest.partition("/")
    prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    if scheme != "s3" or not _BUCKET.fullmatch(bucket):
        raise PolicyError(f"--store {store[:200]!r} is not s3://bucket or s3://bucket/prefix")
    if not _PREFIX.fullmatch(prefix):
        raise PolicyError(f"--store {store[:200]!r}: the prefix may have letters, digits, '.', '_', '-' and '/' only")
    return bucket, prefix


def _filled(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, values) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    return value.format(**values) if isinstance(value, str) else value
