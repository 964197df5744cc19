"""The files of a statement, as bytes: what is stored is decided elsewhere."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.publish.audit import audit_manifest
from tasks.publish.report import report_html
from tasks.publish.since import since_manifest
from tasks.publish.tables import credits_csv, credits_table, evaluations_parquet, notes, parquet
from tasks.publish.types import StatementData


def statement_files(data: StatementData) -> dict[str, bytes]:
    """Name → content: credits.parquet, credits.csv, evaluations.parquet, report.html, and manifest.json last.

    The manifest names the sha256 of each of the others, so it must be written last: where it is, all is.
    """
    files = {
        "credits.parquet": parquet(credits_table(data)),
        "credits.csv": credits_csv(data),
        "evaluations.parquet": evaluations_parquet(data),
        "report.html": report_html(data),
    }
    return files | {"manifest.json": manifest_json(data, files)}


def manifest_json(data: StatementData, files: Mapping[str, bytes]) -> bytes:
    """What the statement rests on, for machines: keys sorted, two blanks of indent, UTF-8, no NaN."""
    manifest = dict(data.manifest) | {
        "run": data.run,
        "created": data.created,
        "study": data.study.model_dump(mode="json"),
        "properties": [
            {
                "name": r.name,
                "sign": r.sign,
                "unit": r.unit,
                "estimator": r.credits.estimator,
                "efficiency_gap": r.credits.efficiency_gap,
                "efficiency_gap_se": r.credits.efficiency_gap_se,
            }
            for r in data.results
        ],
        "contributors": [
            {"name": c.name, "fingerprint": c.fingerprint, "images": c.images, "merged": list(c.merged)}
            for c in data.partition.contributors
        ],
        "problems": [
            {"kind": p.kind, "subject": p.subject, "reason": p.reason, "action": p.action}
            for p in data.partition.problems
        ],
        "notes": notes(data),
        "since": since_manifest(data.since),
        "audit": audit_manifest(data.audits),
        "validation": None if data.validation is None else data.validation.run,
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        },
    }
    text = json.dumps(_jsonable(manifest), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    # A file name that is not UTF-8 holds lone surrogates; \udcXX is how JSON writes them.
    return (text + "\n").encode("utf-8", "backslashreplace")


def _jsonable(value: Any) -> Any:
    """Numbers of numpy as plain ones, and those that JSON does not know (NaN, infinities) as null."""
    if isinstance(value, Mapping):
        return {str(key): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
