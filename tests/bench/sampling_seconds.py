"""What training, drawing and scoring cost on one thread: CPU seconds, so that what else the machine does matters little;
on a card, seconds by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks.evaluate.evaluator import Evaluator
from tasks.evaluate.jobs import Job
from tasks.model.model import Model, ModelDenoiser
from tasks.model.train import train
from tasks.plan.chain import properties_of
from tasks.properties import Samples
from tasks.recipe import coalition_training
from tasks.study import Study
from tests.bench.sampling_draws import draw, sampled_properties
from tests.bench.sampling_error import Solver

TRAINED = 12  # steps that are timed


@dataclass(frozen=True)
class Seconds:
    """Of one coalition.

    training: its fine-tuning. draw: of one image, by setting. features: of one image. score: of all sampled properties, by
    number of images, once features are known. weighing: of the properties that need no images.
    """

    training: float
    draw: dict[Solver, float]
    features: float
    score: dict[int, float]
    weighing: float

    def drawing(self, solver: Solver, images: int) -> float:
        """Of a coalition's images."""
        return self.draw[solver] * images

    def scoring(self, images: int) -> float:
        """Of all its properties."""
        return self.features * images + self.score[images] + self.weighing

    def costs(self) -> dict[tuple[Solver, int], float]:
        """Drawing and scoring, of every setting."""
        return {(s, n): self.drawing(s, n) + self.scoring(n) for s in self.draw for n in self.score}


def training_seconds(study: Study, evaluator: Evaluator, job: Job) -> float:
    """Of one coalition, from some of its steps; models that were made before are not used any more."""
    model, recipe = evaluator.pruned.model().to(evaluator.device), coalition_training(study, job.seed)
    data = evaluator.training_data(job.members, model, print)

    def steps(count: int) -> None:
        train(model, data, replace(recipe, steps=count, warmup=0), device=evaluator.device)

    steps(1)  # memory, caches
    return _timed(lambda: steps(TRAINED), evaluator.device) / TRAINED * recipe.steps


def seconds_of(
    model: Model, study: Study, solvers: Iterable[Solver], counts: Sequence[int], evaluator: Evaluator, training: float
) -> Seconds:
    """Of drawing one batch by each solver, and of scoring so many of the drawn images, over and over, as each count has."""
    device, batch = evaluator.device, min(study.sampling.batch_size, max(counts))
    draws, pixels = {}, np.empty(0)
    draw(model, study, min(solvers, key=lambda s: s.steps), batch, device)  # memory, caches
    for solver in solvers:
        started = _clock(device)
        pixels = draw(model, study, solver, batch, device)
        draws[solver] = (_clock(device) - started) / batch
    sampled = [(p, evaluator.statistics(p.name)) for p in sampled_properties(study)]
    weighed = [(p, evaluator.statistics(p.name)) for p in properties_of(study) if p.needs == "weights"]
    score, features = {}, 0.0
    for count in counts:
        several = Samples(np.resize(pixels, (count, *pixels.shape[1:])), device=device)
        able = [(p, statistics) for p, statistics in sampled if count >= p.minimum_images]

        def once(able=able, several=several) -> None:
            for p, statistics in able:
                p.score(several, statistics)

        first, score[count] = _timed(once, device), _timed(once, device)  # who asks first computes the features
        features = max(0.0, first - score[count]) / count
    denoiser = ModelDenoiser(model)
    for p, statistics in weighed:
        p.score(denoiser, statistics)  # what every coalition asks for is kept (held-out images as latents)
    weighing = _timed(lambda: [p.score(denoiser, statistics) for p, statistics in weighed], device)
    return Seconds(training, draws, features, score, weighing)


def _timed(work: Callable[[], object], device: str) -> float:
    started = _clock(device)
    work()
    return _clock(device) - started


def _clock(device: str) -> float:
    return time.process_time() if device == "cpu" else time.monotonic()
