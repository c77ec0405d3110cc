"""Intervals and tests: hand cases, and how often they are right where the truth is known."""

import itertools
from statistics import NormalDist

import numpy as np
import pytest

from longgame.errors import ConfigError
from longgame.evaluation.intervals import bootstrap, crossed, crossed_gap, crossed_ratio, holm, sign_flip
from longgame.rng import derive


def test_crossed_with_one_seed_is_the_bootstrap_over_users():
    values = np.random.default_rng(0).random(500)
    one, other = crossed(values[None], derive(0)), bootstrap(values, derive(0))
    assert one.value == pytest.approx(other.value)
    assert (one.n, one.effective_n) == (500, 500.0)
    assert one.low == pytest.approx(other.low)
    assert one.high == pytest.approx(other.high)


@pytest.mark.parametrize(
    ("between", "seeds", "least", "most"), [(0.0, 3, 0.92, 1.0), (0.1, 5, 0.90, 1.0), (0.0, 1, 0.90, 0.99)]
)
def test_crossed_covers_the_truth_about_as_often_as_it_says(between, seeds, least, most):
    rng, hits = np.random.default_rng(1), 0
    for _ in range(200):
        user, seed = rng.normal(0, 1, 80), rng.normal(0, between, (seeds, 1))
        got = crossed(user + seed + rng.normal(0, 0.3, (seeds, 80)), rng, draws=200)
        hits += got.low <= 0 <= got.high
    assert least <= hits / 200 <= most


def test_crossed_is_wide_where_seeds_differ_though_users_do_not():
    values = np.array([0.1, 0.2, 0.6])[:, None] + np.zeros(1000)
    got = crossed(values, derive(1), draws=4000)
    assert got.value == pytest.approx(0.3)
    # of two seeds of three the means lie between those of the worst and of the best seed drawn twice, each 1 of 9
    assert [got.low, got.high] == pytest.approx([0.1, 0.6])
    means = [np.mean(pair) for pair in itertools.product([0.1, 0.2, 0.6], repeat=2)]
    assert np.var(means) == pytest.approx(np.var([0.1, 0.2, 0.6], ddof=1) / 3)  # what S - 1 is for


def test_a_ratio_covers_the_truth_about_as_often_as_it_says():
    rng, hits = np.random.default_rng(2), 0
    for _ in range(200):
        below = rng.random((1, 300)) + rng.normal(0, 0.1, (3, 300))
        above = 0.4 * rng.random((1, 300)) * 2 + rng.normal(0, 0.1, (3, 300))  # of means .4 and .5
        above[:, ::3] = np.nan
        got = crossed_ratio(above, below, rng, draws=200)
        hits += got.low <= 0.8 <= got.high
    assert 0.91 <= hits / 200 <= 1.0


def test_a_ratio_of_what_moves_together_is_sure():
    below = np.random.default_rng(3).random((3, 50))
    got = crossed_ratio(2 * below, below, derive(0))
    assert (got.value, got.low, got.high) == pytest.approx((2, 2, 2)) and got.n == 50
    nothing = crossed_ratio(below, np.zeros((3, 50)), derive(0))
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()
    assert np.isnan(crossed_ratio(np.full((2, 3), np.nan), np.full((2, 3), np.nan), derive(0)).value)
    with pytest.raises(ConfigError, match=r"same seeds and users.*\(2, 3\).*\(3, 50\)"):
        crossed_ratio(np.ones((2, 3)), below, derive(0))


def test_crossed_leaves_out_what_is_not_defined():
    nan = np.nan
    got = crossed(np.array([[1.0, nan, 3.0, nan], [2.0, nan, nan, 6.0]]), derive(0))
    assert got.value == pytest.approx(3.0)
    assert got.n == 3
    empty = crossed(np.full((2, 3), nan), derive(0))
    assert np.isnan([empty.value, empty.low, empty.high]).all()
    assert empty.n == 0


def test_a_gap_is_paired_over_users_and_over_the_seeds_of_both():
    rng = np.random.default_rng(4)
    user = rng.normal(0, 1, 400)
    close = crossed_gap(user[None] + 0.1, user[None], derive(0))
    assert [close.value, close.low, close.high] == pytest.approx([0.1] * 3), "what users share is no doubt about the gap"
    seeds = np.array([[0.0], [0.2]])
    wide = crossed_gap(user[None] + 0.1, user + seeds, derive(0), draws=400)
    assert wide.value == pytest.approx(0.0) and [wide.low, wide.high] == pytest.approx([-0.1, 0.1])


@pytest.mark.parametrize("between", [0.0, 0.1])
def test_a_gap_covers_the_truth_about_as_often_as_it_says(between):
    rng, hits = np.random.default_rng(5), 0
    for _ in range(200):
        user = rng.normal(0, 1, 80)
        own, other = (user + rng.normal(0, between, (s, 1)) + rng.normal(0, 0.3, (s, 80)) for s in (5, 4))
        got = crossed_gap(own, other, rng, draws=200)
        hits += got.low <= 0 <= got.high
    assert 0.88 <= hits / 200 <= 1.0


def test_crossed_refuses_a_confidence_that_is_none():
    with pytest.raises(ConfigError, match="confidence"):
        crossed(np.ones((1, 3)), derive(0), confidence=95)


@pytest.mark.parametrize("differences", [[1.0, 2.0, 3.0, -0.5], [0.5, 0.0, 0.5, 0.5, 0.5, 0.0], [1.0, -1.0, 2.0, -2.0]])
def test_sign_flip_is_near_the_share_of_all_signs(differences):
    moved = np.array(differences)
    sums = [abs(np.dot(signs, moved)) for signs in itertools.product([1, -1], repeat=len(moved))]
    exact = np.mean(np.array(sums) >= abs(moved.sum()) - 1e-12)
    assert sign_flip(moved, derive(0, "flips")) == pytest.approx(exact, abs=0.02)


def test_sign_flip_of_no_difference_is_1_and_never_0():
    assert sign_flip(np.zeros(5), derive(0)) == 1.0
    assert sign_flip(np.full(3, np.nan), derive(0)) == 1.0
    assert sign_flip(np.ones(100), derive(0), draws=999) == pytest.approx(1 / 1000)


def test_sign_flip_does_not_depend_on_which_model_is_first():
    moved = np.random.default_rng(2).normal(0.2, 1, 50)
    assert sign_flip(moved, derive(3)) == sign_flip(-moved, derive(3))


def test_sign_flip_is_even_under_the_hypothesis_and_small_away_from_it():
    rng = np.random.default_rng(4)
    p = np.array([sign_flip(rng.standard_t(3, 40), rng, draws=400) for _ in range(300)])
    assert 0.02 <= (p < 0.05).mean() <= 0.09
    assert 0.42 <= (p < 0.5).mean() <= 0.58
    assert sign_flip(rng.normal(0.5, 1, 200), rng) < 0.001


def test_sign_flip_in_chunks_is_the_same_test():
    moved = np.random.default_rng(5).normal(0.05, 1, 5_000)  # 800 draws a chunk
    normal = abs(moved.sum()) / np.sqrt((moved**2).sum())
    assert sign_flip(moved, derive(0)) == pytest.approx(2 * (1 - NormalDist().cdf(normal)), abs=0.02)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []
