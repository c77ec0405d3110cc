"""Tables, IQL, BCQ, Decision Transformer and DRN against cases worked by hand, and what they must learn from a log."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from longgame.algorithms.bcq import Bcq, BcqConfig, among_likely, likely
from longgame.algorithms.clusters import Clusters, distances
from longgame.algorithms.critic import Pace, network_of
from longgame.algorithms.decision_transformer import (
    DecisionTransformer,
    DecisionTransformerConfig,
    returns_to_go,
    widened,
)
from longgame.algorithms.dqn import Dqn, DqnConfig
from longgame.algorithms.drn import Drn, DrnConfig, duel, explored, interleaved
from longgame.algorithms.imitation import imitation_loss
from longgame.algorithms.iql import Iql, IqlConfig, expectile_loss
from longgame.algorithms.tabular import Tabular, TabularConfig, averaged, filled_in, summary
from longgame.algorithms.towers import TowersConfig
from longgame.arrays import Batch, State
from longgame.errors import ConfigError
from longgame.networks import NetworkConfig, to_arrays
from longgame.protocols import Policy
from longgame.slate import Exploration, pick_probabilities, replay_allowed, sample_slates
from tests.kit import B, C, D, F, K, T, batch

TOWERS, ATTENTION = TowersConfig(D, F, hidden=8), NetworkConfig(D, F, hidden=8, steps=T)
FAST = Pace(2e-2, follow=0.5)


# Tables.


def test_groups_find_clouds_and_a_later_batch_fills_what_is_left():
    rng = np.random.default_rng(0)
    middles = np.array([[0.0, 9.0], [9.0, 0.0], [-9.0, -9.0]])
    cloud = lambda which, n: middles[which] + rng.normal(size=(n, 2))
    made = Clusters(3, 2)
    made.learn(np.concatenate([cloud(0, 50), cloud(1, 70)])[:0])
    assert not made.counts.any(), "nothing was seen"
    made.learn(np.array([[0.0, 9.0]] * 4))
    assert (made.counts > 0).sum() == 1, "one place, one centre"
    for _ in range(3):
        made.learn(np.concatenate([cloud(0, 50), cloud(1, 70), cloud(2, 30)]))
    order = [int(made.nearest(middle[None])[0]) for middle in middles]
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(made.centres[order], middles, atol=0.4)
    np.testing.assert_array_equal(made.nearest(np.stack([middles, middles[::-1]])), [order, order[::-1]])


def test_distances_and_running_means_by_hand():
    np.testing.assert_allclose(distances(np.array([[3.0, 4.0]]), np.array([[0.0, 0.0], [3.0, 3.0]])), [[25.0, 1.0]])
    made = Clusters(1, 1)
    made.learn(np.array([[1.0], [3.0]]))
    made.learn(np.array([[8.0]]))
    assert made.centres[0, 0] == pytest.approx(4.0) and made.counts[0] == pytest.approx(3.0)


def test_a_cell_is_a_mean_first_and_forgets_later():
    """Two visits of a new cell that say 1 and 3; then a third at a rate of a half, which is more than 1 of 3."""
    table, visits = np.zeros((1, 2)), np.zeros((1, 2))
    none = np.zeros(2, np.int64)
    table, visits = averaged(table, visits, none, none, np.array([1.0, 3.0]), 0.5)
    np.testing.assert_allclose(table, [[2.0, 0.0]])
    table, visits = averaged(table, visits, none[:1], none[:1], np.array([8.0]), 0.5)
    np.testing.assert_allclose(table, [[5.0, 0.0]])
    np.testing.assert_allclose(visits, [[3.0, 0.0]])


def test_unvisited_cells_have_their_column_s_mean_or_that_of_all():
    table, visits = np.array([[2.0, 0.0], [5.0, 0.0]]), np.array([[1.0, 0.0], [2.0, 0.0]])
    np.testing.assert_allclose(filled_in(table, visits), [[2.0, 4.0], [5.0, 4.0]])
    visits[0, 0] = 0
    np.testing.assert_allclose(filled_in(table, visits)[0], [5.0, 5.0])
    np.testing.assert_array_equal(filled_in(table * 0, visits * 0), table * 0)


@pytest.mark.parametrize("sarsa", [None, Exploration(0.5, 0.2)])
def test_targets_of_a_table_by_hand(sarsa):
    made = Tabular(TabularConfig(D, F, states=3, groups=4, sarsa=sarsa))
    for seed in range(3):
        made.update(batch(seed))
    between = np.linspace(0, 1, B).astype(np.float32)
    rows = replace(batch(7, k=1), between=between)
    table = filled_in(made._table, made._visits)
    own, group = made._states.nearest(summary(rows.next_state)), made._items.nearest(rows.next_items)
    for b in range(B):
        worth = table[own[b], group[b]]
        if sarsa is None:
            after = worth[rows.next_mask[b]].max()
        else:
            after = (pick_probabilities(worth, rows.next_mask[b], sarsa) * worth).sum()
        wanted = rows.reward[b, 0] + between[b] + rows.discount[b] * after
        assert made._targets(rows)[b, 0] == pytest.approx(wanted, rel=1e-6)


def test_an_item_of_tomorrow_has_the_value_of_its_group():
    rng = np.random.default_rng(0)
    made, mask = Tabular(TabularConfig(1, 0, states=2, groups=2)), np.ones((64, 2), np.bool_)
    for _ in range(4):
        items = np.stack([rng.normal(-5, 1, (64, 1)), rng.normal(5, 1, (64, 1))], axis=1).astype(np.float32)
        rows = one_step(items, mask, rng.integers(0, 2, 64))
        made.update(replace(rows, reward=np.where(rows.action == 1, np.float32(2), np.float32(0.5))))
    new = np.tile(np.array([[-4.0], [6.5], [4.0]], np.float32), (1, 1, 1))
    got = made.policy.score(nobody(1, 1, 0), new, np.ones((1, 3), np.bool_))
    np.testing.assert_allclose(got, [[0.5, 2.0, 2.0]], rtol=1e-5)


# What is learned of a log.


def nobody(b: int, width: int, context: int) -> State:
    return State(np.zeros((b, 1, width), np.float32), np.full((b, 1), -1), np.zeros((b, context), np.float32))


def one_step(items: np.ndarray, mask: np.ndarray, column: np.ndarray) -> Batch:
    """Decisions of one slot that were drawn uniformly, after which nothing comes."""
    b, none = len(items), np.zeros(len(items), np.float32)
    action, state = column[:, None].astype(np.int64), nobody(len(items), items.shape[2], 0)
    return Batch(
        state, items, mask, replay_allowed(mask, action), action, np.full((b, 1), 1 / mask.shape[1]),
        none[:, None], none[:, None] > 0, none, none, state, items, mask,
    )  # fmt: skip


def test_imitation_by_hand():
    """Two slots: the second cannot have what the first has; an empty slot says nothing, though nothing was allowed there."""
    scores = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
    action = torch.tensor([[2, 0], [0, -1]])
    allowed = torch.tensor([[[True, True, True], [True, True, False]], [[True, False, True], [False, False, False]]])
    e = np.exp
    wanted = (np.log(1 + e(1) + e(2)) - 2 + np.log(1 + e(1)) + np.log(e(3) + 1) - 3) / 3
    assert float(imitation_loss(scores, allowed, action)) == pytest.approx(wanted, rel=1e-5)
    free = scores.clone().requires_grad_()
    imitation_loss(free, allowed, action).backward()
    assert free.grad is not None and torch.isfinite(free.grad).all()
    assert float(imitation_loss(scores, allowed, torch.full((2, 2), -1))) == 0


def test_what_a_rule_forbids_now_is_not_imitated():
    """The first slot's pick may not be shown any more: the second alone says something, and no gradient is lost."""
    scores = torch.tensor([[0.0, 1.0, 2.0]], requires_grad=True)
    allowed = torch.tensor([[[True, True, False], [True, True, False]]])
    loss = imitation_loss(scores, allowed, torch.tensor([[2, 0]]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(np.log(1 + np.e), rel=1e-5)
    first = 1 / (1 + np.e)
    assert scores.grad is not None
    np.testing.assert_allclose(scores.grad.numpy(), np.array([[first - 1, 1 - first, 0.0]]), atol=1e-6)


def test_expectiles_by_hand():
    error = torch.tensor([[2.0, -1.0], [-3.0, 7.0]])
    filled = torch.tensor([[True, True], [True, False]])
    assert float(expectile_loss(error, 0.9, filled)) == pytest.approx((0.9 * 4 + 0.1 * 1 + 0.1 * 9) / 3)


def test_the_value_of_a_state_is_an_expectile_and_never_asks_for_what_was_not_shown():
    """Items that were never shown may be as good as they like: what comes next is what the log has."""
    rng = np.random.default_rng(0)
    made = {tau: Iql(IqlConfig(TowersConfig(2, 0, hidden=8), FAST, expectile=tau)) for tau in (0.5, 0.95)}
    items, mask = np.broadcast_to(np.eye(3, 2, dtype=np.float32), (128, 3, 2)), np.ones((128, 3), np.bool_)
    for _ in range(250):
        rows = one_step(items, mask, rng.integers(0, 2, 128))
        rows = replace(rows, reward=rows.action.astype(np.float32))
        for one in made.values():
            one.update(rows)
    state = nobody(1, 2, 0)
    low, high = (float(one._values.target.value(one._values.target.user(state))[0].detach()) for one in made.values())
    assert low == pytest.approx(0.5, abs=0.1) and high == pytest.approx(0.95, abs=0.06), (low, high)


def test_the_likely_by_hand():
    preference, mask = np.log(np.array([[0.5, 0.3, 0.1, 9.0]])), np.array([[True, True, True, False]])
    np.testing.assert_array_equal(likely(preference, mask, 0.5), [[True, True, False, False]])
    np.testing.assert_array_equal(likely(preference, mask, 0.7), [[True, False, False, False]])
    np.testing.assert_array_equal(likely(preference, mask, 0.0), mask)
    np.testing.assert_array_equal(likely(preference, mask, 0.7, 2), [[True, True, False, False]])
    np.testing.assert_array_equal(likely(preference, mask, 0.0, np.array([[9]])), mask)
    worth = np.array([[1.0, 2.0, 50.0, 70.0]], np.float32)
    got = among_likely(worth, preference.astype(np.float32), mask, 0.5)[0]
    assert got[1] > got[0] > got[2] + 900 and got[0] == 1 and np.isfinite(got).all()


def chain(seed: int, b: int = 128) -> Batch:
    """A log in which item 2 was never shown, and whose next state offers it: a trap for those who hope."""
    rng = np.random.default_rng(seed)
    items, mask = np.broadcast_to(np.eye(3, dtype=np.float32), (b, 3, 3)), np.ones((b, 3), np.bool_)
    rows = one_step(items, mask, rng.integers(0, 2, b))
    later = np.where(rows.action[:, 0] == 1, np.float32(0.9), np.float32(0.0))
    return replace(rows, reward=np.where(rows.action == 0, np.float32(0.3), np.float32(0.1)), discount=later)


def test_bcq_hopes_for_nothing_that_the_log_has_not():
    """What the log has is worth .3, or .1 again and again: .1 / (1 - .9)."""
    network = TowersConfig(3, 0, hidden=8)
    start = to_arrays(network_of(network, 0))
    start["appeal.weight"] = np.array([[0.0, 0.0, 5.0]], np.float32)
    rows = chain(0, 1)
    got = {}
    for threshold in (0.3, 0.0):
        made = Bcq(BcqConfig(network, FAST, threshold), start)
        for seed in range(300):
            metrics = made.update(chain(seed))
        assert metrics["likely"] == pytest.approx(2 / 3 if threshold else 1.0)
        got[threshold] = made.policy.score(rows.state, rows.items, rows.mask)[0]
    np.testing.assert_allclose(got[0.3][:2], [0.3, 1.0], atol=0.15)
    assert got[0.3].argmax() == 1
    assert got[0.0].argmax() == 2 and got[0.0][1] > 2, "without the constraint what nobody saw is hoped for"


def test_the_slate_that_comes_next_is_as_long_as_the_one_that_is_served():
    """One item is likely and slates have two: what comes next is worth two items, as in the slate that is drawn."""
    network = TowersConfig(3, 0, hidden=8)
    start = to_arrays(network_of(network, 0))
    start["appeal.weight"] = np.array([[9.0, 4.0, 0.0]], np.float32)
    made = Bcq(BcqConfig(network, Pace(1e-9), 0.5), start)
    items, mask = np.broadcast_to(np.eye(3, dtype=np.float32), (4, 3, 3)), np.ones((4, 3), np.bool_)
    action, none = np.tile(np.array([[0, 2]]), (4, 1)), np.zeros((4, 2), np.float32)
    state, end = nobody(4, 3, 0), np.ones(4, np.float32)
    rows = Batch(
        state, items, mask, replay_allowed(mask, action), action, np.full((4, 2), 0.5), none, none > 0, none[:, 0], end,
        state, items, mask,
    )  # fmt: skip
    served = made.policy.score(rows.state, rows.items, rows.mask)[0]
    assert list(np.argsort(-served)) == [0, 1, 2]
    made.update(rows)
    # each slot says 9 or 0 and is to say (9 + 4) / 2, half of what the slate after it is worth
    np.testing.assert_allclose(made.errors, 6.5, atol=0.5)


def test_a_threshold_of_nothing_is_dqn():
    one, two = Bcq(BcqConfig(TOWERS, threshold=0.0)), Dqn(DqnConfig(TOWERS, dueling=False))
    for seed in range(3):
        one.update(batch(seed))
        two.update(batch(seed))
    rows = batch(9, whole=True)
    got, wanted = (made.policy.score(rows.state, rows.items, rows.mask) for made in (one, two))
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("config", [TOWERS, ATTENTION, TowersConfig(D, 0, hidden=8), NetworkConfig(D, 0, hidden=8, steps=T)])
def test_a_decision_transformer_begins_as_the_supervised_network(config):
    network, rows = network_of(config, 3), batch(4)
    state = State(rows.state.history, rows.state.items, rows.state.context[:, : config.context])
    made = DecisionTransformer(DecisionTransformerConfig(config, target=2.0), to_arrays(network))
    with torch.no_grad():
        wanted = network.score(network.user(state), torch.from_numpy(rows.items)).numpy()
    np.testing.assert_allclose(made.policy.score(state, rows.items, rows.mask), wanted, atol=1e-5)
    assert all(
        made._learned.state_dict("")[f"network.{n}"].shape == a.shape
        for n, a in widened(to_arrays(network), made._network).items()
    )


def test_returns_to_go_by_hand():
    rows = batch(2)
    for b in range(B):
        wanted = sum(rows.reward[b, k] for k in range(K) if rows.action[b, k] >= 0) + rows.future[b]
        assert returns_to_go(rows)[b] == pytest.approx(wanted, rel=1e-6)


def test_what_is_asked_for_is_what_is_done():
    """Item 0 leads to 1 and item 1 to 3. Asked for much it shows item 1, asked for little item 0."""
    rng, first = np.random.default_rng(0), {}
    items, mask = np.broadcast_to(np.eye(2, dtype=np.float32), (128, 2, 2)), np.ones((128, 2), np.bool_)
    for target in (1.0, -1.0):
        made = DecisionTransformer(DecisionTransformerConfig(TowersConfig(2, 0, hidden=8), FAST, target=target))
        for _ in range(150):
            rows = one_step(items, mask, rng.integers(0, 2, 128))
            made.update(replace(rows, future=np.where(rows.action[:, 0] == 1, np.float32(3), np.float32(1))))
        few = one_step(items[:1], mask[:1], np.zeros(1, np.int64))
        got = made.policy.score(few.state, few.items, few.mask)
        first[target] = pick_probabilities(got, few.mask, Exploration(1.0, 0.0))[0, 0]
    assert first[1.0] < 0.05 and first[-1.0] > 0.95, first


# DRN.


def test_an_interleaved_list_by_hand():
    one, other = np.log(np.array([[0.5, 0.3, 0.2]], np.float32)), np.log(np.array([[0.1, 0.1, 0.8]], np.float32))
    mask = np.ones((1, 3), np.bool_)
    np.testing.assert_allclose(np.exp(interleaved(one, other, mask, 1.0)), [[0.3, 0.2, 0.5]], rtol=1e-5)
    cold = np.exp(interleaved(one, other, mask, 1e-3))
    np.testing.assert_allclose(cold, [[0.5, 0.0, 0.5]], atol=1e-6)
    mask[0, 2] = False
    np.testing.assert_allclose(
        np.exp(interleaved(one, other, mask, 1.0))[0, :2], [(0.5 / 0.8 + 0.5) / 2, (0.3 / 0.8 + 0.5) / 2], rtol=1e-5
    )


def test_an_explored_network_is_within_its_spread():
    weights = {"a": np.array([1.0, -2.0, 0.0], np.float32), "b": np.ones((50, 50), np.float32)}
    got = explored(weights, 0.1, np.random.default_rng(0))
    share = (got["b"] - 1).ravel()
    assert abs(share).max() <= 0.1 and share.std() == pytest.approx(0.2 / 12**0.5, rel=0.05) and got["a"][2] == 0
    assert got["a"].dtype == np.float32


def test_a_duel_by_hand():
    """Shown by chance, 1/2 each: item 0 brought 1 and item 1 nothing. One network would show 0 with 1/4, the other with 3/4."""
    rows = one_step(np.zeros((2, 2, 1), np.float32), np.ones((2, 2), np.bool_), np.array([0, 1]))
    rows = replace(rows, reward=np.array([[1.0], [0.0]], np.float32))
    one, other = (np.log(np.tile(np.array([p], np.float32), (2, 1))) for p in ([0.25, 0.75], [0.75, 0.25]))
    assert duel(one, other, rows, 1.0) == pytest.approx(((1.5 - 0.5) * 0.5 + (0.5 - 1.5) * -0.5) / 2, rel=1e-5)
    assert duel(other, one, rows, 1.0) == pytest.approx(-0.5, rel=1e-5)
    assert duel(one, other, replace(rows, action=np.full((2, 1), -1)), 1.0) == 0


def wanting(policy: Policy, seed: int, b: int = 256) -> Batch:
    """A live stream: a user wants large items or small ones, as the context says."""
    rng = np.random.default_rng(seed)
    context = np.where(rng.random((b, 1)) < 0.5, -1.0, 1.0).astype(np.float32)
    state = State(np.zeros((b, T, D), np.float32), np.full((b, T), -1), context)
    items, mask = (
        np.broadcast_to(np.random.default_rng(1).normal(size=(C, D)).astype(np.float32), (b, C, D)),
        np.ones((b, C), np.bool_),
    )
    action, odds = sample_slates(policy.score(state, items, mask), mask, 1, Exploration(1.0, 0.05), rng.random((b, 1)))
    rows = one_step(items, mask, action[:, 0])
    reward = context * np.take_along_axis(items[:, :, 0], action, axis=1)
    return replace(rows, state=state, next_state=state, propensity=odds, reward=reward.astype(np.float32))


def test_duels_alone_lead_uphill():
    """Without learning values (a rate of next to nothing) the steps towards what won are all that is learned."""
    gained = {}
    for step in (0.5, 0.0):
        made = Drn(DrnConfig(TowersConfig(D, 1, hidden=16), Pace(1e-9), spread=0.5, step=step, seed=1))
        for seed in range(120):
            made.update(wanting(made.policy, seed))
        gained[step] = float(wanting(made.policy, 999, 2000).reward.mean())
    assert gained[0.5] > gained[0.0] + 0.3, gained


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: TabularConfig(3, rate=0.0), "TabularConfig"),
        (lambda: TabularConfig(3, states=0), "TabularConfig"),
        (lambda: IqlConfig(TOWERS, expectile=1.0), "IqlConfig"),
        (lambda: IqlConfig(TOWERS, beta=-1.0), "IqlConfig"),
        (lambda: BcqConfig(TOWERS, threshold=1.0), "BcqConfig"),
        (lambda: DecisionTransformerConfig(TOWERS, forget=0.0), "DecisionTransformerConfig"),
        (lambda: DecisionTransformerConfig(TOWERS, target=float("nan")), "DecisionTransformerConfig"),
        (lambda: DrnConfig(TOWERS, spread=0.0), "DrnConfig"),
        (lambda: DrnConfig(TOWERS, step=1.5), "DrnConfig"),
    ],
)
def test_what_cannot_be_is_refused(make, match):
    with pytest.raises(ConfigError, match=match):
        make()
