"""`python -m tests.check_same_credits STORE STUDY STORE STUDY`: do two statements give everybody the same credits?

CI compares the smallest preset, run by itself, with the same run through work pools and a bucket. Looks at the newest statement
of each; prints one line; exits with 1 and the first difference unless credits, intervals, shares, ranks and the values of
all evaluations are the same numbers, to the last bit.
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
    credits = [_table(store, f"{folder}/credits.parquet") for store, folder in ((first, one), (second, two))]
    _same(*(frame.set_index("contributor").sort_index() for frame in credits))
    written = [store.read(f"{folder}/credits.csv") for store, folder in ((first, one), (second, two))]
    assert sorted(written[0].splitlines()) == sorted(written[1].splitlines()), "credits.csv differs"
    evaluations = [_table(store, f"{folder}/evaluations.parquet") for store, folder in ((first, one), (second, two))]
    _same(*(_by_coalition(frame) for frame in evaluations))
    return (
        f"{first.where(one)} and {second.where(two)}: {len(credits[0])} contributors, {len(evaluations[0])} evaluations, "
        "the same numbers"
    )


def _newest(store: Store, study: str) -> str:
    run = json.loads(store.read(f"studies/{study}/latest.json"))["run"]
    return f"studies/{study}/{run}"


def _table(store: Store, key: str) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(store.read(key)))


def _by_coalition(evaluations: pd.DataFrame) -> pd.DataFrame:
    """By who was in, under which seed; without what depends on the machine."""
    kept = [name for name in evaluations if not any(str(name).endswith(word) for word in HOW_IT_WENT)]
    frame = evaluations[kept].copy()
    frame["members"] = [", ".join(sorted(members)) for members in frame["members"]]
    return frame.set_index(["role", "seed", "draws", "members"]).sort_index()


def _same(first: pd.DataFrame, second: pd.DataFrame) -> None:
    for what, one, two in (("columns", first.columns, second.columns), ("rows", first.index, second.index)):
        assert sorted(map(str, one)) == sorted(map(str, two)), (
            f"{what} differ: {sorted(set(map(str, one)) ^ set(map(str, two)))}"
        )
    for name in first.columns:
        one, two = first[name], second[name]
        differ = [row for row in one.index if not _equal(one.loc[row], two.loc[row])]
        assert not differ, f"{name} of {differ[0]}: {one.loc[differ[0]]} and {two.loc[differ[0]]}"


def _equal(one: object, two: object) -> bool:
    if isinstance(one, pd.Series) or isinstance(two, pd.Series):  # rows of the same name, in any order
        return sorted(map(str, one)) == sorted(map(str, two))  # type: ignore[call-overload]
    return bool(one == two) or (pd.isna(one) and pd.isna(two))  # type: ignore[call-overload]


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    try:
        print(check_same(Store(sys.argv[1]), sys.argv[2], Store(sys.argv[3]), sys.argv[4]))
    except (AssertionError, FileNotFoundError, StoreError) as error:
        sys.exit(f"{sys.argv[1]} {sys.argv[2]} and {sys.argv[3]} {sys.argv[4]} are not the same: {error}")
