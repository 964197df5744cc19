"""What is new since the last statement of a study, and what is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass

from infra.store import Store
from tasks.epoch.choose import Choice, in_words
from tasks.epoch.current import look_up_epoch
from tasks.partition import Partition
from tasks.reattribute.increment import increment, usable_coalitions
from tasks.recipe import Recipe
from tasks.statements.people import People, compare_people
from tasks.statements.read import PastStatement, latest_statement
from tasks.study import Study

# What decides values and keys. How many coalitions are evaluated, where, and when an epoch ends changes no credit's meaning.
_SETTINGS = ("data", "model", "pruning", "coalition", "sampling", "properties")
_NOT_A_SETTING = {"data": ("url", "only", "date_column", "contributor_column", "maximum_megapixels")}


@dataclass(frozen=True)
class News:
    """last: the statement that people have; None if this is the first. people: None then. choice: of the epoch.
    settings: sections of the study that are not as they were. study: to be run. why: it is, in words; None if nothing is to
    be done. usable: coalitions of the last statement that count as they are.
    """

    last: PastStatement | None
    people: People | None
    choice: Choice
    settings: tuple[str, ...]
    study: Study
    why: str | None
    usable: int = 0

    @property
    def sentences(self) -> tuple[str, ...]:
        """For a log or a page; names are safe to print, not to put into Markdown."""
        if self.last is None or self.people is None:
            return ("There is no statement of this study yet.",)
        said = [f"Since the statement of {self.last.created:%Y-%m-%d %H:%M} UTC: {self.people.sentence()}."]
        if self.settings:
            said.append(f"Settings that are not as they were: {', '.join(self.settings)}.")
        words = in_words(self.choice)
        said.append(f"{words[0].upper()}{words[1:]}." if self.choice.epoch is not None else f"Epoch: {words}.")
        if self.why is None:
            said.append("Nothing is to be done: the statement stands.")
        elif self.usable:
            estimation = self.study.estimation
            said.append(
                f"{self.usable} evaluated coalitions of that statement count as they are; at most "
                f"{max(0, estimation.budget - self.usable)} more are asked for, besides the audit's repeats."
            )
        return tuple(said)


def look_for_news(study: Study, partition: Partition, data: Recipe, store: Store, *, new_epoch: bool = False) -> News:
    """Compare the data of today with the last statement, and decide.

    Args:
        data: recipe of the partition's images. new_epoch: one is asked for.

    Raises:
        StoreError: if the last statement, or an epoch, cannot be read.
    """
    last = latest_statement(store, study.name)
    choice, _ = look_up_epoch(study, partition, data, store, new=new_epoch)
    if last is None:
        return News(None, None, choice, (), study, "there is no statement yet")
    people, settings = compare_people(last, partition), _other_settings(study, last)
    goes_on = choice.epoch is not None and choice.epoch.number == last.epoch
    reasons = [
        *([people.sentence()] if people.any else []),
        *([f"other settings of {', '.join(settings)}"] if settings else []),
        *([f"another epoch: {choice.why}"] if not goes_on else []),
        *(["another audit is asked for"] if _another_audit(study, last) else []),
    ]
    if not reasons:
        return News(last, people, choice, settings, study, None)
    # Under other settings, or in another epoch, nothing that the last statement rests on has the keys of today.
    usable = usable_coalitions(last, people, store) if goes_on and not settings else 0
    return News(last, people, choice, settings, increment(study, people, usable), "; ".join(reasons), usable)


def _another_audit(study: Study, last: PastStatement) -> bool:
    """Whether credits are to be checked that the last statement did not check in this way."""
    now = study.audit.model_dump(mode="json")
    then = {**Study().audit.model_dump(mode="json"), **last.study.get("audit", {})}
    return bool(study.audit.contributors) and now != then


def _other_settings(study: Study, last: PastStatement) -> tuple[str, ...]:
    """Sections that decide values and are not as the last statement's; one that it did not know counts as its default."""
    now, defaults = study.model_dump(mode="json"), Study().model_dump(mode="json")
    found = []
    for section in _SETTINGS:
        passed_over = _NOT_A_SETTING.get(section, ())
        then = {**defaults[section], **last.study.get(section, {})}
        if any(then.get(name) != value for name, value in now[section].items() if name not in passed_over):
            found.append(section)
    return tuple(found)
