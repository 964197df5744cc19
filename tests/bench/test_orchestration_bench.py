"""The benchmark of the orchestration still runs, and does not measure again what it has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.orchestration.tables import BEGIN, END, write

pytestmark = [pytest.mark.servers, pytest.mark.s3, pytest.mark.slow, pytest.mark.timeout(1500)]


def bench(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.bench.orchestration", "--small", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_measures_a_little_of_everything_once_and_writes_it_down(tmp_path: Path) -> None:
    archive, page = tmp_path / "archive.jsonl", tmp_path / "page.md"
    page.write_text(f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n")
    first = bench("--archive", str(archive), "--write", str(page))
    records = [json.loads(line) for line in archive.read_text().splitlines()]
    assert [(r["cell"]["kind"], r["cell"]["store"]) for r in records] == [
        ("recognising", "file"), ("recognising", "s3"),
        ("dispatching", "file"), ("dispatching", "s3"), ("dispatching", "file"),
    ]  # fmt: skip
    for record in records[2:]:
        shards = record["result"]["shards"]
        assert sum(shard["evaluations"] for shard in shards) == record["cell"]["evaluations"]
        assert record["result"]["requests"] > 0 and record["result"]["wall"] > 0
    assert page.read_text().startswith("Before.\n") and page.read_text().endswith("\nAfter.\n")
    assert "old" not in page.read_text() and "| file | 1 | 3 of 1 s |" in page.read_text()

    before = archive.read_bytes()
    again = bench("--archive", str(archive))
    assert archive.read_bytes() == before
    assert again.strip() == first[first.index("| store") :].strip()


def test_tables_are_not_written_into_a_page_that_has_no_place_for_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Something else.\n")
    with pytest.raises(ValueError, match="has no lines"):
        write(page, "| tables |")
    assert page.read_text() == "Something else.\n"
