"""Nothing that lies in the store is executed or unpickled: descriptions of pruned models, adapters, and files of bases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from infra.store import Store, StoreError
from tasks.families import Family
from tasks.families.stored import base_folder, fetch_base, fill, store_base
from tests.families.bomb import plant
from tests.families.building import autoencoder, edit, family_and_model


def adapter_description(family: Family, bases: Path) -> dict[str, Any]:
    return json.loads(json.dumps(family.describe(family.build())))


FIRST = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ({FIRST: 10**9}, r"1 to 4096"),
        ({FIRST: 0}, r"1 to 4096"),
        ({FIRST: -1}, r"1 to 4096"),
        ({FIRST: "4"}, "not the description"),
        ({FIRST: 4.0}, "not the description"),
        ({FIRST: True}, "not the description"),
        ({}, "not the description"),
        ({"no.such.layer": 4}, "no layer 'no.such.layer'"),
        ({"../../etc/passwd": 4}, "no layer"),
        ({"/etc/passwd": 4}, "no layer"),
        ({"": 4}, "no layer"),
        ({"to_q": 4}, "no layer"),
        ({"x" * 10**6: 4}, "no layer"),
        ({".*": 4}, "no layer"),
        ({"conv_norm_out": 4}, "is not supported"),
        ({"down_blocks.1": 4}, "is not supported"),
    ],
)
def test_a_hostile_description_of_adapters_is_refused(ranks: dict[str, Any], message: str, bases: Path) -> None:
    family, _ = family_and_model("sd-lora", bases)
    description = adapter_description(family, bases)
    description["adapter"]["ranks"] = ranks
    before = psutil.Process().memory_info().rss
    with pytest.raises(ValueError, match=message):
        family.maker(description, bases / "sd")
    assert psutil.Process().memory_info().rss - before < 300 * 2**20


@pytest.mark.parametrize("scale", [0, -1.0, float("inf"), float("nan"), "1"])
def test_a_scale_that_means_nothing_is_refused(scale: object, bases: Path) -> None:
    family, _ = family_and_model("sd-lora", bases)
    description = adapter_description(family, bases)
    description["adapter"]["scale"] = scale
    with pytest.raises(ValueError, match="scale"):
        family.maker(description, bases / "sd")


@pytest.mark.parametrize("kind", ["ddpm", "ldm", "sd-lora"])
def test_a_description_of_another_family_or_with_more_in_it_is_refused(kind: str, bases: Path) -> None:
    family, model = family_and_model(kind, bases)
    base = family.base()
    folder = None if base is None else base.folder
    description = family.describe(model)
    for other in ({}, {**description, "code": "import os"}, {key: description[key] for key in sorted(description)[1:]}):
        with pytest.raises(ValueError, match="description"):
            family.maker(other, folder)
    if folder is not None:
        with pytest.raises(ValueError, match="description"):
            family.maker(description, None)


def test_a_saved_reference_with_a_hostile_adapter_file_is_refused(bases: Path, tmp_path: Path) -> None:
    family, model = family_and_model("sd-lora", bases)
    family.save(model, tmp_path)
    edit(tmp_path / "adapter.json", ranks={FIRST: 10**9})
    with pytest.raises(ValueError, match="1 to 4096"):
        family.load(tmp_path, bases / "sd")
    edit(tmp_path / "adapter.json", ranks={FIRST: 2})
    with pytest.raises(RuntimeError, match="not weights of these adapters"):
        family.load(tmp_path, bases / "sd")


@pytest.mark.parametrize("kind", ["ldm", "sd-lora"])
def test_a_changed_byte_of_a_base_in_the_store_is_refused(kind: str, bases: Path, store: Store) -> None:
    base = family_and_model(kind, bases)[0].base()
    assert base is not None
    store_base(base, store)
    for name in base.files:
        path = Path(store.where(f"{base_folder(base.files)}/{name}"))
        content = path.read_bytes()
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        with pytest.raises(StoreError, match="sha256"), fetch_base(base.files, store):
            pass
        path.write_bytes(content)
    with fetch_base(base.files, store) as folder:
        assert folder is not None


@pytest.mark.parametrize("name", ["../../outside.json", "/tmp/outside.json", "a/../../outside.json"])
def test_names_of_a_bases_files_cannot_lead_out_of_the_store(name: str, store: Store) -> None:
    with pytest.raises(StoreError, match="not a key"), fetch_base({name: "0" * 64}, store):
        pass


def test_files_planted_in_a_base_in_the_store_are_not_brought_along(bases: Path, store: Store, tmp_path: Path) -> None:
    family, model = family_and_model("ldm", bases)
    base = family.base()
    assert base is not None
    store_base(base, store)
    folder = Path(store.where(base_folder(base.files)))
    plant(folder, "diffusion_pytorch_model.bin", tmp_path / "executed")
    autoencoder().save_pretrained(folder / "vae")
    with fetch_base(base.files, store) as brought:
        assert brought is not None and {p.name for p in brought.iterdir()} == set(base.files)
        family.maker(family.describe(model), brought)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "fails", [RuntimeError("CUDA error: an illegal memory access was encountered"), torch.OutOfMemoryError("CUDA")]
)
def test_a_card_that_fails_is_not_taken_for_weights_of_another_model(fails: RuntimeError) -> None:
    class OnABrokenCard:
        def load_weights(self, tensors: dict[str, torch.Tensor]) -> None:
            raise fails

    with pytest.raises(type(fails)) as told:
        fill(OnABrokenCard(), {}, "models/x")  # type: ignore[arg-type]
    assert told.value is fails
