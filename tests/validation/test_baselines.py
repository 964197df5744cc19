"""Baselines by hand and against the plain double loop; rows that are not of the right image are refused."""

import numpy as np
import pytest

from tasks.validation import baselines
from tasks.validation.baselines import leave_one_out, own_score, pro_rata, random_credits, similarity
from tasks.validation.ownership import ImageRows, Ownership, RowOrderError
from tests.games import additive, all_coalitions
from tests.validation.images import digests, owned, rows, shuffled

# Image 0 is contributor 0's, image 1 is shared one to three, image 2 is contributor 1's and there twice, 3 is nobody's.
SHARES = [[1, 0], [0.25, 0.75], [0, 2], [0, 0]]


def test_own_score_weighs_images_by_share_and_takes_the_largest_of_any_share():
    found = own_score(rows([4.0, 8.0, -1.0, 99.0]), owned(SHARES))
    assert found.average == pytest.approx([(4 + 2) / 1.25, (6 - 2) / 2.75])
    assert found.largest.tolist() == [8, 8]


@pytest.mark.parametrize("kind", ["pixels", "features"])
def test_similarity_is_the_mean_of_cosines_and_does_not_depend_on_the_chunk(kind, monkeypatch):
    rng = np.random.default_rng(0)
    train: np.ndarray
    generated: np.ndarray
    vectors: list[np.ndarray]
    if kind == "pixels":
        train, generated = (rng.integers(0, 256, (k, 4, 4, 3), dtype=np.uint8) for k in (4, 7))
        vectors = [part.reshape(len(part), -1) / 255 * 2 - 1 for part in (train, generated)]
    else:
        train, generated = (rng.standard_normal((k, 5)) for k in (4, 7))
        vectors = [train, generated]
    by_image = np.array(
        [np.mean([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in vectors[1]]) for a in vectors[0]]
    )
    found = similarity(rows(train), generated, owned(SHARES))
    expected = own_score(rows(by_image), owned(SHARES))
    assert np.allclose(found.average, expected.average, atol=1e-12)
    assert np.allclose(found.largest, expected.largest, atol=1e-12)
    monkeypatch.setattr(baselines, "CHUNK_BYTES", 1)  # one image at a time
    again = similarity(rows(train), generated, owned(SHARES))
    assert np.allclose(again, found, atol=1e-12)


def test_similarity_of_what_cannot_be_compared_is_refused():
    pixels = np.zeros((4, 2, 2, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="cannot be compared"):
        similarity(rows(pixels), pixels.astype(float), owned(SHARES))
    with pytest.raises(ValueError, match="no generated images"):
        similarity(rows(pixels), pixels[:0], owned(SHARES))
    bad = np.ones((4, 3))
    bad[2, 1] = np.nan
    with pytest.raises(ValueError, match="image 2 are not finite"):
        similarity(rows(bad), np.ones((2, 3)), owned(SHARES))
    assert similarity(rows(np.zeros((4, 3))), np.ones((2, 3)), owned(SHARES)).average.tolist() == [0, 0]


def test_rows_in_another_order_are_refused_by_name():
    for call in (
        lambda images: own_score(images, owned(SHARES)),
        lambda images: similarity(images, np.ones((2, 1)), owned(SHARES)),
    ):
        with pytest.raises(RowOrderError, match=r"row \d is of image .* \(an image further on\), but ownership has"):
            call(shuffled(np.ones((4, 1))))
    stranger = ImageRows([*digests(3), "feed"], np.ones(4))
    with pytest.raises(RowOrderError, match=r"row 3 is of image feed \(no image of this ownership"):
        own_score(stranger, owned(SHARES))
    with pytest.raises(RowOrderError, match="3 rows, but ownership is of 4 images"):
        own_score(rows(np.ones(3)), owned(SHARES))
    with pytest.raises(ValueError, match="2 digests for 3 rows"):
        ImageRows(["a", "b"], np.ones(3))


def test_ownership_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"contributor 1 \(column\) owns no training image"):
        owned([[1, 0], [1, 0]])
    with pytest.raises(ValueError, match="image a is there twice"):
        Ownership(["a", "a"], np.eye(2))
    with pytest.raises(ValueError, match="shares of image b must be finite and not negative"):
        Ownership(["a", "b"], np.array([[1.0, 0], [-1, 1]]))
    with pytest.raises(ValueError, match="shares have shape"):
        Ownership(["a"], np.eye(2))


def test_leave_one_out_gives_an_additive_games_weights_and_names_what_is_missing():
    game = additive(np.array([3.0, -1.0, 0.5, 2.0]))
    every = all_coalitions(4)
    assert leave_one_out(every, game.value(every)) == pytest.approx(game.credits)
    twice = np.concatenate([every, every[-1:]])
    assert leave_one_out(twice, np.append(game.value(every), 6.5)) == pytest.approx(game.credits + 1)
    without = every[~((every.sum(axis=1) == 3) & ~every[:, 2])]
    with pytest.raises(ValueError, match="everybody without contributor 2"):
        leave_one_out(without, game.value(without))
    with pytest.raises(ValueError, match="coalition of everybody"):
        leave_one_out(every[:-1], game.value(every[:-1]))


def test_pro_rata_and_random():
    assert pro_rata([1, 0.5, 2.5]).tolist() == [0.25, 0.125, 0.625]
    with pytest.raises(ValueError, match="must not be negative"):
        pro_rata([1, -1])
    assert (random_credits(9, seed=1) == random_credits(9, seed=1)).all()
    assert (random_credits(9, seed=1) != random_credits(9, seed=2)).any()
