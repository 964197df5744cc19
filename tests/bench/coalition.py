"""`make bench`: what one coalition of a study costs, part by part, and what retraining from scratch would have cost.

Runs the study's own job in a fresh store, with a budget of a few coalitions, through Prefect and the worker processes. Then
trains the *unpruned* network from random weights on one of the same coalitions with the reference's recipe, on one thread as
the workers do, and samples and scores it in the same way. Both in one run, so the ratios are side by side.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from infra.store import Store
from infra.study_file import load_preset
from tasks.evaluate.statistics import prepare_statistics
from tasks.families import family_of
from tasks.families.stored import prepared
from tasks.frozen import epoch_at_hand
from tasks.model.model import ModelDenoiser
from tasks.model.sample import sample
from tasks.model.threads import device_of, one_thread
from tasks.model.train import TrainingData, train
from tasks.partition import partition
from tasks.progress import Ticker
from tasks.properties import Samples, resolve_property
from tasks.recipe import data_recipe, reference_training
from tasks.study import Study
from tests.bench.runs import run_study, statement

PARTS = ("load", "fine_tune", "sample", "score")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.coalition", description=__doc__)
    parser.add_argument("study")
    parser.add_argument("--budget", type=int, default=24, help="coalitions to evaluate")
    arguments = parser.parse_args()
    study = load_preset(Path(arguments.study), Study)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(str(Path(folder) / "store"))
        run_study(arguments.study, [f"estimation.budget={arguments.budget}", "coalition.audit_coalitions=0"], store)
        _, evaluations, manifest = statement(store, study.name)
        children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        trained = evaluations[evaluations["size"] > 0]
        workers = study.execution.workers or len(os.sched_getaffinity(0))
        busy = sum(float(evaluations[f"{part}_seconds"].sum()) for part in PARTS)
        idle = manifest["seconds"]["evaluate"] * workers - busy
        middle = trained.iloc[(trained["size"] - trained["size"].median()).abs().argmin()]
        seconds = retrain(study, store, list(middle["members"]))
    print(f"\n{len(evaluations)} coalitions of '{study.name}', {workers} workers of one thread, this machine")
    print("seconds a coalition, median (quartiles):")
    for part in PARTS:
        low, median, high = np.quantile(trained[f"{part}_seconds"], [0.25, 0.5, 0.75])
        print(f"  {part.replace('_', '-'):14s} {median:7.2f}  ({low:.2f} – {high:.2f})")
    print(f"  {'orchestration':14s} {idle / len(evaluations):7.2f}  (worker start-up and Prefect, spread over these)")
    pruned = sum(float(middle[f"{part}_seconds"]) for part in PARTS)
    print(
        f"one coalition of {middle['size']}: {pruned:.1f} s pruned and fine-tuned, {sum(seconds.values()):.1f} s retrained"
    )
    print("  retrained: " + ", ".join(f"{part} {value:.1f} s" for part, value in seconds.items()))
    print(f"  ratio {sum(seconds.values()) / pruned:.1f}")
    print(f"peak memory of one process of the run: {children:.2f} GiB")


def retrain(study: Study, store: Store, members: list[str]) -> dict[str, float]:
    """Seconds by part of the unpruned network on one coalition: the reference's recipe from random weights."""
    family = family_of(study.model)
    parts = partition(study.data, study.model.resolution, prompts=family.takes_prompts)
    statistics = prepare_statistics(
        study, epoch_at_hand(parts, data_recipe(parts, study.model.resolution)), store, print
    )
    columns = [i for i, c in enumerate(parts.contributors) if c.name in set(members)]
    weights = parts.ownership[:, columns].sum(axis=1)
    device = device_of(study.execution.device)
    seconds = {}
    with one_thread():
        started = time.monotonic()
        model = family.build()
        pixels = TrainingData(torch.from_numpy(parts.train_pixels), parts.train_digests, weights, parts.train_prompts)
        train(
            model,
            prepared(pixels, model, store),
            reference_training(study.model),
            device=device,
            progress=Ticker(print, "retraining from scratch"),
        )
        seconds["train"] = time.monotonic() - started
        started = time.monotonic()
        s = study.sampling
        images = sample(
            model,
            sampler=s.sampler,
            steps=s.steps,
            images=s.images,
            batch_size=s.batch_size,
            seed=s.seed,
            prompts=s.prompts if family.takes_prompts else (),
            guidance=s.guidance,
            device=device,
        )
        seconds["sample"] = time.monotonic() - started
        started = time.monotonic()
        subjects: dict[str, Samples | ModelDenoiser] = {
            "samples": Samples(images),
            "weights": ModelDenoiser(model),
        }
        for name in study.properties.names:
            wanted, digest = resolve_property(name, study.properties), statistics[name]
            arrays = {} if digest is None else store.load_arrays(f"statistics/{digest}.safetensors", digest)
            wanted.score(subjects[wanted.needs], arrays)
        seconds["score"] = time.monotonic() - started
    return seconds


if __name__ == "__main__":
    main()
