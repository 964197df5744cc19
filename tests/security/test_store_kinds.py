"""Whatever lies under whatever key of a store, nothing of it is executed, and it is refused before much is made of it.

The kinds of keys are those of the table in docs/storage.md: a new one fails here until it is said how it is read.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.digest import sha256
from infra.store import Store, StoreError
from tests.families.bomb import Bomb
from tests.security.kinds import KINDS
from tests.security.planted import BYTES, HOLE, little_memory, pickles
from tests.security.planters import D, Planter

ROOT = Path(__file__).parents[2]
EVERY = {f"{kind} {what}": plant for kind, plants in KINDS.items() for what, plant in plants.items()}


def documented() -> set[str]:
    """Kinds of keys in the table of docs/storage.md; `.json` and the like after a key stand for it with that ending."""
    found: list[str] = []
    for line in (ROOT / "docs/storage.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("| `"):
            continue
        for name in re.findall(r"`([^`]+)`", re.sub(r"\([^)]*\)", "", line.split("|")[1])):
            if name.startswith((".", "<")):
                first, ending = found[-1], name[name.index(".") :]
                name = f"{first[: first.index('.', first.rindex('/'))]}{ending}"
            found.append(name)
    return {name for name in found if not name.isupper() and "=" not in name and not name.startswith("AWS_")}


def test_every_documented_kind_of_key_is_tried_here_and_no_other() -> None:
    assert documented() == set(KINDS), "say in tests/security/kinds.py how what lies there is read"


@pytest.fixture
def planter(tmp_path: Path, bases: Path, monkeypatch: pytest.MonkeyPatch) -> Planter:
    store = Store(str(tmp_path / "store"))
    monkeypatch.setenv("CREDIT_STORE", store.url)
    (tmp_path / "scratch/reference").mkdir(parents=True)
    return Planter(store, lambda key: None, D, tmp_path / "scratch", bases)


@pytest.mark.parametrize("content", sorted(BYTES))
@pytest.mark.parametrize("kind", sorted(EVERY))
def test_what_is_planted_is_refused_not_executed_and_takes_little(
    kind: str, content: str, planter: Planter, tmp_path: Path
) -> None:
    marker = tmp_path / "executed"
    data = BYTES[content](marker)
    planter.digest, planter.put = sha256(data), lambda key: planter.store.write(key, data)
    read = EVERY[kind](planter)
    with little_memory(), pytest.raises(StoreError):
        read()
    assert not marker.exists()


def test_the_planted_pickles_do_execute_when_they_are_opened(tmp_path: Path) -> None:
    """Else that no marker is there would mean nothing."""
    import pickle

    assert Bomb in {type(each) for each in [Bomb(tmp_path)]}
    for number, name in enumerate(("pickle", "pickle-text")):
        marker = tmp_path / str(number)
        pickle.loads(pickles(marker)[name])
        assert marker.exists()


def hole(store: Store, key: str) -> None:
    path = Path(store.where(key))
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(HOLE)


@pytest.mark.parametrize("kind", sorted(EVERY))
def test_terabytes_are_refused_before_they_are_read(kind: str, planter: Planter) -> None:
    planter.put = lambda key: hole(planter.store, key)
    read: object = EVERY[kind](planter)
    assert callable(read)
    with little_memory(), pytest.raises(StoreError):
        read()
