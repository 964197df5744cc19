"""Who joined, left, changed their images or only their name: everybody is in exactly one class."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tasks.partition.names import MERGED
from tasks.statements.people import People, compare_people
from tasks.statements.read import PastContributor, PastStatement
from tests.statements.published import Who, partition_of


def before(*who: Who) -> PastStatement:
    contributors = tuple(PastContributor(name, letter * 64, 10.0, ()) for name, letter in who)
    return PastStatement(
        "one", datetime(2026, 1, 1, tzinfo=UTC), 1, contributors, pd.DataFrame(), (), {}, {}, "studies/art/one"
    )


def compared(then: tuple[Who, ...], now: tuple[Who, ...]) -> People:
    return compare_people(before(*then), partition_of(*now))


def test_one_of_each_kind() -> None:
    people = compared(
        (("Anna", "a"), ("Ben", "b"), ("Cleo", "c"), ("Dora", "d")),
        (("Anna", "a"), ("Ben", "0"), ("Chloe", "c"), ("Emil", "e")),
    )
    assert people == People(("Emil",), ("Dora",), ("Ben",), (("Cleo", "Chloe"),), ("Anna",))
    assert people.any
    assert people.sentence() == (
        "1 joined (Emil), 1 left (Dora), 1 changed images (Ben), 1 changed only the name (Cleo, now Chloe)"
    )


def test_nothing_changed_says_so() -> None:
    same = (("Anna", "a"), ("Ben", "b"))
    people = compared(same, same[::-1])
    assert not people.any and people.sentence() == "nobody joined, left or changed images"


def test_a_new_name_alone_is_a_change_but_of_no_images() -> None:
    people = compared((("Anna", "a"), ("Ben", "b")), (("Anna", "a"), ("Benjamin", "b")))
    assert people.any and people.sentence().startswith("nobody joined, left or changed images, 1 changed only the name")


def test_names_that_are_swapped_are_changed_images_not_new_names() -> None:
    assert compared((("A", "a"), ("B", "b")), (("A", "b"), ("B", "a"))).changed == ("A", "B")


def test_of_two_owners_of_the_same_images_each_is_counted_once() -> None:
    people = compared((("A", "a"), ("B", "a")), (("C", "a"), ("B", "a")))
    assert people.renamed == (("A", "C"),) and people.unchanged == ("B",)
    people = compared((("A", "a"), ("B", "a")), (("C", "a"), ("D", "d")))
    assert people.renamed == (("A", "C"),) and people.left == ("B",) and people.joined == ("D",)


def test_small_contributors_may_change_as_one() -> None:
    assert compared(((MERGED, "a"), ("B", "b")), ((MERGED, "c"), ("B", "b"))).changed == (MERGED,)


def test_a_sentence_is_short_and_its_names_are_printable() -> None:
    many = tuple((f"Contributor {i:03d}", "0123456789abcdf0"[i % 16]) for i in range(300))
    sentence = compared((("A", "e"),), (*many, ("right\u202eto\nleft", "f"))).sentence()
    assert "301 joined (" in sentence and "and 291 more)" in sentence and len(sentence) < 1000
    hostile = compared((("A", "a"),), (("right\u202eto\nleft", "f"),)).sentence()
    assert "\u202e" not in hostile and "\n" not in hostile


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Who, ...]:
    return tuple(draw(st.dictionaries(st.sampled_from("ABCDEFGH"), st.sampled_from("abcde"), min_size=1)).items())


@given(crowds(), crowds())
def test_every_name_of_then_and_now_is_in_exactly_one_class(then: tuple[Who, ...], now: tuple[Who, ...]) -> None:
    people = compared(then, now)
    olds, news = (tuple(side) for side in zip(*people.renamed, strict=True)) if people.renamed else ((), ())
    assert sorted((*people.unchanged, *people.changed, *people.left, *olds)) == sorted(name for name, _ in then)
    assert sorted((*people.unchanged, *people.changed, *people.joined, *news)) == sorted(name for name, _ in now)
    fingerprints, later = dict(then), dict(now)
    assert all(fingerprints[old] == later[new] for old, new in people.renamed)
    # Nobody is said to have left whose images somebody with a new name has.
    gone, new = {fingerprints[name] for name in people.left}, {later[name] for name in people.joined}
    assert not gone & new
