"""`make bench-samplers`: how few steps and images do for a study's credits, and what that saves.

Realises a few coalitions by the study's own recipe (two sizes, and everybody), draws images from each with every sampler and
number of steps from the same numbered noise, and scores every property that is scored on images. The truth is a long draw:
100 DDIM steps, many images. Prints each setting's error as a part of the spread between these coalitions, the cheapest
setting under a tenth of it, and the shares of training, drawing and scoring now and then.

What was drawn is kept in --archive, so that a run that was stopped goes on, and the table is made again for nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from infra.ledger import Ledger, ModelRecord
from infra.settings import store_url
from infra.store import Store
from infra.study_file import load_preset
from tasks.evaluate import weights
from tasks.evaluate.evaluator import Evaluator
from tasks.evaluate.jobs import Job, Setting
from tasks.evaluate.statistics import prepare_statistics
from tasks.families import family_of
from tasks.frozen import epoch_at_hand
from tasks.model.model import Model
from tasks.model.threads import one_thread
from tasks.partition import Partition, partition
from tasks.plan.plan import make_job
from tasks.progress import Ticker
from tasks.properties import resolve_property
from tasks.recipe import Recipe, data_recipe, model_recipe, pruned_recipe
from tasks.reference.pruned import obtain_pruned
from tasks.reference.reference import obtain_reference, reference_of
from tasks.study import Study
from tests.bench.sampling_draws import Values, draw, drawn_key, from_json, sampled_properties, score_parts
from tests.bench.sampling_error import Solver, errors_of
from tests.bench.sampling_seconds import seconds_of, training_seconds
from tests.bench.sampling_table import Measured, report

STEPS = (5, 10, 15, 20, 30, 50)
COUNTS = (32, 48, 64, 96, 128, 160, 192, 256, 384, 512)
SIZES = (0.25, 0.75)  # of the contributors, beside everybody
KINDS: tuple[str, ...] = ("ddim", "dpmsolver++")


def open_study(study: Study, store: Store) -> tuple[Evaluator, Partition, Recipe]:
    """Reference, pruned model and statistics of today's images, from the store or made now; and who evaluates with them."""
    family = family_of(study.model)
    family.check(study)
    parts = partition(study.data, study.model.resolution, prompts=family.takes_prompts)
    data = data_recipe(parts, study.model.resolution)
    pixels = store.save_named_by_content("data", parts.stored())
    epoch = epoch_at_hand(parts, data)
    statistics = prepare_statistics(study, epoch, store, print)
    measure = resolve_property("heldout_loss", study.properties)
    reference = reference_of(study, data)
    everybody = epoch.images.everybody
    made = obtain_reference(study, reference, lambda: everybody, store, say=print, progress=Ticker(print, "reference"))
    pruned = pruned_recipe(study.pruning, study.model, reference, data)
    obtain_pruned(
        study,
        pruned,
        made,
        lambda: everybody,
        store,
        heldout_loss=lambda denoiser: measure.score(denoiser, measure.statistics(epoch.images.real)),
        say=print,
        progress=Ticker(print, "recovery"),
    )
    setting = Setting(store.url, study, pixels, parts.train_digests, parts.ownership, pruned.key, statistics)
    return Evaluator(setting), parts, pruned


def coalitions(study: Study, parts: Partition, pruned: Recipe, ledger: Ledger, each: int) -> list[np.ndarray]:
    """`each` coalitions of each size, and everybody, as rows bool[contributors]: those that the ledger has weights of
    first, the others at random."""
    names, n = [c.name for c in parts.contributors], len(parts.contributors)
    prints = {c.name: c.fingerprint for c in parts.contributors}
    known = []
    for record in ledger.all(ModelRecord).values():
        if record.sha256 is None or not record.kept or not set(record.members) <= set(names) or not record.members:
            continue
        recipe = model_recipe(pruned, (prints[name] for name in record.members), study, study.coalition.seed)
        if recipe.key == record.key:
            known.append(np.isin(names, record.members))
    random, rows = np.random.default_rng(0), []
    for size in dict.fromkeys(min(n - 1, max(1, round(share * n))) for share in SIZES):
        of_size = {tuple(row.tolist()): row for row in known if row.sum() == size}
        for _ in range(100 * each):  # small games have few of a size
            if len(of_size) >= each:
                break
            row = np.isin(np.arange(n), random.choice(n, size, replace=False))
            of_size.setdefault(tuple(row.tolist()), row)
        rows += [np.array(row) for row in sorted(list(of_size)[:each])]  # in one order, whether known or drawn
    return [*rows, np.ones(n, dtype=bool)]


def realised(evaluator: Evaluator, jobs: Sequence[Job]) -> Iterator[tuple[Job, Model]]:
    """Each coalition's model, trained now or from the store. One at a time: they may share their large parts."""
    study = evaluator.setting.study
    if not study.execution.keep_weights_below_mb:
        raise SystemExit("execution.keep_weights_below_mb is 0: models that are not kept cannot be drawn from again")
    for job in jobs:
        evaluator.evaluate(job, print)
        record = evaluator.ledger.get(ModelRecord, job.model.key)
        if record is None or record.sha256 is None:
            raise SystemExit(f"the coalition of {', '.join(job.names)} has no weights: {record and record.failure}")
        model = evaluator.pruned.model(with_weights=False)
        weights.load(model, record.sha256, evaluator.store)
        yield job, model.to(evaluator.device)


def measure(study: Study, store: Store, given: argparse.Namespace) -> Measured:
    """All draws that are not in the archive yet, and from them what is reported."""
    largest, compared, counts = balanced(study, given)
    truth, own = Solver("ddim", given.truth_steps), Solver(study.sampling.sampler, study.sampling.steps)
    solvers = list(dict.fromkeys([truth, own, *(Solver(kind, n) for kind in given.samplers for n in given.steps)]))
    archive = json.loads(given.archive.read_text()) if given.archive and given.archive.exists() else {}
    evaluator, parts, pruned = open_study(study, store)
    rows = coalitions(study, parts, pruned, evaluator.ledger, given.each)
    jobs = [
        make_job(study, parts, pruned, evaluator.setting.statistics, row, "design", study.coalition.seed)
        for row in rows
    ]
    found: dict[Solver, list[Values]] = {solver: [] for solver in solvers}
    training = training_seconds(study, evaluator, jobs[0])
    for number, (job, model) in enumerate(realised(evaluator, jobs), 1):
        for solver in solvers:
            images = largest if solver == truth else compared
            at = [count for count in counts if count <= images]
            key = drawn_key(study, job, solver, images, at, evaluator)
            if key not in archive:
                pixels = draw(model, study, solver, images, evaluator.device)
                archive[key] = {"values": score_parts(pixels, at, study, evaluator)}
                if given.archive:
                    given.archive.write_text(json.dumps(archive))
            found[solver].append(from_json(json.loads(json.dumps(archive[key]["values"]))))
        print(f"coalition {number} of {len(jobs)} ({len(job.members)} contributors) drawn in {len(solvers)} ways")
    return Measured(
        errors={
            p.name: errors_of(by_count(found, p.name), truth, largest, compared) for p in sampled_properties(study)
        },
        seconds=seconds_of(model, study, solvers, counts, evaluator, training),
        truth=truth,
        own=(own, min(counts, key=lambda count: abs(count - study.sampling.images))),
        sizes=tuple(len(job.members) for job in jobs),
        compared=compared,
    )


def by_count(found: Mapping[Solver, Sequence[Values]], name: str) -> dict[Solver, dict[int, np.ndarray]]:
    """Of one property: by setting and number of images, values [parts, coalitions]."""
    return {
        solver: {count: np.array([values[name][count] for values in several]).T for count in several[0][name]}
        for solver, several in found.items()
    }


def balanced(study: Study, given: argparse.Namespace) -> tuple[int, int, list[int]]:
    """The largest number of images, the one at which settings are compared, and all: the study's own among them, and each
    a multiple of the number of prompts, so that every part is drawn for the same ones."""
    prompts = len(study.sampling.prompts) if family_of(study.model).takes_prompts else 1
    asked = [*given.counts, given.compared, study.sampling.images]
    counts = sorted({max(2, round(n / prompts)) * prompts for n in asked if n <= given.images})
    largest = max(1, given.images // prompts) * prompts
    compared = max(n for n in counts if n <= given.compared)
    return largest, compared, sorted({*(n for n in counts if n <= largest), largest})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.samplers", description=__doc__)
    parser.add_argument("study")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="SECTION.FIELD=VALUE")
    parser.add_argument("--store", help="where coalitions are looked for and kept; the ordinary store if not given")
    parser.add_argument("--each", type=int, default=3, help="coalitions of each of two sizes, beside everybody")
    parser.add_argument("--samplers", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--truth-steps", type=int, default=100, help="DDIM steps that stand for infinitely many")
    parser.add_argument("--images", type=int, default=512, help="images of the truth")
    parser.add_argument("--compared", type=int, default=256, help="images on which the other settings are compared")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--archive", type=Path, help="keep what was drawn in this file, and go on from it")
    given = parser.parse_args()
    study = load_preset(Path(given.study), Study, given.changes)
    if not sampled_properties(study):
        raise SystemExit(f"properties.names {study.properties.names}: none of them is scored on images")
    with one_thread():
        measured = measure(study, Store(given.store or store_url()), given)
    print("\n" + report(study.name, measured))


if __name__ == "__main__":
    main()
