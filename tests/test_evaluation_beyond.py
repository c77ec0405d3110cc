"""Metrics of lists against cases worked out by hand, and what they must not depend on."""

import numpy as np
import pytest

from longgame.errors import ShapeError
from longgame.evaluation import beyond
from longgame.rng import derive
from tests.kit import log_of

LISTS = np.array([[0, 1, 2], [2, 3, -1], [4, -1, -1], [-1, -1, -1]])
LOG = log_of([[0, 1], [0, 0, 2], [3], []], items=6)  # counts 3, 1, 1, 1, 0, 0


def test_gini_is_0_where_all_are_shown_alike_and_1_where_one_is():
    assert beyond.gini(np.array([[0, 1], [2, 3]]), 4) == pytest.approx(0)
    assert beyond.gini(np.array([[2], [2], [2]]), 4) == pytest.approx(1)
    # shares, rarest first: 0, 0, 1/3, 2/3 and weights -3, -1, 1, 3 over 3
    assert beyond.gini(np.array([[0], [1], [1]]), 4) == pytest.approx((1 / 3 + 2) / 3)


def test_gini_of_nothing_is_not_a_number():
    assert np.isnan(beyond.gini(np.array([[-1, -1]]), 3))
    assert np.isnan(beyond.gini(np.array([[0]]), 1))


def test_diversity_is_the_mean_distance_of_pairs():
    text = np.array([[2, 0], [0, 3], [5, 5], [-1, 0], [0, 0], [7, 0]], np.float32)
    half = np.sqrt(0.5)
    got = beyond.diversity(np.array([[0, 1, 2], [0, 3, -1], [0, 4, 5], [4, 4, -1], [0, 5, -1], [0, -1, -1]]), text)
    # the third list: 0 and 5 are alike, and each is at 1 from the item without text
    np.testing.assert_allclose(got[:5], [1 - 2 * half / 3, 2, 2 / 3, 1, 0], atol=1e-6)
    assert np.isnan(got[5])


def test_diversity_says_nothing_without_texts():
    for text in (np.zeros((5, 0), np.float32), np.zeros((5, 2), np.float32)):
        assert np.isnan(beyond.diversity(LISTS, text)).all()


def test_diversity_of_many_users_is_that_of_each():
    rng = np.random.default_rng(0)
    text = rng.standard_normal((20, 4)).astype(np.float32)
    lists = np.stack([rng.permutation(20)[:5] for _ in range(2500)])
    got = beyond.diversity(lists, text)
    for user in (0, 1023, 1024, 2499):
        unit = text[lists[user]] / np.linalg.norm(text[lists[user]], axis=1, keepdims=True)
        pairs = (unit @ unit.T)[np.triu_indices(5, 1)]
        assert got[user] == pytest.approx(1 - pairs.mean(), abs=1e-5)


def test_novelty_in_bits():
    got = beyond.novelty(LISTS, np.array([4, 2, 1, 1, 0]))  # p = 1/2, 1/4, 1/8, 1/8, and 1/8 for none
    np.testing.assert_allclose(got[:3], [(1 + 2 + 3) / 3, 3, 3])
    assert np.isnan(got[3])


def test_popularity_lift_in_percentile_points():
    # six items: counts 0, 0 stand at 2/12; 1, 1, 1 at (2 + 5)/12; 3 at 11/12
    none, one, three = 100 * 2 / 12, 100 * 7 / 12, 100 * 11 / 12
    got = beyond.popularity_lift(LISTS, LOG, np.array([0, 1, 2, 3]))
    wanted = [(three + 2 * one) / 3 - (three + one) / 2, one - (2 * three + one) / 3, none - one]
    np.testing.assert_allclose(got[:3], wanted)
    assert np.isnan(got[3])
    swapped = beyond.popularity_lift(LISTS[[1]], LOG, np.array([2]))
    np.testing.assert_allclose(swapped, [0], atol=1e-9)


def test_a_user_without_a_history_has_no_lift_and_no_calibration():
    assert np.isnan(beyond.popularity_lift(LISTS[:1], LOG, np.array([3]))).all()
    assert np.isnan(beyond.calibration(LISTS[:1], LOG, np.array([3]))).all()


def test_calibration_by_genre():
    # items 0, 1 are genre A; 2 is both; 3 is B; 4 and 5 are of no genre
    mix = np.array([[1, 0], [3, 0], [1, 1], [0, 2], [0, 0], [0, 0]], np.float32)
    got = beyond.calibration(LISTS, LOG, np.array([0, 1, 2, 3]), mix)
    q = 0.99 * 5 / 6 + 0.01  # p = (1, 0), q = (5/6, 1/6)
    p = np.array([5 / 6, 1 / 6])  # of (0, 0, 2); the list (2, 3) is (1/4, 3/4)
    second = (p * np.log(p / (0.99 * np.array([1 / 4, 3 / 4]) + 0.01 * p))).sum()
    np.testing.assert_allclose(got[:2], [-np.log(q), second], rtol=1e-9)
    assert np.isnan(got[2:]).all()  # a list of no genre, and an empty one


def test_calibration_is_0_for_the_same_mix_and_bounded_for_the_opposite():
    mix = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1], [0, 1]], np.float32)
    got = beyond.calibration(np.array([[1, 0, 1], [2, 3, 4]]), LOG, np.array([0, 0]), mix)
    np.testing.assert_allclose(got, [0, -np.log(0.01)], atol=1e-12)


def test_calibration_without_genres_is_over_thirds_of_the_catalogue_by_popularity():
    log = log_of([[0, 0, 0, 1, 1, 2, 2], [3]], items=6)  # head 0 and, with equal counts, 1 and 2 in the middle
    head = beyond._thirds(np.array([5, 4, 3, 2, 1, 0]))
    np.testing.assert_array_equal(head.argmax(axis=1), [2, 2, 1, 1, 0, 0])
    got = beyond.calibration(np.array([[0, 1, -1], [4, 5, -1]]), log, np.array([0, 0]))
    thirds = np.array([[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 0, 0]], np.float32)
    np.testing.assert_array_equal(beyond._thirds(np.array([3, 2, 2, 1, 0, 0])), thirds)
    np.testing.assert_allclose(got, [0, -np.log(0.01)], atol=1e-12)


def test_calibration_refuses_a_mix_of_another_catalogue():
    with pytest.raises(ShapeError, match="mix"):
        beyond.calibration(LISTS, LOG, np.arange(4), np.ones((5, 2), np.float32))


def test_serendipity_counts_hits_that_not_everybody_gets():
    hits = np.array([[True, True, False], [False, True, True], [False, False, False], [False] * 3])
    primitive = np.array([[1, 5], [4, 5], [0, 1], [0, 1]])
    got = beyond.serendipity(LISTS, hits, primitive)
    np.testing.assert_allclose(got[:3], [1 / 3, 1 / 2, 0])  # a hit in an empty slot is none
    assert np.isnan(got[3])
    np.testing.assert_allclose(beyond.serendipity(LISTS, LISTS >= 0, LISTS)[:3], 0)


def test_order_of_the_catalogue_changes_nothing():
    rng = np.random.default_rng(1)
    histories = [rng.integers(0, 12, size).tolist() for size in (4, 7, 1)]
    lists, text = np.stack([rng.permutation(12)[:4] for _ in histories]), rng.standard_normal((12, 3)).astype(np.float32)
    to = rng.permutation(12)
    back = np.argsort(to)
    moved = log_of([to[history].tolist() for history in histories], 12)
    log, users = log_of(histories, 12), np.arange(3)
    count, mix = np.bincount(log.item, minlength=12), rng.random((12, 2)).astype(np.float32)
    pairs = [
        (beyond.gini(lists, 12), beyond.gini(to[lists], 12)),
        (beyond.diversity(lists, text), beyond.diversity(to[lists], text[back])),
        (beyond.novelty(lists, count), beyond.novelty(to[lists], count[back])),
        (beyond.popularity_lift(lists, log, users), beyond.popularity_lift(to[lists], moved, users)),
        (beyond.calibration(lists, log, users), beyond.calibration(to[lists], moved, users)),
        (beyond.calibration(lists, log, users, mix), beyond.calibration(to[lists], moved, users, mix[back])),
    ]
    for one, other in pairs:
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-6)


def test_nobody_and_no_slots():
    for lists in (np.zeros((0, 3), np.int64), np.zeros((2, 0), np.int64)):
        users = np.arange(len(lists))
        values = [
            beyond.diversity(lists, np.ones((6, 2), np.float32)),
            beyond.novelty(lists, np.ones(6, np.int64)),
            beyond.popularity_lift(lists, LOG, users),
            beyond.calibration(lists, LOG, users),
            beyond.serendipity(lists, lists > 0, lists),
        ]
        assert all(value.shape == (len(lists),) and np.isnan(value).all() for value in values)


def test_the_gap_is_between_the_best_and_the_worst_group_that_are_large_enough():
    label = np.array(["a"] * 40 + ["b"] * 50 + ["c"] * 29 + [""] * 60)
    values = np.concatenate([np.full(40, 0.5), np.tile([0.0, 0.4], 25), np.full(29, 9.0), np.full(60, -9.0)])
    gap = beyond.group_gap(values, label, derive(0))
    assert gap is not None
    assert gap.value == pytest.approx(0.3)
    assert gap.n == 90
    # 95 % of resamples of b's mean lie within 1.96 * .2 / sqrt(50)
    assert gap.value - gap.low == pytest.approx(0.0554, abs=0.012)
    assert gap.high - gap.value == pytest.approx(gap.value - gap.low)


def test_there_is_no_gap_with_one_group():
    assert beyond.group_gap(np.ones(60), np.array(["a"] * 31 + ["b"] * 29), derive(0)) is None
    values = np.concatenate([np.ones(40), np.full(40, np.nan)])
    assert beyond.group_gap(values, np.array(["a"] * 40 + ["b"] * 40), derive(0)) is None


def test_five_groups_of_one_mean_have_a_gap_whose_interval_holds_0():
    rng, label = np.random.default_rng(3), np.repeat(list("abcde"), 60)
    gaps = [beyond.group_gap(rng.standard_normal(300), label, rng, draws=200) for _ in range(100)]
    low = np.array([gap.low for gap in gaps if gap is not None])
    assert (low == 0).mean() >= 0.9  # 0.95 is promised; at .9, 100 draws are 2.3 standard errors below
    wide = [
        beyond.group_gap(rng.standard_normal(300) + np.repeat([0, 0, 0, 0, 1], 60), label, rng, draws=200) for _ in range(60)
    ]
    assert all(gap is not None and gap.low > 0 for gap in wide)
