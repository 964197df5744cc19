"""The partition itself: who owns what, what is held out, what a joiner changes (nothing that was there before)."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.partition import DataError, Partition, attribution, partition
from tasks.partition.contributors import fingerprint
from tasks.partition.duplicates import is_heldout
from tasks.partition.images import decode
from tasks.partition.names import MERGED
from tests.partition.conftest import DataFolder, encoded, picture, problems_of


def fingerprints(parts: Partition) -> dict[str, str]:
    return {contributor.name: contributor.fingerprint for contributor in parts.contributors}


def check_consistent(parts: Partition, resolution: int) -> None:
    """What every reader of a partition relies on."""
    training = [image for image in parts.images if not image.heldout]
    names = [contributor.name for contributor in parts.contributors]
    assert names == sorted(names)
    assert parts.train_digests == tuple(sorted({image.digest for image in training}))
    assert not set(parts.train_digests) & set(parts.heldout_digests)
    assert list(parts.images) == sorted(parts.images, key=lambda image: (image.digest, image.file_name))
    assert parts.ownership.shape == (len(parts.train_digests), len(names))
    assert np.allclose(parts.ownership.sum(axis=0), [contributor.images for contributor in parts.contributors])
    assert sum(contributor.pro_rata for contributor in parts.contributors) == pytest.approx(1)
    for pixels, digests in ((parts.train_pixels, parts.train_digests), (parts.heldout_pixels, parts.heldout_digests)):
        assert pixels.shape == (len(digests), resolution, resolution, 3)
        assert pixels.dtype == np.uint8


def test_counts_shares_and_pixels_belong_together(folder: DataFolder) -> None:
    folder.add("shared.png", "alice:0.7;bob:0.3", 40)
    folder.add("shared-again.png", "alice:0.7;bob:0.3", 40)
    parts = folder.partition(resolution=12, heldout_fraction=0.3)
    check_consistent(parts, 12)
    by_name = {image.file_name: image for image in parts.images}
    for number in range(12):
        image = by_name[f"good{number:02}.png"]
        digests, pixels = (
            (parts.heldout_digests, parts.heldout_pixels)
            if image.heldout
            else (parts.train_digests, parts.train_pixels)
        )
        assert np.array_equal(pixels[digests.index(image.digest)], np.asarray(picture(number)))
    shared = by_name["shared.png"]
    assert not shared.heldout
    row = parts.ownership[parts.train_digests.index(shared.digest)]
    assert row == pytest.approx([1.4, 0.6])  # two equal files, so twice the shares


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        (("2019-01-01", "2020-01-01"), "'carol' had it first (2019-01-01), 'dan' later (2020-01-01)"),
        (("", ""), "own it and it is not known who was first (no date, no date)"),
        (("2019", "2019-05-01"), "it is not known who was first"),
    ],
)
def test_copies_across_contributors_say_who_was_first_if_that_is_known(
    dates: tuple[str, str], words: str, folder: DataFolder
) -> None:
    folder.add("zz-original.png", "carol", 77, date=dates[0])
    folder.add("copy.bmp", "dan", encoded(picture(77), "BMP"), date=dates[1])
    parts = folder.partition()
    (problem,) = problems_of(parts, "duplicate-across")
    assert words in problem.reason
    assert problem.action == "kept"
    assert problem.subject == ("zz-original.png" if dates == ("", "") else "copy.bmp")


def test_duplicates_within_a_contributor_are_flagged_and_count(folder: DataFolder) -> None:
    before = {
        contributor.name: contributor.images + contributor.heldout for contributor in folder.partition().contributors
    }
    folder.add("copy.png", "alice", 1)
    parts = folder.partition()
    (problem,) = parts.problems
    assert (problem.kind, problem.subject) == ("duplicate-within", "good01.png")
    after = {owner.name: owner.images + owner.heldout for owner in parts.contributors}
    assert after == {"alice": before["alice"] + 1, "bob": before["bob"]}


def test_duplicates_never_straddle_training_and_heldout(folder: DataFolder) -> None:
    for number in range(12):
        folder.add(f"copy{number}.png", "carol", number)
    check_consistent(folder.partition(heldout_fraction=0.5), 8)


def test_a_joiner_moves_nobody_and_changes_nobodys_fingerprint(folder: DataFolder) -> None:
    before = folder.partition()
    for number in range(6):
        folder.add(f"a-joiner{number}.png", "carol", 60 + number)
    after = folder.partition()
    assert set(before.images) <= set(after.images)
    assert fingerprints(before).items() <= fingerprints(after).items()
    assert set(fingerprints(after)) - set(fingerprints(before)) == {"carol"}


def test_fingerprints_ignore_resolution_and_file_names_but_not_shares_or_copies() -> None:
    images = [("d1", 1.0, ""), ("d2", 0.5, "")]
    assert fingerprint(images) == fingerprint(images[::-1])
    assert fingerprint(images) != fingerprint([("d1", 1.0, ""), ("d2", 0.4, "")])
    assert fingerprint(images) != fingerprint([*images, images[0]])


def test_the_fingerprint_does_not_depend_on_resolution(folder: DataFolder) -> None:
    assert fingerprints(folder.partition(resolution=8)) == fingerprints(folder.partition(resolution=4))


def test_the_salt_and_the_fraction_choose_the_heldout_images() -> None:
    digests = [f"{number:064x}" for number in range(4000)]
    for fraction in (0.1, 0.5):
        share = np.mean([is_heldout(digest, "salt", fraction) for digest in digests])
        assert share == pytest.approx(fraction, abs=0.03)
    # A larger fraction only adds images, another salt chooses others.
    assert all(is_heldout(digest, "salt", 0.5) for digest in digests if is_heldout(digest, "salt", 0.1))
    assert any(is_heldout(digest, "salt", 0.1) != is_heldout(digest, "pepper", 0.1) for digest in digests)


# Small contributors, `only`


@pytest.fixture
def grown(folder: DataFolder) -> DataFolder:
    """A folder whose alice and bob are not small."""
    _small(folder, "alice", "bob", images=4)
    return folder


def _small(folder: DataFolder, *names: str, images: int = 2) -> None:
    """Add contributors with as many *training* images (held-out ones are passed over)."""
    numbers = itertools.count(100 * (len(folder.rows) + 1))
    for name in names:
        added = 0
        while added < images:
            number = next(numbers)
            digest = _digest(number)
            if not is_heldout(digest, "heldout", 0.2):
                folder.add(f"{name}{number}.png", name, number)
                added += 1


def _digest(number: int) -> str:
    return decode(encoded(picture(number)), "x.png", resolution=4, maximum_megapixels=1).digest


def test_small_contributors_are_merged_into_one_that_names_them(grown: DataFolder) -> None:
    _small(grown, "carol", "dan", "eve")
    parts = grown.partition(minimum_images=4, small_contributors="merge")
    merged = parts.contributors[-1]
    assert (merged.name, merged.merged, merged.images) == (MERGED, ("carol", "dan", "eve"), 6)
    found = problems_of(parts, "small-contributor")
    assert [(problem.subject, problem.action) for problem in found] == [(n, "merged") for n in ("carol", "dan", "eve")]
    check_consistent(parts, 8)


def test_a_merged_contributor_that_is_still_small_or_one_name_is_kept_and_said(grown: DataFolder) -> None:
    _small(grown, "carol")
    parts = grown.partition(minimum_images=4, small_contributors="merge")
    assert parts.contributors[-1].merged == ("carol",)
    said = [problem for problem in parts.problems if problem.subject == MERGED]
    assert [problem.action for problem in said] == ["kept", "kept"]
    assert "stands for one name" in said[0].reason and "still fewer" in said[1].reason


def test_small_contributors_are_dropped_and_their_share_of_an_image_with_them(grown: DataFolder) -> None:
    _small(grown, "carol")
    grown.add("shared.png", "alice:0.25;carol:0.75", 98)
    parts = grown.partition(minimum_images=4, small_contributors="drop")
    assert [contributor.name for contributor in parts.contributors] == ["alice", "bob"]
    assert next(image for image in parts.images if image.file_name == "shared.png").shares == (("alice", 0.25),)
    (problem,) = problems_of(parts, "small-contributor")
    assert (problem.subject, problem.action) == ("carol", "left out")
    assert not any(image.file_name.startswith("carol") for image in parts.images)
    check_consistent(parts, 8)


def test_small_contributors_are_kept_and_said(grown: DataFolder) -> None:
    _small(grown, "carol")
    parts = grown.partition(minimum_images=4)
    assert [contributor.name for contributor in parts.contributors] == ["alice", "bob", "carol"]
    assert [problem.action for problem in problems_of(parts, "small-contributor")] == ["kept"]


def test_the_minimum_counts_shares_of_training_images(grown: DataFolder) -> None:
    _small(grown, "carol", images=3)
    _small(grown, "carol:0.5;dan:0.5", images=2)
    parts = grown.partition(minimum_images=4, small_contributors="drop")
    assert [c.images for c in parts.contributors if c.name == "carol"] == [4.0]
    assert [problem.subject for problem in problems_of(parts, "small-contributor")] == ["dan"]


def test_a_contributor_whose_images_are_all_held_out_is_no_player(folder: DataFolder) -> None:
    number = next(n for n in itertools.count(500) if is_heldout(_digest(n), "heldout", 0.2))
    folder.add("x.png", "carol", number)
    parts = folder.partition()
    (problem,) = problems_of(parts, "empty-contributor")
    assert "held out" in problem.reason
    assert "carol" not in fingerprints(parts)


def test_only_restricts_to_the_named_and_lists_the_others_by_contributor(folder: DataFolder) -> None:
    _small(folder, "carol", "dan")
    folder.add("shared.png", "alice:0.25;carol:0.75", 98)
    parts = folder.partition(only=["bob", "alice"])
    assert [contributor.name for contributor in parts.contributors] == ["alice", "bob"]
    assert [(p.subject, p.action) for p in problems_of(parts, "not-in-only")] == [
        ("carol", "left out"), ("dan", "left out")
    ]  # fmt: skip
    assert next(image for image in parts.images if image.file_name == "shared.png").shares == (("alice", 0.25),)
    check_consistent(parts, 8)


def test_only_with_an_unknown_name_lists_the_closest(folder: DataFolder) -> None:
    with pytest.raises(DataError, match=r"'alcie' \(closest: alice"):
        folder.partition(only=["alcie", "bob"])


def test_no_heldout_image_at_all_is_said(folder: DataFolder) -> None:
    parts = folder.partition(heldout_fraction=1e-6)
    (problem,) = parts.problems
    assert (problem.kind, problem.action) == ("no-heldout", "kept")
    assert parts.heldout_pixels.shape == (0, 8, 8, 3)
    check_consistent(parts, 8)


# The outside


def test_any_fsspec_url_gives_the_same_partition_as_the_folder(folder: DataFolder) -> None:
    folder.add("deep/x.png", "alice", 99)
    folder.add("unlisted.png", None, b"broken")
    local = folder.partition()
    memory = fsspec.filesystem("memory")
    memory.put(str(folder.path), "/partition-test/data", recursive=True)
    try:
        remote = partition(folder.spec(url="memory://partition-test/data/"), 8)
    finally:
        memory.rm("/partition-test", recursive=True)
    assert (remote.contributors, remote.images, remote.problems) == (local.contributors, local.images, local.problems)
    assert np.array_equal(remote.ownership, local.ownership)
    assert np.array_equal(remote.train_pixels, local.train_pixels)


def test_progress_counts_every_image_to_the_end(folder: DataFolder) -> None:
    folder.write_metadata()
    seen: list[tuple[int, int]] = []
    partition(folder.spec(), 8, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 12) for done in range(1, 13)]


class Unreachable(MemoryFileSystem):
    """A store that lists its files but does not give one of them."""

    protocol = "unreachable"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("unreachable://", "memory://")))

    def cat_file(self, path: str, *args: Any, **options: Any) -> bytes:
        if path.endswith("good05.png"):
            raise TimeoutError("the store does not answer")
        return bytes(super().cat_file(path, *args, **options))


def test_a_store_that_cannot_be_reached_is_an_error_not_a_problem(folder: DataFolder) -> None:
    # A slow network must not change who owns what.
    fsspec.register_implementation("unreachable", Unreachable, clobber=True)
    folder.write_metadata()
    store = fsspec.filesystem("unreachable")
    store.put(str(folder.path), "/unreachable-test", recursive=True)
    try:
        with pytest.raises(TimeoutError):
            partition(folder.spec(url="unreachable://unreachable-test"), 8)
    finally:
        store.rm("/unreachable-test", recursive=True)


def test_the_attribution_is_read_from_the_data_folder(folder: DataFolder) -> None:
    assert attribution(folder.spec()) == ""
    folder.add("ATTRIBUTION.txt", None, "Designed by Zoë".encode())
    assert attribution(folder.spec()) == "Designed by Zoë"


_CELLS = st.one_of(st.text(max_size=12), st.sampled_from(["alice", "bob:0.5;alice:0.5", "a:b", "../x", "", "\ufeff"]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(_CELLS, _CELLS, _CELLS), max_size=8))
def test_any_metadata_gives_a_partition_or_a_data_error(rows: list[tuple[str, str, str]], tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    for file_name, owner, date in rows:
        writable = [text.encode("utf-8", "replace").decode() for text in (file_name, owner, date)]
        folder.rows.append(dict(zip(("file_name", "contributor", "date"), writable, strict=True)))
    try:
        parts = folder.partition(resolution=4)
    except DataError as error:
        assert "\n" not in str(error).splitlines()[0]
        return
    check_consistent(parts, 4)
    assert len(parts.images) <= 12
