"""`python -m tests.check_same_credits STORE STUDY STORE STUDY`: do two statements give everybody the same credits?

CI compares the smallest preset, run by itself, with the same run through work pools and a bucket. Looks at the newest
statement of each; prints one line; exits with 1 and the first difference unless credits, intervals, shares, ranks and the
values of all evaluations are the same numbers, to the last bit.
"""

from __future__ import annotations

import io
import json
import sys

import pandas as pd

from infra.store import Store, StoreError

HOW_IT_WENT = ("cached", "_seconds")  # of an evaluation: where and when it was made, not what came out


def check_same(first: Store, study: str, second: Store, other: str) -> str:
    """What is the same, in a sentence.

    Raises:
        AssertionError: names the first thing that differs, with both values.
        FileNotFoundError, StoreError: if one of them is not there.
    """
    one, two = _newest(first, study), _newest(second, other)
    places = ((first, one), (second, two))
    credits = [_table(store, f"{folder}/credits.parquet") for store, folder in places]
    _same(credits[0], credits[1], by=["contributor"])
    written = [sorted(store.read(f"{folder}/credits.csv").splitlines()) for store, folder in places]
    assert written[0] == written[1], "credits.csv differs, and credits.parquet does not"
    evaluations = [_what_came_out(_table(store, f"{folder}/evaluations.parquet")) for store, folder in places]
    _same(evaluations[0], evaluations[1], by=["role", "seed", "draws", "members"])
    return (
        f"{first.where(one)} and {second.where(two)}: {len(credits[0])} contributors, {len(evaluations[0])} evaluations, "
        "the same numbers"
    )


def _newest(store: Store, study: str) -> str:
    run = json.loads(store.read(f"studies/{study}/latest.json"))["run"]
    return f"studies/{study}/{run}"


def _table(store: Store, key: str) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(store.read(key)))


def _what_came_out(evaluations: pd.DataFrame) -> pd.DataFrame:
    """Without what depends on the machine and on what the ledger knew before."""
    frame = evaluations[[name for name in evaluations if not str(name).endswith(HOW_IT_WENT)]].copy()
    frame["members"] = [", ".join(sorted(members)) for members in frame["members"]]
    return frame


def _same(first: pd.DataFrame, second: pd.DataFrame, by: list[str]) -> None:
    odd = {str(name) for name in set(first) ^ set(second)}
    assert not odd, f"columns differ: {', '.join(sorted(odd))}"
    one, two = (frame.sort_values(by).reset_index(drop=True) for frame in (first, second))
    assert len(one) == len(two), f"{len(one)} rows of {', '.join(by)}, and {len(two)}"
    for name in [*by, *(name for name in one if name not in by)]:
        for row, (left, right) in enumerate(zip(one[name].tolist(), two[name].tolist(), strict=True)):
            same = (pd.isna(left) and pd.isna(right)) or (not (pd.isna(left) or pd.isna(right)) and left == right)
            assert same, f"{name} of {' '.join(str(one[key][row]) for key in by)}: {left} and {right}"


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    try:
        print(check_same(Store(sys.argv[1]), sys.argv[2], Store(sys.argv[3]), sys.argv[4]))
    except (AssertionError, FileNotFoundError, StoreError) as error:
        sys.exit(f"{sys.argv[1]} {sys.argv[2]} and {sys.argv[3]} {sys.argv[4]} are not the same: {error}")
