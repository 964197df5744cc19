"""Common random numbers by content: batches, noise and timesteps that two coalitions share."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.model.randomness import choose_batch, image_keys, mix, noise_and_timesteps, sampling_noise, uniforms
from tests.model.building import digests_of

DIGESTS = np.array(digests_of(120))
KEYS = image_keys(list(DIGESTS))


def batches(weights: np.ndarray, steps: int, size: int, seed: int = 0) -> list[np.ndarray]:
    return [choose_batch(seed, step, KEYS, weights, size) for step in range(steps)]


def test_numbers_are_those_written_down_here_on_every_machine_and_version():
    """They decide what lies under a digest in every ledger: a change here must be a new version of the recipes."""
    assert (mix(0, 1, 2), mix(7, 3)) == (3384391416029321617, 3879072848308665546)
    keys = np.array([1, 2**63], dtype=np.uint64)
    assert uniforms(3, 5, keys) == pytest.approx([0.7902897504938478, 0.7877277391240622], abs=1e-15)
    assert choose_batch(0, 0, KEYS, np.ones(120), 6).tolist() == [69, 60, 110, 100, 119, 1]
    assert choose_batch(0, 0, KEYS[:3], np.ones(3), 6).tolist() == [2, 2, 1, 2, 0, 1]


def test_a_larger_coalition_keeps_most_of_the_smaller_ones_batch():
    small, large = np.ones(120), np.ones(120)
    small[90:] = 0  # 30 of 120 images join
    kept = [len(set(a) & set(b)) / 32 for a, b in zip(batches(small, 50, 32), batches(large, 50, 32), strict=True)]
    # What stays is the large coalition's batch without the joiners: 3/4 of it in expectation.
    assert np.mean(kept) == pytest.approx(0.75, abs=0.03)
    for a, b in zip(batches(small, 50, 32), batches(large, 50, 32), strict=True):
        assert set(b[b < 90]) <= set(a)


@pytest.mark.parametrize("size", [8, 64])
def test_a_joiner_changes_no_batch_of_a_coalition_without_it(size):
    members = np.arange(0, 120, 3)  # fewer than 64: the branch with replacement too
    keys = KEYS[members]
    everybody = np.zeros(120)
    everybody[members] = 1
    for step in range(20):
        alone = choose_batch(1, step, keys, np.ones(len(members)), size)
        among = choose_batch(1, step, KEYS, everybody, size)
        assert members[alone].tolist() == among.tolist()


@settings(max_examples=40, deadline=None)
@given(
    order=st.permutations(range(12)), size=st.integers(1, 20), step=st.integers(0, 2**40), seed=st.integers(0, 2**40)
)
def test_the_order_of_the_image_list_changes_no_batch(order, size, step, seed):
    weights = np.array([1.0, 0.5, 0, 2, 1e-9, 1, 1, 0.3, 0, 1, 1, 0.7])
    plain = KEYS[:12][choose_batch(seed, step, KEYS[:12], weights, size)]
    shuffled = KEYS[:12][order][choose_batch(seed, step, KEYS[:12][order], weights[list(order)], size)]
    assert plain.tolist() == shuffled.tolist()


@settings(max_examples=60, deadline=None)
@given(
    weights=st.lists(st.sampled_from([0.0, 1e-300, 1e-9, 0.3, 1.0, 50.0]), min_size=1, max_size=40),
    size=st.integers(1, 48),
)
def test_batches_hold_present_images_only_and_repeat_them_only_where_there_are_too_few(weights, size):
    present = np.flatnonzero(weights)
    keys = KEYS[: len(weights)]
    if not present.size:
        with pytest.raises(ValueError, match="owns no training image"):
            choose_batch(0, 0, keys, np.array(weights), size)
        return
    chosen = choose_batch(0, 0, keys, np.array(weights), size)
    assert chosen.shape == (size,) and set(chosen) <= set(present)
    if len(present) >= size:
        assert len(set(chosen)) == size


def test_with_few_images_each_slot_draws_in_proportion_to_weight():
    weights = np.array([1.0, 2.0, 3.0, 0.5])
    drawn = np.concatenate([choose_batch(0, step, KEYS[:4], weights, 200) for step in range(100)])
    assert np.bincount(drawn) / drawn.size == pytest.approx(weights / weights.sum(), abs=0.015)  # 20,000 draws


def test_without_replacement_the_first_slot_is_proportional_to_weight_and_inclusion_follows_efraimidis_spirakis():
    weights = np.array([1.0, 2.0, 3.0, 0.5])
    pairs = np.array([choose_batch(0, step, KEYS[:4], weights, 2) for step in range(6000)])
    share = weights / weights.sum()
    # Second draw from what is left: P(i in batch) = p_i + sum over j != i of p_j p_i / (1 - p_j).
    inclusion = [p + sum(q * p / (1 - q) for j, q in enumerate(share) if j != i) for i, p in enumerate(share)]
    assert np.bincount(pairs[:, 0]) / len(pairs) == pytest.approx(share, abs=0.02)
    assert np.bincount(pairs.ravel()) / len(pairs) == pytest.approx(np.array(inclusion), abs=0.02)


def test_in_small_batches_inclusion_is_proportional_to_weight():
    weights = np.where(np.arange(120) < 60, 1.0, 0.25)  # the second half owned by a quarter
    counts = np.bincount(np.concatenate(batches(weights, 3000, 4)), minlength=120)
    assert counts[:60].sum() / counts[60:].sum() == pytest.approx(4, rel=0.1)


def test_noise_and_timesteps_depend_on_seed_and_step_alone():
    a, b = noise_and_timesteps(1, 2, (6, 3, 8, 8), 1000), noise_and_timesteps(1, 2, (6, 3, 8, 8), 1000)
    assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
    for other in ((2, 2), (1, 3)):
        assert not torch.equal(a[0], noise_and_timesteps(*other, (6, 3, 8, 8), 1000)[0])


@settings(max_examples=40, deadline=None)
@given(batch=st.integers(1, 70), levels=st.integers(10, 1000), step=st.integers(0, 10**6))
def test_timesteps_of_a_batch_cover_all_noise_levels_evenly(batch, levels, step):
    _, t = noise_and_timesteps(0, step, (batch, 1, 1, 1), levels)
    assert t.dtype == torch.int64 and int(t.min()) >= 0 and int(t.max()) < levels
    strata = torch.arange(batch)
    low, high = strata * levels / batch, (strata + 1) * levels / batch
    ordered = t.sort().values
    assert bool((ordered >= low.floor() - 1).all() and (ordered <= high).all())


def test_every_slot_sees_all_timesteps_alike():
    drawn = torch.stack([noise_and_timesteps(0, step, (8, 1, 1, 1), 100)[1] for step in range(1500)])
    assert drawn.float().mean(0).tolist() == pytest.approx([49.5] * 8, abs=3)
    assert (drawn < 25).float().mean(0).tolist() == pytest.approx([0.25] * 8, abs=0.05)


def test_an_images_starting_noise_depends_on_its_number_alone():
    whole = sampling_noise(3, 0, 7, (3, 8, 8))
    assert torch.equal(whole, torch.cat([sampling_noise(3, 0, 4, (3, 8, 8)), sampling_noise(3, 4, 3, (3, 8, 8))]))
    assert not torch.equal(whole, sampling_noise(4, 0, 7, (3, 8, 8)))
