"""Settings of this installation: where results live. Everything else is in the study.

CREDIT_STORE   file path, file://… or s3://bucket/prefix; default: .credit/store below the working directory

For s3://, credentials, region and endpoint are the standard AWS chain's (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
AWS_PROFILE, a role; AWS_REGION; AWS_ENDPOINT_URL_S3), never ours and never a parameter: docs/storage.md.
"""

from __future__ import annotations

import os
from pathlib import Path

STATE_FOLDER = Path(".credit")  # what the embedded default keeps on this machine: store, Prefect's database


def store_url() -> str:
    """Where results are kept: `CREDIT_STORE`, or a folder below the working directory."""
    return os.environ.get("CREDIT_STORE") or str((STATE_FOLDER / "store").absolute())
