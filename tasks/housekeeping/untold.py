"""Evaluations that no statement tells of: a run crashed before its first one, and may be taken up again.

    statement ─▶ pruned model       none of these ◀─ model ◀─ samples ◀─ score ─▶ statistics
                                          └─▶ reference, base

What they rest on is theirs alone to lose: made again it may differ in the last bit, and then nothing could be added to them.
"""

from __future__ import annotations

from collections.abc import Mapping

from infra.ledger import Ledger, ModelRecord, SamplesRecord, ScoreRecord
from tasks.families.stored import base_folders
from tasks.housekeeping.needs import pruned_of_statements
from tasks.reference.pruned import pruned_files
from tasks.reference.reference import reference_folder


def untold(ledger: Ledger, models: Mapping[str, ModelRecord], samples: Mapping[str, SamplesRecord]) -> frozenset[str]:
    """Keys and folders of references, pruned models, their bases, and statistics on which such evaluations rest.

    Args:
        models, samples: all of the ledger's.

    Raises:
        StoreError: if a statement of any study cannot be read, or a score.
    """
    told = pruned_of_statements(ledger.store)
    evaluated = {
        key: r.spec["pruned"] for key, r in models.items() if "pruned" in r.spec and r.spec["pruned"] not in told
    }
    keys: set[str] = set()
    for key in set(evaluated.values()):
        if (pruned := models.get(key)) is None or "architecture" not in pruned.files:
            continue
        keys |= {*pruned_files(pruned), *base_folders(pruned)}
        if (reference := models.get(pruned.spec.get("reference", ""))) is not None:
            keys |= {reference_folder(reference), *base_folders(reference)}
    subjects = evaluated.keys() | {key for key, r in samples.items() if r.model in evaluated}
    scores = ledger.all(ScoreRecord).values() if subjects else ()
    digests = {r.spec.get("statistics") for r in scores if r.subject in subjects} - {None}
    return frozenset(keys | {f"statistics/{digest}.safetensors" for digest in digests})
