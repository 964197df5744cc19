"""What is tried, and what must hold of it whatever the input. A target raises when it does not hold."""

from __future__ import annotations

import shutil
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from infra.digest import sha256
from infra.store import Store
from infra.study_file import StudyFileError, load_preset
from infra.upload import hand_in, prepare
from infra.uploads import contributor_folder, find_uploads
from tasks.partition import DataError, Partition, partition
from tasks.partition.images import Decoded, Refused, decode
from tasks.study import DataSpec, Study
from tests.fuzz import images, studies, tables
from tests.hostile.bytes import picture_of

SECONDS = 60.0  # of one example on a busy machine; what is looked for takes minutes to hours
MEGABYTES = 400.0  # of one example, beyond what the process has
LONGEST = 20_000  # characters of a reason
REFUSALS = {"empty-file", "too-large", "unreadable", "truncated", "unsupported-depth"}


@dataclass(frozen=True)
class Target:
    """inputs: what is drawn. check: raises if something does not hold of one."""

    inputs: Callable[[], st.SearchStrategy[Any]]
    check: Callable[[Any], None]


def shows(text: str) -> None:
    """It is safe in a log: one line, nothing unseen, not without end."""
    bad = {
        c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") and c not in "\u200c\u200d"
    }
    assert not bad, f"a message holds {bad!r}: {text[:300]!r}"
    assert len(text) <= LONGEST, f"a message of {len(text)} characters: {text[:300]!r}"


def check_image(file: tuple[str, bytes]) -> None:
    """An image is used or refused with a reason; it is the same image at any size and under any name."""
    name, data = file

    def look(name: str, resolution: int) -> Decoded | tuple[str, str]:
        try:
            return decode(data, name, resolution=resolution, maximum_megapixels=1)
        except Refused as refused:
            shows(str(refused))
            assert repr(name) in str(refused), f"a reason that does not name the file: {refused}"
            assert refused.kind in REFUSALS, refused.kind
            return refused.kind, str(refused)

    found, again, other = look(name, 4), look(name, 4), look("other.png", 9)
    if not isinstance(found, Decoded):
        assert found == again and not isinstance(other, Decoded) and other[0] == found[0]
        return
    assert isinstance(again, Decoded) and isinstance(other, Decoded)
    assert found.digest == again.digest == other.digest and (found.pixels == again.pixels).all()
    assert found.pixels.shape == (4, 4, 3) and found.pixels.dtype == "uint8"
    assert 0 < found.width * found.height <= 1_000_000
    for remark in found.remarks:
        shows(remark.reason)
        assert repr(name) in remark.reason


class Folders:
    """A data folder of eight files, six of them pictures; the table is written anew for every example."""

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="fuzz-")) / "data"
        self.place.mkdir()
        for number, name in enumerate(tables.ON_DISK):
            content = picture_of(number, 6) if number < 6 else b"" if number == 6 else picture_of(9, 6)[:50]
            (self.place / name).write_bytes(content)

    def check(self, drawn: tuple[tuple[str, bytes, bytes | None], bool]) -> None:
        """Every file and every row is used or named; the order of the rows changes nothing; nothing but DataError."""
        (name, data, turned), prompts = drawn
        first = self._read(name, data, prompts)
        if turned is None:
            return
        second = self._read(name, turned, prompts)
        if not isinstance(first, Partition) or not isinstance(second, Partition):
            assert type(first) is type(second), f"{first!r} in one order, {second!r} in another"
            return
        assert first.contributors == second.contributors, "the order of rows changes who owns what"
        assert first.images == second.images and first.train_digests == second.train_digests
        assert Counter(p.kind for p in first.problems) == Counter(p.kind for p in second.problems)

    def _read(self, name: str, data: bytes, prompts: bool) -> Partition | DataError:
        for other in tables.WRITERS:
            (self.place / other).unlink(missing_ok=True)
        (self.place / name).write_bytes(data)
        spec = DataSpec(url=str(self.place), minimum_images=1, small_contributors="keep")
        try:
            found = partition(spec, 4, prompts=prompts)
        except DataError as error:
            for line in str(error).split("\n"):
                shows(line)
            return error
        for problem in found.problems:
            shows(problem.reason)
            assert problem.reason and len(problem.subject) <= LONGEST
        used = {image.file_name for image in found.images}
        named = {problem.subject for problem in found.problems if problem.action == "left out"}
        told = " ".join(problem.reason for problem in found.problems if problem.action == "left out")
        for file in tables.ON_DISK:
            assert (file in used) != (file in named or repr(file) in told), (
                f"{file} is {'used and left out' if file in used else 'neither used nor named'}: {found.problems}"
            )
        assert used <= set(tables.ON_DISK)
        assert sum(c.images + c.heldout for c in found.contributors) <= len(used) + 1e-6
        return found


class Uploads:
    """A collection with an honest upload, and one whose manifest is anything."""

    NAME = "Mallory"

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="fuzz-"))
        self.store = Store(str(self.place / "store"))
        self.content = picture_of(50, 6)
        self.honest = self._honest()

    def _honest(self) -> str:
        (self.place / "honest").mkdir()
        for number in range(3):
            (self.place / "honest" / f"{number}.png").write_bytes(picture_of(number, 6))
        upload, paths = prepare(self.place / "honest", "Alice", "spring")
        hand_in(upload, paths, self.store)
        return upload.folder

    def check(self, data: bytes) -> None:
        """The honest upload counts; the other one is believed to the letter or set aside with a reason."""
        folder = f"{contributor_folder('spring', self.NAME)}/{'0' * 64}"
        for believed in (True, False):
            # Where a manifest is read from is part of what it must say: try the place that it names as well.
            shutil.rmtree(self.place / "store" / contributor_folder("spring", self.NAME), ignore_errors=True)
            place = (_named(data) if believed else None) or folder
            self.store.write(f"{place}/complete.json", data)
            self.store.write(f"{place}/files/{sha256(self.content)}", self.content)
            found = find_uploads(self.store, "spring")
            good = [upload for upload in found.complete if upload.folder == self.honest]
            assert len(good) == 1 and self.honest not in found.refused
            theirs = [upload for upload in found.complete if upload.folder != self.honest]
            for reason in found.refused.values():
                shows(reason)
            assert len(theirs) + (place in found.refused) + (place in found.unfinished) == 1
            for upload in theirs:
                assert upload.contributor == self.NAME and upload.folder == place
                for file in upload.files:
                    assert upload.key(file).startswith(f"{place}/files/") and ".." not in file.name
                    assert upload.read(self.store, file) == self.content


def _named(data: bytes) -> str | None:
    """The folder that a manifest says it lies in, if it is one of Mallory's."""
    from infra.uploads import Upload

    try:
        upload = Upload.model_validate_json(data, strict=True)
    except ValueError:
        return None
    return upload.folder if (upload.contributor, upload.collection) == (Uploads.NAME, "spring") else None


class Studies:
    """A file that is given as a study."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="fuzz-")) / "study.yaml"

    def check(self, text: str) -> None:
        """It is a study, the same each time, or one error that names the file; nothing is executed."""
        self.path.write_bytes(text.encode("utf-8", "surrogatepass"))

        def load() -> str:
            try:
                return load_preset(self.path, Study).model_dump_json()
            except StudyFileError as error:
                assert str(self.path) in str(error)
                for line in str(error).split("\n"):
                    shows(line)
                return str(error)

        assert load() == load()
        assert not Path("/tmp/never").exists()


def targets() -> dict[str, Target]:
    """All of them, with places of their own to work in."""
    uploads = Uploads()
    return {
        "images": Target(images.files, check_image),
        "tables": Target(lambda: st.tuples(tables.tables(), st.booleans()), Folders().check),
        "uploads": Target(lambda: tables.manifests(Uploads.NAME, uploads.content), uploads.check),
        "studies": Target(studies.studies, Studies().check),
    }


NAMES = ("images", "tables", "uploads", "studies")


def bounded(check: Callable[[Any], None], example: Any) -> None:
    """`check`, which must not take long or much memory."""
    _forget_most()
    before, began = _most(), time.monotonic()
    check(example)
    seconds, megabytes = time.monotonic() - began, _most() - before
    assert seconds < SECONDS, f"one example took {seconds:.0f} s"
    assert megabytes < MEGABYTES, f"one example took {megabytes:.0f} MB"


def _most() -> float:
    """The most memory since it was forgotten, in MB; 0 on systems that do not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024


def _forget_most() -> None:
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")
