"""A coalition's weights in the store: kept because the study wants it, or only until its scores are recorded.

A training that was recorded must not be made again: on a GPU it would come out otherwise, and the ledger would refuse what
is under its name already. So weights are always stored before their record is written, and those that the study does not
keep are removed only when nothing of their evaluation is missing any more. A worker that is killed in between leaves them,
and whoever evaluates the coalition next finds them there.

A record's `kept` says what the study wanted. Whether weights are there, only the store says.
"""

from __future__ import annotations

from safetensors.torch import save as save_tensors

from infra.digest import sha256
from infra.ledger import Ledger, LedgerConflict, ModelRecord
from infra.store import Store
from tasks.families.stored import fill, tensors_in
from tasks.model.model import Model


def pack(model: Model) -> bytes:
    """A model's weights as safetensors."""
    return save_tensors({name: tensor.contiguous() for name, tensor in model.weights().items()})


def load(model: Model, digest: str, store: Store) -> None:
    """Fill a model with the weights of that sha256.

    Raises:
        FileNotFoundError: if they are not there.
        StoreError: if they are damaged, or of another model.
    """
    fill(model, tensors_in(store, file_of(digest), digest), store.where(file_of(digest)))


def save(weights: bytes, store: Store) -> None:
    """Store what `pack` gave, before it is recorded."""
    store.write(file_of(sha256(weights)), weights)


def record(model: ModelRecord, ledger: Ledger) -> None:
    """Put down what was trained; its weights are stored already.

    Raises:
        LedgerConflict: if the ledger has another result under this name. Then these weights are nobody's, and are removed.
    """
    try:
        ledger.record(model)
    except LedgerConflict:
        if model.sha256 is not None:
            ledger.store.delete(file_of(model.sha256))
        raise


def forget(key: str, ledger: Ledger) -> None:
    """All that was wanted of a model is recorded: remove its weights, unless they are to be kept."""
    model = ledger.get(ModelRecord, key)
    if model is not None and model.sha256 is not None and not model.kept:
        ledger.store.delete(file_of(model.sha256))


def file_of(digest: str) -> str:
    """Where in the store the weights of that sha256 are."""
    return f"models/{digest}.safetensors"
