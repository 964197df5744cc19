"""The work pool of one run of a study: opened once, used in every round, and left with nothing under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType

from infra.ledger import Ledger
from infra.patience import patiently_with_store
from infra.store import Store
from infra.work_pool import WorkPool
from infra.work_pool_types import store_tag
from tasks.evaluate.jobs import Job, Outcome, Setting
from tasks.evaluate.shards.dispatch import Dispatch, Recall, seconds_of
from tasks.evaluate.shards.messages import save_setting
from tasks.evaluate.shards.sizing import Pace
from tasks.plan.lacking import Held, lacking
from tasks.study import Study

FLOW = "evaluate-shard"
Say = Callable[[str], None]


class ShardedPool:
    """Evaluates on a work pool, as many shards at a time as it has places. Use it as a context manager.

    Raises:
        WorkPoolError: on entering, if there is no such deployment, pool or queue.
    """

    def __init__(self, setting: Setting, store: Store, say: Say, still_ours: Callable[[], None]) -> None:
        self.setting, self.store = setting, store
        self._say, self._still_ours = say, still_ours
        self._pace = Pace(target=setting.study.execution.shard_minutes * 60)

    def __enter__(self) -> ShardedPool:
        self._pool = open_pool(FLOW, self.setting.study, self.store, self._say).__enter__()
        if left := self._pool.cancel_left_behind():
            self._say(
                f"{left} shards of an earlier run that was killed are cancelled; what they finished is in the ledger"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    @property
    def size(self) -> int:
        """Shards that can go on at a time."""
        return self._pool.places

    def dispatch(
        self, jobs: Sequence[Job], waiting: deque[int], known: Mapping[int, Outcome], recall: Recall
    ) -> Dispatch:
        """One round. known: outcomes that are there already; they tell how long an evaluation takes, at first."""
        if not self._pace.measured:
            self._pace.note(seconds_of(jobs[i], outcome) for i, outcome in known.items())
        self._pool.refresh()
        study, store = self.setting.study, self.store
        digest = patiently_with_store(lambda: save_setting(self.setting, store), self._say, store.url)
        training = patiently_with_store(lambda: must_train(jobs, waiting, store), self._say, store.url)
        return Dispatch(
            jobs,
            waiting,
            self._pool,
            store,
            training=training,
            common={"study": study.name, "store": store.url, "setting": digest},
            recall=recall,
            retries=study.execution.retries,
            pace=self._pace,
            say=self._say,
            still_ours=self._still_ours,
            poll=min(10.0, max(1.0, self._pace.target / 60)),
        )

    def remark(self) -> str | None:
        """What people should know about the length of the shards."""
        return self._pace.remark()


def must_train(jobs: Sequence[Job], waiting: Iterable[int], store: Store) -> frozenset[int]:
    """Which of the waiting must train; the others' weights or images are there, or are made without."""
    asked = {i: jobs[i] for i in waiting}
    held = Held.about(asked.values(), Ledger(store))
    return frozenset(i for i, job in asked.items() if lacking(job, held).training)


def open_pool(flow: str, study: Study, store: Store, say: Say) -> WorkPool:
    """The work pool behind the deployment of `flow` that a study names. Raises WorkPoolError if there is none."""
    tags = (f"study:{study.name}", store_tag(store.url))
    execution = study.execution
    return WorkPool(f"{flow}/{execution.deployment}", execution.queue, tags, say, execution.workers)
