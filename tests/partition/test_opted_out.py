"""Contributors who have opted out are in no partition, whatever the data folder still holds."""

from __future__ import annotations

import pytest

from tasks.partition import DataError, Partition, partition
from tests.partition.conftest import DataFolder, names_in, problems_of


def without(folder: DataFolder, *out: str, **options: object) -> Partition:
    folder.write_metadata()
    return partition(folder.spec(**options), 8, opted_out=out)


def test_their_images_are_left_out_and_everybody_elses_are_as_before(folder: DataFolder) -> None:
    folder.add("carol.png", "carol", 50)
    folder.add("carol2.png", "carol", 51)
    folder.add("carol3.png", "carol", 52)
    everybody = folder.partition()
    found = without(folder, "carol", "nobody here")
    assert [c.name for c in found.contributors] == ["alice", "bob"]
    before = {c.name: c.fingerprint for c in everybody.contributors}
    assert all(c.fingerprint == before[c.name] for c in found.contributors)
    (problem,) = found.problems
    assert (problem.kind, problem.subject, problem.action) == ("opted-out", "carol", "left out")
    assert "3 images" in problem.reason and not any("carol" in name for name in names_in(found))


def test_of_a_shared_image_their_share_goes_and_the_others_stays_as_it_is(folder: DataFolder) -> None:
    folder.add("shared.png", "alice:0.6;carol:0.4", 60)
    found = without(folder, "carol")
    (shared,) = (image for image in found.images if image.file_name == "shared.png")
    assert shared.shares == (("alice", pytest.approx(0.6)),)
    assert "0.4 images" in problems_of(found, "opted-out")[0].reason


def test_they_may_stand_in_only_and_are_left_out_nevertheless(folder: DataFolder) -> None:
    folder.add("carol.png", "carol", 70)
    found = without(folder, "carol", only=["alice", "bob", "carol"])
    assert [c.name for c in found.contributors] == ["alice", "bob"]


def test_in_only_they_are_no_error_where_their_images_are_gone_too_but_other_unknown_names_are(
    folder: DataFolder,
) -> None:
    found = without(folder, "carol", only=["alice", "bob", "carol"])
    assert [c.name for c in found.contributors] == ["alice", "bob"]
    (problem,) = found.problems
    assert (problem.kind, problem.subject) == ("opted-out", "carol") and "0 images" in problem.reason
    with pytest.raises(DataError, match="not in the data: 'dan'") as refused:
        without(folder, "carol", only=["alice", "bob", "carol", "dan"])
    assert "carol" not in str(refused.value)


def test_with_too_few_left_the_error_says_who_has_opted_out(folder: DataFolder) -> None:
    with pytest.raises(DataError, match="'bob' has opted out"):
        without(folder, "bob")
