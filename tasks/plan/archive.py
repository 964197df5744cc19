"""What earlier runs evaluated and this study can use as it is.

A record of the ledger is the value of a coalition of *data*: fingerprints, not names and not positions. So a coalition
evaluated under another budget or before somebody joined is an evaluation of today's game, in which the joiner is absent.
One that holds the data of somebody who has left is an evaluation of a larger game, with one more column:

    record's members         today           row of the archive
    {a, b}                   a b c           a b          absent means not in it: c has joined since
    {a, b, x}, x left        a b c | x       a b   + x    says nothing of today's game directly, but tells what a and b do
    {a, B}, b changed B      a b c           none         the same person with other data: "changed images"
    {a, y}, y of nobody      a b c           none         might be the old data of a contributor: "owner unknown"

Only what is the same to the letter counts: the key of a record must be that of the recipe which this study would use for
these members today (pruned model, fine-tuning, seed), and a score's that of the property and its reference statistics.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from infra.ledger import Ledger, ModelRecord, SamplesRecord, ScoreRecord
from tasks.evaluate.jobs import Job, Outcome
from tasks.partition import Partition
from tasks.plan.chain import chain, properties_of
from tasks.recipe import Recipe, model_recipe
from tasks.study import Study

# Why an evaluation is left out.
CHANGED = "holds images as they were before their contributor changed them"
UNKNOWN = "holds images whose owner no statement of this study names"
TWINS = "holds the same images more often than contributors own them now"
FAILED = "failed"
UNSCORED = "no property of this study was scored"


@dataclass(frozen=True)
class Archive:
    """Evaluations in the ledger that this study's design did not ask for and can use as they are.

                      contributors   former
                      a  b  c  d     x  y
        jobs[0]       1  0  0  0     0  0       by size, then by key
        jobs[1]       0  1  0  0     1  0
        jobs[2]       1  1  1  0     0  1

    jobs: of role "archive". `members` are positions of today's contributors, as everywhere, and may be empty or
        everybody where leavers make the coalition another one; `names` goes on with the leavers'.
    outcomes: of each job. A property that was never scored is neither in `values` nor in `failures`.
    former: fingerprints of those who left, sorted; only those who are in some job. Somebody who changed their images
        before they left is two of them.
    former_rows: bool [jobs, former], which leavers are in each coalition.
    ignored: why evaluations by this recipe were left out -> how many.
    unscored: jobs of today's contributors that were trained, and for which a property of this study was never scored: to ask
        for them again costs no training. Those with a value for another property are among `jobs` too.
    """

    jobs: tuple[Job, ...]
    outcomes: tuple[Outcome, ...]
    former: tuple[str, ...]
    former_names: tuple[str, ...]
    former_rows: np.ndarray
    ignored: Mapping[str, int]
    unscored: tuple[Job, ...] = ()

    def coalitions(self, contributors: int) -> np.ndarray:
        """bool [jobs, contributors + former]: who is in each coalition."""
        rows = np.zeros((len(self.jobs), contributors), dtype=bool)
        for row, job in zip(rows, self.jobs, strict=True):
            row[list(job.members)] = True
        return np.hstack([rows, self.former_rows])


def find_archive(
    study: Study,
    partition: Partition,
    pruned: Recipe,
    statistics: Mapping[str, str | None],
    ledger: Ledger,
    *,
    known_owners: Mapping[str, str],
    exclude: Collection[str],
) -> Archive:
    """Every evaluation by this study's recipe and main seed that its plan does not hold.

    The empty and the grand coalition are never among them: every design asks for both.

    Args:
        statistics: by property, the digest of its reference statistics.
        known_owners: fingerprint -> name of whom it belonged to last, from earlier statements (`former.owners_of`).
        exclude: keys of models that are jobs of the plan.

    Raises:
        StoreError: if a record of the ledger is not one, as `Ledger.all`.
    """
    seed = study.coalition.seed
    everybody = [c.fingerprint for c in partition.contributors]
    ends = {model_recipe(pruned, members, study, seed).key for members in ((), everybody)}
    passed_over = ends | set(exclude)
    owners = _Owners(partition, known_owners)
    properties = properties_of(study)
    ignored: Counter[str] = Counter()
    asked: list[tuple[ModelRecord, Job]] = []
    for record in ledger.all(ModelRecord).values():
        model = _recipe_of(record, pruned, study, seed)
        if model is None or record.key in passed_over:
            continue
        if (why := owners.refuse(model.spec["members"])) is not None:
            ignored[why] += 1
            continue
        samples, scores = chain(model, study, properties, statistics, seed)
        members, names = owners.place(model.spec["members"], record.key)
        asked.append((record, Job(members, names, "archive", seed, model, samples, scores)))

    found: list[tuple[Job, Outcome]] = []
    unscored: list[Job] = []
    for job, outcome in _outcomes(asked, ledger):
        never = job.scores.keys() - outcome.values.keys() - outcome.failures.keys()
        if never and not owners.former(job.model.spec["members"]):
            unscored.append(job)
        if outcome.values:
            found.append((job, outcome))
        else:
            ignored[FAILED if outcome.failures else UNSCORED] += 1
    found.sort(key=lambda pair: len(pair[0].model.spec["members"]))  # stable: the ledger is sorted by key

    inside = [owners.former(job.model.spec["members"]) for job, _ in found]
    former = tuple(sorted(set().union(*inside)))
    return Archive(
        jobs=tuple(job for job, _ in found),
        outcomes=tuple(outcome for _, outcome in found),
        former=former,
        former_names=tuple(known_owners[fingerprint] for fingerprint in former),
        former_rows=np.array([[f in members for f in former] for members in inside], dtype=bool).reshape(
            len(inside), len(former)
        ),
        ignored=dict(sorted(ignored.items())),
        unscored=tuple(unscored),
    )


class _Owners:
    """Whose data a fingerprint is: a contributor's of today, a leaver's, or nobody's that could be said."""

    def __init__(self, partition: Partition, known: Mapping[str, str]) -> None:
        self.contributors, self.known = partition.contributors, known
        self.positions: dict[str, list[int]] = defaultdict(list)  # two owners of the same images share a fingerprint
        for position, contributor in enumerate(self.contributors):
            self.positions[contributor.fingerprint].append(position)
        self.names = {name for c in self.contributors for name in (c.name, *c.merged)}

    def former(self, members: Sequence[str]) -> set[str]:
        """Those of a coalition that are no contributor's data of today."""
        return {member for member in members if member not in self.positions}

    def refuse(self, members: Sequence[str]) -> str | None:
        """Why a coalition of these fingerprints cannot be used, if it cannot."""
        strangers = self.former(members)
        if any(self.known.get(f) in self.names for f in strangers):
            return CHANGED
        if any(f not in self.known for f in strangers):
            return UNKNOWN
        if any(count > len(self.positions.get(f, (f,))) for f, count in Counter(members).items()):
            return TWINS
        return None

    def place(self, members: Sequence[str], key: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Positions of a coalition's contributors, sorted, and the names of all in it, leavers last.

        Where one of two owners of the same images is in it, it could be either: their value is the same. The key decides,
        so that over many coalitions neither of them gets all the evaluations, and the same one every time.
        """
        turn = int(key[:8], 16)
        positions: list[int] = []
        for fingerprint, count in Counter(members).items():
            twins = self.positions.get(fingerprint, [])
            positions += [twins[(turn + i) % len(twins)] for i in range(count) if twins]
        positions.sort()
        left = sorted(self.former(members))
        return tuple(positions), (*(self.contributors[p].name for p in positions), *(self.known[f] for f in left))


def _recipe_of(record: ModelRecord, pruned: Recipe, study: Study, seed: int) -> Recipe | None:
    """The recipe by which this study would make a recorded coalition's model, if that is how it was made."""
    members = record.spec.get("members")
    if record.spec.get("pruned") != pruned.key or not isinstance(members, list):
        return None
    if not all(isinstance(member, str) for member in members):
        return None
    recipe = model_recipe(pruned, members, study, seed)
    return recipe if recipe.key == record.key else None


def _outcomes(asked: Sequence[tuple[ModelRecord, Job]], ledger: Ledger) -> list[tuple[Job, Outcome]]:
    """What the ledger has of each job: values, recorded failures, and what they cost when they were made."""
    # A key is a digest of its whole specification: taken once for each.
    drawn_keys = [job.samples.key if job.samples is not None else "" for _, job in asked]
    score_keys = [{name: recipe.key for name, recipe in job.scores.items()} for _, job in asked]
    samples = ledger.find(SamplesRecord, drawn_keys)
    scores = ledger.find(ScoreRecord, (key for keys in score_keys for key in keys.values()))
    found = []
    for (model, job), drawn_key, keys in zip(asked, drawn_keys, score_keys, strict=True):
        drawn = samples.get(drawn_key)
        scored = {name: scores[key] for name, key in keys.items() if key in scores}
        lost: dict[str, str] = {}
        for name in keys.keys() - scored.keys():
            if model.failure is not None:
                lost[name] = model.failure
            elif drawn is not None and drawn.failure is not None and job.scores[name].spec["subject"] == drawn_key:
                lost[name] = drawn.failure
        outcome = Outcome(
            values={name: r.value for name, r in scored.items() if r.value is not None},
            failures={**{name: r.failure for name, r in scored.items() if r.failure is not None}, **lost},
            seconds={
                "load": 0.0,
                "fine_tune": model.seconds,
                "sample": drawn.seconds if drawn is not None else 0.0,
                "score": sum(r.seconds for r in scored.values()),
            },
        )
        found.append((job, outcome))
    return found
