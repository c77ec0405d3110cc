"""The gate passes what is proven, says why it refuses, and is fooled no more often than it says."""

import numpy as np
import pytest

from longgame.errors import ConfigError
from longgame.learning.gate import Gate
from longgame.learning.offpolicy import Columns
from longgame.slate import Exploration, pick_probabilities, sample_slates

N, K = 300, 2


def columns(reward, slot_weights, future=None):
    zeros = np.zeros(len(reward))
    future = zeros if future is None else future
    return Columns(reward, future, zeros, zeros, slot_weights, zeros, zeros)


def pair(seed=0, gain=0.4, n=N):
    """A candidate whose favourites bring ``gain`` more than others, and an incumbent without favourites."""
    rng = np.random.default_rng(seed)
    liked = rng.random((n, K)) < 0.5
    reward = 0.25 + gain * liked + 0.1 * rng.standard_normal((n, K))
    return columns(reward, np.where(liked, 1.4, 0.6)), columns(reward, np.ones((n, K)))


def test_what_is_better_passes_and_what_is_worse_does_not():
    better, plain = pair()
    verdict = Gate().judge(better, plain)
    assert verdict.passed and verdict.gain.low > 0 and verdict.reason.startswith("passed: gain 0.")
    assert verdict.gain.value == pytest.approx(verdict.candidate.value - verdict.incumbent.value)
    assert verdict.gain.value == pytest.approx(2 * 0.4 * 0.5 * 0.4, abs=0.04)
    assert verdict.incumbent.value == pytest.approx(better.slate.mean())
    back = Gate().judge(plain, better)
    assert not back.passed and "lower bound" in back.reason
    assert back.gain.value == pytest.approx(-verdict.gain.value)


def test_the_same_policy_is_no_gain():
    better, _ = pair()
    verdict = Gate().judge(better, better)
    assert not verdict.passed and verdict.gain.value == verdict.gain.low == 0.0


def test_the_margin_is_part_of_the_proof():
    better, plain = pair()
    low = Gate().judge(better, plain).gain.low
    assert Gate(margin=low - 1e-9).judge(better, plain).passed
    refused = Gate(margin=low + 1e-9).judge(better, plain)
    assert not refused.passed and "does not clear" in refused.reason


def test_more_confidence_asks_for_more():
    better, plain = pair(gain=0.05, n=120)
    lows = [Gate(confidence=c).judge(better, plain).gain.low for c in (0.5, 0.9, 0.999999)]
    assert lows == sorted(lows, reverse=True) and lows[0] > 0 > lows[2]


def test_few_effective_rows_prove_nothing():
    better, plain = pair(gain=5.0)
    heavy = columns(better.reward, np.where(np.arange(N)[:, None] < 10, 20.0, 1e-3) * better.slot_weights)
    refused = Gate().judge(heavy, plain)
    assert not refused.passed and "too little evidence, 100 effective" in refused.reason
    # It is the weaker of the two that counts.
    assert Gate().judge(plain, heavy).gain.effective_n == refused.gain.effective_n < 20


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_rows_prove_nothing_even_if_that_is_allowed(n):
    better, plain = pair(gain=5.0, n=n)
    verdict = Gate(min_effective_n=0.0).judge(better, plain)
    assert verdict.gain.n == n and (n == 2 or not verdict.passed)


@pytest.mark.parametrize("where", ["reward", "future", "slot_weights"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_never_passes(where, bad):
    better, plain = pair()
    broken = {"reward": better.reward.copy(), "future": np.zeros(N), "slot_weights": better.slot_weights.copy()}
    broken[where][3] = bad
    with np.errstate(invalid="ignore"):
        assert not Gate(min_effective_n=0.0).judge(columns(**broken), plain).passed


def test_what_came_after_counts():
    """A candidate that earns the same today and more tomorrow passes."""
    better, plain = pair()
    flat, ahead = np.ones((N, K)), better.slate
    assert not Gate().judge(columns(flat, better.slot_weights), columns(flat, plain.slot_weights)).passed
    assert Gate().judge(columns(flat, better.slot_weights, ahead), columns(flat, plain.slot_weights, ahead)).passed


def null(seed, n=400, c=5):
    """A log whose rewards do not depend on what was shown, and two policies that differ."""
    rng, mask = np.random.default_rng(seed), np.ones((n, c), np.bool_)
    explore = Exploration(1.0, 0.2)
    scores = [rng.standard_normal((n, c)).astype(np.float32) for _ in range(3)]
    picks, odds = sample_slates(scores[0], mask, 1, explore, rng.random((n, 1)))
    reward = rng.poisson(0.7, (n, 1)).astype(float)
    return [columns(reward, np.take_along_axis(pick_probabilities(s, mask, explore), picks, axis=1) / odds) for s in scores[1:]]


def test_it_is_fooled_no_more_often_than_it_says():
    """One in forty: the share of logs that lie above a two-sided interval of 95 %."""
    passed = sum(Gate().judge(*null(seed)).passed for seed in range(400))
    assert 1 <= passed <= 22, passed


@pytest.mark.parametrize("wrong", [{"confidence": 0.0}, {"confidence": 1.0}, {"min_effective_n": -1.0}])
def test_gates_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="Gate"):
        Gate(**wrong)
