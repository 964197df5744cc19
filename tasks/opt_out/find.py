"""What of a contributor's is in the store, and can go.

    uploads      their own, of every collection, also unfinished ones
    data         prepared images: each set holds everybody's, and every run makes its own again
    latents      the same images as an autoencoder encodes them, which it can decode: everybody's too, encoded again at need
    checkpoints  of trainings on everybody's images that were interrupted, and begin anew
    models       fine-tuned weights of coalitions in which they were
    samples      images drawn from these

A coalition that is the ledger's and has a member whom no statement lists (a run that never published) may be theirs, and
goes too; so may weights and drawn images that no record names (a worker died before it wrote one). A record of latents names
the list of its images, not who is among them: so all of them go, as all of data do, with the prompts that lie there. Records
of the ledger, statements, reference, pruned model and statistics stay, and so does the base on which these may stand:
nobody's images trained it here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from infra.ledger import Ledger, ModelRecord, SamplesRecord
from infra.names import key_part
from infra.opt_outs import Amount
from infra.store import Entry, Store
from infra.uploads import COMPLETE, STARTED
from tasks.opt_out.past import Past

Found = dict[str, dict[str, Entry]]  # by kind, in the order of removal: keys, in that order too, with size


def find(store: Store, name: str, past: Past, *, prepared: bool) -> Found:
    """What there is to be removed.

    Args:
        prepared: whether prepared images, latents and checkpoints can hold theirs: those made since they are out do not.

    Raises:
        StoreError: if a record of the ledger cannot be read.
    """
    models, samples = _of_others(store, past.fingerprints[name], past.everybody)
    return {
        "uploads": _uploads(store, name),
        "data": store.entries("data") if prepared else {},
        "latents": store.entries("latents") if prepared else {},
        "checkpoints": _checkpoints(store) if prepared else {},
        "models": _but(store, "models", models),
        "samples": _but(store, "samples", samples),
    }


def amounts(found: Mapping[str, Mapping[str, Entry]]) -> dict[str, Amount]:
    """How many objects of how many bytes, by kind."""
    return {
        kind: Amount(count=len(entries), bytes=sum(entry.size for entry in entries.values()))
        for kind, entries in found.items()
        if entries
    }


def _uploads(store: Store, name: str) -> dict[str, Entry]:
    """First what makes an upload count, last what says that it was begun."""
    whose = key_part(name)
    entries = {key: entry for key, entry in store.entries("uploads").items() if key.split("/")[2:3] == [whose]}
    last = {COMPLETE: 0, STARTED: 2}
    return {key: entries[key] for key in sorted(entries, key=lambda key: (last.get(key.split("/")[-1], 1), key))}


def _of_others(store: Store, theirs: Collection[str], everybody: Collection[str]) -> tuple[set[str], set[str]]:
    """sha256 of weights and of drawn images of the coalitions in which they are not: what stays."""
    ledger = Ledger(store, packs=False)  # whoever keeps house may write no copies that others would read
    records = {
        key: record
        for key, record in ledger.all(ModelRecord).items()
        if not any(member in theirs or member not in everybody for member in record.spec.get("members", ()))
    }
    drawn = ledger.all(SamplesRecord).values()
    weights = {record.sha256 for record in records.values() if record.sha256 is not None}
    return weights, {each.sha256 for each in drawn if each.model in records and each.sha256 is not None}


def _checkpoints(store: Store) -> dict[str, Entry]:
    return {
        key: entry
        for kind in ("reference", "pruned")
        for key, entry in store.entries(kind).items()
        if key.endswith("/checkpoint.safetensors")
    }


def _but(store: Store, kind: str, kept: Collection[str]) -> dict[str, Entry]:
    stay = {f"{kind}/{digest}.safetensors" for digest in kept}
    return {key: entry for key, entry in store.entries(kind).items() if key not in stay}
