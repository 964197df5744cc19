"""A worker whose given models are not the driver's makes nothing of an epoch."""

import platform
import shutil
from pathlib import Path

import pytest

from flows import prepare_epoch as flow
from infra.store import Store
from tasks.epoch.current import check_keys, keys_of
from tasks.families.types import FamilyError
from tasks.model.pipeline import save_pipeline
from tests.model.building import data_recipe_of, tiny_data, tiny_schedule, tiny_study, tiny_unet

DATA = data_recipe_of(tiny_data())


@pytest.fixture
def study(tmp_path: Path):
    save_pipeline(tiny_unet(seed=8), tiny_schedule(), tmp_path / "given")
    return tiny_study(model={"pretrained": str(tmp_path / "given"), "pretrained_is": "base"})


def test_the_drivers_own_keys_and_none_at_all_are_welcome(study):
    check_keys(study, DATA, *keys_of(study, DATA))
    check_keys(study, DATA, "", "")


def test_a_worker_with_other_files_or_none_names_the_setting_and_itself(study):
    asked = keys_of(study, DATA)
    save_pipeline(tiny_unet(seed=9), tiny_schedule(), Path(study.model.pretrained))
    with pytest.raises(FamilyError, match=rf"this worker \({platform.node()}\) would make.*model\.pretrained '"):
        check_keys(study, DATA, *asked)
    shutil.rmtree(study.model.pretrained)
    with pytest.raises(FamilyError, match=rf"model\.pretrained '.*cannot be read on this worker \({platform.node()}\)"):
        check_keys(study, DATA, *asked)


def test_where_no_model_is_given_other_keys_mean_another_version():
    study = tiny_study()
    reference, pruned = keys_of(study, DATA)
    with pytest.raises(FamilyError, match=r"reference.*version"):
        check_keys(study, DATA, "0" * 64, pruned)
    with pytest.raises(FamilyError, match=r"pruned model.*version"):
        check_keys(study, DATA, reference, "0" * 64)


def test_the_flow_compares_before_anything_is_made(study, tmp_path, monkeypatch: pytest.MonkeyPatch):
    class Opened:
        data = DATA

    store, touched = Store(str(tmp_path / "store")), list[str]()
    monkeypatch.setattr(flow, "store_url", lambda: store.url)
    monkeypatch.setattr(flow, "epoch_of_number", lambda *_: Opened())
    monkeypatch.setattr(flow, "on_a_card", lambda *_: touched.append("card"))
    with pytest.raises(FamilyError, match="is what the run needs"):
        flow.prepare_epoch.fn(study, 1, store.url, reference="0" * 64)
    assert touched == []
