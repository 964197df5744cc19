"""What goes with somebody who opts out, beside what records and statements say is theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.digest import digest_of
from infra.ledger import Ledger, ModelRecord
from infra.provenance import now
from infra.store import Store
from tasks.opt_out.remove import opt_out
from tasks.opt_out.text import lines

LEAVER, D, E = "Emily Jäger", "d" * 64, "e" * 64


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def test_weights_and_drawn_images_that_no_record_names_go_and_those_of_nobodys_model_stay(store: Store) -> None:
    """Whose they are nobody knows: a worker that dies between storing and recording leaves such."""
    for kind in ("models", "samples"):
        store.write(f"{kind}/{D}.safetensors", b"of somebody")
    store.write(f"models/{E}.safetensors", b"of nobody")
    nobodys = {"spec": {"members": []}, "seconds": 1.0, "created": now(), "sha256": E}
    Ledger(store).record(ModelRecord.model_validate({"key": digest_of("model", {"members": []}), **nobodys}))
    left = opt_out(store, LEAVER, "her letter", "a test", print, unknown=True)
    assert store.list("models") == [f"models/{E}.safetensors"] and store.list("samples") == []
    assert (left.removed["models"][0], left.removed["samples"][0]) == (1, 1)


def test_interrupted_trainings_on_everybodys_images_go_and_what_was_trained_stays(store: Store) -> None:
    for kind in ("reference", "pruned"):
        store.write(f"{kind}/{D}/checkpoint.safetensors", b"half way")
    store.write(f"reference/{E}/unet/config.json", b"{}")
    store.write(f"pruned/{E}.safetensors", b"weights")
    left = opt_out(store, LEAVER, "her letter", "a test", print, unknown=True)
    assert store.list("reference") == [f"reference/{E}/unet/config.json"]
    assert store.list("pruned") == [f"pruned/{E}.safetensors"]
    assert "removed: 2 interrupted trainings" in lines(left)
    store.write(f"reference/{D}/checkpoint.safetensors", b"of the time after")
    opt_out(store, LEAVER, "her letter", "a test", print, unknown=True)
    assert store.list("reference") == [f"reference/{D}/checkpoint.safetensors", f"reference/{E}/unet/config.json"]
