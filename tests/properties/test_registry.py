"""Finding properties: ours by name, the user's as module:function, and what people are told when it fails."""

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from tasks.properties import (
    RealImages,
    Samples,
    efficientnet_lite,
    global_property,
    registered_properties,
    resolve_property,
)
from tasks.study import PropertiesSpec

SPEC = PropertiesSpec()
OWN = "tests.properties.own_property:warmth"
OFFLINE = ["frechet_lite", "inception_score_lite", "cluster_entropy", "heldout_loss", "colourfulness"]


def test_every_property_of_the_form_is_registered() -> None:
    assert registered_properties() == tuple(sorted([*OFFLINE, "aesthetic_score", "fid", "inception_score"]))
    for name in registered_properties():
        assert name in str(PropertiesSpec.model_fields["names"].description)


@pytest.mark.parametrize("name", [*OFFLINE, OWN])
def test_a_property_can_be_hashed_and_sent_to_a_worker(name: str) -> None:
    prop = resolve_property(name, SPEC)
    assert json.loads(json.dumps(prop.identity())) == prop.identity()
    assert pickle.loads(pickle.dumps(prop)).identity() == prop.identity()
    assert prop.identity() == resolve_property(name, SPEC).identity()
    assert prop.description and prop.sign in (1, -1)


@pytest.mark.parametrize(
    ("name", "uses"),
    [
        ("frechet_lite", {"feature_size", "frechet_components"}),
        ("inception_score_lite", {"feature_size"}),
        ("cluster_entropy", {"feature_size", "clusters"}),
        ("heldout_loss", {"heldout_timesteps"}),
        ("colourfulness", set()),
    ],
)
def test_only_options_a_property_uses_enter_its_identity(name: str, uses: set[str]) -> None:
    """Else a change of one property's option would throw away all other properties' scores."""
    before = resolve_property(name, SPEC).identity()
    changes = {"feature_size": 64, "frechet_components": 8, "clusters": 5, "heldout_timesteps": 3, "names": ["fid"]}
    changes |= {"aesthetic_model": "somewhere", "aesthetic_head": "head.safetensors"}
    for field, value in changes.items():
        after = resolve_property(name, SPEC.model_copy(update={field: value})).identity()
        assert (after != before) == (field in uses), field


def test_new_options_left_digests_of_earlier_studies_as_they_were() -> None:
    """Scores in a ledger are found by these; a vision model that is not asked for must not show."""
    lite = efficientnet_lite(96).options
    assert set(lite) == {"network", "network_sha256", "feature_size"}
    assert resolve_property("frechet_lite", SPEC).identity()["options"] == {**lite, "components": 32}
    assert resolve_property("cluster_entropy", SPEC).identity()["options"] == {
        **lite,
        "clusters": 12,
        "most_images": 4000,
    }
    assert resolve_property("colourfulness", SPEC).identity()["options"] == {"percentile": 90.0}


def test_a_users_own_property_is_scored(real: RealImages) -> None:
    prop = resolve_property(OWN, SPEC)
    statistics = prop.statistics(real)
    redder = real.train.copy()
    redder[..., 2] = 0
    assert prop.score(Samples(real.train), statistics) == pytest.approx(0)
    assert prop.score(Samples(redder), statistics) == pytest.approx(real.train[..., 2].mean())
    assert prop.description.startswith("How much redder")
    assert (prop.needs, prop.sign, prop.unit) == ("samples", 1, "levels of 255")


def test_a_users_own_property_is_identified_by_its_source() -> None:
    source = Path(__file__).with_name("own_property.py").read_bytes()
    identity = resolve_property(OWN, SPEC).identity()
    assert identity == {"name": OWN, "version": 1, "options": {"source_sha256": hashlib.sha256(source).hexdigest()}}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("beauty", r"no property 'beauty'; there are aesthetic_score, cluster_entropy, colourfulness.*module:function"),
        ("/tmp/evil.py:run", "a path is not accepted"),
        ("s3://bucket/evil:run", "a path is not accepted"),
        ("..evil:run", "a path is not accepted"),
        ("tests.properties.own_property:warmth/../x", "a path is not accepted"),
        ("no_such_module:run", "no module 'no_such_module' that Python can import.*PYTHONPATH"),
        ("tests.properties.no_such:run", "no module 'tests.properties.no_such'"),
        ("tests.properties.raises_on_import:run", "RuntimeError: the weights of my aesthetic model are not here"),
        ("tests.properties.own_property:warm", "has no such function; decorated there: warmth"),
        ("tests.properties.broken_properties:forgot_the_decorator", "is not decorated with @global_property"),
        ("os:system", "is not decorated.*decorated there: nothing"),
    ],
)
def test_an_unusable_name_is_explained(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        resolve_property(name, SPEC)


@pytest.mark.parametrize(
    ("function", "reason"), [("not_a_number", "came out as nan"), ("returns_text", "must return one number")]
)
def test_a_users_impossible_value_is_an_error_not_a_score(function: str, reason: str, real: RealImages) -> None:
    prop = resolve_property(f"tests.properties.broken_properties:{function}", SPEC)
    with pytest.raises(ValueError, match=reason):
        prop.score(Samples(real.train), prop.statistics(real))


def test_a_declaration_that_makes_no_sense_fails_at_import() -> None:
    with pytest.raises(ValueError, match="sign must be"):
        global_property(needs="samples", sign=0, unit="")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs must be"):
        global_property(needs="images", sign=1, unit="")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"must take \(samples, statistics\)"):
        global_property(needs="samples", sign=1, unit="")(lambda samples: 1.0)


def test_a_property_refuses_the_wrong_subject_and_anothers_statistics(real: RealImages) -> None:
    samples = Samples(real.train)
    with pytest.raises(ValueError, match="scored on a model's weights"):
        resolve_property("heldout_loss", SPEC).score(samples, {})
    with pytest.raises(ValueError, match="scored on generated images"):
        resolve_property("colourfulness", SPEC).score(object(), {})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"reference statistics \['centres'\] are missing; there are \['mu'\]"):
        resolve_property("cluster_entropy", SPEC).score(samples, {"mu": np.zeros(2)})
