"""Bases and prepared images in the store: what a family never trains, and what it makes of the images once.

base/<sha256>/…               an autoencoder or a whole pipeline, named by the digests of its files
latents/<sha256>.safetensors  images as an autoencoder encodes them
ledger/latents/<d>.json       (encoder, images) -> sha256
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from infra.digest import digest_of
from infra.ledger import LatentsRecord, Ledger, LedgerConflict, ModelRecord
from infra.provenance import now, provenance
from infra.store import Store, StoreError, scratch_folder
from tasks.families.types import Base, base_digest
from tasks.images_gone import Check, look_again, nobodys
from tasks.model.memory import machines_fault
from tasks.model.model import Model
from tasks.model.train import TrainingData
from tasks.progress import Say, Ticker, silent

LATENTS = 2  # version of what `prepared` does, and of how images became the pixels that it is given
AT_ONCE = 64  # images that are encoded at a time
SAY_EVERY = 15.0  # seconds
LARGEST_DESCRIPTION = 64 * 2**20  # bytes of what a pruned model's shapes are described in


def base_folder(files: Mapping[str, str]) -> str:
    """Where in the store a base of these files is."""
    return f"base/{base_digest(files)}"


def store_base(base: Base, store: Store, say: Say = silent) -> None:
    """Bring a base into the store, file by file, where it is not there yet."""
    folder = base_folder(base.files)
    there = set(store.list(folder))
    missing = {name: digest for name, digest in base.files.items() if f"{folder}/{name}" not in there}
    if missing:
        size = sum((base.folder / name).stat().st_size for name in missing) / 2**20
        say(f"bringing {len(missing)} files ({size:,.0f} MiB) that models stand on into the store")
    for name, expected in missing.items():
        key = f"{folder}/{name}"
        if store.write_file(key, base.folder / name) != expected:
            store.delete(key)
            raise StoreError(f"{base.folder / name} was changed while it was brought into the store; start again")


def base_is_stored(files: Mapping[str, str], store: Store) -> bool:
    """Whether every file of a base is there."""
    folder = base_folder(files)
    return {f"{folder}/{name}" for name in files} <= set(store.list(folder))


def tensors_in(store: Store, key: str, digest: str) -> dict[str, torch.Tensor]:
    """Weights that lie in the store as safetensors.

    Raises:
        FileNotFoundError: if they are not there.
        StoreError: if they are not what was recorded, or no safetensors.
    """
    data = store.read(key, digest)
    try:
        return load_safetensors(data)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:  # KeyError: a type that torch does not have
        raise StoreError(f"{store.where(key)} holds no weights: {error}") from error


def fill(model: Model, tensors: dict[str, torch.Tensor], where: str) -> None:
    """Give a model weights that lay in the store at `where`.

    Raises:
        StoreError: if they are not of such a model.
    """
    try:
        model.load_weights(tensors)
    except RuntimeError as error:  # torch names every tensor that does not fit, on lines of their own
        if machines_fault(error):
            raise
        raise StoreError(f"{where} holds weights of another model: {str(error)[:500]}") from error


def description_in(store: Store, key: str, digest: str) -> dict[str, Any]:
    """A pruned model's description, as it was recorded; whether a family can make anything of it, `Family.maker` decides.

    Raises:
        FileNotFoundError: if it is not there.
        StoreError: if it is not what was recorded, or no JSON object.
    """
    data = store.read(key, digest, limit=LARGEST_DESCRIPTION)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{store.where(key)} is not the description of a pruned model: {error}") from error
    if not isinstance(found, dict):
        raise StoreError(f"{store.where(key)} is not the description of a pruned model: no JSON object")
    return found


def base_of(spec: Mapping[str, Any]) -> dict[str, str] | None:
    """The files of the base that a reference's recipe, or a pruned model's description, names."""
    found = spec.get("base")
    return dict(found) if isinstance(found, Mapping) else None


def base_folders(record: ModelRecord) -> set[str]:
    """Where in the store the base is that a recorded reference or pruned model names; none if it names none."""
    if "architecture" in record.files:
        return {f"base/{record.files['base']}"} if "base" in record.files else set()
    files = base_of(record.spec)
    return set() if files is None else {base_folder(files)}


@contextlib.contextmanager
def fetch_base(files: Mapping[str, str] | None, store: Store) -> Iterator[Path | None]:
    """A local folder with a base's files, each checked against its digest; it is gone at the end of the block.

    Raises:
        FileNotFoundError: if one was removed. StoreError: if one is not what it was.
    """
    if files is None:
        yield None
        return
    with scratch_folder() as folder:
        store.download_folder(base_folder(files), Path(folder), dict(files))
        yield Path(folder)


def prepared(data: TrainingData, model: Model, store: Store, say: Say = silent, check: Check = nobodys) -> TrainingData:
    """The data as the model is trained on them: pixels as they are, or encoded once and for all who ask for the same.

    Args:
        data: with pixels, uint8 [n, r, r, 3]. say: is told where it is, if it takes long. check: raises ImagesGone if
            what was made of these images may no longer be kept.
    """
    if not model.encoder:
        return data
    ledger = Ledger(store)
    spec = latents_spec(model.encoder, data.inputs.shape[1], data.digests)
    key = digest_of("latents", spec)
    record = ledger.get(LatentsRecord, key)
    latents = _stored(record, store)
    if latents is None:
        started = time.monotonic()
        latents = encoded(data.inputs, model, say).numpy()
        check()
        digest = store.save_named_by_content("latents", {"latents": latents})
        look_again(check, store, f"latents/{digest}.safetensors")
        made = LatentsRecord(
            key=key,
            spec=spec,
            sha256=digest,
            seconds=time.monotonic() - started,
            created=now(),
            provenance=provenance(str(model.device)),
        )
        try:
            ledger.record(made)
        except LedgerConflict:  # another card, other last bits: all take what the ledger has, where it still is
            first = _stored(ledger.get(LatentsRecord, key), store)
            latents = latents if first is None else first
    return replace(data, inputs=torch.from_numpy(latents))


def latents_spec(encoder: str, resolution: int, digests: Sequence[str]) -> dict[str, Any]:
    """What latents are made from, as their record says it. digests: of the images, in order."""
    return {"version": LATENTS, "encoder": encoder, "images": images_digest(resolution, digests)}


def latents_are_stored(encoder: str, resolution: int, digests: Sequence[str], store: Store) -> bool:
    """Whether `prepared` would encode nothing. Writes nothing."""
    key = digest_of("latents", latents_spec(encoder, resolution, digests))
    record = Ledger(store, packs=False).get(LatentsRecord, key)
    return record is not None and store.exists(latents_file(record))


def images_digest(resolution: int, digests: Sequence[str]) -> str:
    """The name of a list of square RGB images in a record of latents."""
    return digest_of("images", [[resolution, resolution, 3], list(digests)])


def latents_file(record: LatentsRecord) -> str:
    """Where in the store recorded latents are."""
    return f"latents/{record.sha256}.safetensors"


def _stored(record: LatentsRecord | None, store: Store) -> np.ndarray | None:
    if record is None:
        return None
    with contextlib.suppress(FileNotFoundError):  # tidied away since: encoded again
        return store.load_arrays(latents_file(record), record.sha256)["latents"]
    return None


def encoded(pixels: torch.Tensor, model: Model, say: Say = silent) -> torch.Tensor:
    """uint8 [n, r, r, 3] as the model takes them, on the CPU: pixels as they are, or latents float32 [n, c, h, w].

    Always `AT_ONCE` at a time, the last part filled up with its first image: the last bits depend on how many are encoded
    together, and an image's latents must not depend on who joins.
    """
    if not model.encoder:
        return pixels
    parts: list[torch.Tensor] = []
    tick = Ticker(say, "encoding images", SAY_EVERY, end=False)
    with torch.no_grad():
        for part in pixels.split(AT_ONCE):
            filler = part[:1].expand(AT_ONCE - len(part), *part.shape[1:])
            parts.append(model.encode(torch.cat([part, filler]))[: len(part)])
            tick(min(len(parts) * AT_ONCE, len(pixels)), len(pixels))
    # As what is read from the store lies in memory: the last bits of a convolution depend on it.
    return torch.cat(parts).contiguous()
