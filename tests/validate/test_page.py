"""The page of a validation: it says plainly what the figures bear, whatever is missing and whoever is in it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tasks.publish.plots import data_uri
from tasks.validate import plots
from tasks.validate.page import LIMIT, html, page, pictures
from tasks.validate.recommend import recommendation, recommended
from tasks.validate.sections import sections
from tasks.validate.types import PropertyFound, Validation, Way
from tests.publish.test_report import Page
from tests.validate.made import HOSTILE, METHODS, NAMES, NOT_MADE, build, estimate

SECTIONS = ("Verdict", "Are coalitions realised faithfully?", "Do credits predict retrained models?",
            "Against exact credits", "Without the top, and with the top alone", "What was done")  # fmt: skip
CROWD = tuple(f"Contributor {number:03d}" for number in range(258))


def unknown() -> Validation:
    """A validation in which nothing came out."""
    nothing = {"pearson": NOT_MADE, "spearman": NOT_MADE, "pearson_across": NOT_MADE, "spearman_across": NOT_MADE}
    properties = []
    for of in build(counterfactuals=False).properties:
        ways = tuple(way.model_copy(update={**nothing, "seconds": None, "points": ()}) for way in of.ways)
        methods = tuple(
            m.model_copy(
                update={"lds": NOT_MADE, "ahead": None if m.kind == "ours" else NOT_MADE, "probability_ours": None,
                        "better_than_chance": None}
            )
            for m in of.methods
        )  # fmt: skip
        update = {"ways": ways, "methods": methods, "noise": None, "chance_sd": None, "spread": 0.0}
        properties.append(of.model_copy(update=update))
    return build(counterfactuals=False, properties=()).model_copy(update={"properties": tuple(properties)})


def hostile() -> Validation:
    """A validation whose every text is somebody's attack."""
    found = build((HOSTILE, "a", "b", "c"), properties=(HOSTILE, f"{HOSTILE}2"), exact=True)
    of = found.properties[0]
    methods = tuple(m.model_copy(update={"name": f"{m.name}{HOSTILE}"}) for m in of.methods)
    methods += (of.methods[1].model_copy(update={"lds": NOT_MADE.model_copy(update={"reason": HOSTILE})}),)
    against = tuple(row.model_copy(update={"method": HOSTILE}) for row in of.exact or ())
    of = of.model_copy(update={"methods": methods, "exact": against, "unit": HOSTILE})
    return found.model_copy(
        update={"properties": (of, found.properties[1]), "study": HOSTILE, "shortfalls": (HOSTILE,), "device": HOSTILE}
    )


def sort_of(name: str) -> Validation:
    made: dict[str, Any] = {
        "whole": lambda: build(exact=True),
        "one property": lambda: build(properties=("heldout_loss",)),
        "258 contributors": lambda: build(CROWD),
        "no counterfactuals": lambda: build(counterfactuals=False, shortfalls=()),
        "nothing known": unknown,
        "hostile": hostile,
        "two contributors": lambda: build(("a", "b"), exact=True),
        "no methods": lambda: build().model_copy(
            update={"properties": tuple(p.model_copy(update={"methods": ()}) for p in build().properties)}
        ),
    }
    return made[name]()


KINDS = ("whole", "one property", "258 contributors", "no counterfactuals", "nothing known", "hostile",
         "two contributors", "no methods")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_finding_has_a_whole_page_in_both_forms(kind: str) -> None:
    found = sort_of(kind)
    markdown, shown = page(found), Page(html(found))
    assert len(markdown.encode()) < LIMIT
    places = [markdown.index(f"## {title}") for title in SECTIONS]
    assert places == sorted(places)
    assert [shown.text.index(title) for title in SECTIONS] and not shown.open
    assert len(shown.ids) == len(set(shown.ids))
    assert {a for a in shown.addresses if not a.startswith("#")} == set()
    assert {address[1:] for address in shown.addresses} <= set(shown.ids)
    assert "None" not in shown.text and "nan" not in re.findall(r"\w+", shown.text)


def test_what_another_seed_of_retraining_does_is_said_with_what_can_be_expected_at_most() -> None:
    found = build(properties=("heldout_loss",))
    of = found.properties[0]
    assert "8 coalitions agree with themselves by Pearson 0.90 (0.70 to 1.00)" in page(found)
    assert "can expect a Pearson of 0.95 (0.84 to 1.00)" in page(found)
    assert "it agrees by +0.06 (−0.14 to +0.26) more on" in page(found).replace("&#43;", "+")
    assert b"Dashed" not in plots.fidelity(of, prefix="x") and "Dashed:" in page(found)
    assert of.repeat is not None
    turned = of.repeat.model_copy(update={"pearson": estimate(-0.2, 0.5, 8)})
    for repeat, told in (
        (None, "No coalition was retrained under a second seed"),
        (of.repeat.model_copy(update={"pearson": NOT_MADE}), "what that tells is not known: there are 2 coalitions"),
        (turned, "agree with themselves by Pearson −0.20"),
    ):
        other = page(found.model_copy(update={"properties": (of.model_copy(update={"repeat": repeat}),)}))
        assert told in other and "can expect" not in other and "Dashed" not in other


def test_the_same_findings_give_the_same_pages() -> None:
    assert page(build()) == page(build()) and html(build()) == html(build())


def test_hostile_words_neither_act_nor_disappear() -> None:
    found = hostile()
    shown, markdown = Page(html(found)), page(found)
    assert "script" not in shown.tags and not shown.handlers and "alert(1)" in shown.text
    for told in (shown.text, markdown, *(svg.decode() for svg in pictures(found).values())):
        assert "\u202e" not in told
    assert "<script" not in markdown and "](http" not in markdown.replace("](data:", "") and "$a" not in markdown
    for line in markdown.splitlines():
        if line.startswith("| ") or line.startswith("|:"):
            table = line.count("|")
            assert table in (3, 4, 5, 6, 8, 10), line
    assert all(re.fullmatch(r"[a-z0-9.-]+\.svg", name) for name in pictures(found))


def test_tables_keep_their_columns_whatever_is_in_them() -> None:
    for block in re.split(r"\n\n", page(hostile())):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1


def test_a_free_baseline_that_is_as_good_is_named_in_the_verdict() -> None:
    verdict = page(build()).split("\n## ")[1]
    assert verdict.startswith("Verdict")
    assert (
        verdict.count("Not than all of them. As good as ours, as far as 24 coalitions can tell, and free: pro rata.")
        == 2
    )
    of = build().properties[0]
    better = [m.model_copy(update={"ahead": estimate(-0.5)}) if m.name == "pro rata" else m for m in of.methods]
    found = build().model_copy(update={"properties": (of.model_copy(update={"methods": tuple(better)}),)})
    assert "Better than ours, and free: pro rata." in page(found).split("\n## ")[1]
    sure = page(build(half=0.05)).split("\n## ")[1]
    assert "Yes, than all that could be compared." in sure and "As good as ours" not in sure


def test_what_is_not_known_is_said_with_its_reason_and_no_verdict() -> None:
    verdict = page(unknown()).split("\n## ")[1]
    assert verdict.count("Not known") == 6 and verdict.count("fewer than 4") == 4
    assert "Yes" not in verdict and "As good" not in verdict
    done = page(build(shortfalls=tuple(f"shortfall {n}" for n in range(40)))).split("\n## ")[-1]
    assert "shortfall 29" in done and "shortfall 30" not in done and "10 more are in validation.json." in done


def test_every_method_and_way_is_in_the_tables_with_its_interval() -> None:
    shown = Page(html(build())).text
    for name, _, lds in METHODS:
        assert name in shown
        assert f"{lds:.2f}".replace("-", "\u2212") in shown
    assert "0.81 0.61 to 1.00" in shown, "figure, then its interval"
    assert shown.count("not retrained") >= 2 * len(METHODS), "keeping 60 % was not retrained"
    assert "abababababab…" in shown and "212" in shown and "1 h 23 min" in shown


def test_exact_credits_are_shown_by_name_best_first_only_where_they_are() -> None:
    found = build(exact=True)
    credits = found.properties[0].exact_credits or ()
    shown = Page(html(found)).text
    part = shown[shown.rindex("Against exact credits") :]
    order = sorted(range(len(NAMES)), key=lambda i: -credits[i])
    places = [part.index(NAMES[i]) for i in order if len(NAMES[i]) > 1]
    assert places == sorted(places)
    assert "Not made: exact credits need every coalition of the 8 contributors retrained, 256 of them." in page(build())


def test_pictures_stand_in_the_page_or_in_a_folder_beside_it() -> None:
    found = build()
    svgs = pictures(found)
    assert len(svgs) == 8 and all(svg.startswith(b"<svg") and svg.endswith(b"</svg>") for svg in svgs.values())
    beside = page(found, folder="validation/openmoji")
    assert len(beside.encode()) < 40_000 and "data:" not in beside
    assert all(f"](validation/openmoji/{name})" in beside for name in svgs)
    inside = page(found)
    assert all(data_uri(svg, "image/svg+xml") in inside for svg in svgs.values())


def test_a_page_that_would_outgrow_prefect_loses_pictures_then_tables_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left, names = {}, {}
    for limit in (LIMIT, 60_000, 9_000):
        monkeypatch.setattr("tasks.validate.page.LIMIT", limit)
        shown = page(build())
        assert len(shown.encode()) < limit
        left[limit], names[limit] = (
            shown.count("(Left out here to keep this page small"),
            shown.count("**this\u00a0study**"),
        )
        assert all(f"## {title}" in shown for title in SECTIONS) and "pro rata" in shown.split("\n## ")[1]
    assert left[LIMIT] == 0 < left[60_000] < 8 < left[9_000]
    assert names[LIMIT] == names[60_000] == 4, "tables stay while there are pictures to leave out"


def test_without_values_there_is_no_picture_of_changes() -> None:
    assert plots.changes(build(counterfactuals=False).properties[0], prefix="p") is None
    assert plots.changes(build().properties[0], prefix="p") is not None


def test_a_cut_that_was_not_retrained_for_anybody_has_no_panel_but_stays_in_the_table() -> None:
    drawn = (plots.changes(build().properties[0], prefix="p") or b"").decode()
    assert drawn.count("kept alone") == 1 and drawn.count("removed") == 2 and "1e\u2212" not in drawn
    assert "Top 60 % kept alone" in Page(html(build())).text.replace("\u00a0", " ")


def test_random_credits_by_which_nobody_is_cut_have_no_row_among_the_cuts() -> None:
    of = build().properties[0]
    by_chance = of.methods[-1].model_copy(update={"name": "by chance", "removed": {"0.4": None}, "kept": {}})
    with_it = of.model_copy(update={"methods": (*of.methods, by_chance)})
    drawn = (plots.changes(with_it, prefix="p") or b"").decode()
    assert "by chance" not in drawn and of.methods[0].name in drawn
    assert "by chance" in (plots.scores(with_it, prefix="p") or b"").decode()


def test_changes_of_nothing_are_drawn_on_a_scale_of_their_own() -> None:
    of = build().properties[0]
    still = tuple(m.model_copy(update={"removed": {"0.4": 0.0}, "kept": {}}) for m in of.methods)
    drawn = (plots.changes(of.model_copy(update={"methods": still}), prefix="p") or b"").decode()
    assert "removed" in drawn and "e\u2212" not in drawn


def test_ours_is_in_the_picture_however_many_are_better() -> None:
    of = build().properties[0]
    rivals = tuple(of.methods[1].model_copy(update={"name": f"rival {n}", "lds": estimate(0.9)}) for n in range(40))
    shown = plots.shown(of.model_copy(update={"methods": (*rivals, *of.methods)}))
    assert len(shown) == plots.METHODS and shown[-1].kind == "ours"


def of_ways(**changes: dict[str, Any]) -> PropertyFound:
    """One property; changes: by the number of steps, to ways pruned by 0.3."""
    of = build().properties[0]
    ways: tuple[Way, ...] = tuple(
        way.model_copy(update=changes.get(f"steps_{way.steps}", {}) if way.ratio == 0.3 else {}) for way in of.ways
    )
    return of.model_copy(update={"ways": ways})


def test_no_other_default_is_recommended_while_intervals_overlap() -> None:
    assert recommended(of_ways()) is None
    assert "support no change" in recommendation(of_ways())


def test_a_more_faithful_way_is_recommended_only_with_its_whole_interval() -> None:
    ahead = {"ahead": estimate(0.2, 0.1)}  # though intervals beside each other overlap
    clear = of_ways(steps_200=ahead, steps_1500=ahead)
    chosen = recommended(clear)
    assert chosen is not None and chosen.steps == 200, "the cheapest of those that are clearly better"
    assert "fine-tuning, 200 steps, pruned by 0.3, instead of fine-tuning, 100 steps" in recommendation(clear)
    assert "at 2.0 times the work" in recommendation(clear)


def test_to_retrain_every_coalition_is_never_recommended_instead_of_fine_tuning() -> None:
    assert recommended(of_ways(steps_1500={"ahead": estimate(0.2, 0.1)})) is None


def test_a_cheaper_way_is_recommended_if_it_is_no_worse() -> None:
    chosen = recommended(of_ways(steps_50={"ahead": estimate(0.02, 0.08)}))
    assert chosen is not None and chosen.steps == 50
    assert recommended(of_ways(steps_50={"ahead": estimate(0.02, 0.3)})) is None, "it may be much worse"
    assert recommended(of_ways(steps_50={"ahead": estimate(-0.02, 0.05)})) is None, "its figure is worse"
    assert recommended(of_ways(steps_50={"ahead": estimate(0.02, 0.08), "work": None})) is None
    assert recommended(of_ways(steps_200={"ahead": estimate(0.02, 0.08)})) is None, "it is more work"


@pytest.mark.parametrize("change", [{"pearson": NOT_MADE}, {"work": None}])
def test_nothing_is_recommended_of_an_own_way_without_figures(change: dict[str, Any]) -> None:
    assert recommended(of_ways(steps_100=change)) is None
    assert "Nothing can be recommended" in recommendation(of_ways(steps_100=change))


def test_sections_have_anchors_of_their_own() -> None:
    anchors = [section.anchor for section in sections(build())]
    assert len(set(anchors)) == len(SECTIONS)
