"""Hostile names: nothing that a name holds may act, hide, or turn the line round."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.publish import text
from tests.publish.building import HOSTILE

ANY = st.text(st.characters(), max_size=80)


@given(ANY)
def test_visible_leaves_no_control_or_direction_character(name: str) -> None:
    shown = text.visible(name)
    assert shown.strip()
    for char in shown:
        assert unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.category(char) != "Cf" or char in "\u200c\u200d"


@given(ANY)
def test_html_holds_one_element_and_no_other_markup(name: str) -> None:
    shown = str(text.html(name))
    assert shown.startswith("<bdi") and shown.endswith("</bdi>")
    assert shown.count("<") == 2 and shown.count(">") == 2


@given(ANY)
def test_markdown_leaves_no_character_that_could_begin_markup(name: str) -> None:
    shown = text.markdown(name)
    for entity in {f"&#{code};" for code in range(33, 127)}:
        shown = shown.replace(entity, "")
    assert not set(shown) & set("|<>[]()`*_\\!&#~\n\r@:/")


@given(ANY)
def test_csv_cells_never_begin_like_a_formula(name: str) -> None:
    assert not text.csv_cell(name).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_names_that_look_alike_but_differ_invisibly_are_shown_apart() -> None:
    twins = ["Ann", "Ann ", " Ann", "A\u200bnn", "Ann\u200d", "Ann\u3164", "Ann\u00a0", "\u202eAnn"]
    assert len({text.visible(name) for name in twins}) == len(twins)


def test_joiners_stay_where_a_script_needs_them() -> None:
    for name in ("می\u200cخواهم", "👩\u200d🎨", "क्\u200dष"):
        assert text.visible(name) == name
    assert "U+200D" in text.visible("a\u200db")


def test_stacked_marks_cannot_paint_over_the_page() -> None:
    assert text.visible("a" + "\u0301" * 50).count("\u0301") == 4
    assert text.visible("Việt Nam") == "Việt Nam"


def test_long_names_are_shortened_in_the_middle_and_given_in_full_in_the_title() -> None:
    name = "A" * 5000 + "B" * 5000
    shown = str(text.html(name))
    assert f'title="{name}"' in shown
    assert len(text.plain(name)) == text.DISPLAY_LIMIT
    assert text.plain(name).startswith("AAA") and text.plain(name).endswith("BBB")


def test_addresses_in_names_do_not_become_links_in_markdown() -> None:
    shown = text.markdown("see http://evil.example or www.evil.example or a@evil.example", 100)
    assert "http:" not in shown and "www." not in shown and "a@" not in shown


def test_terminal_columns_count_wide_and_combining_characters() -> None:
    assert text.columns("山田") == 4 and text.columns("e\u0301") == 1
    assert text.pad("山", 4) == "山  " and text.pad("a", 3, left=True) == "  a"


@pytest.mark.parametrize("name", HOSTILE)
def test_every_function_takes_every_hostile_name(name: str) -> None:
    for function in (text.visible, text.plain, text.html, text.markdown, text.csv_cell, text.title):
        assert function(name)
