"""The nouns of a preview. Plain data that becomes JSON as it is (`dataclasses.asdict`).

What was never measured is None, everywhere: a preview says what is known and invents nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

IN_STORE = "is in the store"


@dataclass(frozen=True)
class Measured:
    """Seconds of one piece of work on one worker: the median of so many that were measured. source: which, in words.
    rough: of other models, which may be larger or smaller."""

    seconds: float
    count: int
    source: str
    rough: bool = False


@dataclass(frozen=True)
class Step:
    """A model that is made once an epoch. state: that it is in the store, or what will be done, as in "the reference …"."""

    state: str
    seconds: Measured | None = None

    @property
    def is_there(self) -> bool:
        """Whether nothing is to be done."""
        return self.state == IN_STORE


@dataclass(frozen=True)
class Work:
    """What some evaluations come to.

    evaluations: that are not, or not completely, in the ledger. trainings, samplings: what they need; a kept model is not
    trained again, kept images are only scored anew. scores: by property. seconds: of one worker; None where a part was
    never measured, which not_measured names.
    """

    evaluations: int
    trainings: int
    samplings: int
    scores: Mapping[str, int]
    seconds: float | None
    not_measured: tuple[str, ...] = ()
    weights_bytes: int | None = 0
    samples_bytes: int = 0


@dataclass(frozen=True)
class Storage:
    """Bytes of one thing each. weights: of a coalition's model, exact once there is a pruned model, before that what the
    network has unpruned; None where it is not known whether they will be kept."""

    images: int  # the prepared data set; 0 if it is in the store
    models: int | None  # reference and pruned model, where they are still to be made
    weights: int | None
    weights_exact: bool
    samples: int
    base: int = 0  # of an autoencoder or pipeline that models stand on, what is not in the store
    latents: int = 0  # images as an autoencoder encodes them, where they are not in the store


@dataclass(frozen=True)
class Audit:
    """What checking credits by retraining adds: the most trainings from random weights, and how long each is."""

    contributors: int
    pairs: int
    trainings: int
    steps: int


@dataclass(frozen=True)
class Preview:
    """What `attribute` would do with a study now.

    problems: kind, subject, reason and action of each remark on the data, as a statement lists them.
    epoch: which one the run would belong to, and why, in words.
    statistics_missing: properties whose reference statistics would be computed.
    asked_least, asked: evaluations that the study is sure to ask for, and the most it may, its audit's repeats among them;
        they differ where a stop rule may end it early. cached: those of them that are known to be in the ledger.
    reused: evaluations in the ledger that would be used besides. ignored: why others would not -> how many.
    least, most: what is left to do, if the stop rule is satisfied as soon as it can be, and if it never is.
    ended: set where the ledger holds all that the study will ask for: why nothing more is asked.
    rates: "fine_tune", "sample" and "score/<property>" -> what one takes; None where it was never measured.
    workers: how many would work at a time. where: "on this machine", or the work pool.
    running: who is running the study now. audit: what is not in the sums; None where nobody's credit is checked.
    """

    study: str
    store: str
    contributors: tuple[Mapping[str, str | float], ...]  # name, images, heldout, pro_rata
    training_images: int
    heldout_images: int
    problems: tuple[Mapping[str, str], ...]
    epoch: str
    reference: Step
    pruned: Step
    statistics_missing: tuple[str, ...]
    asked_least: int
    asked: int
    cached: int
    reused: int
    ignored: Mapping[str, int]
    least: Work
    most: Work
    ended: str | None
    rates: Mapping[str, Measured | None]
    storage: Storage
    workers: int
    running: str | None
    where: str = "on this machine"
    audit: Audit | None = None
