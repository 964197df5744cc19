"""What is in the store besides statements and ledger, and for each thing whether it can go.

    models, samples         stay while an evaluation of a kept statement has them
    data                    stays while the newest epoch of a study rests on it; else goes: a run prepares its images again
    latents                 as data: those of images that a newest epoch froze stay, as its reference and pruned model must
                            come out the same if they are made again; else they go: a run encodes its images again
    shards                  go: work sent to a work pool by runs that are over (none is going on while something is deleted)
    reference, pruned,      stay while the ledger knows them: made again on another machine they may differ in the last bit,
    statistics              and then nothing could be added to the evaluations that rest on them (`retired_epochs` lets go,
                            but not of those whose evaluations no statement tells of yet: that run may be taken up again)
    base                    stays while a reference or a pruned model that the ledger knows stands on it, and goes with the
                            last of them; so does what a run left that was killed before it had made one
    checkpoints             go: that training was interrupted, and begins anew
    studies                 stay; what a killed run left of a statement without a manifest goes
    epochs                  stay, and are not looked at

Whatever was written in the last days stays, and so does whatever has no name of ours.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from itertools import groupby

from infra.ledger import LatentsRecord, Ledger, ModelRecord, SamplesRecord, StatisticsRecord
from infra.store import Entry, Store
from tasks.epoch.records import FOLDER, images_of_epochs, read_epochs
from tasks.families.stored import base_folders, images_digest, latents_file
from tasks.housekeeping.needs import Needs, needs_of_statements
from tasks.housekeeping.types import Group, Item, Rules, Verdict
from tasks.housekeeping.untold import untold
from tasks.publish.storage import LATEST, MANIFEST, RUN
from tasks.reference.pruned import pruned_files
from tasks.reference.reference import reference_folder

KINDS = ("models", "samples", "data", "latents", "shards", "reference", "pruned", "base", "statistics", "studies")
EXAMPLES = 3
_FILE = re.compile(
    r"(models|samples|data|latents|pruned|statistics)/[0-9a-f]{64}\.safetensors|pruned/[0-9a-f]{64}\.json"
)
_SHARD = re.compile(r"shards/(settings/)?[0-9a-f]{64}\.(json|safetensors)|shards/reports/[0-9a-f-]{36}\.json")
_FOLDER = re.compile(r"(reference|base)/[0-9a-f]{64}")
_CHECKPOINT = re.compile(r"(reference|pruned)/[0-9a-f]{64}/checkpoint\.safetensors")

NEEDED = "a kept statement rests on it"
KNOWN = "the ledger knows it, evaluations may rest on it"
UNTOLD = "evaluations rest on it that no statement tells of yet"
FROZEN = "the images that {epoch} rests on"
STATEMENT = "statements are always kept"
STRANGE = "has no name of ours"
YOUNG = "was written in the last {days:g} days"
UNUSED = "no kept statement has an evaluation with it"
UNKNOWN = "the ledger knows nothing of it"
RETIRED = "no kept statement rests on it"
PREPARED = "no study's newest epoch rests on it, a run prepares its images again"
SENT = "work that was sent to a work pool, by runs that are over"
INTERRUPTED = "an interrupted training, which will begin anew"
UNFINISHED = "half a statement, of a run that was killed"


def survey(store: Store, rules: Rules) -> tuple[Needs, list[Verdict]]:
    """What the kept statements need, and a verdict on everything, sorted by kind and key.

    Raises:
        ValueError, StoreError: as `needs_of_statements`; also where the ledger or an epoch cannot be read.
    """
    known = _Known.of(Ledger(store, packs=False), rules)
    needs = needs_of_statements(store, rules, known.models, known.samples)
    now = time.time()
    return needs, [_judge(item, needs, known, rules, now) for kind in KINDS for item in items(store, kind)]


def items(store: Store, kind: str) -> list[Item]:
    """Everything below one folder of the store, in the portions in which it is kept or removed."""
    entries = store.entries(kind)
    portions: dict[str, list[str]] = defaultdict(list)
    for key in entries:
        portions[_portion(key)].append(key)
    return [_item(kind, {key: entries[key] for key in keys}) for _, keys in sorted(portions.items())]


def _item(kind: str, entries: Mapping[str, Entry]) -> Item:
    times = [float("inf") if entry.written is None else entry.written for entry in entries.values()]
    return Item(kind, tuple(entries), sum(entry.size for entry in entries.values()), max(times))


def groups(verdicts: Iterable[Verdict]) -> tuple[Group, ...]:
    """Verdicts added up by kind and reason, in the order of KINDS, what goes first."""

    def order(verdict: Verdict) -> tuple[int, bool, str]:
        return KINDS.index(verdict.item.kind), not verdict.goes, verdict.why

    found = []
    for _, same in groupby(sorted(verdicts, key=order), key=order):
        several = list(same)
        first = several[0]
        found.append(
            Group(
                kind=first.item.kind,
                goes=first.goes,
                why=first.why,
                count=len(several),
                bytes=sum(v.item.bytes for v in several),
                examples=tuple(_portion(v.item.keys[0]) for v in several[:EXAMPLES]),
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class _Known:
    """The ledger's records, and the objects and folders that they name. untold: those of them, as in UNTOLD; looked for only
    where they could go. images: what epochs froze, as pixels and as latents, with the epoch's name."""

    models: Mapping[str, ModelRecord]
    samples: Mapping[str, SamplesRecord]
    keys: Set[str]
    untold: Set[str]
    images: Mapping[str, str]

    @classmethod
    def of(cls, ledger: Ledger, rules: Rules) -> _Known:
        models, samples = ledger.all(ModelRecord), ledger.all(SamplesRecord)
        keys = {f"statistics/{r.sha256}.safetensors" for r in ledger.all(StatisticsRecord).values()}
        keys |= {f"samples/{r.sha256}.safetensors" for r in samples.values()}
        for record in models.values():
            keys |= base_folders(record)
            if "architecture" in record.files:
                keys |= set(pruned_files(record))
            else:
                keys |= {f"models/{record.sha256}.safetensors", reference_folder(record)}
        resting = untold(ledger, models, samples) if rules.retired_epochs else frozenset()
        images = {**images_of_epochs(ledger.store), **_latents_of_epochs(ledger)}
        return cls(models, samples, keys, resting, images)


def _latents_of_epochs(ledger: Ledger) -> dict[str, str]:
    """Keys of the latents of images that the newest epoch of each study froze -> the name of that epoch."""
    if not (latents := ledger.all(LatentsRecord).values()):
        return {}
    epochs: dict[str, str] = {}
    for study in {key.split("/")[1] for key in ledger.store.list(FOLDER) if key.count("/") == 2}:
        for newest in read_epochs(ledger.store, study)[-1:]:
            images = images_digest(newest.data.resolution, [digest for digest, _ in newest.data.train])
            epochs[images] = f"{newest.name} of {newest.study}"
    return {latents_file(r): epochs[r.spec["images"]] for r in latents if r.spec.get("images") in epochs}


def _portion(key: str) -> str:
    """What a key is kept or removed with: its reference's, its base's or its run's folder, or only itself."""
    parts = key.split("/")
    if parts[0] in ("reference", "base") and len(parts) > 2 and not _CHECKPOINT.fullmatch(key):
        return "/".join(parts[:2])
    if parts[0] == "studies" and len(parts) > 3:
        return "/".join(parts[:3])
    return key


def _judge(item: Item, needs: Needs, known: _Known, rules: Rules, now: float) -> Verdict:
    stays, goes = _reasons(item, needs, known, rules)
    if stays is None and now - item.written < rules.older_than_days * 24 * 3600:
        stays = YOUNG.format(days=rules.older_than_days)
    return Verdict(item, stays is None, goes if stays is None else stays)


def _reasons(item: Item, needs: Needs, known: _Known, rules: Rules) -> tuple[str | None, str]:
    """Why it stays, if it does whatever its age; else why it goes."""
    name = _portion(item.keys[0])
    if item.kind == "studies":
        run = name.split("/")[2] if item.keys != (name,) else ""
        if f"{name}/{MANIFEST}" in item.keys or name.endswith((f"/{LATEST}", "/history.html")):
            return STATEMENT, ""
        return (None, UNFINISHED) if RUN.fullmatch(run) else (STRANGE, "")
    if _CHECKPOINT.fullmatch(name):
        return None, INTERRUPTED
    if _SHARD.fullmatch(name):
        return None, SENT
    if not (_FILE.fullmatch(name) or _FOLDER.fullmatch(name)):
        return STRANGE, ""
    if name in needs.keys:
        return NEEDED, ""
    if item.kind in ("data", "latents"):
        return (FROZEN.format(epoch=known.images[name]) if name in known.images else None), PREPARED
    if name not in known.keys:
        return None, UNKNOWN
    if item.kind in ("models", "samples"):
        return None, UNUSED
    if name in known.untold:
        return UNTOLD, ""
    return (None, RETIRED) if rules.retired_epochs else (KNOWN, "")
