"""`python -m tests.check_statement STUDY`: is the newest statement of a study whole, and does it hold what it must?

CI runs it after the demo in its smallest preset. Prints one line; exits with 1 and the reason if something is wrong.
"""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pandas as pd

from infra.digest import sha256
from infra.settings import store_url
from infra.store import Store


def check(study: str, store: Store) -> str:
    """What is there, in a sentence.

    Raises:
        AssertionError: names what is missing or wrong.
    """
    latest = json.loads(store.read(f"studies/{study}/latest.json"))
    folder = f"studies/{study}/{latest['run']}"
    content = store.read(f"{folder}/manifest.json", latest["manifest_sha256"])
    manifest = json.loads(content)
    for name, file in manifest["files"].items():
        assert sha256(store.read(f"{folder}/{name}")) == file["sha256"], f"{name} is not what the manifest says"
    credits = pd.read_parquet(io.BytesIO(store.read(f"{folder}/credits.parquet")))
    evaluations = pd.read_parquet(io.BytesIO(store.read(f"{folder}/evaluations.parquet")))
    assert len(credits) == len(manifest["contributors"]) >= 2, "fewer than two contributors"
    assert abs(credits["pro_rata"].sum() - 1) < 1e-9, "pro rata does not sum to one"
    assert evaluations["failure"].isna().all(), "an evaluation failed"
    for of_property in manifest["properties"]:
        name, sign = of_property["name"], of_property["sign"]
        numbers = credits[
            [f"{name}_{c}" for c in ("credit", "ci_low", "ci_high", "excess", "excess_low", "excess_high")]
        ]
        assert np.isfinite(numbers.to_numpy()).all(), f"{name}: a credit or an interval is not a number"
        assert (credits[f"{name}_ci_low"] <= credits[f"{name}_ci_high"]).all(), f"{name}: an interval is upside down"
        assert abs(credits[f"{name}_excess"].sum()) < 1e-6, f"{name}: excess credits do not sum to zero"
        ends = evaluations.set_index("role")[name]
        total = sign * (ends["grand"] - ends["baseline"])
        assert abs(credits[f"{name}_credit"].sum() - total) < 1e-6 * max(1, abs(total)), f"{name}: not efficient"
    report = store.read(f"{folder}/report.html")
    assert report.count(b"<svg") >= len(manifest["properties"]) and b"OpenMoji" in report, "the report lacks its plots"
    return f"{store.where(folder)}: {len(credits)} contributors, {len(evaluations)} evaluations, statement is whole"


if __name__ == "__main__":
    try:
        print(check(sys.argv[1], Store(store_url())))
    except (AssertionError, FileNotFoundError) as error:
        sys.exit(f"the statement of {sys.argv[1]} is not right: {error}")
