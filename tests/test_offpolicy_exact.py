"""Several slots without replacement, small enough to list every slate: the gate's estimate against the truth itself."""

from itertools import permutations

import numpy as np
import pytest

from longgame.evaluation.ope import slot_additive
from longgame.language import Features
from longgame.learning.batches import Trajectories
from longgame.learning.gate import Gate
from longgame.learning.join import Joined
from longgame.learning.offpolicy import Replay, logged_marginals
from longgame.rng import derive
from longgame.slate import Exploration, replay_allowed, sample_slates, slot_log_probs
from longgame.types import DecisionId, ItemId, UserId, Versions

ITEMS, K, N = 5, 3, 4_000
EXPLORE, MADE_BY = Exploration(1.0, 0.05), Versions("", "", "", "logger")
FEATURES = Features("known", tuple(ItemId(str(i)) for i in range(ITEMS)), np.eye(ITEMS, dtype=np.float32))
WORTH = np.array([0.9, 0.7, 0.3, 0.2, 0.1])  # of an item, in any slot


class Fixed:
    """Prefers items as it was told, whoever asks."""

    def __init__(self, version, preference):
        self.version, self.preference = version, np.array(preference, np.float32)

    def score(self, state, items, mask):
        return np.broadcast_to(items @ self.preference, mask.shape).astype(np.float32)

    def state_dict(self):
        return {}

    def about(self):
        return {"kind": "fixed"}


# The logger loves what is worth most; the candidate trades the best item for one that is worth less.
LOGGER, CANDIDATE = Fixed("logger", [2.5, 1.0, 0.0, 0.0, 0.0]), Fixed("candidate", [1.2, 1.9, 0.6, 0.0, 0.0])


def truth(policy):
    """Expected worth of a slate, over all 60 of them."""
    slates = np.array(list(permutations(range(ITEMS), K)))
    mask = np.ones((len(slates), ITEMS), np.bool_)
    scores = np.broadcast_to(policy.preference, mask.shape)
    p = np.exp(slot_log_probs(scores, replay_allowed(mask, slates), slates, EXPLORE).sum(axis=1))
    assert p.sum() == pytest.approx(1)
    return float((p * WORTH[slates].sum(axis=1)).sum())


@pytest.fixture(scope="module")
def log():
    rng = derive(0, "exact")
    mask = np.ones((N, ITEMS), np.bool_)
    picks, odds = sample_slates(np.broadcast_to(LOGGER.preference, mask.shape), mask, K, EXPLORE, rng.random((N, K)))
    earned = (rng.random((N, K)) < WORTH[picks]).astype(float)
    every = np.arange(ITEMS, dtype=np.int32)
    rows = [
        Joined(n, DecisionId(str(n)), UserId("u"), n, every, tuple(p), tuple(o), list(r), [True] * K, (), (), MADE_BY)
        for n, (p, o, r) in enumerate(zip(picks.tolist(), odds.tolist(), earned.tolist(), strict=True))
    ]  # fmt: skip
    zeros = np.zeros(N)
    return Trajectories(rows, zeros, np.full(N, -1, np.int64), zeros, np.ones(N, np.bool_))


def columns(log, policy):
    replay, every = Replay(FEATURES, 2, EXPLORE), np.arange(N)
    logged = logged_marginals(log, every, {"logger": (replay, LOGGER)})
    return replay.columns(log, every, policy, logged=logged)


@pytest.mark.parametrize("policy", [LOGGER, CANDIDATE], ids=lambda p: p.version)
def test_the_ratios_have_mean_one_and_the_value_is_the_true_one(log, policy):
    got = columns(log, policy)
    spread = got.slot_weights.std(axis=0) / np.sqrt(N)
    assert (np.abs(got.slot_weights.mean(axis=0) - 1) < 4 * spread + 0.01).all()
    estimate, terms = slot_additive(got.reward, got.slot_weights)
    assert abs(estimate.value - truth(policy)) < 4 * terms.std() / np.sqrt(N) + 0.005


def test_a_policy_that_is_worse_is_not_let_pass(log):
    assert truth(CANDIDATE) < truth(LOGGER)
    verdict = Gate().judge(columns(log, CANDIDATE), columns(log, LOGGER))
    assert not verdict.passed and verdict.gain.high < 0
    assert verdict.gain.value == pytest.approx(truth(CANDIDATE) - truth(LOGGER), abs=0.03)


def test_propensities_given_the_slots_before_would_not_do(log):
    """Why the policy that made the log is asked again: by the log's own numbers it earns another amount than it earned."""
    estimate, terms = slot_additive(*own(Replay(FEATURES, 2, EXPLORE).columns(log, np.arange(N), LOGGER)))
    assert abs(estimate.value - truth(LOGGER)) > 8 * terms.std() / np.sqrt(N)


def own(got):
    return got.reward, got.slot_weights


def test_a_row_whose_policy_is_forgotten_cannot_be_judged_by(log):
    logged = logged_marginals(log, np.arange(7), {})
    assert logged.shape == (7, K) and np.isnan(logged).all()
