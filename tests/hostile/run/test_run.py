"""A whole run on hostile data: nothing acts, nothing hides, nothing is lost, wherever names and words come out."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import unicodedata
from typing import Any

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import Artifact

from tasks.publish import text
from tests.flows.reading import latest, manifest
from tests.hostile.data import ALLOWED, FILES, FORGED, PATHS, REFUSED, UNNAMED
from tests.hostile.run.conftest import NAME, Ran
from tests.publish.test_report import Page

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]
FORMULA = re.compile(r"\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
ACTIVE = {
    "script",
    "iframe",
    "object",
    "embed",
    "base",
    "form",
    "link",
    "foreignobject",
    "animate",
    "set",
    "video",
    "audio",
}


def unseen(said: str) -> set[str]:
    """Characters of `said` that control, hide or turn round; line feeds are the caller's matter."""
    kinds = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return {c for c in said if unicodedata.category(c) in kinds and c not in "\n\u200c\u200d\u2060"}


def words(value: Any) -> str:
    """All texts within a JSON value."""
    if isinstance(value, dict):
        return " ".join(f"{key} {words(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(map(words, value))
    return str(value)


def artifacts() -> list[Artifact]:
    async def read() -> list[Artifact]:
        async with get_client() as client:
            return list(await client.read_artifacts(limit=200))

    return asyncio.run(read())


def logs() -> list[str]:
    async def read() -> list[str]:
        found: list[str] = []
        async with get_client() as client:
            while some := await client.read_logs(limit=200, offset=len(found)):
                found += [log.message for log in some]
        return found

    return asyncio.run(read())


def file(ran: Ran, name: str) -> bytes:
    return ran.store.read(f"{latest(ran.store, NAME)}/{name}")


def test_output_and_logs_hold_no_control_characters_and_no_line_of_somebody_elses(ran: Ran) -> None:
    messages = logs()
    assert any("images are held out" in message for message in messages)
    for said in (ran.output, *messages):
        assert not unseen(said), unseen(said)
        assert not any(line.strip().startswith(FORGED) for line in said.splitlines())
    assert FORGED in ran.output  # quoted, within a line
    several = [message for message in messages if "\n" in message]
    assert all(message.startswith(("credits:\n", "a run would do this:\n")) for message in several), several


def test_the_report_has_no_active_part_and_shows_everybody(ran: Ran) -> None:
    page = file(ran, "report.html").decode()
    parsed = Page(page)
    assert not parsed.open and not parsed.handlers
    assert not {tag.lower() for tag in parsed.tags} & ACTIVE
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in parsed.addresses)
    assert not re.search(r"url\((?!#)", page) and "default-src 'none'" in page
    assert not unseen(page)
    for name in (*map(text.plain, ALLOWED), "<script>alert(3)</script>"):
        assert " ".join(name.split()) in parsed.text, name
    assert "{{7*7}}" in page and "${7*7}" in page, "a template was filled in"
    assert "\u0301\u0302\u0303\u0304\u0301" not in page, "marks that paint over the page"
    assert "passes for another" in parsed.text and "U+0435" in parsed.text


def test_tables_read_back_as_the_names_and_hold_no_formula(ran: Ran) -> None:
    table = file(ran, "credits.csv").decode()
    rows = list(csv.reader(io.StringIO(table, newline="")))
    texts = [cell for row in [rows[0], *([row[0]] for row in rows[1:])] for cell in row]
    assert not any(FORMULA.match(cell) for cell in texts)
    names = [re.sub(r"^'(?='*\s*[=+\-@\uff1d\uff0b\uff0d\uff20])", "", row[0]) for row in rows[1:]]
    assert sorted(names) == sorted(ALLOWED)
    assert pd.read_csv(io.StringIO(table), keep_default_na=False)["contributor"].tolist() == [
        row[0] for row in rows[1:]
    ]
    assert sorted(pd.read_parquet(io.BytesIO(file(ran, "credits.parquet")))["contributor"]) == sorted(ALLOWED)
    members = pd.read_parquet(io.BytesIO(file(ran, "evaluations.parquet")))["members"]
    assert {name for row in members for name in row} == set(ALLOWED)


def test_what_prefect_shows_becomes_neither_markup_nor_links(ran: Ran) -> None:
    found = artifacts()
    kinds = {str(artifact.key) for artifact in found}
    assert {f"statement-{NAME}", f"preview-{NAME}", f"problems-{NAME}", f"credits-{NAME}-heldout-loss"} <= kinds
    for artifact in found:
        shown = f"{artifact.description or ''}\n\n{artifact.data if artifact.type == 'markdown' else ''}"
        assert not unseen(words(artifact.data)) and not unseen(shown), artifact.key
        markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
        tokens = [t for token in markdown.parse(shown) for t in (token, *(token.children or ()))]
        assert not [t for t in tokens if t.type in ("html_block", "html_inline", "link_open")], artifact.key
        images = [str(t.attrs["src"]) for t in tokens if t.type == "image"]
        assert all(source.startswith("data:image/svg+xml;base64,") for source in images)
        rows = [line for line in shown.splitlines() if line.startswith("|") and "base64" not in line]
        assert len({line.count("|") for line in rows if "contributor" in line or re.match(r"\| \d", line)}) <= 2
    (page,) = [a for a in found if a.key == f"statement-{NAME}"]
    assert "&#60;img src&#61;x" in str(page.data)


def test_every_row_and_every_file_is_used_or_named(ran: Ran) -> None:
    held = manifest(ran.store, NAME)
    problems = held["problems"]
    left_out = {problem["subject"] for problem in problems if problem["action"] == "left out"}
    told = " ".join(problem["reason"] for problem in problems)
    for name in UNNAMED:
        assert name in left_out
    for path in PATHS:
        if path not in ("CON", "\ud800.png"):
            assert path in left_out or (len(path) > 1024 and "longer than 1024" in told), path
    for owner in REFUSED:
        assert any(p["kind"] in ("unsafe-name", "bad-shares") and repr(owner)[1:20] in p["reason"] for p in problems), (
            owner
        )
    accepted = {f"allowed{i}-{k}.png" for i in range(len(ALLOWED)) for k in range(8)} | set(FILES)
    assert not accepted & left_out
    on_disk = {entry for entry in os.listdir(ran.data) if entry not in ("metadata.jsonl", "ATTRIBUTION.txt")}
    named = [name for name in on_disk if name in left_out or repr(name)[1:-1] in told]
    used = round(sum(c["images"] for c in held["contributors"]))  # and some are held out
    assert used <= len(on_disk) - len(set(named) & left_out)
    assert {"outside-folder", "unsafe-path", "unsafe-name", "unreadable", "too-large", "empty-file", "truncated",
            "missing-file", "bad-prompt", "long-prompt", "no-prompt", "wrong-type", "similar-name", "bad-row",
            "unlisted-file", "bad-shares"} <= {problem["kind"] for problem in problems}  # fmt: skip


def test_keys_of_the_store_are_of_the_safe_alphabet_and_nothing_lies_outside(ran: Ran) -> None:
    for where, folders, files in os.walk(ran.store.url):
        for name in folders + files:
            assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name), os.path.join(where, name)
    assert sorted(path.name for path in ran.data.parent.iterdir()) == ["data", "outside.png", "store", "study.yaml"]


def test_the_manifest_and_the_answer_for_other_programs_are_json(ran: Ran) -> None:
    held = json.loads(file(ran, "manifest.json"))
    assert sorted(c["name"] for c in held["contributors"]) == sorted(ALLOWED)
    (answer,) = [line for line in ran.output.splitlines() if line.startswith("{")]
    assert {c["name"] for c in json.loads(answer)["contributors"]} == set(ALLOWED)
