"""Owner cells: everything people may write in one gives owners or a reason, never a crash."""

import contextlib
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.partition.names import LONGEST, MERGED, clean, closest, unsafe
from tasks.partition.shares import ShareError, parse_shares


@pytest.mark.parametrize(
    ("cell", "shares"),
    [
        ("alice", (("alice", 1.0),)),
        ("  alice ", (("alice", 1.0),)),
        ("alice:0.7;bob:0.3", (("alice", 0.7), ("bob", 0.3))),
        ("bob : 0.25 ; alice: .75 ;", (("alice", 0.75), ("bob", 0.25))),
        ("alice:1", (("alice", 1.0),)),
        ("Studio: North", (("Studio: North", 1.0),)),
        ("Studio: North:0.5;bob:0.5", (("Studio: North", 0.5), ("bob", 0.5))),
        ("Studio 4:20:1", (("Studio 4:20", 1.0),)),
        ("alice; bob", (("alice; bob", 1.0),)),
        (":", ((":", 1.0),)),
        ("a:5e-1;b:0.5", (("a", 0.5), ("b", 0.5))),
        ("", ()),
        (" \t", ()),
    ],
)
def test_cells_are_read_as_the_grammar_says(cell: str, shares: tuple[tuple[str, float], ...]) -> None:
    assert parse_shares(cell) == shares


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("alice:0.7;bob:0.2", "sum to 0.9, not to one"),
        ("alice:0.7", "sum to 0.7"),
        ("alice:0.7;bob", "no share for 'bob'"),
        ("alice:1.5;bob:-0.5", "1.5"),
        ("alice:1;bob:0", "'0', which is not above 0"),
        ("alice:nan", "nan"),
        ("alice:inf;bob:0.5", "inf"),
        ("alice:1e999;bob:0.5", "1e999"),
        ("alice:0.5;alice:0.5", "'alice' twice"),
        ("u\u0308:0.5;ü:0.5", "'ü' twice"),
        (":0.5;bob:0.5", "without a name"),
        ("alice:70%;bob:30%", "with a point"),
        ("alice:0,7;bob:0,3", "with a point"),
        ("Studio 4:20", "write 'Studio 4:20:1'"),
    ],
)
def test_wrong_shares_are_refused_with_their_reason(cell: str, reason: str) -> None:
    with pytest.raises(ShareError, match=reason):
        parse_shares(cell)


def test_three_thirds_written_in_three_digits_are_one() -> None:
    assert parse_shares("a:0.333;b:0.333;c:0.333") == (("a", 1 / 3), ("b", 1 / 3), ("c", 1 / 3))


@pytest.mark.timeout(5)
@pytest.mark.parametrize("cell", ["a:1" + " " * 300_000 + "x", ":" * 300_000, "\u0300\u0323" * 300_000, "1" * 300_000])
def test_a_hostile_long_cell_takes_no_time(cell: str) -> None:
    with pytest.raises(ShareError, match="characters, more than") as caught:
        parse_shares(cell)
    assert len(str(caught.value)) < 1000
    with contextlib.suppress(ShareError):
        parse_shares(cell[:9_999])


@given(st.text())
@example("a:" + "9" * 5000)
@example("a:\u0661;b:\u0661")
@example(":;:0;;:.")
@example("\ud800:1")
def test_any_text_gives_normal_shares_or_a_share_error(cell: str) -> None:
    try:
        shares = parse_shares(cell)
    except ShareError as error:
        assert str(error)
        return
    assert (not shares) == (not cell.strip())
    if shares:
        assert math.isclose(math.fsum(share for _, share in shares), 1, abs_tol=1e-12)
        assert all(0 < share <= 1 for _, share in shares)
        assert [name for name, _ in shares] == sorted({name for name, _ in shares})
        assert all(name == clean(name) for name, _ in shares)


_NAMES = st.text(st.characters(exclude_characters=";", exclude_categories=["Cs"]), min_size=1).map(clean).filter(bool)


@given(st.dictionaries(_NAMES, st.integers(1, 1000), min_size=1, max_size=6))
def test_written_shares_are_read_back_whatever_the_names(weights: dict[str, int]) -> None:
    total = sum(weights.values())
    cell = ";".join(f"{name}:{weight / total!r}" for name, weight in weights.items())
    shares = dict(parse_shares(cell))
    assert shares.keys() == weights.keys()
    assert all(math.isclose(shares[name], weight / total) for name, weight in weights.items())


@pytest.mark.parametrize(
    "name",
    [
        "", "../alice", "a/b", "a\\b", ".hidden", "..", "al\x00ice", "al\nice", "al\u202eice", "\u2066alice", "\u200b",
        "\ud800", "\u200d", "\u0301", "a" * (LONGEST + 1), MERGED,
    ],
)  # fmt: skip
def test_names_that_could_leave_a_folder_or_disguise_themselves_are_unsafe(name: str) -> None:
    assert unsafe(name)


@pytest.mark.parametrize("name", ["Groß, Benedikt", "株式会社", "O'Neil <b>", "نیم‌فاصله", "a" * LONGEST, "🎨", "a:b;c"])
def test_real_names_are_safe(name: str) -> None:
    assert unsafe(name) is None


@given(st.text())
def test_cleaning_a_name_twice_changes_nothing_and_judging_it_never_crashes(name: str) -> None:
    assert clean(clean(name)) == clean(name)
    assert unsafe(clean(name)) is None or unsafe(clean(name))


def test_the_closest_names_come_first() -> None:
    assert closest("alcie", ["bob", "alice", "alison"])[0] == "alice"
