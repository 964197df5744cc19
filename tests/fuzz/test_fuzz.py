"""The fuzz targets for a while, and that the runner finds what is planted, keeps it and says how to see it again."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import __main__ as runner
from tests.fuzz.inside import one_round
from tests.fuzz.kept import packed, unpacked
from tests.fuzz.targets import NAMES, Target, bounded, check_image
from tests.hostile.bytes import HONEST


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For FUZZ_SECONDS (default 45), from FUZZ_SEED."""
    seed = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**31))
    monkeypatch.setattr(runner, "FINDINGS", Path(os.environ.get("FUZZ_FINDINGS") or tmp_path / "findings"))
    print(f"FUZZ_SEED={seed}")
    assert runner.fuzz([name], seed, float(os.environ.get("FUZZ_SECONDS") or 45)) == 0


def test_what_is_planted_is_found_shrunk_and_made_again_by_its_seed(tmp_path: Path) -> None:
    def check(data: bytes) -> None:
        assert len(data) < 3, "three bytes"

    target = Target(lambda: st.binary(max_size=200), check)
    for name in ("input", "again"):
        said, count = one_round(target, 7, tmp_path / name)
        assert said is not None and "three bytes" in said and count > 1
        assert unpacked((tmp_path / name).read_bytes()) == b"\0\0\0", "not the smallest input"


def test_a_crash_of_the_process_is_a_finding_with_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "FINDINGS", tmp_path / "findings")
    crash = tmp_path / "python"
    crash.write_text(
        '#!/bin/sh\nprintf x > "${9}"\necho \'{"examples": 7, "seed": 5}\'\nkill -SEGV $$\n'
    )  # $9: its file
    crash.chmod(0o700)
    monkeypatch.setattr(runner.sys, "executable", str(crash))
    assert runner.fuzz(["images"], 3, 0.01) == 1
    said = capsys.readouterr().out
    assert "it ended with code -11" in said and "--target images --seed 5" in said
    assert (tmp_path / "findings/images-5").read_bytes() == b"x"


def test_an_image_that_does_not_name_itself_or_differs_by_its_name_would_be_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_image(("a.png", HONEST))
    monkeypatch.setattr("tests.fuzz.targets.REFUSALS", set())
    with pytest.raises(AssertionError):
        check_image(("a.png", b"nothing"))


def test_too_much_memory_is_found() -> None:
    def check(size: int) -> None:
        assert len(bytearray(size)) == size

    with pytest.raises(AssertionError, match=r"took .* MB"):
        bounded(check, 600_000_000)


KEPT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda parts: st.lists(parts) | st.tuples(parts, parts) | st.dictionaries(st.text(), parts),
)


@given(KEPT)
def test_an_input_comes_back_from_its_file_as_it_was(example):
    assert repr(unpacked(packed(example))) == repr(example)


def test_a_kept_input_is_read_without_running_anything():
    with pytest.raises(ValueError):
        unpacked(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
