"""Joined decisions become batches: padded, masked where the catalogue forgot an item, rules replayed."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from longgame.algorithms.linear_thompson import LinearThompson, LinearThompsonConfig
from longgame.algorithms.neural_linear import NeuralLinear, NeuralLinearConfig
from longgame.algorithms.rank import RankPolicy
from longgame.algorithms.robust import Clipped
from longgame.algorithms.towers import TowersConfig
from longgame.errors import ShapeError
from longgame.guards import AlreadySeen, AtMost
from longgame.learning.batches import as_learned, batches, make_batch, trajectories
from longgame.learning.loop import train
from longgame.simulation.shop import Shop, ShopConfig
from longgame.slate import Exploration, replay_allowed, rules_allow, slot_log_probs
from longgame.store.memory import MemoryStore
from longgame.types import Objective
from tests.kit import B, C, D, K, T, batch, decision, event, features, feedback, items, joined, lived, recommender

SHOP = features(7)
DAILY = Objective({"click": 1.0}, frozenset(), timedelta(hours=2), 0.5)
RULES = (AtMost(items(7, group="aabbcca"), "group", 1),)


def log_of(*records, objective=DAILY, catalogue=SHOP):
    store = MemoryStore()
    store.put([*records, event("end", 24 * 400, 0, "zoe")])
    return trajectories(joined(store, catalogue, objective), objective)


FIRST = decision("d1", 0, (3, 1), candidates=[0, 1, 2, 3, 4])
SECOND = decision("d2", 24, (0,), candidates=[6, 5])
THIRD = decision("d3", 30, (), user="bob", candidates=[2, 77, 4])
LOG = log_of(event("e", -1, 6), FIRST, feedback(FIRST, 1, 5), SECOND, feedback(SECOND, 0, 5), THIRD)


def test_rows_are_padded_at_the_end():
    got = make_batch(LOG, np.array([0, 1, 2]), SHOP, T)
    assert got.mask.astype(int).tolist() == [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0]]
    assert got.action.tolist() == [[3, 1], [0, -1], [-1, -1]]
    assert got.propensity.tolist() == [[0.5, 0.25], [0.5, 1.0], [1.0, 1.0]]
    assert got.reward.tolist() == [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]
    assert got.response.tolist() == [[False, True], [True, False], [False, False]]
    np.testing.assert_array_equal(got.items[1, :3], [SHOP.vectors[6], SHOP.vectors[5], [0] * D])
    assert not got.items[~got.mask].any()


def test_the_future_and_what_came_next_are_there():
    got = make_batch(LOG, np.array([0, 1]), SHOP, T)
    assert got.future.tolist() == [0.5, 0.0] and got.discount.tolist() == [0.5, 0.0]
    assert got.state.items.tolist() == [[-1, -1, -1, 6], [-1, -1, 6, 1]]
    assert got.next_state.items.tolist() == [[-1, -1, 6, 1], [-1, -1, 6, 1]]
    assert got.next_mask.sum(axis=1).tolist() == [2, 2]


def test_futures_are_added_up_of_clipped_rewards():
    """Five decisions a day apart, the second of them forged to be worth 100: honest futures stay as they are."""
    plain, every = LinearThompson(LinearThompsonConfig(D)), np.arange(5)
    made = [decision(f"d{day}", 24 * day, (0,), candidates=[0, 1]) for day in range(5)]
    log = log_of(*(record for one in made for record in (one, feedback(one, 0, 5))))
    rows = [replace(row, rewards=[100.0]) if number == 1 else row for number, row in enumerate(log.rows)]
    future = np.array([100 / 2 + 1 / 4 + 1 / 8 + 1 / 16, *log.future[1:]])
    forged = replace(log, rows=rows, future=future)
    assert as_learned(forged, every, plain) is forged
    got = as_learned(forged, every, Clipped(plain, 1.0))
    np.testing.assert_allclose(got.future, log.future)
    assert [row.rewards for row in got.rows] == [[1.0]] * 5 and forged.rows[1].rewards == [100.0]
    np.testing.assert_allclose(as_learned(log, every, Clipped(plain, 0.4)).future, 0.4 * log.future)
    assert make_batch(got, np.array([0]), SHOP, T).future.tolist() == [0.9375]


@pytest.mark.parametrize("wrap", [lambda made: made, lambda made: Clipped(made, 5.0)])
def test_a_log_that_is_passed_over_again_makes_no_one_surer(wrap):
    """The rows of LOG have three slots: thirty passes over them count as three slots, and not as ninety."""
    rows = make_batch(LOG, np.array([0, 1, 2]), SHOP, T)
    made = NeuralLinear(NeuralLinearConfig(TowersConfig(D, rows.state.context.shape[1], hidden=4), noise=1.0))
    before = made._posterior.precision.copy()
    as_learned(LOG, np.array([0, 1, 2]), wrap(made))
    for _ in range(30):
        made.update(rows)
    sure = made._posterior.precision - before
    assert sure[-1, -1] == pytest.approx(3.0), "of the number that all items share: one for each slot"


@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_row_alone_is_a_batch_too(row):
    """Also where the next decision has fewer candidates than this one."""
    whole, alone = make_batch(LOG, np.array([0, 1, 2]), SHOP, T), make_batch(LOG, np.array([row]), SHOP, T)
    width, slots = alone.mask.shape[1], alone.action.shape[1]
    np.testing.assert_array_equal(alone.items[0], whole.items[row, :width])
    np.testing.assert_array_equal(alone.next_items[0], whole.next_items[row, :width])
    np.testing.assert_array_equal(alone.action[0], whole.action[row, :slots])
    np.testing.assert_array_equal(alone.allowed[0], whole.allowed[row, :slots, :width])


def test_a_next_decision_with_more_candidates_fits():
    wide = decision("d0", -24, (1,), candidates=[3, 2])
    got = make_batch(log_of(wide, FIRST), np.array([0]), SHOP, T)
    assert got.items.shape == got.next_items.shape == (1, 5, D)
    assert got.mask.sum() == 2 and got.next_mask.sum() == 5


def test_items_that_are_gone_are_masked_and_teach_nothing():
    gone = decision("d", 0, (1, 0), candidates=[0, 77, 2])
    got = make_batch(log_of(gone, feedback(gone, 0, 5), feedback(gone, 1, 5)), np.array([0]), SHOP, T)
    assert got.mask.tolist() == [[True, False, True]] and got.action.tolist() == [[-1, 0]]
    assert got.propensity.tolist() == [[1.0, 0.25]] and got.reward.tolist() == [[0.0, 1.0]]
    assert got.response.tolist() == [[False, True]]
    assert not got.allowed[0, :, 1].any()


def test_one_set_of_candidates_is_not_copied_and_is_the_same_as_copies():
    shown = [decision(f"d{n}", n, (n, 4), candidates=[4, 2, 0, 6, 1]) for n in range(3)]
    log = log_of(*shown)
    shared = make_batch(log, np.array([0, 1, 2]), SHOP, T, RULES)
    assert shared.items.strides[0] == 0
    for row in range(3):
        alone = make_batch(log, np.array([row]), SHOP, T, RULES)
        np.testing.assert_array_equal(alone.items[0], shared.items[row])
        np.testing.assert_array_equal(alone.allowed[0], shared.allowed[row])


def test_rules_are_replayed_row_by_row():
    shown = [decision("a", 0, (0, 2, 4)), decision("b", 1, (4, 0), candidates=[6, 5, 77, 1, 3])]
    got = make_batch(log_of(*shown), np.array([0, 1]), SHOP, T, RULES)
    assert got.allowed.astype(int).tolist() == [
        # items 0 1 2 3 4 are of groups a a b b c
        [[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1]],
        # items 6 5 - 1 3 are of groups a c - a b
        [[1, 1, 0, 1, 1], [1, 1, 0, 1, 0], [0, 1, 0, 0, 0]],
    ]
    positions = np.array([[0, 1, 2, 3, 4], [6, 5, -1, 1, 3]])
    np.testing.assert_array_equal(got.allowed, replay_allowed(got.mask, got.action, rules_allow(RULES, positions)))


@pytest.mark.parametrize("rules", [(), RULES], ids=["free", "ruled"])
def test_the_logging_policy_finds_its_own_propensities_in_the_batch(rules):
    """Guards, rules, short slates and all: the log's probabilities are those of its policy on the batch."""
    world = Shop(ShopConfig(users=20, items=7))
    shop = replace(SHOP, ids=tuple(i.id for i in world.catalogue()))
    policy = LinearThompson(LinearThompsonConfig(D, 1, draws=129)).policy
    explore, guards = Exploration(0.8, 0.3), (AlreadySeen(frozenset({"click"})),)
    made = recommender(shop, policy, guards=guards, rules=rules, explore=explore, context=1, steps=T)
    log = lived(made, world, 25, 3, 0, world.objective)
    assert len({len(r.candidates) for r in log.rows}) > 2 and len({len(r.picks) for r in log.rows}) > 1
    got = make_batch(log, np.arange(len(log.rows)), shop, T, rules)
    scores = policy.score(got.state, got.items, got.mask)
    np.testing.assert_allclose(slot_log_probs(scores, got.allowed, got.action, explore), np.log(got.propensity), atol=1e-5)


def test_a_pass_gives_each_told_row_once():
    shown = [decision(f"d{n}", 24 * n, (n % 5,), user=f"u{n % 3}") for n in range(40)]
    log = log_of(*shown)
    told = int(log.told.sum())
    assert 30 < told < 40
    one, same, other = (list(batches(log, SHOP, T, 8, np.random.default_rng(seed))) for seed in (0, 0, 1))
    assert [len(b) for b in one] == [8] * (told // 8) + ([told % 8] if told % 8 else [])
    actions = [np.concatenate([b.action for b in part]).ravel().tolist() for part in (one, same, other)]
    assert actions[0] == actions[1] != actions[2]
    wanted = [r.picks[0] for r, t in zip(log.rows, log.told, strict=True) if t]
    assert sorted(actions[0]) == sorted(actions[2]) == sorted(wanted)


def test_training_updates_once_a_batch():
    seen = []
    made = LinearThompson(LinearThompsonConfig(D, 1))
    assert train(made, (batch(n) for n in range(3)), lambda step, metrics: seen.append((step, sorted(metrics)))) == 3
    assert [step for step, _ in seen] == [1, 2, 3] and seen[0][1] == ["error", "reward"]
    assert train(made, []) == 0


WRONG = {
    "axis": {"reward": np.zeros((B, K + 1), np.float32)},
    "letters": {"mask": np.zeros(B, np.bool_)},
    "propensity 0": {"propensity": np.zeros((B, K))},
    "propensity above 1": {"propensity": np.full((B, K), 1.1)},
    "propensity NaN": {"propensity": np.full((B, K), np.nan)},
    "action outside": {"action": np.full((B, K), C)},
    "action below -1": {"action": np.full((B, K), -2)},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_batch_that_does_not_fit_is_refused(wrong):
    with pytest.raises(ShapeError, match=next(iter(wrong))):
        replace(batch(), **wrong)


def test_rank_is_a_policy_for_any_batch():
    got = make_batch(LOG, np.array([2]), SHOP, T)
    assert np.isfinite(RankPolicy().score(got.state, got.items, got.mask)).all()
