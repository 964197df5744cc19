"""Digests: the same thing has one name, different things have different ones, on every machine."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.digest import canonical_json, digest_of

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


@given(JSON)
def test_what_is_read_back_has_the_bytes_and_the_name_it_was_written_with(value: Any) -> None:
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)
    assert digest_of("x", json.loads(canonical_json(value))) == digest_of("x", value)


@given(st.dictionaries(st.text(), LEAVES, min_size=2), st.randoms())
def test_the_order_of_fields_does_not_matter(fields: dict[str, Any], random: Any) -> None:
    items = list(fields.items())
    random.shuffle(items)
    assert digest_of("x", dict(items)) == digest_of("x", fields)


@given(JSON, JSON)
def test_different_specifications_have_different_names(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest_of("x", one) == digest_of("x", other)) == same


@given(JSON)
def test_the_kind_is_a_part_of_the_name(value: Any) -> None:
    assert digest_of("model", value) != digest_of("samples", value)


def test_the_names_of_what_lies_in_stores_today_stay_what_they_are() -> None:
    spec = {"steps": 150, "rate": 1e-3, "who": ["Emily Jäger"], "none": None}
    assert canonical_json(spec) == '{"none":null,"rate":0.001,"steps":150,"who":["Emily Jäger"]}'.encode()
    assert digest_of("model", spec) == "c2a3c60ae153c19247b7ac04c35e259bb1ef7bf11925d2d930e0ea6082055cb3"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_has_no_name(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of("x", {"value": [number]})


@pytest.mark.parametrize("key", [1, None, True, 1.5])
def test_keys_that_json_would_turn_into_text_are_refused(key: Any) -> None:
    with pytest.raises(TypeError, match="not text"):
        canonical_json([{"inner": {key: "value"}}])


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        canonical_json("\udcff")


@pytest.mark.parametrize("value", [np.float32(1), np.int64(1), {1, 2}, b"x"])
def test_what_json_does_not_have_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json({"value": value})
