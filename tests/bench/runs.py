"""What the benchmarks share: whole runs as a person would start them, and reading what they published."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from infra.store import Store


def run_study(preset: str, changes: Sequence[str], store: Store) -> None:
    """`python -m flows.run preset --set …` with this store; its log is shown.

    Raises:
        subprocess.CalledProcessError: if it did not end well.
    """
    command = [sys.executable, "-m", "flows.run", preset, *(part for change in changes for part in ("--set", change))]
    subprocess.run(command, env={**os.environ, "CREDIT_STORE": store.url}, check=True)


def statement(store: Store, study: str) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Credits, evaluations and manifest of a study's newest statement."""
    folder = f"studies/{study}/{json.loads(store.read(f'studies/{study}/latest.json'))['run']}"
    credits = pd.read_parquet(io.BytesIO(store.read(f"{folder}/credits.parquet")))
    evaluations = pd.read_parquet(io.BytesIO(store.read(f"{folder}/evaluations.parquet")))
    return credits, evaluations, json.loads(store.read(f"{folder}/manifest.json"))


def separated(probability: np.ndarray, excess: np.ndarray, level: float = 0.95) -> float:
    """Share of the pairs, one from the top third by excess and one from the bottom third, with P(i > j) >= level."""
    third = round(len(excess) / 3)
    order = np.argsort(-excess)
    return float(np.mean(probability[np.ix_(order[:third], order[-third:])] >= level))
