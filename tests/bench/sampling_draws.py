"""One coalition's draws for `make bench-samplers`: drawn once in each way, and every part of them scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infra.digest import digest_of
from tasks.evaluate.evaluator import Evaluator
from tasks.evaluate.jobs import Job
from tasks.families import family_of
from tasks.model.model import Model
from tasks.model.sample import sample
from tasks.plan.chain import properties_of
from tasks.properties import FeatureNetwork, Features, Property, Samples
from tasks.study import Study
from tests.bench.sampling_error import Solver

Values = dict[str, dict[int, list[float]]]  # by property and number of images, one for each disjoint part of the draw


@dataclass(frozen=True, eq=False)
class Part(Samples):
    """Some images of a larger draw, whose features are the larger draw's."""

    whole: Samples | None = None
    first: int = 0

    def features(self, network: FeatureNetwork) -> Features:
        if self.whole is None:
            return super().features(network)
        return Features(*(rows[self.first : self.first + len(self.images)] for rows in self.whole.features(network)))


def draw(model: Model, study: Study, solver: Solver, images: int, device: str) -> np.ndarray:
    """Images as a coalition's are drawn, uint8 [images, r, r, 3]: image number i from the noise of number i."""
    s, family = study.sampling, family_of(study.model)
    return sample(
        model,
        sampler=solver.sampler,  # type: ignore[arg-type]
        steps=solver.steps,
        images=images,
        batch_size=s.batch_size,
        seed=s.seed,
        prompts=s.prompts if family.takes_prompts else (),
        guidance=s.guidance,
        precision=study.model.precision,
        device=device,
    )


def score_parts(pixels: np.ndarray, counts: Sequence[int], study: Study, evaluator: Evaluator) -> Values:
    """Every disjoint part of each number of images, scored."""
    whole = Samples(pixels, device=evaluator.device)
    values: Values = {}
    for wanted in sampled_properties(study):
        values[wanted.name] = {
            count: [
                wanted.score(
                    Part(pixels[first : first + count], evaluator.device, whole=whole, first=first),
                    evaluator.statistics(wanted.name),
                )
                for first in range(0, len(pixels) - count + 1, count)
            ]
            for count in counts
            if count >= wanted.minimum_images
        }
    return values


def sampled_properties(study: Study) -> list[Property]:
    """The study's properties that are scored on images."""
    return [p for p in properties_of(study) if p.needs == "samples"]


def drawn_key(study: Study, job: Job, solver: Solver, images: int, counts: Sequence[int], evaluator: Evaluator) -> str:
    """The name in the archive of all that decides a draw's values."""
    s, kept = study.sampling, evaluator.setting.statistics
    prompts = {"prompts": list(s.prompts), "guidance": s.guidance} if family_of(study.model).takes_prompts else {}
    return digest_of(
        "bench-samplers",
        {
            "model": job.model.key,
            "solver": list(solver),
            "images": images,
            "counts": list(counts),
            "seed": s.seed,
            "properties": [[p.identity(), kept[p.name]] for p in sampled_properties(study)],
            **prompts,
        },
    )


def from_json(content: dict[str, dict[str, list[float]]]) -> Values:
    """Values out of the archive, where numbers of images are text."""
    return {name: {int(count): values for count, values in by_count.items()} for name, by_count in content.items()}
