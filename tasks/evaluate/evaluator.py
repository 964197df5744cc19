"""Step 5: realise one coalition and score it, link by link, each link only if the ledger does not have it.

    model:   load pruned -> fine-tune on the members' images (or the baseline) -> weights
    samples: weights -> images
    scores:  images or weights -> one number a property

A training that diverges, or a property that has no value for these images, is recorded as a failure with its reason: the
same inputs would fail again. Anything else that goes wrong is raised, and leaves no record.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from infra.digest import sha256
from infra.ledger import Ledger, ModelRecord, SamplesRecord, ScoreRecord
from infra.provenance import now, provenance
from infra.store import Store
from tasks.evaluate import weights
from tasks.evaluate.jobs import Job, Outcome, Setting
from tasks.families import family_of
from tasks.families.stored import prepared
from tasks.images_gone import check_images, look_again
from tasks.model.model import Model, ModelDenoiser
from tasks.model.sample import sample
from tasks.model.speed import prepare_for_training
from tasks.model.threads import device_of, one_thread
from tasks.model.train import Diverged, TrainingData, train
from tasks.partition.prompts import prompts_of
from tasks.progress import Ticker
from tasks.properties import Samples, resolve_property
from tasks.recipe import coalition_training
from tasks.reference.pruned import PrunedModel, load_pruned
from tasks.reference.reference import check_given

Say = Callable[[str], None]
SAY_EVERY = 15.0  # seconds; a coalition that takes less says only what came out


class Evaluator:
    """Evaluates the jobs of one run, one after another; keeps what they share (data, pruned model, statistics)."""

    def __init__(self, setting: Setting, index: int = 0) -> None:
        self.setting = setting
        self.store = Store(setting.store_url)
        self.ledger = Ledger(self.store)
        self.device = device_of(setting.study.execution.device, index)
        self._pruned: PrunedModel | None = None
        self.family = family_of(setting.study.model)
        self._data: TrainingData | None = None
        self._statistics: dict[str, dict[str, np.ndarray]] = {}

    def evaluate(self, job: Job, say: Say) -> Outcome:
        """Do what is missing of a job.

        Raises:
            ImagesGone, LedgerConflict, StoreError: see `check_images` and infra.
        """
        with one_thread():
            return _Evaluation(self, job, say).run()

    def realise(self, job: Job, say: Say, with_model: bool = True) -> tuple[Model | None, np.ndarray | None]:
        """A job's model, if wanted, and images uint8 [g, r, r, 3], if it has samples: stored, or made and recorded now.

        Raises:
            Diverged: if the job failed, now or when it was made.
            LedgerConflict, StoreError: see infra; weights that were not kept can come out otherwise on a GPU.
        """
        with one_thread():
            evaluation = _Evaluation(self, job, say)
            images = None if job.samples is None else evaluation.samples().images
            model = evaluation.realised() if with_model else None
        if all(self.ledger.get(ScoreRecord, score.key) for score in job.scores.values()):
            weights.forget(job.model.key, self.ledger)
        return model, images

    @property
    def pruned(self) -> PrunedModel:
        """The model every coalition starts from."""
        if self._pruned is None:
            self._pruned = load_pruned(self.setting.study, self.setting.pruned_key, self.store)
        return self._pruned

    def training_data(self, members: tuple[int, ...], model: Model, say: Say) -> TrainingData:
        """The training images, as `model` takes them, with the sum of the members' shares as weights."""
        ownership = np.asarray(self.setting.ownership)
        if self._data is None:
            digest = self.setting.data_sha256
            arrays = self.store.load_arrays(f"data/{digest}.safetensors", digest)
            pixels, digests = torch.from_numpy(arrays["train_pixels"]), self.setting.train_digests
            prompts = prompts_of(arrays, "train") if self.family.takes_prompts else ()
            everybody = TrainingData(pixels, digests, ownership.sum(axis=1), prompts)
            self._data = prepared(everybody, model, self.store, say, self.check_images)
        return replace(self._data, weights=ownership[:, list(members)].sum(axis=1))

    def check_images(self) -> None:
        """Before and after something is stored that was made of people's images: see `tasks.images_gone`.

        Raises:
            ImagesGone: if they were removed.
        """
        check_images(self.store, self.setting.data_sha256)

    def statistics(self, name: str) -> dict[str, np.ndarray]:
        """The reference statistics of a property, as frozen in this epoch."""
        digest = self.setting.statistics[name]
        if digest is None:
            return {}
        if name not in self._statistics:
            self._statistics[name] = self.store.load_arrays(f"statistics/{digest}.safetensors", digest)
        return self._statistics[name]


class _Evaluation:
    """One job on its way through the chain."""

    def __init__(self, evaluator: Evaluator, job: Job, say: Say) -> None:
        self.evaluator, self.job, self.say = evaluator, job, say
        self.study = evaluator.setting.study
        self.seconds = dict.fromkeys(("load", "fine_tune", "sample", "score"), 0.0)
        self.trained = self.sampled = False
        self._model: Model | None = None

    def run(self) -> Outcome:
        ledger = self.evaluator.ledger
        known = {name: ledger.get(ScoreRecord, recipe.key) for name, recipe in self.job.scores.items()}
        missing = [name for name, record in known.items() if record is None]
        records = {name: record for name, record in known.items() if record is not None}
        failures: dict[str, str] = {}
        subjects: dict[str, Samples | ModelDenoiser] = {}
        try:
            for name in missing:
                needs = resolve_property(name, self.study.properties).needs
                if needs not in subjects:
                    subjects[needs] = self.samples() if needs == "samples" else self._denoiser()
        except Diverged as error:
            failures = dict.fromkeys(missing, str(error))
            missing = []
        for name in missing:
            records[name] = self._score(name, subjects[resolve_property(name, self.study.properties).needs])
        if any(record is None for record in known.values()):
            weights.forget(self.job.model.key, ledger)
        return Outcome(
            values={name: record.value for name, record in records.items() if record.value is not None},
            failures={**{n: r.failure for n, r in records.items() if r.failure is not None}, **failures},
            seconds=self.seconds,
            trained=self.trained,
            sampled=self.sampled,
            scored=len(missing),
        )

    def _denoiser(self) -> ModelDenoiser:
        return ModelDenoiser(self.realised())

    def realised(self) -> Model:
        """The coalition's model, from the store or trained now."""
        if self._model is not None:
            return self._model
        recipe, store = self.job.model, self.evaluator.store
        known = self.evaluator.ledger.get(ModelRecord, recipe.key)
        if known is not None and known.failure is not None:
            raise Diverged(known.failure)
        if known is not None and known.sha256 is not None:
            with self._timed("load"), contextlib.suppress(FileNotFoundError):  # not kept, or tidied away since
                model = self.evaluator.pruned.model(with_weights=False)
                weights.load(model, known.sha256, store)
                self._model = model.to(self.evaluator.device)
        if self._model is None:
            self._model = self._train()
        return self._model

    def _train(self) -> Model:
        how, members, store = self.job.model.spec["how"], self.job.members, self.evaluator.store
        with self._timed("load"):
            model = self.evaluator.pruned.model(with_weights=how["start"] == "pruned")
            if how["start"] == "random":
                model.reset(self.job.seed)
            elif how["start"] == "base":
                check_given(self.study, self.evaluator.setting.pruned_key, store)
                self.evaluator.family.to_base(model)
        started, failure = time.monotonic(), None
        with self._timed("fine_tune"):
            if members:
                self._check_images()  # before it is paid for; and again before it is kept
                recipe = coalition_training(self.study, self.job.seed)
                model.to(self.evaluator.device)
                data = self.evaluator.training_data(members, model, self.say)
                prepare_for_training(model, self.study.execution)
                try:
                    losses = train(
                        model,
                        data,
                        recipe,
                        device=self.evaluator.device,
                        progress=Ticker(self.say, "training", SAY_EVERY, end=False),
                    )
                except Diverged as error:
                    failure = str(error)
                else:
                    images = int((data.weights > 0).sum())
                    tenth = max(1, len(losses) // 10)
                    self.say(
                        f"trained {recipe.steps} steps on {images} images of {len(members)} contributors: "
                        f"loss {sum(losses[:tenth]) / tenth:.4f} to {sum(losses[-tenth:]) / tenth:.4f}"
                    )
        self.trained = True
        self._record_model(model, time.monotonic() - started, failure)
        if failure is not None:
            raise Diverged(failure)
        return model.to(self.evaluator.device)

    def _check_images(self) -> None:
        if self.job.members:  # what nobody's model is made of is the reference's affair
            self.evaluator.check_images()

    def _record_model(self, model: Model, seconds: float, failure: str | None) -> None:
        self._check_images()
        trained = weights.pack(model)
        if failure is None:
            weights.save(trained, self.evaluator.store)  # to be kept or not: what is recorded must not be made again
            look_again(self._check_images, self.evaluator.store, weights.file_of(sha256(trained)))
        weights.record(
            ModelRecord(
                key=self.job.model.key,
                spec=self.job.model.spec,
                failure=failure,
                seconds=seconds,
                created=now(),
                provenance=provenance(self.evaluator.device),
                members=list(self.job.names),
                sha256=None if failure is not None else sha256(trained),
                kept=failure is None and len(trained) < self.study.execution.keep_weights_below_mb * 2**20,
            ),
            self.evaluator.ledger,
        )

    def samples(self) -> Samples:
        recipe, store = self.job.samples, self.evaluator.store
        assert recipe is not None  # the plan gives every job samples if a property needs them
        known = self.evaluator.ledger.get(SamplesRecord, recipe.key)
        if known is not None and known.failure is not None:
            raise Diverged(known.failure)
        if known is not None:
            with self._timed("load"), contextlib.suppress(FileNotFoundError):  # tidied away since: drawn again
                images = store.load_arrays(f"samples/{known.sha256}.safetensors", known.sha256)["images"]
                return Samples(images, device=self.evaluator.device)
        return Samples(self._sample(), device=self.evaluator.device)

    def _sample(self) -> np.ndarray:
        recipe, store, sampling = self.job.samples, self.evaluator.store, self.study.sampling
        assert recipe is not None
        model = self.realised()
        started, failure, digest = time.monotonic(), None, None
        images = np.empty(0, dtype=np.uint8)
        with self._timed("sample"):
            try:
                images = sample(
                    model,
                    sampler=sampling.sampler,
                    steps=sampling.steps,
                    images=sampling.images,
                    batch_size=sampling.batch_size,
                    seed=recipe.spec["seed"],
                    prompts=recipe.spec.get("prompts", ()),
                    guidance=recipe.spec.get("guidance", 1.0),
                    precision=recipe.spec.get("precision", "fp32"),
                    device=self.evaluator.device,
                    progress=Ticker(self.say, "drawing images", SAY_EVERY, end=False),
                )
                self._check_images()
                digest = store.save_named_by_content("samples", {"images": images})
                look_again(self._check_images, store, f"samples/{digest}.safetensors")
            except Diverged as error:
                failure = str(error)
        self.sampled = True
        if failure is None:
            self.say(f"drew {len(images)} images with {sampling.sampler} in {sampling.steps} steps")
        self.evaluator.ledger.record(
            SamplesRecord(
                key=recipe.key,
                spec=recipe.spec,
                model=self.job.model.key,
                failure=failure,
                seconds=time.monotonic() - started,
                created=now(),
                provenance=provenance(self.evaluator.device),
                sha256=digest,
            )
        )
        if failure is not None:
            raise Diverged(failure)
        return images

    def _score(self, name: str, subject: Samples | ModelDenoiser) -> ScoreRecord:
        recipe, started, value, failure = self.job.scores[name], time.monotonic(), None, None
        wanted = resolve_property(name, self.study.properties)
        if wanted.identity() != recipe.spec["property"]:
            # The file of a property of one's own was edited while the run went on: this process has read another one
            # than the driver. Its number would stand in the ledger for ever under the digest of the other.
            raise RuntimeError(f"{name} changed since this run started; start the run again")
        statistics = self.evaluator.statistics(name)
        with self._timed("score"):
            try:
                value = wanted.score(subject, statistics)
            except ValueError as error:
                failure = str(error) or f"{type(error).__name__} without a message"
                self.say(f"{name} has no value for this coalition: {failure}")
        return self.evaluator.ledger.record(
            ScoreRecord(
                key=recipe.key,
                spec=recipe.spec,
                subject=recipe.spec["subject"],
                value=value,
                failure=failure,
                seconds=time.monotonic() - started,
                created=now(),
                provenance=provenance(self.evaluator.device),
            )
        )

    @contextlib.contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[part] += time.monotonic() - started
