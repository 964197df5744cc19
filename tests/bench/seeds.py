"""`make bench-seeds`: does a study tell its contributors apart, and would another seed or reference say the same?

Runs the study as it is, again with another fine-tuning and sampling seed on the same reference and the same coalitions, and
(with --reference) a third time on a reference trained from another seed. Prints for each property the Spearman correlation
of the excess credits, and the share of pairs (one contributor of the top third, one of the bottom third) with P(i > j) at
least 0.95. Uses the ordinary store: what is there already is not made again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from scipy.stats import spearmanr

from infra.settings import store_url
from infra.store import Store
from infra.study_file import load_preset
from tasks.properties import resolve_property
from tasks.shapley import Credits, MeasuredNoise, estimate_credits
from tasks.study import Study
from tests.bench.runs import run_study, separated, statement

OTHER = 10  # a seed that no audit uses


def credits_of(study: Study, evaluations: pd.DataFrame, name: str, noise: MeasuredNoise | None) -> Credits:
    """Credits of one property, estimated anew from a statement's table of evaluations."""
    design = evaluations[(evaluations["role"] != "audit") & evaluations[name].notna()]
    members = design[[c for c in design.columns if c.startswith("in:")]].to_numpy(dtype=bool)
    sign = resolve_property(name, study.properties).sign
    return estimate_credits(members, sign * design[name].to_numpy(), noise=noise)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.seeds", description=__doc__)
    parser.add_argument("study")
    parser.add_argument("--reference", action="store_true", help="also on a reference trained from another seed")
    arguments = parser.parse_args()
    study, store = load_preset(Path(arguments.study), Study), Store(store_url())
    others = {"another seed": (f"{study.name}-seed-{OTHER}", f"coalition.seed={OTHER}")}
    if arguments.reference:
        others["another reference"] = (f"{study.name}-reference-{OTHER}", f"model.seed={OTHER}")
    run_study(arguments.study, [], store)
    for name, change in others.values():
        run_study(arguments.study, [f"name={name}", change], store)
    tables = {"as it is": statement(store, study.name)[0]}
    tables |= {label: statement(store, name)[0] for label, (name, _) in others.items()}
    for property_name in study.properties.names:
        print(f"\n{property_name}")
        excess = pd.DataFrame(
            {label: t.set_index("contributor")[f"{property_name}_excess"] for label, t in tables.items()}
        )
        print(excess.sort_values("as it is", ascending=False).to_string(float_format=lambda v: f"{v:+.4g}"))
        for label in others:
            rank = spearmanr(excess["as it is"], excess[label]).statistic
            print(f"Spearman of the excess credits, as it is against {label}: {rank:.2f}")
        for label, name in {"as it is": study.name, **{label: name for label, (name, _) in others.items()}}.items():
            _, evaluations, manifest = statement(store, name)
            found = manifest["noise"][property_name]
            noise = None if found["sd"] is None else MeasuredNoise(found["sd"] ** 2, found["freedom"])
            credits = credits_of(study, evaluations, property_name, noise)
            share = separated(credits.probability_greater(), credits.excess)
            print(f"top and bottom thirds told apart (P >= 0.95), {label}: {share:.0%} of the pairs")


if __name__ == "__main__":
    main()
