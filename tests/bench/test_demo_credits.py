"""The comparison on a real study's complete table, on a table made here."""

import numpy as np
import pandas as pd
import pytest

from tests.bench.demo_credits import METHODS, compare, complete_values, markdown, read
from tests.games import all_coalitions, build


def statement(n_players: int = 6) -> pd.DataFrame:
    """Evaluations of a complete study in any order, a replicate of the first under another seed beside them."""
    rows = all_coalitions(n_players)
    frame = pd.DataFrame({f"in:{name}": rows[:, i] for i, name in enumerate("abcdefgh"[:n_players])})
    frame.insert(0, "role", "design")
    frame.insert(1, "loss", build("mixture", n_players, 0).value(rows))
    frame["score_key_loss"] = "…"
    audit = frame.iloc[[0]].assign(role="audit", loss=99.0)
    return pd.concat([frame, audit]).sample(frac=1, random_state=0)


def test_complete_table_is_read_in_order_and_without_replicates(tmp_path):
    path = tmp_path / "evaluations.parquet"
    statement().to_parquet(path)
    manifest = {
        "contributors": [{"name": name, "images": 10.0} for name in "abcdef"],
        "noise": {"loss": {"sd": 0.5, "freedom": 4}, "other": {"sd": None, "freedom": 0}},
    }
    study = read(path.read_bytes(), path.name, manifest)
    assert np.array_equal(study.values["loss"], build("mixture", 6, 0).value(all_coalitions(6)))
    assert study.contributors == tuple("abcdef") and study.images is not None
    assert study.noise["loss"].variance == 0.25 and list(study.noise) == ["loss"]


def test_incomplete_tables_are_refused_with_what_is_missing():
    with pytest.raises(ValueError, match=r"1 of the 64 coalitions have no loss; .*estimation.budget=64"):
        complete_values(statement().query("role == 'audit' or index != 3"), ["loss"])


def test_every_estimator_is_compared_and_more_evaluations_give_smaller_errors():
    values = build("mixture", 6, 0).value(all_coalitions(6))
    few, many = (compare(values, None, None, budget, designs=3) for budget in (30, 60))
    assert set(few) == set(METHODS)
    assert many["kernelshap_sizes"].error < few["kernelshap_sizes"].error < few["kernelshap"].error
    study = read(statement().to_csv(index=False).encode(), "evaluations.csv", None)
    text = markdown(study, {("loss", 30): few}, designs=3)
    assert "| loss | 30 | kernelshap |" in text and "3 of 3" in text
