"""Which epoch a run belongs to: the one that goes on, or a new one, and why.

no epoch yet                                        new
model, pruning or held-out rule are others          new (an older one with these settings goes on)
the last one was opened and nothing was trained     new, if the images are others
the same images                                     goes on, however old it is
asked for; too old; drifted too far                 new
otherwise                                           goes on: joiners and leavers are handled inside it
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.epoch.records import EpochRecord
from tasks.epoch_spec import EpochSpec
from tasks.recipe import Recipe

Weighed = Iterable[Sequence[object]]  # (digest, weight) of each image


@dataclass(frozen=True)
class Choice:
    """epoch: the one that goes on; None for a new one. why: in one sentence, for people. drift: of the images since that
    epoch froze them, from 0 to 1; 0 for a new one. last_drift: since the last epoch, whatever was chosen."""

    epoch: EpochRecord | None
    why: str
    drift: float = 0.0
    last_drift: float | None = None


def drift(then: Weighed, now: Weighed) -> float:
    """Part of the images that has come, gone or changed hands: 1 − Σ min(then, now) / Σ max(then, now) over the weights of
    all images (Ruzicka's distance, the weighted form of Jaccard's); 0 for the same images and 1 for none in common.

    An image weighs the sum of its owners' shares.
    """
    before, after = _weights(then), _weights(now)
    both = before.keys() | after.keys()
    most = sum(max(before.get(d, 0.0), after.get(d, 0.0)) for d in both)
    if not most:
        return 0.0
    common = sum(min(before.get(d, 0.0), after.get(d, 0.0)) for d in both)
    return 1 - common / most


def choose(
    epochs: Sequence[EpochRecord],
    data: Recipe,
    rule: EpochSpec,
    *,
    heldout: tuple[str, float],
    fits: Callable[[EpochRecord], bool],
    trained: Callable[[EpochRecord], bool],
    now: datetime,
    new: bool = False,
) -> Choice:
    """Which epoch a run on these images belongs to.

    Args:
        epochs: of the study, oldest first.
        heldout: the rule by which images are held out, salt and share.
        fits: whether the study's settings would still make an epoch's reference and pruned model.
        trained: whether anything was ever made for it.
        new: a new one is asked for.
    """
    if not epochs:
        return Choice(None, "it is the first of this study")
    last = next((epoch for epoch in reversed(epochs) if epoch.heldout == heldout and fits(epoch)), None)
    if last is None:
        return Choice(None, f"model, pruning or held-out settings are not those of {epochs[-1].name}")
    moved = drift(last.data.train, data.spec["train"])
    if last.recipe.key == data.key:
        asked = (
            "; a new one was asked for, and would be the same: change model.seed for another reference" if new else ""
        )
        return Choice(last, f"the images are those of {last.name}{asked}", 0.0, 0.0)
    if not trained(last):
        return Choice(None, f"{last.name} was opened on other images, and nothing was made for it", last_drift=moved)
    if new:
        return Choice(None, "it was asked for", last_drift=moved)
    age = now - last.opened
    if rule.maximum_days is not None and age > timedelta(days=rule.maximum_days):
        days = age.total_seconds() / 86400
        why = f"{last.name} is {days:.0f} days old, more than epoch.maximum_days {rule.maximum_days:g}"
        return Choice(None, why, last_drift=moved)
    part = f"{moved:.1%} of the training images have come, gone or changed hands since {last.name} opened"
    if moved > rule.drift:
        return Choice(None, f"{part}, more than epoch.drift {rule.drift:.0%}", last_drift=moved)
    return Choice(last, f"{part}, epoch.drift allows {rule.drift:.0%}", moved, moved)


def in_words(choice: Choice, opened: int = 0) -> str:
    """One line for people: what would happen, and why. opened: number of the new epoch, where it was opened."""
    if choice.epoch is None:
        return f"{f'epoch {opened}' if opened else 'a new one'} opens: {choice.why}"
    return f"{choice.epoch.name} goes on: {choice.why}"


def _weights(images: Weighed) -> dict[str, float]:
    return {str(digest): float(weight) for digest, weight in images}  # type: ignore[arg-type]
