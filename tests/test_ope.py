"""Off-policy estimates against numbers made by hand, against a bandit whose truth is known, and in the shop."""

from itertools import permutations

import numpy as np
import pytest

from longgame.algorithms.linear_thompson import LinearThompson, LinearThompsonConfig
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.evaluation import ope
from longgame.evaluation.intervals import Estimate, normal, over_seeds
from longgame.guards import AtMost
from longgame.learning.batches import make_batch
from longgame.learning.offpolicy import Replay, estimates
from longgame.networks import NetworkConfig, UserNetwork, to_arrays
from longgame.recommender import Recommender
from longgame.retrieval.whole import WholeCatalogue
from longgame.simulation.shop import Shop, ShopConfig
from longgame.slate import Exploration, pick_probabilities, sample_slates
from longgame.types import Objective
from tests.kit import features, lived


def near(got, wanted, tolerance=1e-5):
    np.testing.assert_allclose(got, wanted, atol=tolerance)


REWARD, LOGGED, TARGET = np.array([1.0, 0.0, 2.0, 0.5]), np.array([0.5, 0.25, 0.2, 0.8]), np.array([0.25, 0.5, 0.4, 0.0])
W = TARGET / LOGGED  # 0.5, 2, 2, 0
with np.errstate(divide="ignore"):
    COLUMNS = (REWARD, np.log(LOGGED), np.log(TARGET))


def test_ips_by_hand():
    got = ope.ips(*COLUMNS)
    terms = np.array([0.5, 0.0, 4.0, 0.0])
    assert got.value == pytest.approx(4.5 / 4) and got.n == 4
    assert got.effective_n == pytest.approx(4.5**2 / 8.25)
    half = 1.959964 * np.sqrt(((terms - 1.125) ** 2).sum() / 3 / 4)
    near((got.low, got.high), (1.125 - half, 1.125 + half))


def test_snips_by_hand():
    got = ope.snips(*COLUMNS, confidence=0.8)
    assert got.value == pytest.approx(1.0)
    half = 1.281552 * np.sqrt(0.25 * 0 + 4 * 1 + 4 * 1 + 0) / 4.5
    assert got.high - got.value == pytest.approx(half, abs=1e-5)


def test_doubly_robust_by_hand():
    model_logged, model_target = np.array([0.5, 0.5, 1.0, 1.0]), np.array([1.0, 0.0, 1.0, 0.5])
    terms = model_target + W * (REWARD - model_logged)
    assert terms.tolist() == [1.25, -1.0, 3.0, 0.5]
    assert ope.doubly_robust(*COLUMNS, model_logged, model_target).value == pytest.approx(3.75 / 4)


def test_slate_additive_by_hand():
    weights, baseline = np.array([[0.5, 2.0], [1.0, 1.0], [0.0, 3.0]]), np.array([1.0, 1.0, 1.0])
    got, terms = ope.slate_additive(np.array([2.0, 0.0, 3.0]), weights, baseline)
    assert terms.tolist() == [1 + 1.5, 1 - 1.0, 1 + 4.0]
    assert got.value == pytest.approx(2.5) and got.n == 3
    assert got.effective_n == pytest.approx((1.5**2 / 1.25 + 36 / 14) / 2)


def test_slot_additive_by_hand():
    weights, reward = np.array([[0.5, 2.0], [1.0, 1.0], [0.0, 3.0]]), np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 2.0]])
    got, terms = ope.slot_additive(reward, weights)
    assert terms.tolist() == [1 + 0.5 + 1 - 2, 0 + 1, 1 + 0 + 1 + 3]
    assert got.value == pytest.approx(6.5 / 3) and got.n == 3
    assert got.effective_n == pytest.approx((1.5**2 / 1.25 + 36 / 14) / 2)


def test_a_policy_that_could_not_have_made_the_log_has_no_snips_value():
    impossible = (REWARD, np.log(LOGGED), np.full(4, -np.inf))
    assert np.isnan(ope.snips(*impossible).value) and ope.snips(*impossible).effective_n == 0
    got = ope.ips(*impossible)
    assert (got.value, got.low, got.high, got.effective_n) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("n", [0, 1])
def test_no_row_proves_nothing_and_one_row_no_more(n):
    rows = (REWARD[:n], np.log(LOGGED[:n]), np.log(LOGGED[:n]))
    got = [
        ope.ips(*rows),
        ope.snips(*rows),
        ope.doubly_robust(*rows, REWARD[:n], REWARD[:n]),
        ope.slate_additive(REWARD[:n], np.ones((n, 2)), np.zeros(n))[0],
        ope.slot_additive(REWARD[:n, None], np.ones((n, 1)))[0],
    ]
    for estimate in got:
        assert estimate.n == n
        if n:
            assert estimate.value == 1.0
        else:
            assert np.isnan(estimate.value) and not estimate.low > 0
    for estimate in (got[0], *got[2:]):
        assert not np.isfinite(estimate.low)


def test_intervals_are_as_wide_as_they_say():
    got = normal(2.0, 0.5, 10, 8.0, 0.9)
    near((got.low, got.high, got.n, got.effective_n), (2 - 0.822427, 2.822427, 10, 8))
    seeds = over_seeds(np.array([1.0, 2.0, 4.0]), 0.95)
    half = 4.302653 * np.sqrt(7 / 3 / 3)
    near((seeds.value, seeds.low), (7 / 3, 7 / 3 - half))
    assert over_seeds(np.array([1.0])).high == np.inf
    assert str(Estimate(1.0, 0.5, 1.5, 3, 3.0)) == "1.0000 [0.5000, 1.5000]"


# A bandit whose truth is known.

CHANCE = np.array([0.1, 0.5, 0.35, 0.9, 0.2])
LOGGING, WANTED = np.array([1.0, 0.3, 0.0, -0.7, 0.5], np.float32), np.array([-0.5, 0.5, 0.0, 1.5, 0.0], np.float32)
EXPLORE = Exploration(1.0, 0.1)


def picks(seed, scores, n):
    rng, mask = np.random.default_rng(seed), np.ones((n, 5), np.bool_)
    action, odds = sample_slates(np.tile(scores, (n, 1)), mask, 1, EXPLORE, rng.random((n, 1)))
    return action[:, 0], odds[:, 0], rng


def bandit(seed, n=400):
    action, odds, rng = picks(seed, LOGGING, n)
    target = pick_probabilities(WANTED, np.ones(5, np.bool_), EXPLORE)[action]
    return action, (rng.random(n) < CHANCE[action]).astype(float), np.log(odds), np.log(target)


TRUTH = float(pick_probabilities(WANTED, np.ones(5, np.bool_), EXPLORE) @ CHANCE)


def test_estimates_are_those_of_running_the_policy():
    """Over 300 logs: the mean of the estimates is the truth, and their intervals hold it as often as they say."""
    got: dict[str, list[Estimate]] = {"ips": [], "snips": [], "dr": [], "slate": [], "slots": []}
    wrong = np.array([0.5, 0.1, 0.9, 0.2, 0.4])  # a model that is far off
    target = pick_probabilities(WANTED, np.ones(5, np.bool_), EXPLORE)
    for seed in range(300):
        action, reward, logged, wanted = bandit(seed)
        got["ips"].append(ope.ips(reward, logged, wanted))
        got["snips"].append(ope.snips(reward, logged, wanted))
        got["dr"].append(ope.doubly_robust(reward, logged, wanted, wrong[action], np.full(len(action), target @ wrong)))
        weights = np.exp(wanted - logged)[:, None]
        got["slate"].append(ope.slate_additive(reward, weights, np.full(len(action), 0.4))[0])
        got["slots"].append(ope.slot_additive(reward[:, None], weights)[0])
    for name, found in got.items():
        values = np.array([e.value for e in found])
        bias = 0.003 if name in ("snips", "slots") else 0.0
        assert abs(values.mean() - TRUTH) < 4 * values.std() / np.sqrt(300) + bias, name
        assert 0.90 <= np.mean([e.low <= TRUTH <= e.high for e in found]) <= 0.99, name


def test_a_perfect_model_leaves_doubly_robust_no_variance():
    action, _, logged, wanted = bandit(0)
    expected = pick_probabilities(WANTED, np.ones(5, np.bool_), EXPLORE) @ CHANCE
    got = ope.doubly_robust(CHANCE[action], logged, wanted, CHANCE[action], np.full(len(action), expected))
    assert got.value == pytest.approx(TRUTH) and got.high - got.low < 1e-12


# Slates in the shop, through the join and the replay.

ITEMS, SLOTS = 12, 2
NETWORK = NetworkConfig(4, 1, hidden=8, steps=3)
TODAY = Objective({"purchase": 1.0})


def policy(seed, strength):
    arrays = to_arrays(UserNetwork(NETWORK, seed))
    arrays["item.weight"] = arrays["item.weight"] * strength
    return NetworkPolicy(NETWORK, arrays)


def shop():
    world = Shop(ShopConfig(users=400, items=ITEMS, leave=0.0, visit=(0.6, 0.6), satiation=0.0))
    known = features(ITEMS, 4, seed=5)
    return world, type(known)(known.version, tuple(i.id for i in world.catalogue()), known.vectors)


RULED = AtMost(Shop(ShopConfig(items=ITEMS)).catalogue(), "category", 1)


@pytest.mark.parametrize("rules", [(), (RULED,)], ids=["free", "ruled"])
def test_estimates_in_the_shop_are_those_of_running_the_policy(rules):
    """A log of one policy tells within 4 standard errors what another earned on a population of its own.

    Customers come and feel whatever they are shown, so a day's reward is the policy's own doing.
    """
    explore, logging, wanted = Exploration(1.0, 0.3), policy(0, 0.3), policy(1, 0.5)

    def run(who, seed):
        world, known = shop()
        made = Recommender(known, WholeCatalogue(known), who, (), rules, explore, ITEMS, 3, 1)
        return known, lived(made, world, 16, SLOTS, seed, TODAY)

    known, log = run(logging, 0)
    _, truth = run(wanted, 1)
    replay, rows = Replay(known, 3, explore, rules), np.arange(len(log.rows))
    model = LinearThompson(LinearThompsonConfig(4, 1))
    model.update(make_batch(log, rows[::4], known, 3, rules))
    columns = replay.columns(log, rows, wanted, model.predict)
    same = replay.columns(log, rows, logging, model.predict)
    np.testing.assert_allclose(same.logged_logp, same.target_logp, atol=1e-4)
    earned = np.array([sum(r.rewards) for r in truth.rows])
    for name, got in estimates(columns).items():
        stderr = np.hypot((got.high - got.low) / 2 / 1.96, earned.std() / np.sqrt(len(earned)))
        # The estimate by slots shrinks the difference a little: its ratios are of probabilities in a slot, the log's
        # propensities of probabilities given the slots before.
        assert abs(got.value - earned.mean()) < 4 * stderr + (0.01 if name == "slots" else 0.0), (name, got, earned.mean())
    assert columns.slot_weights.shape == (len(rows), SLOTS) and (columns.slot_weights > 0).all()


def test_a_replay_of_no_rows_and_in_parts():
    world, known = shop()
    made = Recommender(known, WholeCatalogue(known), policy(0, 0.3), (), (RULED,), Exploration(), ITEMS, 3, 1)
    log = lived(made, world, 3, 3, 0, TODAY)
    replay = Replay(known, 3, made.explore, (RULED,))
    empty = replay.columns(log, np.zeros(0, np.int64), made.policy)
    assert empty.reward.shape == empty.slot_weights.shape == (0, 1) and empty.slate.shape == (0,)
    assert all(np.isnan(e.value) for e in estimates(empty).values())
    whole = replay.columns(log, np.arange(300), made.policy)  # more than one part
    part = replay.columns(log, np.arange(256, 300), made.policy)
    np.testing.assert_allclose(whole.target_logp[256:], part.target_logp, atol=1e-5)


def test_target_marginals_obey_the_rules():
    """Of two items of one group the second can never be shown after the first: its weight in slot 2 says so."""
    world, known = shop()
    made = Recommender(known, WholeCatalogue(known), policy(0, 0.3), (), (RULED,), Exploration(1.0, 1.0), ITEMS, 3, 1)
    log = lived(made, world, 2, SLOTS, 0, TODAY)
    columns = Replay(known, 3, made.explore, (RULED,)).columns(log, np.arange(len(log.rows)), made.policy)
    groups = [i.attributes["category"] for i in world.catalogue()]
    exact = np.zeros((2, ITEMS))
    for one, two in permutations(range(ITEMS), 2):
        if groups[one] != groups[two]:
            exact[1, two] += 1 / ITEMS / (ITEMS - groups.count(groups[one]))
    exact[0] = 1 / ITEMS
    wanted = [[exact[s, p] / q for s, (p, q) in enumerate(zip(r.picks, r.propensities, strict=True))] for r in log.rows]
    got = columns.slot_weights
    np.testing.assert_allclose(got[:, 0], np.array(wanted)[:, 0], rtol=1e-6)
    for item in range(ITEMS):
        mine = [n for n, r in enumerate(log.rows) if r.picks[1] == item]
        assert got[mine, 1].mean() == pytest.approx(np.array(wanted)[mine, 1].mean(), rel=0.09)  # four standard errors
