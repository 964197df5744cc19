"""The study as it is run inside an epoch that goes on: what is there counts, and only a part of its budget is new.

    last statement    32 evaluations of a, b, c, d, e         today: a, b, c, d, e, f       (budget 60, increment 0.3)
                       6 of them with e's old images                  e has changed images
    ────────────────────────────────────────────────────────────────────────────────────────────────
    usable            26, whoever is in them still has the same images
    asked for         at most 18 more, chosen (a_optimal) for what they say of today's credits

Counted is what the last statement rests on, not what the ledger holds now: a run that was killed, and has evaluated some of
them, goes on to the same end.
"""

from __future__ import annotations

import io
import math

import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ValidationError

from infra.ledger import Digest
from infra.store import Store, StoreError
from tasks.statements.people import People
from tasks.statements.read import LARGEST, MANIFEST, PastStatement
from tasks.study import Study

EVALUATIONS = "evaluations.parquet"


class _File(BaseModel):
    sha256: Digest


class _Files(BaseModel):
    files: dict[str, _File]


def increment(study: Study, people: People, usable: int) -> Study:
    """The study to run: its own recipe, with coalitions chosen for what the ledger lacks.

    A study whose estimator takes only the rows of its own design is run as it is: whatever of them is in the ledger is used.

    Args:
        usable: coalitions that the last statement rests on and whose members have not changed since.
    """
    if not (study.estimation.takes_any_rows and study.estimation.reuse and usable):
        return study
    anew = people.joined or people.left or people.changed
    more = math.ceil(study.epoch.increment * study.estimation.budget) if anew else 0
    budget = max(4, usable + more)  # the form's own least
    estimation = study.estimation.model_copy(update={"design": "a_optimal", "budget": budget})
    return study.model_copy(update={"estimation": estimation})


def usable_coalitions(last: PastStatement, people: People, store: Store) -> int:
    """How many different coalitions with a value the last statement rests on in which nobody has left or changed.

    Raises:
        StoreError: if its evaluations cannot be read.
    """
    table = _evaluations(last, store)
    same = {*people.unchanged, *(old for old, _ in people.renamed)}
    counted = table[(table["role"] != "audit") & table["failure"].isna()]
    coalitions = {frozenset(members) for members in counted["members"]}
    return sum(members <= same for members in coalitions)


def asked_for(statement: PastStatement, store: Store) -> set[str]:
    """Keys of the models of all evaluations that a statement's run asked for, made then or found in the ledger.

    Raises:
        StoreError: if its evaluations cannot be read.
    """
    table = _evaluations(statement, store)
    return set(table.loc[table["role"] != "archive", "model_key"])


def _evaluations(last: PastStatement, store: Store) -> pd.DataFrame:
    key = f"{last.where}/{EVALUATIONS}"
    try:
        manifest = _Files.model_validate_json(store.read(f"{last.where}/{MANIFEST}", limit=LARGEST))
        content = store.read(key, manifest.files[EVALUATIONS].sha256, limit=LARGEST)
        return pd.read_parquet(io.BytesIO(content), columns=["role", "members", "failure", "model_key"])
    except (FileNotFoundError, KeyError, ValidationError, pa.ArrowException, ValueError) as error:
        raise StoreError(
            f"{store.where(key)} cannot be read, and what can be used again is not known: {error}"
        ) from error
