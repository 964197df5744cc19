"""What driver and worker tell each other through the store: plain JSON, checked on reading.

    shards/settings/<sha256>.json           what all shards of a run have in common
    shards/settings/<sha256>.safetensors    who owns which image
    shards/<sha256>.json                    the jobs of one shard
    shards/reports/<flow run>.json          what became of them

Digests of jobs are computed anew from their specifications, so a job cannot pass for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.digest import canonical_json, sha256
from infra.ledger import Digest
from infra.store import Store, StoreError
from tasks.evaluate.jobs import Job, Outcome, Role, Setting
from tasks.recipe import VERSIONS, Recipe
from tasks.study import Study

FOLDER = "shards"
LARGEST = 256 * 2**20  # bytes of one message; a shard of a thousand coalitions of ten thousand contributors has more


class Message(BaseModel):
    """What all messages have in common: a version, and nothing that this version does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    schema_version: Literal[1] = 1


class SettingMessage(Message):
    """A `Setting`, without the store: a worker uses its own. versions: of what the code does with a recipe; the numbers of
    another version must not get the names of this one."""

    versions: dict[str, int]
    study: Study
    data_sha256: Digest
    train_digests: tuple[Digest, ...]
    ownership: Digest
    pruned_key: Digest
    statistics: dict[str, Digest | None]


class JobMessage(Message):
    """A `Job`, its recipes as specifications."""

    members: tuple[Annotated[int, Field(ge=0)], ...]
    names: tuple[str, ...]
    role: Role
    seed: int
    draws: int
    model: dict[str, object]
    samples: dict[str, object] | None
    scores: dict[str, dict[str, object]]


class ShardMessage(Message):
    """Evaluations for one flow run, in the order in which they are made."""

    jobs: tuple[JobMessage, ...] = Field(min_length=1)


class OutcomeMessage(Message):
    """An `Outcome`."""

    values: dict[str, float]
    failures: dict[str, str]
    seconds: dict[str, float]
    trained: bool
    sampled: bool
    scored: int


class Report(Message):
    """What one flow run made of a shard.

    loading: seconds from its first line of code to its first evaluation. working: of all evaluations together.
    outcomes: of the first jobs, in their order; of all of them, unless it stopped. stopped: why the next one raised.
    """

    shard: Digest
    worker: str
    loading: float = Field(ge=0)
    working: float = Field(ge=0)
    outcomes: tuple[OutcomeMessage, ...]
    stopped: str | None = None


M = TypeVar("M", bound=Message)


def save_setting(setting: Setting, store: Store) -> str:
    """Put a setting into the store. Returns its sha256."""
    ownership = store.save_named_by_content(f"{FOLDER}/settings", {"ownership": setting.ownership})
    message = SettingMessage(
        versions=VERSIONS,
        study=setting.study,
        data_sha256=setting.data_sha256,
        train_digests=setting.train_digests,
        ownership=ownership,
        pruned_key=setting.pruned_key,
        statistics=dict(setting.statistics),
    )
    return _save(f"{FOLDER}/settings", message, store)


def load_setting(digest: str, store: Store) -> Setting:
    """The setting that `save_setting` put there.

    Raises:
        FileNotFoundError: if there is none.
        StoreError: if it is damaged, or of another version.
    """
    found = _load(f"{FOLDER}/settings/{digest}.json", digest, SettingMessage, store)
    if found.versions != VERSIONS:
        raise StoreError(
            f"the run that sent this shard is of another version of diffusion-credit (it has {found.versions}, this worker "
            f"{VERSIONS}): bring the machine of `attribute` and the workers of the pool to the same version"
        )
    arrays = store.load_arrays(f"{FOLDER}/settings/{found.ownership}.safetensors", found.ownership)
    return Setting(
        store_url=store.url,
        study=found.study,
        data_sha256=found.data_sha256,
        train_digests=found.train_digests,
        ownership=arrays["ownership"],
        pruned_key=found.pruned_key,
        statistics=found.statistics,
    )


def save_shard(jobs: Sequence[Job], store: Store) -> str:
    """Put the jobs of a shard into the store. Returns their sha256."""
    messages = tuple(
        JobMessage(
            members=job.members,
            names=job.names,
            role=job.role,
            seed=job.seed,
            draws=job.draws,
            model=job.model.spec,
            samples=None if job.samples is None else job.samples.spec,
            scores={name: recipe.spec for name, recipe in job.scores.items()},
        )
        for job in jobs
    )
    return _save(FOLDER, ShardMessage(jobs=messages), store)


def load_shard(digest: str, store: Store) -> tuple[Job, ...]:
    """The jobs that `save_shard` put there. Raises as `load_setting`."""
    return tuple(
        Job(
            members=job.members,
            names=job.names,
            role=job.role,
            seed=job.seed,
            model=Recipe("model", job.model),
            samples=None if job.samples is None else Recipe("samples", job.samples),
            scores={name: Recipe("score", spec) for name, spec in job.scores.items()},
            draws=job.draws,
        )
        for job in _load(f"{FOLDER}/{digest}.json", digest, ShardMessage, store).jobs
    )


def save_report(
    run: str,
    shard: str,
    outcomes: Sequence[Outcome],
    *,
    worker: str,
    loading: float,
    working: float,
    store: Store,
    stopped: str | None = None,
) -> None:
    """Put down what became of a shard's jobs, in their order. run: id of the flow run, which reports once."""
    messages = tuple(
        OutcomeMessage(
            values=dict(outcome.values),
            failures=dict(outcome.failures),
            seconds=dict(outcome.seconds),
            trained=outcome.trained,
            sampled=outcome.sampled,
            scored=outcome.scored,
        )
        for outcome in outcomes
    )
    report = Report(shard=shard, worker=worker, loading=loading, working=working, outcomes=messages, stopped=stopped)
    store.write(_report(run), canonical_json(report.model_dump(mode="json")))


def load_report(run: str, shard: str, jobs: int, store: Store) -> tuple[Report, list[Outcome]] | None:
    """What a flow run reported on a shard of so many jobs; None if it did not come to that.

    Raises:
        StoreError: if it is no report on this shard.
    """
    key = _report(run)
    try:
        found = _parse(key, store.read(key, limit=LARGEST), Report, store)
    except FileNotFoundError:
        return None
    whole = len(found.outcomes) == jobs if found.stopped is None else len(found.outcomes) < jobs
    if found.shard != shard or not whole:
        raise StoreError(f"{store.where(key)} is not about the shard {shard[:12]}… of {jobs} evaluations")
    return found, [Outcome(o.values, o.failures, o.seconds, o.trained, o.sampled, o.scored) for o in found.outcomes]


def _report(run: str) -> str:
    return f"{FOLDER}/reports/{UUID(run)}.json"


def _save(folder: str, message: Message, store: Store) -> str:
    data = canonical_json(message.model_dump(mode="json"))
    digest = sha256(data)
    store.create(f"{folder}/{digest}.json", data)
    return digest


def _load(key: str, digest: str, kind: type[M], store: Store) -> M:
    return _parse(key, store.read(key, digest, limit=LARGEST), kind, store)


def _parse(key: str, data: bytes, kind: type[M], store: Store) -> M:
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise StoreError(
            f"{store.where(key)} is not what this version of diffusion-credit writes there: {error}"
        ) from None
