"""The one sampler: its probabilities are true, are the ones recorded, and are the ones that are differentiated."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longgame.errors import ConfigError, ShapeError
from longgame.guards import AtMost
from longgame.slate import (
    Exploration,
    pick_probabilities,
    replay_allowed,
    rules_allow,
    sample_slates,
    slot_log_prob_gradient,
    slot_log_probs,
    slot_marginals,
)
from tests.kit import B, C, K, items

SCORES = np.array([1.5, -0.5, 0.0, 2.0, 0.7], np.float32)
SOFT = Exploration(0.8, 0.2)
BELOW_ONE = np.nextafter(1.0, 0.0)

rows = st.lists(st.floats(-6, 6, width=32), min_size=1, max_size=6)
explorations = st.builds(Exploration, st.floats(0.2, 3), st.floats(0, 1))


def at_most_one(n):
    """A rule over ``n`` items in three groups, the last of which shares no value."""
    return AtMost(items(n, group=["ab"[i % 2] if i % 3 else None for i in range(n)]), "group", 1)


@given(rows, explorations, st.integers(0, 63))
def test_probabilities_sum_to_one_over_what_is_allowed_and_keep_the_uniform_floor(scores, explore, closed):
    allowed = np.array([not closed >> i & 1 for i in range(len(scores))])
    p = pick_probabilities(np.array(scores, np.float32), allowed, explore)
    assert (p[~allowed] == 0).all()
    assert p.sum() == pytest.approx(float(allowed.any()))
    if allowed.any():
        assert (p[allowed] >= explore.uniform / allowed.sum() - 1e-12).all()


def test_the_formula_is_the_documented_one():
    allowed = np.array([True, True, False, True, True])
    soft = np.exp(SCORES[allowed].astype(float) / 0.8)
    np.testing.assert_allclose(
        pick_probabilities(SCORES, allowed, SOFT)[allowed], 0.8 * soft / soft.sum() + 0.2 / 4, rtol=1e-12
    )


@given(rows, explorations, st.integers(1, 4), st.integers(0, 2**31), st.booleans())
def test_what_is_recorded_is_the_probability_of_the_pick(scores, explore, k, seed, ruled):
    s, mask, n = np.array([scores], np.float32), np.ones((1, len(scores)), np.bool_), len(scores)
    allow = rules_allow([at_most_one(n)], np.arange(n)[None]) if ruled else None
    picks, odds = sample_slates(s, mask, k, explore, np.random.default_rng(seed).random((1, k)), allow)
    filled = picks[0] >= 0
    assert len(set(picks[0][filled])) == filled.sum()
    assert (np.diff(filled.astype(int)) <= 0).all(), "a slate has no gaps"
    assert (odds > 0).all() and (odds <= 1).all() and (odds[0][~filled] == 1).all()
    again = slot_log_probs(s, replay_allowed(mask, picks, allow), picks, explore)
    np.testing.assert_allclose(np.log(odds), again, atol=1e-12)
    if not ruled:
        assert filled.sum() == min(k, n)


@pytest.mark.parametrize("ruled", [False, True])
def test_whole_slates_are_as_frequent_as_their_probability(ruled):
    n = 40_000
    allow = rules_allow([at_most_one(C)], np.tile(np.arange(C), (n, 1))) if ruled else None
    scores, mask = np.tile(SCORES, (n, 1)), np.ones((n, C), np.bool_)
    mask[:, 2] = False
    picks, _ = sample_slates(scores, mask, K, SOFT, np.random.default_rng(1).random((n, K)), allow)
    counts = Counter(map(tuple, picks.tolist()))
    total = 0.0
    for slate in permutations([0, 1, 3, 4], K):
        action = np.array([slate])
        one = rules_allow([at_most_one(C)], np.arange(C)[None]) if ruled else None
        p = float(np.exp(slot_log_probs(SCORES[None], replay_allowed(mask[:1], action, one), action, SOFT).sum()))
        total += p
        assert abs(counts[slate] / n - p) <= 4 * np.sqrt(p * (1 - p) / n) + 1e-12, slate
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("uniform", [0.0, BELOW_ONE])
def test_a_column_of_probability_zero_is_never_drawn(uniform):
    scores = np.array([[-4000.0, 0.0, 0.1, -4000.0, 0.2, -4000.0]], np.float32)
    mask = np.array([[True, True, True, True, True, False]])
    picks, odds = sample_slates(scores, mask, 3, Exploration(1.0, 0.0), np.full((1, 3), uniform))
    assert sorted(picks[0]) == [1, 2, 4] and (odds > 0).all()
    assert picks[0].tolist() == ([1, 2, 4] if uniform == 0.0 else [4, 2, 1])


@given(rows, st.integers(0, 63), st.sampled_from([0.0, 1e-300, 0.5, BELOW_ONE]), explorations)
def test_a_pick_is_always_allowed_whatever_the_random_number(scores, closed, uniform, explore):
    mask = np.array([[not closed >> i & 1 for i in range(len(scores))]])
    picks, _ = sample_slates(np.array([scores], np.float32), mask, 4, explore, np.full((1, 4), uniform))
    drawn = picks[0][picks[0] >= 0]
    assert mask[0][drawn].all() and len(drawn) == min(4, mask.sum())


@pytest.mark.parametrize("score", [3e38, -3e38])
def test_huge_scores_are_no_trouble(score):
    scores = np.array([[score, 0.0, 1.0]], np.float32)
    picks, odds = sample_slates(scores, np.ones((1, 3), np.bool_), 3, Exploration(0.5, 0.1), np.array([[0.3, 0.3, 0.3]]))
    assert sorted(picks[0]) == [0, 1, 2] and (odds > 0).all() and (odds <= 1).all()
    first = pick_probabilities(scores, np.ones((1, 3), np.bool_), Exploration(0.5, 0.1))
    assert first.sum() == pytest.approx(1) and np.argmax(first) == (0 if score > 0 else 2)


def test_where_nothing_is_allowed_the_slate_is_shorter():
    mask = np.array([[True, False, True], [False, False, False], [True, True, True]])
    picks, odds = sample_slates(np.zeros((3, 3), np.float32), mask, 4, SOFT, np.full((3, 4), 0.5))
    assert (picks >= 0).sum(axis=1).tolist() == [2, 0, 3]
    assert (odds[picks < 0] == 1).all()


def test_no_candidates_at_all():
    picks, odds = sample_slates(np.zeros((2, 0), np.float32), np.zeros((2, 0), np.bool_), 3, SOFT, np.zeros((2, 3)))
    assert (picks == -1).all() and (odds == 1).all()
    assert replay_allowed(np.zeros((2, 0), np.bool_), picks).shape == (2, 3, 0)


def test_scores_that_are_not_finite_are_refused_only_where_they_count():
    scores, mask = np.array([[0.0, np.nan]], np.float32), np.array([[True, False]])
    assert sample_slates(scores, mask, 1, SOFT, np.zeros((1, 1)))[0].tolist() == [[0]]
    with pytest.raises(ShapeError, match="finite"):
        sample_slates(scores, ~mask, 1, SOFT, np.zeros((1, 1)))


def test_axes_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="axis C"):
        sample_slates(np.zeros((B, C), np.float32), np.ones((B, C + 1), np.bool_), K, SOFT, np.zeros((B, K)))
    with pytest.raises(ShapeError, match="axis K"):
        sample_slates(np.zeros((B, C), np.float32), np.ones((B, C), np.bool_), K, SOFT, np.zeros((B, K + 1)))


@pytest.mark.parametrize("temperature, uniform", [(0.0, 0.1), (-1.0, 0.1), (1.0, -0.1), (1.0, 1.1), (float("nan"), 0.1)])
def test_exploration_that_cannot_be_is_refused(temperature, uniform):
    with pytest.raises(ConfigError, match="Exploration"):
        Exploration(temperature, uniform)


@pytest.mark.parametrize("ruled", [False, True])
def test_a_batch_is_the_same_as_one_draw_after_the_other(ruled):
    rng = np.random.default_rng(5)
    scores, uniforms = rng.standard_normal((B, C)).astype(np.float32), rng.random((B, K + 1))
    mask = np.arange(C) < C - np.arange(B)[:, None] % C
    positions = np.where(mask, np.stack([rng.permutation(C) for _ in range(B)]), -1)
    rules = [at_most_one(C)] if ruled else []
    picks, odds = sample_slates(scores, mask, K + 1, SOFT, uniforms, rules_allow(rules, positions))
    for i in range(B):
        n = int(mask[i].sum())
        alone = rules_allow(rules, positions[i, None, :n])
        one, p = sample_slates(scores[i, None, :n], mask[i, None, :n], K + 1, SOFT, uniforms[i, None], alone)
        np.testing.assert_array_equal(one[0], picks[i])
        np.testing.assert_allclose(p[0], odds[i], rtol=1e-12)


def test_what_was_allowed_is_replayed():
    mask = np.array([[True, True, True, False], [True, True, True, True]])
    action = np.array([[1, 0, -1], [3, -1, -1]])
    got = replay_allowed(mask, action)
    assert got.astype(int).tolist() == [
        [[1, 1, 1, 0], [1, 0, 1, 0], [0, 0, 1, 0]],
        [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0]],
    ]
    assert mask.all(axis=1).tolist() == [False, True], "the mask given is not changed"


def test_a_pick_that_cannot_be_has_probability_zero():
    action = np.array([[0, 2]])
    allowed = replay_allowed(np.array([[True, False, False]]), action)
    np.testing.assert_array_equal(slot_log_probs(np.zeros((1, 3)), allowed, action, SOFT), [[0.0, -np.inf]])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), explorations, st.booleans())
def test_the_gradient_is_the_derivative(seed, explore, ruled):
    rng = np.random.default_rng(seed)
    b, c, k = 3, 5, 4  # four slots of at most five candidates: some stay empty
    scores, mask = rng.normal(0, 2, (b, c)), rng.random((b, c)) < 0.8
    positions = np.tile(np.arange(c), (b, 1))
    allow = rules_allow([at_most_one(c)] if ruled else [], positions)
    action, _ = sample_slates(scores.astype(np.float32), mask, k, explore, rng.random((b, k)), allow)
    allowed, weight = replay_allowed(mask, action, allow), rng.standard_normal((b, k))

    def value(at):
        return float((weight * slot_log_probs(at, allowed, action, explore)).sum())

    gradient, h = slot_log_prob_gradient(scores, allowed, action, explore, weight), 1e-6
    for i in range(b):
        for j in range(c):
            step = np.zeros((b, c))
            step[i, j] = h
            assert gradient[i, j] == pytest.approx((value(scores + step) - value(scores - step)) / (2 * h), abs=2e-4, rel=2e-4)
    np.testing.assert_allclose(gradient[~mask], 0.0, atol=1e-12)


def every_slate(scores, mask, k, allow):
    """(K, C) the probability of each candidate in each slot, from the tree of all slates."""
    marginals = np.zeros((k, len(scores)))

    def walk(prefix, p):
        if len(prefix) < k:
            action = np.array([prefix + [-1] * (k - len(prefix))])
            odds = pick_probabilities(scores, replay_allowed(mask[None], action, allow)[0, len(prefix)], SOFT)
            marginals[len(prefix)] += p * odds
            for column in np.flatnonzero(odds).tolist():
                walk([*prefix, column], p * odds[column])

    walk([], 1.0)
    return marginals


@pytest.mark.parametrize("ruled", [False, True])
def test_marginals_are_unbiased(ruled):
    rules, positions = [at_most_one(C)] if ruled else [], np.array([[0, 1, 2, 3, 4], [4, 2, 0, 1, 3]])
    scores, mask = np.stack([SCORES, SCORES[::-1]]), np.array([[True] * C, [True, True, False, True, True]])
    exact = np.stack([every_slate(scores[i], mask[i], K + 1, rules_allow(rules, positions[i, None])) for i in range(len(mask))])
    got = slot_marginals(scores, mask, K + 1, SOFT, np.random.default_rng(2), 6000, rules_allow(rules, positions))
    np.testing.assert_allclose(got[:, 0], exact[:, 0], atol=1e-9)
    np.testing.assert_allclose(got, exact, atol=0.012)
