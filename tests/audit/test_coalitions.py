"""From a study to the coalitions of an audit, and to the trainings they ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infra.ledger import Ledger
from infra.store import Store
from tasks.audit.coalitions import audit_plan, audited_coalitions, check_audit, most_retrained, retraining
from tasks.evaluate.shards.messages import SettingMessage
from tasks.partition import DataError, Partition
from tasks.recipe import VERSIONS
from tasks.study import Study
from tests.plan.world import PRUNED, people, study


def audited(*names: str, pairs: int = 4) -> Study:
    return Study.model_validate({**study().model_dump(), "audit": {"contributors": names, "pairs": pairs}})


def renamed(partition: Partition) -> Partition:
    """The first contributor under a name that puts them last."""
    first, *others = partition.contributors
    return replace(partition, contributors=(*others, replace(first, name="zoe")))


def test_a_new_name_and_place_draws_the_same_coalitions_of_images() -> None:
    before = people(6)
    (one,) = audited_coalitions(audited("c02"), before)
    (two,) = audited_coalitions(audited("c02"), renamed(before))

    def prints(partition: Partition, rows: np.ndarray) -> list[list[str]]:
        return [sorted(partition.contributors[i].fingerprint for i in np.flatnonzero(row)) for row in rows]

    assert prints(before, one.without) == prints(renamed(before), two.without)
    assert not one.without[:, one.player].any() and one.present[:, one.player].all()


def test_both_realisations_ask_for_the_same_coalitions_once_and_share_the_empty_one(tmp_path: Path) -> None:
    given, partition = audited("c01", "c03", pairs=64), people(4)
    ledger = Ledger(Store(str(tmp_path)))
    found = audited_coalitions(given, partition)
    tuned, trained = (
        audit_plan(how, partition, PRUNED, {"heldout_loss": "5" * 64}, ledger, found)
        for how in (given, retraining(given))
    )
    assert [job.members for job in tuned.jobs] == [job.members for job in trained.jobs]
    assert len({job.members for job in tuned.jobs}) == len(tuned.jobs) == 16
    assert [job.role for job in tuned.jobs[:2]] == ["baseline", "grand"]
    same = [a.model.key == b.model.key for a, b in zip(tuned.jobs, trained.jobs, strict=True)]
    assert same == [True] + [False] * 15
    assert most_retrained(given, partition) == 2 * 8 * 2


def test_workers_of_a_pool_read_the_twin_study_as_it_is() -> None:
    twin = retraining(audited("c01"))
    message = SettingMessage(
        versions=VERSIONS, study=twin, data_sha256="0" * 64, train_digests=(), ownership="1" * 64, pruned_key="2" * 64,
        statistics={},
    )  # fmt: skip
    assert SettingMessage.model_validate_json(message.model_dump_json()).study == twin
    assert twin.coalition.mode == "retrain" and not twin.audit.contributors


def test_names_are_checked_and_a_merged_one_is_told_apart_from_an_unknown_one() -> None:
    partition = people(3)
    merged = replace(partition.contributors[2], name="small contributors", merged=("c02", "tiny"))
    partition = replace(partition, contributors=(*partition.contributors[:2], merged))
    with pytest.raises(DataError, match=r"'tiny' \(merged into 'small contributors'\); 'c0' \(closest: c0"):
        check_audit(audited("tiny", "c0"), partition)
    check_audit(audited(" c01 ", "small contributors"), partition)
    check_audit(study(), partition)
    with pytest.raises(ValueError, match="repeats"):
        audited("c01", "c01")
