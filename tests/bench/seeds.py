"""`make bench-seeds`: does the demo tell its designers apart, and would another seed say the same?

Runs the study as it is, and again with another fine-tuning and sampling seed on the same reference and the same coalitions.
Prints for each property the Spearman correlation of the two excess credits, and the share of pairs (one designer of the top
third, one of the bottom third) with P(i > j) >= 0.95. Uses the ordinary store: what is there already is not made again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from infra.settings import store_url
from infra.store import Store
from infra.study_file import load_preset
from tasks.properties import resolve_property
from tasks.shapley import Credits, estimate_credits
from tasks.study import Study
from tests.bench.runs import run_study, separated, statement

OTHER_SEED = 10


def credits_of(study: Study, evaluations: pd.DataFrame, name: str, noise: float | None) -> Credits:
    """Credits of one property, estimated anew from a statement's table of evaluations."""
    design = evaluations[evaluations["role"] != "audit"]
    members = design[[c for c in design.columns if c.startswith("in:")]].to_numpy(dtype=bool)
    sign = resolve_property(name, study.properties).sign
    return estimate_credits(members, sign * design[name].to_numpy(), noise_variance=noise)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.seeds", description=__doc__)
    parser.add_argument("study")
    preset = parser.parse_args().study
    study, store = load_preset(Path(preset), Study), Store(store_url())
    other = f"{study.name}-seed-{OTHER_SEED}"
    run_study(preset, [], store)
    run_study(preset, [f"name={other}", f"coalition.seed={OTHER_SEED}", "coalition.audit_coalitions=0"], store)
    _, first, manifest = statement(store, study.name)
    _, second, _ = statement(store, other)
    assert manifest["reference"]["key"] == statement(store, other)[2]["reference"]["key"]
    rows = []
    for name in study.properties.names:
        a, b = (credits_of(study, table, name, None) for table in (first, second))
        rows.append(
            {
                "property": name,
                "Spearman of excess, seed against seed": float(spearmanr(a.excess, b.excess).statistic),
                "separated, first seed": separated(a.probability_greater(), a.excess),
                "separated, other seed": separated(b.probability_greater(), b.excess),
                "s.d. of excess": float(np.std(a.excess)),
            }
        )
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda v: f"{v:.3g}"))


if __name__ == "__main__":
    main()
