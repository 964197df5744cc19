"""The study as it is run inside an epoch that goes on: what is there counts, and only a part of its budget is new.

    last statement    32 evaluations of a, b, c, d, e         today: a, b, c, d, e, f       (budget 60, increment 0.3)
                       6 of them with e's old images                  e has changed images
    ────────────────────────────────────────────────────────────────────────────────────────────────
    usable            26, by their keys: whoever is in them has the same images, and the recipe is the same
    asked for         at most 18 more, chosen (a_optimal) for what they say of today's credits

Counted is what the last statement rests on, not what the ledger holds now: a run that was killed, and has evaluated some of
them, goes on to the same end. Where both together are fewer than three a contributor, credits would rest on too little: then
the study's whole budget is asked for, of which the ledger still gives what it has.
"""

from __future__ import annotations

import math

import pandas as pd
from pydantic import BaseModel

from infra.ledger import Digest
from infra.store import Store, StoreError
from infra.tables import read_parquet
from tasks.partition import Partition
from tasks.plan.design import FIRST
from tasks.publish.storage import read_manifest
from tasks.recipe import Recipe, model_recipe
from tasks.statements.people import People
from tasks.statements.read import LARGEST, PastStatement
from tasks.study import Study

EVALUATIONS = "evaluations.parquet"
_COLUMNS = ["role", "members", "failure", "model_key"]


class _File(BaseModel):
    sha256: Digest


class _Files(BaseModel):
    files: dict[str, _File]


def increment(study: Study, people: People, usable: int, contributors: int) -> Study:
    """The study to run: its own recipe, with coalitions chosen for what the ledger lacks.

    A study whose estimator takes only the rows of its own design is run as it is: whatever of them is in the ledger is used.

    Args:
        usable: coalitions, the empty one not counted, that the last statement rests on and that have the same keys today.
        contributors: of today.
    """
    if not (study.estimation.takes_any_rows and study.estimation.reuse):
        return study
    more = most_new(study, people)
    if usable + more < FIRST * contributors and more:
        return study
    if not usable:
        return study
    budget = max(4, 1 + usable + more)  # the empty coalition; and the form's own least
    estimation = study.estimation.model_copy(update={"design": "a_optimal", "budget": budget, "hard_budget": True})
    return study.model_copy(update={"estimation": estimation})


def most_new(study: Study, people: People) -> int:
    """The most evaluations that a change may cost inside an epoch, besides the audit's repeats."""
    anew = people.joined or people.left or people.changed
    return math.ceil(study.epoch.increment * study.estimation.budget) if anew else 0


def usable_coalitions(
    last: PastStatement, people: People, study: Study, partition: Partition, pruned: Recipe, store: Store
) -> int:
    """How many coalitions, the empty one not counted, the last statement rests on that this study would make from the same
    images in the same way today: by the keys of their models, so that no reason why they might not be is forgotten.

    Args:
        pruned: recipe of the epoch's pruned model.

    Raises:
        StoreError: if its evaluations cannot be read.
    """
    table = _evaluations(last, store)
    now = {c.name: c.fingerprint for c in partition.contributors}
    formerly = {old: new for old, new in people.renamed}
    fingerprints = {name: now[formerly.get(name, name)] for name in (*people.unchanged, *formerly)}
    counted = table[(table["role"] != "audit") & table["failure"].isna()]
    usable = set()
    for members, key in zip(counted["members"], counted["model_key"], strict=True):
        if len(members) and all(name in fingerprints for name in members):
            recipe = model_recipe(pruned, (fingerprints[name] for name in members), study, study.coalition.seed)
            if recipe.key == key:
                usable.add(key)
    return len(usable)


def asked_for(statement: PastStatement, store: Store) -> set[str]:
    """Keys of the models of all evaluations that a statement's run asked for, made then or found in the ledger.

    Raises:
        StoreError: if its evaluations cannot be read.
    """
    table = _evaluations(statement, store)
    return set(table.loc[table["role"] != "archive", "model_key"])


def _evaluations(last: PastStatement, store: Store) -> pd.DataFrame:
    key = f"{last.where}/{EVALUATIONS}"
    manifest = read_manifest(store, last.where, _Files)
    try:
        content = store.read(key, manifest.files[EVALUATIONS].sha256, limit=LARGEST)
        return read_parquet(content, _COLUMNS)[1].select(_COLUMNS).to_pandas()
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise StoreError(
            f"{store.where(key)} cannot be read, and what can be used again is not known: {error}"
        ) from error
