"""Names from people: what could leave a folder, break a line or disguise itself is refused; keys are made of digests."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.names import key_part, one_spelling, refused_contributor, refused_file
from infra.store import Store


@pytest.mark.parametrize(
    "name", ["a.png", "Sonne über Köln (2).png", "sub/日本/ü.jpg", "-rf", "a b", "👩\u200d🎨.png", "x" * 255]
)
def test_names_that_people_give_their_files_are_fine(name: str) -> None:
    assert refused_file(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../a.png", "a/../../b", "a//b", "/etc/passwd", "a/", "~/a", "C:/a", "c:a", "s3://b/a", "a\\b",
        "a/ /b", "a\nb", "a\x00b", "a\x1b[31mb", "\u202egnp.exe", "\ufeffa", "a\u2028b", "\udcffa", ".git/config",
        "a/.hidden", "x" * 256, "x/" * 600 + "x", "e\u0301.png",
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere_or_disguise_themselves_are_refused(name: str) -> None:
    assert refused_file(name)


@given(st.text(alphabet=st.characters() | st.sampled_from("./\\~:\n a"), max_size=20))
def test_whatever_is_taken_as_a_file_stays_below_its_folder(name: str) -> None:
    if refused_file(name) is None:
        path = posixpath.normpath(posixpath.join("/folder", name))
        assert path == f"/folder/{name}" and len(path.splitlines()) == 1
        name.encode()


@pytest.mark.parametrize("name", ["Emily Jäger", "李 明", "علی\u200cرضا", "O'Brien & Sons, Ltd.", "x" * 200])
def test_names_of_people_are_fine(name: str) -> None:
    assert refused_contributor(name) is None


@pytest.mark.parametrize(
    "name", ["", " ", " a", "a ", "a\nb", "../a", "a/b", ".a", "\u200d", "\u202ea", "x" * 201, "Ja\u0308ger", "\ud800"]
)
def test_names_that_no_one_has_are_refused(name: str) -> None:
    assert refused_contributor(name)


@given(st.text(max_size=50))
def test_any_name_has_a_part_of_a_key(name: str) -> None:
    name = name.encode(errors="ignore").decode()
    assert "/" not in key_part(name)
    assert Store("/nowhere").where(f"uploads/{key_part(name)}/x").startswith("/nowhere/uploads/")


def test_names_that_look_alike_have_different_keys_and_two_spellings_of_one_name_the_same() -> None:
    assert key_part("Emily Jäger").startswith("emily-jager-")
    assert key_part("Emily Jäger") != key_part("Emily Jager") != key_part("emily jager")
    assert key_part("Ja\u0308ger") == key_part(one_spelling("Ja\u0308ger"))
