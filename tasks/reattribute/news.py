"""What is new since the last statement of a study, and what is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.opt_outs import opted_out
from infra.store import Store
from tasks.epoch.choose import Choice, in_words
from tasks.epoch.current import look_up_epoch
from tasks.partition import Partition
from tasks.plan.former import earlier_contributors
from tasks.publish import text
from tasks.reattribute.increment import increment, usable_coalitions
from tasks.recipe import Recipe, pruned_recipe
from tasks.reference.reference import reference_of
from tasks.statements.people import People, compare_people
from tasks.statements.read import PastStatement, latest_statement
from tasks.statements.settings import Field, fields_that_decide
from tasks.study import Study

# What is worth a new statement. How many coalitions are evaluated, where, and when an epoch ends is not: ask for one with
# `attribute`. What of it makes evaluations unusable is not judged here but by their keys.
_SETTINGS = ("data", "model", "pruning", "coalition", "sampling", "properties")
_NOT_A_SETTING = {"data": ("url", "only", "date_column", "contributor_column", "prompt_column", "maximum_megapixels")}
# No evaluation becomes another one by these, but intervals and audits do.
_OF_NOISE = {("coalition", name) for name in ("audit_seeds", "audit_coalitions", "retrain_steps")}


@dataclass(frozen=True)
class News:
    """last: the statement that people have; None if this is the first. people: None then. choice: of the epoch.
    settings: sections of the study that are not as they were. study: to be run. why: it is, in words; None if nothing is to
    be done. usable: coalitions of the last statement that count as they are. unaudited: names to audit of people who left.
    """

    last: PastStatement | None
    people: People | None
    choice: Choice
    settings: tuple[str, ...]
    study: Study
    why: str | None
    usable: int = 0
    unaudited: tuple[str, ...] = ()

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
        elif self.study.estimation.hard_budget:
            more = self.study.estimation.budget - self.usable - 1
            said.append(
                f"{self.usable} evaluated coalitions of that statement count as they are; at most {max(0, more)} more are "
                "asked for, besides the audit's repeats."
            )
        else:
            said.append(
                f"{self.usable} evaluated coalitions of that statement could count, too few to build on: the study's own "
                f"budget of {self.study.estimation.budget} is asked for; the ledger gives what it has of it."
            )
        if self.unaudited:
            names = ", ".join(text.plain(name) for name in self.unaudited)
            said.append(f"Not audited, because they have left: {names}.")
        return tuple(said)


def look_for_news(study: Study, partition: Partition, data: Recipe, store: Store, *, new_epoch: bool = False) -> News:
    """Compare the data of today with the last statement, and decide.

    Args:
        data: recipe of the partition's images. new_epoch: one is asked for.

    Raises:
        StoreError: if the last statement, or an epoch, cannot be read.
    """
    last = latest_statement(store, study.name)
    choice, epoch = look_up_epoch(study, partition, data, store, new=new_epoch)
    if last is None:
        return News(None, None, choice, (), study, "there is no statement yet")
    people, settings = compare_people(last, partition), _other_settings(study, last)
    study, unaudited = _audit_of_today(study, people, partition, store)
    goes_on = choice.epoch is not None and choice.epoch.number == last.epoch
    reasons = [
        *([people.sentence()] if people.any else []),
        *([f"other settings of {', '.join(settings)}"] if settings else []),
        *([f"another epoch: {choice.why}"] if not goes_on else []),
        *(["another audit is asked for"] if _another_audit(study, last) else []),
    ]
    if not reasons:
        return News(last, people, choice, settings, study, None, unaudited=unaudited)
    usable = 0
    if goes_on:  # in another epoch nothing that the last statement rests on has a key of today
        pruned = pruned_recipe(study.pruning, study.model, reference_of(study, epoch.data), epoch.data)
        usable = usable_coalitions(last, people, study, partition, pruned, store)
    again = increment(study, people, usable, len(partition.contributors))
    return News(last, people, choice, settings, again, "; ".join(reasons), usable, unaudited)


def _audit_of_today(study: Study, people: People, partition: Partition, store: Store) -> tuple[Study, tuple[str, ...]]:
    """The study with the names to audit as they are today, and those that are left out: a run that nobody started must not
    end because somebody whose audit was asked for has left. A name that nobody ever had stays, and ends it."""
    now, renamed = {c.name for c in partition.contributors}, dict(people.renamed)
    asked = [renamed.get(name, name) for name in study.audit.contributors]
    known = {who.name for who in earlier_contributors(store, study.name).values()} | opted_out(store)
    gone = tuple(name for name in asked if name not in now and name in known)
    kept = [name for name in asked if name not in gone]
    if kept == study.audit.contributors:
        return study, ()
    return study.model_copy(update={"audit": study.audit.model_copy(update={"contributors": kept})}), gone


def _another_audit(study: Study, last: PastStatement) -> bool:
    """Whether credits are to be checked that the last statement did not check in this way."""
    now = study.audit.model_dump(mode="json")
    then = {**Study().audit.model_dump(mode="json"), **last.study.get("audit", {})}
    return bool(study.audit.contributors) and now != then


def _other_settings(study: Study, last: PastStatement) -> tuple[str, ...]:
    """Sections that decide values and are not as the last statement's; a field that it did not know counts as its default,
    and one that decides nothing in this study is no setting."""
    now, defaults = study.model_dump(mode="json"), Study().model_dump(mode="json")
    others: dict[Field, Any] = {}
    for section in _SETTINGS:
        passed_over = _NOT_A_SETTING.get(section, ())
        then = {**defaults[section], **last.study.get(section, {})}
        fields = [name for name, value in now[section].items() if name not in passed_over and then.get(name) != value]
        others |= {(section, name): then.get(name) for name in fields}
    decide = fields_that_decide(study, {field: was for field, was in others.items() if field not in _OF_NOISE})
    found = {section for section, name in others if (section, name) in decide | _OF_NOISE}
    return tuple(section for section in _SETTINGS if section in found)
